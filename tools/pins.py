"""Write constraints.txt or, with --lowest, constraints-lowest.txt: one version for each package of a full install.

pip itself resolves (`pip install --dry-run --report`), so what is written is what an install in an empty environment
brings, without filling one. Run by `make pins` and `make pins-lowest`; see docs/dependencies.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
NEWEST, LOWEST = ROOT / "constraints.txt", ROOT / "constraints-lowest.txt"
CUDA = ("cuda-", "nvidia-", "triton")  # what GPU builds of torch bring, with exact versions, and CPU builds do not need


def project() -> dict[str, Any]:
    """The table [project] of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def direct() -> dict[str, Requirement]:
    """By normalised name, each requirement of the package and of its extras; one that stands twice is the same."""
    table = project()
    lines = [*table["dependencies"], *(line for extra in table["optional-dependencies"].values() for line in extra)]
    found: dict[str, Requirement] = {}
    for requirement in map(Requirement, lines):
        first = found.setdefault(canonicalize_name(requirement.name), requirement)
        if first.specifier != requirement.specifier:
            sys.exit(f"pyproject.toml asks for {first} and for {requirement}: write the same range twice")
    return found


def lower_bound(requirement: Requirement) -> Version:
    """The version after the requirement's `>=`."""
    bounds = [part.version for part in requirement.specifier if part.operator == ">="]
    if len(bounds) != 1:
        sys.exit(f"pyproject.toml asks for {requirement}: give it one lower bound (>=)")
    return Version(bounds[0])


def resolve(held: Iterable[str]) -> dict[str, Version]:
    """By name, the version of each package that pip would install for all extras within `held` constraints."""
    with tempfile.TemporaryDirectory() as folder:
        constraints, report = Path(folder, "held.txt"), Path(folder, "report.json")
        constraints.write_text("".join(f"{line}\n" for line in held))
        target = f"{ROOT}[{','.join(project()['optional-dependencies'])}]"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        done = subprocess.run([*pip, "--constraint", constraints, "--report", report, target])
        if done.returncode:
            sys.exit("pip found no versions that go together (see above), so nothing was written")
        packages = json.loads(report.read_text())["install"]
    yanked = [package["metadata"]["name"] for package in packages if package.get("is_yanked")]
    if yanked:
        sys.exit(f"withdrawn by their authors: {', '.join(yanked)}; raise these bounds in pyproject.toml")
    # A local version (torch 2.13.0+cpu) names one index's build: anywhere else it could not be installed.
    ours = canonicalize_name(project()["name"])
    metadata = [package["metadata"] for package in packages]
    versions = {entry["name"]: Version(Version(entry["version"]).public) for entry in metadata}
    ordered = sorted(versions, key=str.lower)
    return {name: versions[name] for name in ordered if canonicalize_name(name) != ours and not name.startswith(CUDA)}


def read(file: Path) -> tuple[list[str], dict[str, str]]:
    """The comment that a file of pins begins with, and its versions by name."""
    lines = file.read_text().splitlines()
    header = [line for line in lines if line.startswith("#")]
    return header, dict(line.split("==") for line in lines if line and not line.startswith("#"))


def main() -> None:
    """Resolve, write the file, and say what changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lowest", action="store_true", help="each direct dependency at its lower bound")
    parser.add_argument("--output", type=Path, help="write here instead, and leave the file itself as it is")
    parser.add_argument("held", nargs="*", help="packages that must not move, such as torch==2.13.0")
    arguments = parser.parse_args()
    wanted, running = project()["requires-python"], ".".join(map(str, sys.version_info[:2]))
    if wanted != f">={running}":
        sys.exit(f"Pins are made with the oldest Python that is supported ({wanted}), and this is {running}")

    held = list(arguments.held)
    if arguments.lowest:
        held += [f"{requirement.name}=={lower_bound(requirement)}" for requirement in direct().values()]
    file = LOWEST if arguments.lowest else NEWEST
    header, old = read(file)
    new = {name: str(version) for name, version in resolve(held).items()}
    lines = [*header, *(f"{name}=={version}" for name, version in new.items())]
    (arguments.output or file).write_text("\n".join(lines) + "\n")

    before = {canonicalize_name(name): version for name, version in old.items()}
    after = {canonicalize_name(name): version for name, version in new.items()}
    changed = [name for name in sorted(before | after) if before.get(name) != after.get(name)]
    for name in changed:
        print(f"{name}: {before.get(name, 'not there')} -> {after.get(name, 'gone')}")
    print(f"{len(changed)} of {len(after)} packages changed" if changed else f"All {len(after)} packages as they were")


if __name__ == "__main__":
    main()
