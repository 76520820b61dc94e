"""The manifest is enough to run a study again, and what changed since it was written is refused or recorded."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from small_runs import counted_events, small_study, trajectory
from typer.testing import CliRunner

from automl_cf.analysis.report import write_report
from automl_cf.analysis.run import Run
from automl_cf.analysis.summary import write_summary
from automl_cf.cli import app
from automl_cf.errors import InputError
from automl_cf.events import read_events
from automl_cf.suite import manifest as manifests
from automl_cf.suite import run
from automl_cf.suite.changes import Unfinished, changes
from automl_cf.suite.manifest import RESOLVED, study_of

PLUGIN = '''"""A plug-in for a run to carry along."""

from automl_cf.searchers import AskTellSearcher, searchers


@searchers.register("carried")
class Carried(AskTellSearcher):
    """Random search under another name."""

    def propose(self, number):
        return self.space.sample(self.rng)
'''
STUDY = {"searchers": ["bias-only", "random", "evolution", "carried"], "budget": {"trials": 5}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manifest")
    file = folder / "carried.py"
    file.write_text(PLUGIN)
    run.start(small_study(**STUDY, plugins=[str(file)]), folder / "run")
    return folder / "run"


@pytest.fixture
def interrupted(finished: Path, tmp_path: Path) -> Path:
    """The run as it was when half of its log was written."""
    folder = tmp_path / "interrupted"
    shutil.copytree(finished, folder)
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "events.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    return folder


def manifest_of(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return values


def edit(folder: Path, *keys: str, to: Any) -> None:
    """Change, or with None remove, a value of the manifest."""
    whole = values = manifest_of(folder)
    for key in keys[:-1]:
        values = values[key]
    if to is None:
        del values[keys[-1]]
    else:
        values[keys[-1]] = to
    (folder / "manifest.json").write_text(json.dumps(whole))


def scores(folder: Path) -> list[tuple[Any, ...]]:
    rows = [event for event in counted_events(folder) if event["kind"] == "score"]
    return [(e["cell"], e["id"], e["l2"], e["validation"], e["rmse"], e["rmse_std"], e["truth_rmse"]) for e in rows]


# What it holds.


def test_it_has_all_installed_packages_as_pip_lists_them(finished: Path) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("there is no pip here")
    packages = manifest_of(finished)["packages"]
    assert len(packages) > 30
    for entry in json.loads(listed.stdout):
        assert packages.get(entry["name"]) == entry["version"]


def test_the_versions_are_those_that_are_imported(finished: Path) -> None:
    import numpy
    import scipy
    import torch

    versions = manifest_of(finished)["versions"]
    assert versions["python"] == platform.python_version()
    for module in (numpy, scipy, torch):
        assert module.__version__.split("+")[0] == versions[module.__name__].split("+")[0]


def test_the_study_in_it_is_the_one_beside_it(finished: Path) -> None:
    manifest = manifest_of(finished)
    assert manifest[RESOLVED] == json.loads((finished / "study.json").read_text())
    assert re.fullmatch(r"[0-9a-f]{64}", manifest["code"]["fingerprint"])
    assert set(manifest["splits"]) == {"planted/s1"}
    starts = [event for event in counted_events(finished) if event["kind"] == "cell_started"]
    assert {event["split_hash"] for event in starts} == set(manifest["splits"].values())


def test_only_variables_that_matter_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    wanted = {"OMP_NUM_THREADS": "3", "NUMBA_CPU_NAME": "generic", "MKL_CBWR": "AVX2", "PYTHONHASHSEED": "0"}
    for name, value in {**wanted, "HOME": "/home/me", "MY_TOKEN": "secret", "MY_OMP_KEY": "secret"}.items():
        monkeypatch.setenv(name, value)
    assert manifests.environment() == wanted


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_commit_and_edits_are_those_of_the_packages_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "repository" / "package"
    package.mkdir(parents=True)
    monkeypatch.setattr(manifests, "_folders", lambda: [str(package)])
    ask = manifests._git.__wrapped__
    unknown = {"commit": None, "edited": None}
    (package / "__init__.py").write_text("")
    assert ask() == unknown  # no repository
    git(package.parent, "init", "-q")
    (package.parent / "other.txt").write_text("")
    git(package.parent, "add", "other.txt")
    git(package.parent, "commit", "-qm", "without the package")
    assert ask() == unknown  # a repository that the package is no part of
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-qm", "with it")
    clean = {"commit": git(package.parent, "rev-parse", "HEAD"), "edited": False}
    assert ask() == clean
    (package.parent / "results.txt").write_text("beside the package")
    assert ask() == clean
    (package / "new.py").write_text("")
    assert ask() == {**clean, "edited": True}
    (package / "new.py").unlink()
    (package / "__init__.py").write_text("edited")
    assert ask() == {**clean, "edited": True}
    monkeypatch.setenv("PATH", "")
    assert ask() == unknown  # no git


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def without(name: str) -> str:
        if name == "smac":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", without)
    assert "smac" not in manifests.versions()
    assert "numpy" in manifests.versions()


# Running it again.


def test_a_manifest_and_the_plugins_are_enough_to_repeat_a_run(finished: Path, tmp_path: Path) -> None:
    """In another process and folder, where strings hash differently, with nothing else of the run."""
    kept = tmp_path / "kept"
    shutil.copytree(finished / "plugins", kept / "plugins")
    shutil.copy(finished / "manifest.json", kept / "of-my-run.json")
    again = tmp_path / "again"
    done = subprocess.run(
        [sys.executable, "-m", "automl_cf.cli", "run", str(kept / "of-my-run.json"), "--out", str(again)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "11"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert trajectory(again) == trajectory(finished)
    assert sorted(scores(again)) == sorted(scores(finished)) != []
    first, second = manifest_of(finished), manifest_of(again)
    for key in ("code", "datasets", "splits", "plugins", RESOLVED):
        assert first[key] == second[key]


def test_an_older_manifest_has_no_study(finished: Path, tmp_path: Path) -> None:
    shutil.copy(finished / "manifest.json", tmp_path)
    edit(tmp_path, RESOLVED, to=None)
    with pytest.raises(InputError, match=r"has no 'resolved_study', .*; run the study\.json beside it"):
        study_of(tmp_path / "manifest.json")
    assert study_of(finished / "study.json") is None
    assert study_of(finished / "no-such.json") is None


def test_an_edited_manifest_is_refused_in_one_sentence(finished: Path, tmp_path: Path) -> None:
    shutil.copy(finished / "manifest.json", tmp_path)
    edit(tmp_path, RESOLVED, "seeds", to=[-1])
    with pytest.raises(InputError, match=r"manifest\.json, resolved_study: .*seeds.*negative"):
        study_of(tmp_path / "manifest.json")


# What changed.

CHANGES = {
    "code": (("code", "fingerprint"), "0" * 64, r"the code of automl-cf had the fingerprint 000000000000 and has"),
    "python": (("versions", "python"), "3.9.1", r"python was 3\.9 and is 3\.\d+"),
    "numpy": (("versions", "numpy"), "1.0", r"numpy was 1\.0 and is \d"),
    "gone": (("versions", "nonesuch"), "7", r"nonesuch was 7 and is not installed"),
    "come": (("versions", "scipy"), None, r"scipy was not installed and is \d"),
    "plug-in": (("plugins", "carried.py"), "1" * 64, r"the plug-in 'carried\.py' had the SHA-256 111111111111 and"),
    "study": ((RESOLVED, "budget", "trials"), 4, r"the study's 'budget' was \{'trials': 4, .* and is \{'trials': 5"),
}


def test_nothing_has_changed(finished: Path) -> None:
    assert changes(manifest_of(finished), run.stored_study(finished), {}) == []


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_is_not_gone_on_with_under_changes(interrupted: Path, name: str) -> None:
    keys, value, words = CHANGES[name]
    edit(interrupted, *keys, to=value)
    before = {file: file.read_bytes() for file in interrupted.rglob("*") if file.is_file() and file.name != ".lock"}
    with pytest.raises(InputError, match=rf"begun under other conditions.*: {words}.*--accept-changes"):
        run.resume(interrupted)
    assert {file: file.read_bytes() for file in before} == before
    assert len(changes(manifest_of(interrupted), run.stored_study(interrupted), {})) == 1


def test_accepted_changes_are_recorded_everywhere_and_once(finished: Path, interrupted: Path) -> None:
    edit(interrupted, "code", "fingerprint", to="0" * 64)
    edit(interrupted, "versions", "numpy", to="1.0")
    half = (interrupted / "events.jsonl").read_bytes()
    run.resume(interrupted, accept_changes=True)
    assert (interrupted / "events.jsonl").read_bytes().startswith(half)
    assert trajectory(interrupted) == trajectory(finished)

    (event,) = [event for event in read_events(interrupted / "events.jsonl") if event["kind"] == "changed"]
    (entry,) = manifest_of(interrupted)["resumed_with"]
    assert event["cell"] is None
    assert event["changes"] == entry["changes"]
    assert len(entry["changes"]) == 2
    assert entry["versions"] == manifest_of(finished)["versions"]
    assert entry["code"] == manifest_of(finished)["code"]
    assert manifest_of(interrupted)["versions"]["numpy"] == "1.0"  # what it was begun with

    stored = Run.load(interrupted)
    for text in (write_summary(stored).read_text(), write_report(stored).read_text()):
        assert "The run was gone on with on " in text
        assert "numpy was 1.0" in text
    watched = CliRunner().invoke(app, ["watch", str(interrupted), "--once"])
    assert watched.exit_code == 0, watched.output

    # Stopped and gone on with again under the same code, there is nothing new to say.
    lines = (interrupted / "events.jsonl").read_bytes().splitlines(keepends=True)
    (interrupted / "events.jsonl").write_bytes(b"".join(lines[:-4]))
    run.resume(interrupted)
    assert len(manifest_of(interrupted)["resumed_with"]) == 1
    assert trajectory(interrupted) == trajectory(finished)


def test_a_run_that_was_never_gone_on_with_says_nothing(finished: Path) -> None:
    stored = Run.load(finished)
    assert "gone on with" not in write_summary(stored).read_text()
    page = write_report(stored).read_text()
    assert "was gone on with" not in page
    for hidden in ("resolved_study", "resumed_with"):
        assert hidden not in page


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (("datasets", "planted", "sha256"), "the data set 'planted' had the SHA-256 222222222222 and has"),
        (("splits", "planted/s1"), "the split 'planted/s1' had the hash 222222222222 and has"),
    ],
)
def test_other_data_are_never_accepted(interrupted: Path, keys: tuple[str, ...], words: str) -> None:
    edit(interrupted, *keys, to="2" * 64)
    for accept in (False, True):
        with pytest.raises(InputError, match=f"the data have changed: {words}"):
            run.resume(interrupted, accept_changes=accept)
    assert "resumed_with" not in manifest_of(interrupted)


def test_another_processor_is_recorded_and_no_more(finished: Path, interrupted: Path) -> None:
    edit(interrupted, "machine", "processor", to="Abacus 3")
    run.resume(interrupted)
    (entry,) = manifest_of(interrupted)["resumed_with"]
    (words,) = entry["changes"]
    assert words.startswith("the processor was 'Abacus 3' and is '")
    assert trajectory(interrupted) == trajectory(finished)


def test_of_an_older_run_what_is_not_known_is_said_and_not_refused(finished: Path, interrupted: Path) -> None:
    for key in ("code", RESOLVED, "packages", "environment"):
        edit(interrupted, key, to=None)
    edit(interrupted, "versions", "llvmlite", to=None)  # older manifests have fewer of them
    run.resume(interrupted)
    (entry,) = manifest_of(interrupted)["resumed_with"]
    assert entry["changes"] == ["whether the code of automl-cf is the same is not known: the manifest does not say it"]
    assert trajectory(interrupted) == trajectory(finished)


def test_a_run_without_a_manifest_goes_on(finished: Path, interrupted: Path) -> None:
    (interrupted / "manifest.json").unlink()
    run.resume(interrupted)
    assert not (interrupted / "manifest.json").exists()
    assert trajectory(interrupted) == trajectory(finished)


def test_a_manifest_that_is_damaged_is_named(interrupted: Path) -> None:
    (interrupted / "manifest.json").write_text('{"study": ')
    with pytest.raises(InputError, match=r"manifest\.json' is not valid JSON"):
        run.resume(interrupted)


def test_a_finished_run_is_not_refused(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "finished"
    shutil.copytree(finished, folder)
    edit(folder, "code", "fingerprint", to="0" * 64)
    before = (folder / "events.jsonl").read_bytes(), (folder / "manifest.json").read_bytes()
    run.resume(folder)
    assert ((folder / "events.jsonl").read_bytes(), (folder / "manifest.json").read_bytes()) == before


def test_a_run_is_unfinished_until_its_last_event(finished: Path) -> None:
    events = read_events(finished / "events.jsonl")
    cells = [cell.id for cell in run.stored_study(finished).cells()]
    for count in range(len(events) + 1):
        unfinished = Unfinished(cells)
        for event in events[:count]:
            unfinished.add(event)
        assert bool(unfinished) == (count < len(events))


def test_the_option_is_named_by_the_refusal_and_works(interrupted: Path) -> None:
    edit(interrupted, "versions", "numpy", to="1.0")
    refused = CliRunner().invoke(app, ["resume", str(interrupted)])
    assert refused.exit_code == 2
    assert refused.stderr.count("error: ") == 1
    assert "numpy was 1.0 and is" in refused.stderr
    assert "--accept-changes" in refused.stderr
    accepted = CliRunner().invoke(app, ["resume", str(interrupted), "--accept-changes"])
    assert accepted.exit_code == 0, accepted.output
    assert len(manifest_of(interrupted)["resumed_with"]) == 1


@pytest.mark.parametrize("content", ["[" * 100_000, "[1, 2]", "null"])
def test_a_manifest_that_is_none_is_refused_in_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    result = CliRunner().invoke(app, ["run", str(tmp_path / "manifest.json"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: '{tmp_path / 'manifest.json'}'")
    assert "older version" not in result.stderr
