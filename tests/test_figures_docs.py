"""docs/figures.md shows every kind, with the command that draws its picture."""

import re
from pathlib import Path

import pytest

from automl_cf.analysis.figures import KINDS
from automl_cf.benchmarks import doc_figures
from automl_cf.errors import InputError

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")


def test_every_kind_has_a_section_with_its_command_and_picture() -> None:
    sections = dict(re.findall(r"^## ([\w-]+)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
    assert list(doc_figures.COMMANDS) == list(KINDS)
    for kind, command in doc_figures.COMMANDS.items():
        assert re.findall(r"```sh\n(.*?)\n```", sections[kind]) == [command]
        assert f"![{kind}](figures/{kind}.png)" in sections[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_there_and_modest(kind: str) -> None:
    picture = ROOT / doc_figures.FOLDER / f"{kind}.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 150_000


def test_a_command_draws_the_picture_that_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(doc_figures, "FOLDER", tmp_path)
    doc_figures.main(["operations"])
    assert [path.name for path in tmp_path.iterdir()] == ["operations.png"]
    with pytest.raises(InputError, match=r"There is no picture 'operation'\. Did you mean 'operations'"):
        doc_figures.main(["operation"])
