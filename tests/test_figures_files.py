"""Figures as files: their size, fonts and bytes, that nothing is cut or hidden, and how wrong wishes are refused."""

import re
import subprocess
import sys
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from stored_runs import Found, StoredRun
from typer.testing import CliRunner, Result

import automl_cf
from automl_cf.analysis.curves import CLOCKS
from automl_cf.analysis.figures import ANY, FORMATS, KINDS, WIDTHS
from automl_cf.analysis.figures import draw as drawing
from automl_cf.analysis.figures.draw import draw_figure
from automl_cf.analysis.figures.page import PAPER, wrapped
from automl_cf.analysis.figures.subject import Options
from automl_cf.cli import app
from automl_cf.errors import InputError
from automl_cf.searchers import searchers as registered

NETWORK = [0.5, -0.5, 0.2, 0.1, 1.0, -1.0, 0.3]
HOSTILE = ["$x_{", "<script>alert(1)</script>", "_hidden", "a\nb & c", "\\frac{1}{", "%s {0} #"]


def stored(path: Path, names: list[str], datasets: tuple[str, ...] = ("d",), seeds: int = 2) -> Path:
    """A run that every kind can draw, if it has three data sets."""
    run = StoredRun(path)
    run.study["analysis"] = {"thresholds": [0.85]}
    for offset, dataset in enumerate(datasets):
        for place, name in enumerate(names):
            for seed in range(seeds):
                architecture = {"operation": "max(min(1,2),3)", "p": NETWORK, "q": NETWORK}
                score = {"architecture": architecture, "curve": [1.0, 0.95, 0.9 + 0.001 * place]}
                error = 0.84 + 0.003 * ((place + offset) % len(names)) + 0.001 * seed
                found = [Found(1 + place, error + 0.01, 1), Found(20 + place, error, 1, score=score)]
                run.cell(dataset, 8, name, seed, found, end=60)
    return run.write()


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(tmp_path_factory.mktemp("plain"), ["bias-only", "sif", "random"], ("d", "e", "f"))


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn; they are not written."""
    figures: list[Figure] = []

    def keep(figure: Figure, stem: Path, *_: Any) -> tuple[Path, ...]:
        figure.draw_without_rendering()
        figures.append(figure)
        return (stem,)

    monkeypatch.setattr(drawing, "save_figure", keep)
    return figures


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def error_of(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_the_same_run_gives_the_same_bytes(plain_run: Path, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    first = draw_figure("dimensions", plain_run, tmp_path / "first")
    again = draw_figure("dimensions", plain_run, tmp_path / "again")
    assert [path.name for path in first.files] == [f"first.{form}" for form in FORMATS]
    assert [path.read_bytes() for path in first.files] == [path.read_bytes() for path in again.files]
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("width", WIDTHS)
def test_sizes_and_fonts(plain_run: Path, tmp_path: Path, width: str) -> None:
    files = draw_figure("anytime", plain_run, tmp_path / "f", width=width).files
    svg, pdf, png = (path.read_bytes() for path in files)
    inches = {"column": 3.33, "page": 7.0}[width]
    root = ElementTree.fromstring(svg)
    assert float(root.attrib["width"].removesuffix("pt")) == pytest.approx(72 * inches)
    assert not list(root.iter("{http://www.w3.org/2000/svg}text"))  # outlines, which need no font
    (box,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", pdf)
    assert float(box[0]) == pytest.approx(72 * inches, abs=0.01)
    # The font is embedded as TrueType, and none is of type 3, which publishers refuse.
    assert b"/FontFile2" in pdf
    assert b"/Subtype /Type3" not in pdf
    assert b"CreationDate" not in pdf
    assert imread(files[2]).shape[1] == pytest.approx(inches * {"column": 300, "page": 200}[width], abs=1)
    assert PAPER[width].small >= 7
    assert png.startswith(b"\x89PNG")


def test_the_files_say_what_they_show(plain_run: Path, tmp_path: Path) -> None:
    drawn = draw_figure("time", plain_run, tmp_path / "f", caption=False)
    words = "Search is think, train, validate"
    assert words in drawn.caption
    svg, pdf, png = drawn.files
    assert words in svg.read_text()
    assert words.encode() in pdf.read_bytes()
    assert words.encode() in png.read_bytes() or words in _png_texts(png)


def _png_texts(path: Path) -> str:
    data, texts = path.read_bytes(), []
    for match in re.finditer(rb"(tEXt|iTXt|zTXt)", data):
        length = int.from_bytes(data[match.start() - 4 : match.start()], "big")
        chunk = data[match.end() : match.end() + length]
        texts.append(chunk.decode("latin-1"))
        if match.group() == b"zTXt":
            texts.append(zlib.decompress(chunk.split(b"\0", 1)[1][1:]).decode("latin-1"))
    return " ".join(texts)


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_drawn_as_they_are(kind: str, tmp_path: Path) -> None:
    datasets = ("d$a_{", "<b>", "\\e") if kind == "critical-difference" else ("d$a_{",)
    run = stored(tmp_path / "run", HOSTILE, datasets, seeds=1)
    drawn = draw_figure(kind, run, tmp_path / "figure", formats=["svg"])
    text = drawn.files[0].read_text()
    ElementTree.fromstring(text)
    if kind not in ("critical-difference",):
        assert "<!-- $x_{" in text  # matplotlib's comment on the outlines that follow
    assert "<script" not in re.sub(r"<!--.*?-->", "", text, flags=re.S)


def visible_texts(figure: Figure) -> list[Text]:
    """What is written in a figure; labels of ticks beyond the axes' limits, which matplotlib keeps, are not."""
    axes = [axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]
    ticks = [tick for axis in axes for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]]
    labels = {label for tick in ticks for label in (tick.label1, tick.label2)}
    others = [
        text for text in figure.findobj(Text) if text not in labels and text.get_visible() and text.get_text().strip()
    ]
    hidden = {text for ax in figure.axes if not ax.axison for text in (ax.xaxis.label, ax.yaxis.label)}
    return [*(text for text in others if text not in hidden), *(text for axis in axes for text in tick_labels(axis))]


