"""The HTML report in a browser without a network: it draws, answers, fits, and takes nothing for a command."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright
from report_examples import HOSTILE, hostile, many, mixed

from automl_cf.analysis.curves import CLOCKS, cell_curves, mean_curves
from automl_cf.analysis.report import write_report, write_reports
from automl_cf.analysis.report.looks import DARK, LIGHT
from automl_cf.analysis.run import Run
from automl_cf.analysis.tables import final_table
from automl_cf.analysis.verdicts import verdicts

pytestmark = pytest.mark.slow

NAMES = ("chromium", "chromium-browser", "google-chrome")
RESULTS = Path(__file__).parent.parent / "results"
CURVES = "figure[data-chart=curves]"
DESKTOP, PHONE = 1280, 390


@dataclass
class Opened:
    """A page, and what went wrong in it."""

    page: Page
    problems: list[str] = field(default_factory=list)

    def ready(self) -> None:
        """Wait until all charts are drawn as was last asked for."""
        self.page.wait_for_selector("html[data-drawn=true]", state="attached")

    def lines(self) -> int:
        self.ready()
        return self.page.locator(f"{CURVES} g.mark-line > path").count()

    def names(self) -> list[str]:
        """The searchers that the curve chart reads out."""
        self.ready()
        self.page.locator(f"{CURVES} .plot").press("End")
        return self.page.locator(f"{CURVES} .readout th span").all_text_contents()

    def values(self) -> dict[str, str]:
        names = self.names()
        values = self.page.locator(f"{CURVES} .readout td").all_text_contents()
        return dict(zip(names, values, strict=True))

    def axis(self, of: str = CURVES) -> str:
        self.ready()
        return self.page.locator(f"{of} g.role-axis-title text").first.text_content() or ""


Open = Callable[..., Opened]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        if os.environ.get("AUTOML_CF_BROWSER") == "required":
            pytest.fail(f"none of {', '.join(NAMES)} is installed, but AUTOML_CF_BROWSER=required")
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Open files in pages that may ask for nothing; that they did not, and said nothing, is asserted at the end."""
    pages: list[Opened] = []

    def open_file(path: Path, width: int = DESKTOP, scheme: str = "light") -> Opened:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, reduced_motion="reduce"
        )
        found = Opened(context.new_page())
        page, problems = found.page, found.problems
        page.set_default_timeout(180_000)  # a busy machine is no failure
        page.on("console", lambda message: problems.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: request.url == path.as_uri() or problems.append(f"request: {request.url}"))
        page.goto(path.as_uri())
        found.ready()
        pages.append(found)
        return found

    yield open_file
    for found in pages:
        found.page.wait_for_timeout(20)
        assert found.problems == []
        found.page.context.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("reports")
    runs = {
        "mixed": mixed(base / "mixed"),
        "hostile": hostile(base / "hostile"),
        "many": many(base / "many", seeds=2, incumbents=12),
    }
    paths = {name: write_report(Run.load(run.write())) for name, run in runs.items()}
    others = [Run.load(mixed(base / d, d, shift=n / 50).write()) for n, d in enumerate(("one", "two", "three"))]
    return paths | {"several": write_reports(others, base / "several.html")}


def toggle(page: Page, name: str) -> Locator:
    return page.locator(".series li").filter(has=page.get_by_text(name, exact=True)).locator("input")


# --- it draws ---


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("name", ["mixed", "hostile", "many", "several"])
def test_every_chart_has_marks(reports: dict[str, Path], opened: Open, name: str, width: int) -> None:
    page = opened(reports[name], width).page
    charts = page.locator("figure.chart")
    assert charts.count() >= 5
    for chart in charts.all():
        marks = chart.locator("svg g.role-mark path[d]:not([d='']), svg g.role-mark line")
        assert marks.count() > 0, chart.get_attribute("data-chart")
        box = chart.locator("svg").first.bounding_box()
        assert box is not None
        assert box["width"] > 100
        assert chart.locator("svg[role=img]").first.get_attribute("aria-label")


def test_a_real_run_opens(opened: Open, tmp_path: Path) -> None:
    folder = tmp_path / "ml-100k"
    shutil.copytree(RESULTS / "ml-100k", folder)
    run = Run.load(folder)
    found = opened(write_report(run))
    assert set(found.names()) == set(run.cells["searcher"])
    ends = mean_curves(run).groupby("searcher")["mean"].last()
    assert found.values() == {name: f"{end:.4f}" for name, end in ends.items()}


