"""The pages in docs/ are true: what they show is so, and what they tell to type works, in their order.

A block's first word is its language. `bash` and `python` blocks are carried out, `sh` blocks (the set-up) are not; a
block that `shows=FILE` must be what is in the file, and one that `writes=FILE` is what a reader puts into it.
"""

import os
import re
import subprocess
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from automl_cf.cli.new import render

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(DOCS.glob("*.md"))
WALK = DOCS / "add-a-searcher.md"
SECONDS = 600  # the newcomer's ten minutes


class Block(NamedTuple):
    language: str
    shows: str
    writes: str
    text: str


def blocks(page: Path) -> list[Block]:
    found = re.findall(r"^```(\w+)(?: shows=(\S+))?(?: writes=(\S+))?\n(.*?)^```$", page.read_text(), re.M | re.S)
    return [Block(*groups) for groups in found]


def test_every_block_is_of_a_kind_that_is_carried_out() -> None:
    for page in PAGES:
        assert len(blocks(page)) * 2 == len(re.findall(r"^```", page.read_text(), re.M)), page
        for block in blocks(page):
            assert block.language in ("sh", "bash", "python") or block.writes, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    for link in links:
        assert (page.parent / link).exists(), link
    for name in re.findall(r"`((?:tests|docs|benchmarks|searchers|spaces)/[\w./]*)`", page.read_text()):
        assert (DOCS.parent / name).exists(), name


def test_the_searcher_that_is_shown_is_the_one_that_new_writes() -> None:
    (name,) = re.findall(r"^automl-cf new searcher (\S+)$", WALK.read_text(), re.M)
    shown = [block for block in blocks(WALK) if block.shows]
    assert {block.shows: block.text for block in shown}.items() <= render("searcher", name).items()
    assert len(shown) == 1


def test_an_edited_searcher_is_what_new_writes_but_for_the_edit() -> None:
    """So that the page's second listing does not fall behind the first."""
    first, second = (block for block in blocks(WALK) if "few_changes.py" in (block.shows, block.writes))
    code = [[line.split("  #")[0] for line in block.text.splitlines()] for block in (first, second)]
    assert [line for line in code[0] if line not in code[1]] == [
        "        changed = self.rng.random(self.space.dimension) < self.options.change"
    ]


@pytest.fixture
def reader(tmp_path: Path) -> Callable[[str], str]:
    """An environment of the reader's own, into which a package can be installed, and a shell in an empty folder."""
    environment, folder = tmp_path / "venv", tmp_path / "mine"
    folder.mkdir()
    venv.create(environment, symlinks=True)
    paths = {"base": str(environment), "platbase": str(environment)}
    purelib = Path(sysconfig.get_path("purelib"))
    # It borrows the packages of this one; .pth files, which editable installs consist of, are not read there.
    borrowed = [str(purelib), *(file.read_text().strip() for file in purelib.glob("__editable__*automl_cf*.pth"))]
    (Path(sysconfig.get_path("purelib", "venv", paths)) / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    scripts = Path(sysconfig.get_path("scripts", "venv", paths))
    command = scripts / "automl-cf"
    command.write_text(f"#!{scripts / 'python'}\nfrom automl_cf.cli import main\nmain()\n")
    command.chmod(0o755)
    settings = {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # 0 means: no isolation
        "COLUMNS": "200",  # pytest-xdist says 80, at which lines of tables are broken
    }

    def carry_out(*arguments: str) -> str:
        done = subprocess.run(
            arguments, cwd=folder, capture_output=True, text=True, env={**os.environ, **settings}, timeout=SECONDS
        )
        assert done.returncode == 0, f"{arguments[-1]}\n{done.stdout}{done.stderr}"
        return done.stdout

    return carry_out


@pytest.mark.slow
def test_the_walk_can_be_followed_to_the_letter(reader: Callable[..., str], tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    said = []
    for block in blocks(WALK):
        if block.shows:
            assert (mine / block.shows).read_text() == block.text
        elif block.writes:
            (mine / block.writes).write_text(block.text)
        elif block.language == "bash":
            said.append(reader("bash", "-euo", "pipefail", "-c", block.text))
        elif block.language == "python":
            said.append(reader("python", "-c", block.text))
    for run in re.findall(r"--out (\S+)|out=\"(\S+)\"", WALK.read_text()):
        folder = mine / (run[0] or run[1])
        for name in ("curve.png", "summary.md", "events.jsonl"):
            assert (folder / name).exists()
        assert "cell_failed" not in (folder / "events.jsonl").read_text()
    assert (mine / "results/first/plugins/few_changes.py").read_text() == (mine / "few_changes.py").read_text()
    assert any(re.search(r"^few-changes .*\(few_changes\)", text, re.M) for text in said)  # installed, in the list