def tick_labels(axis: Axis) -> list[Text]:
    """The labels of an axis that are drawn."""
    labels = axis.get_majorticklabels()  # those that are visible: of shared axes none
    if not axis.axes.axison or not labels:
        return []
    low, high = sorted(axis.get_view_interval())
    shown = [text for place, text in zip(axis.get_majorticklocs(), labels, strict=True) if low <= place <= high]
    return [text for text in shown if text.get_text() and text.get_visible()]


@pytest.mark.parametrize("many", [3, pytest.param(37, marks=pytest.mark.slow)])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_cut_or_hidden(kind: str, width: str, many: int, tmp_path: Path, kept: list[Figure]) -> None:
    names = [f"a-searcher-number-{number}" for number in range(many)]
    several = ("d", "e", "f") if kind == "critical-difference" else ("d", "e")[: 1 + (width == "page")]
    run = stored(tmp_path / "run", names, several, seeds=1 + (many < 9))
    draw_figure(kind, run, width=width)
    (figure,) = kept
    whole = figure.bbox
    for text in visible_texts(figure):
        box = text.get_window_extent()
        assert whole.x0 - 1 <= box.x0 <= box.x1 <= whole.x1 + 1, text.get_text()
        assert whole.y0 - 1 <= box.y0 <= box.y1 <= whole.y1 + 1, text.get_text()
    panels = [box for ax in figure.axes if (box := ax.get_tightbbox()) is not None]
    (caption,) = figure.texts
    below = caption.get_window_extent().y1
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert box.y0 >= below - 1
        below = box.y1
    assert all(box.y0 >= below - 1 for box in panels)
    for number, box in enumerate(panels):
        for other in panels[number + 1 :]:
            assert (
                min(box.x1, other.x1) - max(box.x0, other.x0) < 2 or min(box.y1, other.y1) - max(box.y0, other.y0) < 2
            )
    for ax in figure.axes:
        for axis, side in ((ax.xaxis, "width"), (ax.yaxis, "height")):
            boxes = [text.get_window_extent() for text in tick_labels(axis)]
            boxes = sorted((box for box in boxes if box.width), key=lambda box: box.x0 if side == "width" else box.y0)
            for first, second in pairwise(boxes):
                gap = second.x0 - first.x1 if side == "width" else second.y0 - first.y1
                assert gap > -2, f"labels of {ax.get_title()} overlap"