# --- curves answer ---


def test_a_searcher_can_be_hidden_and_shown(reports: dict[str, Path], opened: Open) -> None:
    found = opened(reports["mixed"])
    before = found.lines()
    assert set(found.names()) == {"bias-only", "sif", "bayes", "random"}
    toggle(found.page, "sif").uncheck()
    assert found.lines() < before
    assert "sif" not in found.names()
    toggle(found.page, "sif").check()
    assert found.lines() == before
    found.page.get_by_role("button", name="none", exact=True).click()
    assert found.lines() == 0
    assert found.page.get_by_text("No searcher is chosen.").first.is_visible()
    found.page.get_by_role("button", name="all", exact=True).click()
    assert found.lines() == before


@pytest.mark.parametrize("clock", CLOCKS)
def test_the_clock_changes_the_axis_and_the_values(reports: dict[str, Path], opened: Open, clock: str) -> None:
    found = opened(reports["mixed"])
    found.page.locator("select[name=clock]").select_option(clock)
    assert found.axis() == CLOCKS[clock].label
    assert found.axis("figure[data-chart=ranks]") == CLOCKS[clock].label
    assert CLOCKS[clock].includes in (found.page.locator(".says").text_content() or "")
    run = Run.load(reports["mixed"].parent)
    times = [x for curve in cell_curves(run, clock).values() for x in curve.x]
    domain = found.page.evaluate(f"document.querySelector('{CURVES} .plot').view.scale('x').domain()")
    assert domain[0] == pytest.approx(0.8 * min(mean_curves(run, clock)["x"]), rel=1e-3)
    assert domain[1] > max(times)


def test_the_metric_changes_the_values(reports: dict[str, Path], opened: Open) -> None:
    found = opened(reports["mixed"])
    first = found.values()
    found.page.locator("select[name=metric]").select_option("rmse")
    second = found.values()
    assert {name: float(value) for name, value in second.items()} == pytest.approx(
        {name: 1.125 * float(value) for name, value in first.items()}, abs=2e-4
    )
    found.page.locator("select[name=metric]").select_option("validation")
    says = found.page.locator(".says").text_content() or ""
    assert "no searcher is ever ranked by it" in says
    assert "without any retraining" in says


def test_time_is_logarithmic_or_linear(reports: dict[str, Path], opened: Open) -> None:
    found = opened(reports["mixed"])
    kind = f"document.querySelector('{CURVES} .plot').view.scale('x').type"
    assert found.page.evaluate(kind) == "log"
    found.page.get_by_text("linear", exact=True).click()
    found.ready()
    assert found.page.evaluate(kind) == "linear"
    assert found.page.evaluate(kind.replace("curves", "ranks")) == "linear"


def test_single_seeds_can_be_chosen(reports: dict[str, Path], opened: Open) -> None:
    found = opened(reports["mixed"])
    found.page.get_by_text("single seeds", exact=True).click()
    assert sorted(name for name in found.names() if name.startswith("sif")) == [f"sif, seed {n}" for n in (1, 2, 3)]
    assert "random, seed 3 (failed)" in found.names()  # what it found before it failed was scored
    found.page.locator(".seeds label").filter(has_text="2").click()
    assert sorted(name for name in found.names() if name.startswith("sif")) == ["sif, seed 1", "sif, seed 3"]


def test_values_are_read_under_the_pointer(reports: dict[str, Path], opened: Open) -> None:
    found = opened(reports["mixed"])
    found.page.locator(f"{CURVES} .plot").scroll_into_view_if_needed()
    box = found.page.locator(f"{CURVES} .host svg").bounding_box()
    assert box is not None
    found.page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.5 * box["height"])
    readout = found.page.locator(f"{CURVES} .readout")
    assert readout.is_visible()
    assert "time to deliverable (s)" in (readout.text_content() or "")
    found.page.mouse.move(2, 2)
    assert not readout.is_visible()


