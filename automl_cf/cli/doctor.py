"""`automl-cf doctor`: does this machine have what is needed?"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from automl_cf.cli.terminal import output

_RAY_SECONDS = 120
_RAY_SCRIPT = """
import ray
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
assert ray.get(ray.remote(lambda: 42).remote()) == 42
ray.shutdown()
"""
_GIB = 2**30
_LEAST_MEMORY = 2 * _GIB
_LEAST_DISK = 1 * _GIB


@dataclass(frozen=True)
class Finding:
    """The result of one check; `text` says what was found, or what to do."""

    ok: bool
    text: str


@dataclass(frozen=True)
class Check:
    """Something to look at. Without what is essential, nothing runs."""

    name: str
    look: Callable[[], Finding]
    essential: bool = True

    def __call__(self) -> Finding:
        """Look; whatever goes wrong in doing so is a finding, too."""
        try:
            return self.look()
        except Exception as error:
            reason = " ".join(str(error).split())
            return Finding(False, f"{type(error).__name__}: {reason}")


def doctor(
    ray: Annotated[bool, typer.Option("--ray/--no-ray", help="Try to start Ray, which takes some seconds.")] = True,
) -> None:
    """Check the installation and this machine: each line is ok, or says what to do.

    The exit status is 1 if something is broken without which nothing runs.
    """
    console = output()
    broken = 0
    for check in checks(ray):
        finding = check()
        broken += check.essential and not finding.ok
        mark = Text("ok    ", "green") if finding.ok else Text("not ok", "red" if check.essential else "yellow")
        console.print(Text.assemble(mark, f"  {check.name}: {finding.text}"), soft_wrap=True)
    if broken:
        console.print(f"{broken} essential check{'s' * (broken > 1)} failed.")
        raise typer.Exit(1)


def checks(ray: bool) -> list[Check]:
    """All checks, in the order in which they are shown."""
    return [
        Check("versions", _versions),
        Check("torch", _torch),
        *([Check("ray", _ray)] if ray else []),
        Check("results", _results),
        Check("data cache", _cache, essential=False),
        Check("ml-100k", _ml_100k, essential=False),
        Check("cores", _cores, essential=False),
        Check("memory", _memory, essential=False),
    ]


def _versions() -> Finding:
    """Every package that ours requires is there; which versions of the chief ones."""
    required = [text for text in metadata.requires("automl-cf") or () if "extra ==" not in text]
    names = [re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0] for text in required]
    found, missing = {}, []
    for name in ("automl-cf", *names):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding(False, f"{', '.join(missing)} missing; install automl-cf again with its dependencies.")
    chief = ", ".join(f"{name} {found[name]}" for name in ("automl-cf", "torch", "ray", "numpy", "hyperopt"))
    return Finding(True, f"{chief}, Python {platform.python_version()}")


def _torch() -> Finding:
    try:
        import torch
    except Exception as error:  # a broken installation raises OSError and others
        return Finding(False, f"cannot be imported ({_first_line(error)}); install it again.")
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    for device in devices:
        name = device.partition(" ")[0]
        try:
            float(torch.ones(2, device=name).sum())
        except RuntimeError as error:
            return Finding(False, f"device {name} does not compute ({_first_line(error)}); check its driver.")
    none = "" if len(devices) > 1 else "; no GPU, so cells run on the CPU"
    return Finding(True, f"computes on {', '.join(devices)}{none}")


def _ray() -> Finding:
    """Ray starts and runs a task; in a process of its own, which can be ended if it hangs."""
    advice = "use --backend inline, or install ray again."
    try:
        done = subprocess.run(
            [sys.executable, "-c", _RAY_SCRIPT],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_RAY_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Finding(False, f"does not start within {_RAY_SECONDS} s; {advice}")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return Finding(False, f"does not start ({lines[-1]}); {advice}")
    return Finding(True, "starts and runs a task")


def _results() -> Finding:
    folder = Path("results").absolute()
    if reason := _why_unwritable(folder):
        return Finding(False, f"{folder} cannot be written ({reason}); go to another folder or use --out.")
    free = shutil.disk_usage(_existing(folder)).free
    if free < _LEAST_DISK:
        return Finding(False, f"only {free / _GIB:.1f} GiB free in {folder}; make room or use --out.")
    return Finding(True, f"{folder} can be written, {free / _GIB:.0f} GiB free")


def _cache() -> Finding:
    from automl_cf.cf.data import cache_folder

    folder = cache_folder()
    if reason := _why_unwritable(folder):
        return Finding(False, f"{folder} cannot be written ({reason}); let AUTOML_CF_DATA name another folder.")
    return Finding(True, f"{folder} can be written")


def _ml_100k() -> Finding:
    from automl_cf.cf.data import listing

    state = next(entry.state for entry in listing() if entry.name == "ml-100k")
    if state == "cached":
        return Finding(True, "in the cache")
    return Finding(False, f"{state}; it is fetched when first used, or now by: automl-cf data fetch ml-100k")


def _cores() -> Finding:
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return Finding(True, f"{cores}; with ray that many cells run at a time")


def _memory() -> Finding:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")  # of a container
    if limit.exists() and (text := limit.read_text().strip()).isdigit():
        memory = min(memory, int(text))
    if memory < _LEAST_MEMORY:
        return Finding(False, f"{memory / _GIB:.1f} GiB is little; use --backend inline, or few --workers.")
    return Finding(True, f"{memory / _GIB:.1f} GiB")


def _why_unwritable(folder: Path) -> str:
    """Why no file can be made in a folder, or in the one where it would be made; empty if one can."""
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
