"""What README shows works as it stands there."""

import re
import sys
from pathlib import Path

from small_runs import counted_events, small_study

from automl_cf import plugins
from automl_cf.searchers import searchers
from automl_cf.suite import run
from automl_cf.testing import assert_searcher

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_searcher_runs(tmp_path: Path) -> None:
    source = next(block for block in BLOCKS if "@searchers.register" in block)
    exec(compile(source, "README.md", "exec"), {})
    try:
        run.start(small_study(searchers=["local"], budget={"trials": 8}), tmp_path / "run")
    finally:
        del searchers._registered["local"]
    statuses = [event["status"] for event in counted_events(tmp_path / "run") if event["kind"] == "trial"]
    assert statuses == ["ok"] * 8


def test_the_searcher_keeps_the_contract(tmp_path: Path) -> None:
    """README says to check it next."""
    source = next(block for block in BLOCKS if "@searchers.register" in block)
    (tmp_path / "local.py").write_text(source)
    plugins.load([tmp_path / "local.py"])
    try:
        assert_searcher("local")
    finally:
        del searchers._registered["local"]
        del sys.modules[plugins._executed.popitem()[0]]


def test_the_five_lines_of_python_are_valid_calls(monkeypatch: object) -> None:
    """The study that they build is accepted; running it is what the other tests do."""
    from automl_cf import api

    built = []
    source = next(block for block in BLOCKS if "automl_cf.compare" in block)
    original, api.run_study = api.run_study, lambda study, out: built.append(study)  # type: ignore[assignment]
    try:
        exec(source.split("print(")[0], {})
    finally:
        api.run_study = original
    built[0].check()
    assert built[0].seeds == (1, 2, 3)