def test_lines_are_wrapped_by_their_width(plain_run: Path) -> None:
    figure = Figure()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    text = "iiii WWWW the clock includes search (thinking, training, " * 30 + "W" * 200
    lines = wrapped(figure, text, 2.0, 8)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    for line in lines:
        drawn = figure.text(0, 0, line, fontsize=8, parse_math=False, family=["DejaVu Sans"])
        for dpi in (72, 100, 150, 200, 300):  # letters are as wide as pixels allow
            figure.set_dpi(dpi)
            assert drawn.get_window_extent().width <= 2.0 * dpi + 1


def test_every_kind_has_a_module_that_draws_and_a_clock_that_there_is() -> None:
    for name, kind in KINDS.items():
        module = __import__(f"automl_cf.analysis.figures.{kind.module}", fromlist=["draw"])
        assert callable(module.draw), name
        assert kind.clock in (*CLOCKS, ANY, "")
        assert set(kind.options) <= set(Options.__dataclass_fields__)


def test_the_command_writes_and_prints_the_caption(plain_run: Path, tmp_path: Path) -> None:
    done = invoke("figure", "optimism", plain_run, "--out", tmp_path / "o", "--format", "svg,png", "--searchers", "sif")
    assert done.exit_code == 0, done.output
    assert "Mean over 2 seeds." in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.png", "o.svg"]
    assert invoke("figure", "time", plain_run, "--out", tmp_path / "t.pdf").exit_code == 0
    assert (tmp_path / "t.pdf").read_bytes().startswith(b"%PDF")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.png", "o.svg", "t.pdf"]


