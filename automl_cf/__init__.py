"""Automated machine learning for collaborative filtering.

Importing this package imports nothing heavy: each public name loads its module when it is first used.
"""

from importlib import import_module, metadata
from typing import Any

__version__ = metadata.version("automl-cf")

# public name -> the module that defines it
_LAZY: dict[str, str] = dict.fromkeys(
    (
        "compare",
        "compare_runs",
        "figure",
        "load",
        "published",
        "repair",
        "report",
        "report_runs",
        "resume",
        "run_study",
        "table",
        "verdicts",
        "verify",
    ),
    "automl_cf.api",
)
_LAZY["AutoCF"] = "automl_cf.estimator"
_LAZY["reproduce"] = "automl_cf.reproduction.carrying_out"
_LAZY["PortableModel"] = "automl_cf.cf.portable"

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    """Load a public name at its first use."""
    try:
        module = _LAZY[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
