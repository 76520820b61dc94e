"""The contract that every searcher keeps, as tests that come with the package: run them on one of your own.

In a plug-in's tests, for pytest or any other runner:

    from automl_cf.testing import assert_searcher

    def test_contract():
        assert_searcher("my-searcher")

The same on the command line is `automl-cf check my-searcher`. What is required stands in `checks.py`; the tiny problems
that a searcher is tried on in `problems.py`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from automl_cf.testing.elsewhere import AnotherProcess
from automl_cf.testing.report import Check, Report

__all__ = ["AnotherProcess", "Check", "Report", "assert_searcher", "check_searcher", "checks_of"]


def check_searcher(
    name: str, options: Mapping[str, Any] | None = None, elsewhere: AnotherProcess | None = None
) -> Report:
    """Try the searcher `name`, with `options` or its defaults, on every requirement; takes some seconds.

    Whatever the searcher raises is a failed check. `elsewhere` is the process in which it is run again; without it, one
    is started, which costs two seconds or more. Raises InputError for an unknown name, for options that the searcher
    refuses, and if it cannot be made here, such as for a missing package.
    """
    return Report(name, tuple(checks_of(name, options, elsewhere)))


def checks_of(
    name: str, options: Mapping[str, Any] | None = None, elsewhere: AnotherProcess | None = None
) -> Iterator[Check]:
    """The checks of `check_searcher`, each as soon as it is done."""
    from automl_cf.testing.checks import tried
    from automl_cf.testing.subject import Subject

    if elsewhere is not None:
        yield from tried(Subject(name, options or {}, elsewhere))
    else:
        with AnotherProcess() as process:
            yield from tried(Subject(name, options or {}, process))


def assert_searcher(name: str, options: Mapping[str, Any] | None = None) -> None:
    """Raise AssertionError with the explanation of every failed check of `check_searcher`; none, if none failed."""
    report = check_searcher(name, options)
    if not report.passed:
        raise AssertionError(str(report))