def test_the_data_of_a_chart_are_in_a_table(reports: dict[str, Path], opened: Open) -> None:
    found = opened(reports["mixed"])
    details = found.page.locator(f"{CURVES} details.data")
    details.locator("summary").click()
    details.locator("tbody tr").first.wait_for()  # the table is made when it is opened, by an event
    rows = details.locator("tbody tr")
    every = rows.count()
    assert details.locator("thead th").all_text_contents()[0] == "Searcher"
    assert every == len(mean_curves(Run.load(reports["mixed"].parent)))
    toggle(found.page, "sif").uncheck()
    assert 0 < rows.count() < every
    for details in found.page.locator("details.data").all()[1:]:
        details.locator("summary").click()
        details.locator("tbody tr").first.wait_for()  # the table is made when it is opened, by an event
        assert details.locator("tbody tr").count() > 0


def test_of_many_searchers_the_best_come_first_and_the_others_are_found(reports: dict[str, Path], opened: Open) -> None:
    found = opened(reports["many"])
    best = [name for name in final_table(Run.load(reports["many"].parent))["searcher"] if name != "bias-only"]
    assert set(found.names()) == {*best[:8], "bias-only"}
    found.page.locator(".filter").fill("SEARCHER-36")
    visible = [item for item in found.page.locator(".series li").all() if item.is_visible()]
    assert len(visible) == 1
    toggle(found.page, "searcher-36").check()
    assert "searcher-36" in found.names()
    found.page.get_by_role("button", name="all", exact=True).click()
    assert "No bands" in (found.page.locator(f"{CURVES} .note").text_content() or "")
    found.page.get_by_role("button", name="best 8").click()
    assert set(found.names()) == {*best[:8], "bias-only"}


# --- tables answer ---


def test_a_table_is_sorted_by_the_keyboard(reports: dict[str, Path], opened: Open) -> None:
    page = opened(reports["many"]).page
    table = page.locator("table.sortable", has_text="To deliverable s").first
    head = table.locator("th", has_text="To deliverable s")
    place = [h.text_content() for h in table.locator("thead th").all()].index(head.text_content())
    head.locator("button").focus()

    def values() -> list[float]:
        texts = table.locator(f"tbody tr > :nth-child({place + 1})").all_text_contents()
        return [float(text.replace(",", "")) for text in texts]

    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(values())
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    assert values() == sorted(values(), reverse=True)
    assert len(set(values())) > 5
    table.locator("th", has_text="Searcher").locator("button").first.press("Enter")
    assert head.get_attribute("aria-sort") is None
    names = table.locator("tbody th").all_text_contents()
    assert names == sorted(names)


def test_numbers_are_sorted_as_numbers_and_what_is_missing_stays_last(reports: dict[str, Path], opened: Open) -> None:
    page = opened(reports["mixed"]).page
    table = page.locator("table.sortable").first
    head = table.locator("th", has_text="Minus bias-only")
    for _ in range(2):
        head.locator("button").press("Enter")
        assert "bias-only" in (table.locator("tbody th").last.text_content() or "")


def test_the_matrix_says_its_words(reports: dict[str, Path], opened: Open) -> None:
    page = opened(reports["mixed"]).page
    pairs = verdicts(Run.load(reports["mixed"].parent)).set_index(["searcher", "against"])["words"]
    names = page.locator(".matrix tbody th").all_text_contents()
    assert page.locator(".matrix td[tabindex='0']").count() == 1
    page.locator(".matrix td[tabindex='0']").focus()
    says = page.locator(".words-of-pair")
    assert says.text_content() == f"{pairs[names[0], names[1]]}."
    page.keyboard.press("ArrowDown")  # over the diagonal
    assert says.text_content() == f"{pairs[names[2], names[1]]}."
    page.keyboard.press("ArrowLeft")
    assert says.text_content() == f"{pairs[names[2], names[0]]}."
    page.locator(".matrix tbody tr").nth(3).locator("td[data-words]").first.hover()
    assert says.text_content() == f"{pairs[names[3], names[0]]}."


# --- it fits, in both schemes and on paper ---

