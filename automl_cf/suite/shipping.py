"""The package's own code: its fingerprint, and a copy of it that can be sent to workers."""

import hashlib
import shutil
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_PACKAGE = "automl_cf"
_MAPPED = ("benchmarks", "searchers", "spaces")  # stand beside the package in a clone, and in it where it is installed
_DATA = ("templates",)  # folders of the package that are no packages


@cache
def code_fingerprint() -> str:
    """SHA-256 over the names and contents of the package's .py files: one value for one code, however installed."""
    digest = hashlib.sha256()
    for name, path in sorted(_files().items()):
        if name.endswith(".py"):
            content = path.read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _files() -> dict[str, Path]:
    """The package's files by their names in a wheel, such as automl_cf/searchers/sif.py."""
    found = _below(_PACKAGE, _folder(_PACKAGE))
    for name in _MAPPED:
        found |= _below(f"{_PACKAGE}/{name}", _folder(f"{_PACKAGE}.{name}"))
    return found


def _folder(module: str) -> Path:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _below(name: str, folder: Path) -> dict[str, Path]:
    """Files of a package and of the packages in it; a clone has other files beside them, which no wheel has."""
    found: dict[str, Path] = {}
    for path in folder.iterdir():
        if path.is_dir() and ((path / "__init__.py").exists() or path.name in _DATA):
            found |= _below(f"{name}/{path.name}", path)
        elif path.is_file() and not path.name.startswith("."):
            found[f"{name}/{path.name}"] = path
    return found


def stage(folder: Path) -> list[Path]:
    """Lay the package out in `folder` as a wheel does, with its metadata; returns what belongs on a worker's path."""
    for name, path in _files().items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    installed = metadata.distribution("automl-cf")
    about = folder / f"automl_cf-{installed.version}.dist-info"
    about.mkdir()
    # In a clone it may be an egg that is found first, where it has the other name.
    written = installed.read_text("METADATA") or installed.read_text("PKG-INFO") or ""
    (about / "METADATA").write_text(written, encoding="utf-8")
    return [folder / _PACKAGE, about]


@dataclass(frozen=True)
class Software:
    """What a worker must have in common with the driver: the package's code, and versions that results depend on."""

    code: str
    versions: dict[str, str | None]

    @classmethod
    def of_this_process(cls, code: str | None = None) -> "Software":
        """What runs here; `code` is the fingerprint, where it was taken before."""
        found = look()
        return cls(code or code_fingerprint(), found["versions"])

    def differs_here(self) -> str | None:
        """What is not as it should be in this process, in one sentence; None if all is."""
        return self.differs(look())

    def differs(self, found: dict[str, Any]) -> str | None:
        """What is not as it should be in another process, which answered `look`."""
        host = found["host"]
        for name, version in self.versions.items():
            other = found["versions"].get(name)
            if other != version:
                has = f"has {name} {other}" if other else f"has no {name}"
                return (
                    f"host '{host}' {has}, but the driver {name} {version}; install the same there (constraints.txt)."
                )
        if found["code"] is None:
            return f"host '{host}' has no automl-cf; install it there, or send this one with resources.ship = true."
        if found["code"] != self.code:
            return (
                f"host '{host}' has another automl-cf than the driver (code {found['code'][:12]}, not "
                f"{self.code[:12]}); install the same there, or send this one with resources.ship = true."
            )
        return None


def look() -> dict[str, Any]:
    """Say what this process runs: its host, versions, and the code's fingerprint, or None without the package."""
    import platform
    import socket
    from importlib import metadata

    versions: dict[str, str | None] = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for name in ("torch", "numpy", "numba"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    try:
        from automl_cf.suite.shipping import code_fingerprint

        code = code_fingerprint()
    except ImportError:
        code = None
    return {"host": socket.gethostname(), "versions": versions, "code": code}