def test_by_default_it_is_written_into_the_run(tmp_path: Path) -> None:
    run = stored(tmp_path / "run", ["sif", "random"])
    drawn = automl_cf.figure("ecdf", run, formats=["svg"], thresholds=[0.9], linear=True)
    assert drawn.files == (run / "ecdf.svg",)
    assert "0.9 (not declared in the study)" in drawn.caption


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convergance"], "kind: there is no figure 'convergance'. Did you mean 'convergence'? Known: anytime"),
        (["anytime", "--clock", "serch"], "Unknown clock 'serch'. Did you mean 'search'?"),
        (["optimism", "--clock", "search"], "clock: a figure of kind 'optimism' shows no clock."),
        (["anytime", "--format", "sgv"], "format: 'sgv' is not one of svg, pdf, png. Did you mean 'svg'?"),
        (["anytime", "--width", "pages"], "width: 'pages' is not one of column, page. Did you mean 'page'?"),
        (["anytime", "--searchers", "siff"], "searchers: there is no 'siff' in this run. Did you mean 'sif'?"),
        (["anytime", "--dim", "9"], "dim: there is no cell of dimension 9; there are 8."),
        (
            ["anytime", "--threshold", "0.9"],
            "threshold: a figure of kind 'anytime' takes none; it is for ecdf, profile.",
        ),
        (["ecdf", "--threshold", "-1"], "thresholds: "),
        (["ecdf", "--top", "2"], "top: a figure of kind 'ecdf' takes none; it is for efficiency."),
        (["anytime", "--dpi", "9"], "dpi: 9 is not from 30 to 2400 dots per inch."),
        (["elementwise", "--x", "2", "1"], "x: the range 2 to 1 must be two numbers, the lower first."),
        (["elementwise", "--x", "nan", "1"], "x: the range nan to 1 must be"),
    ],
)
def test_wrong_wishes_are_refused_in_one_sentence(
    plain_run: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = invoke("figure", arguments[0], plain_run, "--out", tmp_path / "f", *arguments[1:])
    assert message in error_of(result)
    assert not list(tmp_path.iterdir())


def test_options_of_python_are_checked_too(plain_run: Path) -> None:
    with pytest.raises(InputError, match=r"options: there is no 'treshold'\. Did you mean"):
        automl_cf.figure("ecdf", plain_run, treshold=[1.0])
    with pytest.raises(InputError, match="runs: there is none"):
        automl_cf.figure("ecdf", [])


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_without_results_gives_no_file(kind: str, tmp_path: Path) -> None:
    run = StoredRun(tmp_path / "run")
    run.plan("d", 8, "sif", 1)
    run.cell("d", 8, "random", 1, [Found(1, 0.9)], end=2, last="cell_failed")
    result = invoke("figure", kind, run.write(), "--out", tmp_path / "f")
    assert "no finished cell with a result" in error_of(result)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_one_cell_of_two_runs_is_refused(tmp_path: Path) -> None:
    first, second = stored(tmp_path / "1", ["sif", "random"]), stored(tmp_path / "2", ["sif", "bayes"])
    message = error_of(invoke("figure", "anytime", first, second, "--out", tmp_path / "f"))
    assert "Seed 0 of sif on d, dimension 8, is in both" in message
    assert str(first) in message
    assert str(second) in message
    chosen = invoke("figure", "anytime", first, second, "--out", tmp_path / "f.svg", "--searchers", "random,bayes")
    assert chosen.exit_code == 0, chosen.output


def test_runs_on_different_splits_are_refused(tmp_path: Path) -> None:
    folders = []
    for name in ("sif", "random"):
        run = StoredRun(tmp_path / name)
        run.cell("d", 8, name, 1, [Found(1, 0.9)], end=2, split_hash=f"split-{name}")
        folders.append(run.write())
    assert "2 different splits" in error_of(invoke("figure", "anytime", *folders, "--out", tmp_path / "f"))


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from automl_cf.cli import app;"
        "done = [CliRunner().invoke(app, [name, '--help']) for name in ('figure', 'table')];"
        "assert all(each.exit_code == 0 for each in done);"
        "assert 'critical-difference' in done[0].stdout;"
        "assert not {'torch', 'ray', 'pandas', 'matplotlib', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_figures_need_neither_torch_nor_ray() -> None:
    modules = ", ".join(f"automl_cf.analysis.figures.{kind.module}" for kind in KINDS.values())
    code = f"import sys, automl_cf.analysis.figures.draw, {modules}; assert not {{'torch', 'ray'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_shipped_searcher_has_a_look_of_its_own_in_grey_too() -> None:
    from automl_cf.analysis.styles import _KNOWN, styles

    shipped = [
        name
        for name in registered.names()
        if "." not in registered.get(name).__module__.removeprefix("automl_cf.searchers.")
    ]
    assert set(shipped) <= set(_KNOWN), "give it a line at the end of styles._KNOWN"
    looks = list(styles(_KNOWN).values())
    assert len({(look.dashes, look.marker) for look in looks}) == len(looks)
    by_colour = {look.color: [other for other in looks if other.color == look.color] for look in looks}
    for same in by_colour.values():
        assert len({look.dashes for look in same}) == len({look.marker for look in same}) == len(same)


def test_labels_do_not_take_the_looks_of_shipped_searchers() -> None:
    from automl_cf.analysis.styles import _KNOWN, styles

    labels = [f"sif-{number}" for number in range(20)]
    together = styles([*_KNOWN, *labels])
    assert all(together[name] == look for name, look in _KNOWN.items())
    assert len({(look.dashes, look.marker) for look in together.values()}) == len(together)
    assert np.isin([together[name].color for name in labels], [look.color for look in _KNOWN.values()]).all()