OVERLAPS = """width => {
  const chosen = "header.page, .verdict, section.block, .controls, .beside > *, .two > *, .mini";
  const blocks = [...document.querySelectorAll(chosen)].map(e => ({ e, b: e.getBoundingClientRect() }));
  const seen = blocks.filter(({ b }) => b.width > 0 && b.height > 0);
  const name = ({ e }) => e.innerText.slice(0, 40);
  const apart = (a, b) => a.right <= b.left + 0.5 || b.right <= a.left + 0.5
    || a.bottom <= b.top + 0.5 || b.bottom <= a.top + 0.5;
  const overlapping = seen.flatMap((one, i) => seen.slice(i + 1)
    .filter(other => !apart(one.b, other.b) && !one.e.contains(other.e) && !other.e.contains(one.e))
    .map(other => [name(one), name(other)]));
  return [seen.length, seen.filter(({ b }) => b.left < 0 || b.right > width + 0.5).map(name), overlapping];
}"""


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("name", ["mixed", "hostile", "many", "several"])
def test_nothing_overflows_or_overlaps(reports: dict[str, Path], opened: Open, name: str, width: int) -> None:
    page = opened(reports[name], width).page
    page.evaluate("document.querySelectorAll('details:not(.data)').forEach(e => { e.open = true; })")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    blocks, outside, overlapping = page.evaluate(OVERLAPS, width)
    assert blocks > 8
    assert outside == []
    assert overlapping == []


def rgb(color: str) -> str:
    return f"rgb({', '.join(str(int(color[start : start + 2], 16)) for start in (1, 3, 5))})"


def test_charts_follow_the_colour_scheme(reports: dict[str, Path], opened: Open) -> None:
    page = opened(reports["mixed"], scheme="dark").page

    def colors() -> tuple[str, str, str]:
        back = page.evaluate("getComputedStyle(document.body).backgroundColor")
        label, line = (
            page.locator(f"{CURVES} {part}").first.evaluate(f"e => getComputedStyle(e).{key}")
            for part, key in (("g.role-axis-label text", "fill"), ("g.mark-line > path", "stroke"))
        )
        return back, label, line

    dark = colors()
    page.emulate_media(color_scheme="light")
    light = colors()
    assert (dark[0], light[0]) == (rgb(DARK), rgb(LIGHT))
    assert (dark[1], light[1]) == ("rgb(167, 176, 187)", "rgb(87, 96, 106)")  # style.css's muted
    assert dark[2] != light[2]
    page.emulate_media(color_scheme="dark")
    assert colors() == dark
    page.emulate_media(media="print", color_scheme="dark")
    assert colors() == light


def test_it_prints_on_paper(reports: dict[str, Path], opened: Open, tmp_path: Path) -> None:
    page = opened(reports["mixed"]).page
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})  # a page of A4 within its margins
    page.wait_for_timeout(100)
    for hidden in ("nav.contents", ".controls", ".series .buttons"):
        assert not page.locator(hidden).first.is_visible()
    assert page.locator(f"{CURVES} svg").first.is_visible()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 718
    assert page.pdf(path=tmp_path / "r.pdf", format="A4").startswith(b"%PDF")


def test_everything_can_be_reached_by_the_keyboard(reports: dict[str, Path], opened: Open) -> None:
    page = opened(reports["mixed"]).page
    reached = set()
    focused = "(e => `${e.className} ${e.tagName} ${e.name || e.dataset.name || ''}`)(document.activeElement)"
    for _ in range(120):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(focused))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        # A radio button's label shows its focus.
        other = page.evaluate("document.activeElement.matches('.choice input, body')")
        assert outline != "none" or other
    joined = "\n".join(reached)
    for part in ("SELECT metric", "SELECT clock", "INPUT log-0", "plot DIV", " BUTTON ", " SUMMARY ", " TD ", " PRE "):
        assert part in joined, part


# --- names are names ---


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_hostile_names_do_nothing(reports: dict[str, Path], opened: Open, width: int) -> None:
    found = opened(reports["hostile"], width)
    page = found.page
    assert page.locator("img, iframe, object, link, main script").count() == 0
    assert page.locator("body script").count() == 3
    plain = {" ".join(name.split()) for name in HOSTILE}
    assert {" ".join(name.split()) for name in found.names()} == plain
    page.get_by_text("single seeds", exact=True).click()
    assert len(found.names()) == 12
    page.locator("select[name=metric]").select_option("validation")
    for details in page.locator("details.data").all():
        details.evaluate("element => { element.open = true; }")
    found.ready()
    for chart in ("optimism", "times", "function"):
        for mark in page.locator(f"figure[data-chart={chart}] g.role-mark path").all()[:4]:
            mark.hover(force=True)
    page.locator(".matrix td[data-words]").first.hover()
    for head in page.locator("table.sortable thead button").all():
        head.click()
    axis = "".join(page.locator("figure[data-chart=times] g.role-axis-label text").all_text_contents())
    assert "__proto__" in axis
    assert page.evaluate("window.hit === undefined")
    assert page.locator("main script, img").count() == 0
