"""The HTML report as a file: what it holds is what the analysis says, it can reach nothing, and names stay text."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from report_examples import HOSTILE, MESSAGE, architecture, hostile, many, mixed
from stored_runs import Found, StoredRun
from typer.testing import CliRunner

from automl_cf.analysis.curves import CLOCKS, mean_curves
from automl_cf.analysis.elementwise import ACTIVATIONS, elementwise
from automl_cf.analysis.ranks import dataset_errors, rank_test
from automl_cf.analysis.report import write_report, write_reports
from automl_cf.analysis.report.content import named, table
from automl_cf.analysis.report.data import GRID, METRICS, panels, thinned, with_metric
from automl_cf.analysis.report.looks import DARK, LIGHT, MARKERS, contrast, looks_of, readable
from automl_cf.analysis.report.page import embedded, page_of
from automl_cf.analysis.report.specs import CONFIG, specs
from automl_cf.analysis.run import Run
from automl_cf.analysis.styles import _MARKERS, styles
from automl_cf.analysis.tables import final_table, score_columns, search_columns
from automl_cf.analysis.verdicts import undefeated, verdicts
from automl_cf.cf.elementwise import apply_network
from automl_cf.errors import InputError

STYLE = Path(__file__).parent.parent / "automl_cf" / "analysis" / "report" / "style.css"


class Page(HTMLParser):
    """A page taken apart: elements with their attributes, its visible text, its scripts and its tables."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.tables: list[list[list[str]]] = []
        self._within: str | None = None
        self._cell: list[str] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._within = tag
            self.scripts += [""] if tag == "script" else []
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self._cell = []
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._within = None if tag == self._within else self._within
        self._cell = None if tag in ("td", "th") else self._cell

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            self.scripts[-1] += data
        elif self._within is None:
            self.texts.append(data)
            if self._cell is not None:
                self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found


def page(run: StoredRun) -> Page:
    return Page(page_of([Run.load(run.write())]))


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Page]:
    """The mixed run and its page."""
    run = mixed(tmp_path_factory.mktemp("example") / "run")
    return Run.load(run.write()), page(run)


def one_line(text: str) -> str:
    return " ".join(text.split())


# --- what it says is what the analysis says ---


def test_the_table_is_that_of_the_summary(example: tuple[Run, Page]) -> None:
    run, shown_page = example
    tables, results = shown_page.tables, final_table(run)
    for wanted, picture in ((score_columns(results), 1), (search_columns(results), None)):
        shown = next(rows for rows in tables if wanted.columns[2] in rows[0])
        rows = [[cell for place, cell in enumerate(row) if place != picture] for row in shown]
        assert rows[0] == list(wanted.columns)
        assert rows[1:] == [list(map(str, row)) for row in wanted.to_numpy().tolist()]


def test_the_words_are_those_of_the_verdicts(example: tuple[Run, Page]) -> None:
    stored, text = example[0], example[1].text
    pairs, results = verdicts(stored), final_table(stored)
    best = undefeated(results, pairs)
    assert f"{best[0]} has the lowest mean test error" in text
    said = pairs[pairs["searcher"] == best[0]]["words"]
    assert len(said) == 3
    assert all(one_line(words) in text for words in said)
    assert "seeds would decide" in text
    kinds = pairs[pairs["searcher"] < pairs["against"]]["verdict"]
    sure = int(kinds.isin(["better", "worse"]).sum())
    assert (
        f"Of all pairs: {sure} sure, 0 equivalent within 0.002, {int((kinds == 'undecided').sum())} undecided." in text
    )


@pytest.mark.parametrize(
    ("errors", "claim"),
    [
        ({"a": [0.80, 0.81, 0.82], "b": [0.90, 0.9101, 0.92]}, "and its lead is sure."),
        ({"a": [0.80, 0.81, 0.82], "b": [0.80, 0.83, 0.80]}, "but its lead is not sure."),
        ({"a": [0.80, 0.81, 0.82], "b": [0.80001, 0.81002, 0.82]}, ", equivalent to b."),
        ({"a": [0.80, 0.81, 0.82]}, "There is no other to compare it with."),
        ({"a": [None]}, "No searcher gave a result."),
    ],
)
def test_the_claim_comes_first(tmp_path: Path, errors: dict[str, list[float | None]], claim: str) -> None:
    run = StoredRun(tmp_path / "run")
    for searcher, values in errors.items():
        for seed, value in enumerate(values):
            run.cell("d", 8, searcher, seed, [Found(1, value)], end=2)
    text = page(run).text
    assert claim in text
    assert text.index(claim) < text.index("Test error against time")


def test_the_curves_are_those_of_the_analysis(example: tuple[Run, Page]) -> None:
    stored, (panel,) = example[0], example[1].data["panels"]
    names = [searcher["name"] for searcher in panel["searchers"]]
    assert names == list(final_table(stored)["searcher"])
    for metric in METRICS:
        for clock in CLOCKS:
            wanted = mean_curves(with_metric(stored, metric), clock)
            lines = {names[line["s"]]: line for line in panel["curves"][metric][clock]["means"]}
            assert set(lines) == set(wanted["searcher"])
            for name, line in lines.items():
                rows = wanted[wanted["searcher"] == name]
                assert line["x"] == pytest.approx(rows["x"].tolist(), rel=1e-4)
                assert line["y"] == pytest.approx(rows["mean"].tolist(), rel=1e-5)
                whole = rows[rows["n"] == rows["seeds"]]
                low = whole["low"] if line["seeds"] > 2 else whole["least"]
                assert line["lo"] == pytest.approx(low.tolist(), rel=1e-5)


def test_the_metrics_are_what_they_are_called(tmp_path: Path) -> None:
    run = StoredRun(tmp_path / "run")
    run.cell("d", 8, "sif", 1, [Found(4, 0.9, 2), Found(10, 0.8, 3), Found(20, None)], end=30)
    (panel,) = page(run).data["panels"]

    def points(metric: str, clock: str) -> tuple[list[float], list[float]]:
        (line,) = panel["curves"][metric][clock]["cells"]
        return line["x"], line["y"]

    assert points("rmse_std", "deliverable") == ([6, 13, 30], [0.9, 0.8, 0.8])
    assert points("rmse", "search") == ([4, 10, 30], [1.0125, 0.9, 0.9])  # times the std of 1.125
    # In units of the training part's std, 0.875; without retraining, and known of what has no score, too.
    assert points("validation", "deliverable")[0] == [4, 10, 30]
    assert points("validation", "deliverable")[1] == pytest.approx([0.89 / 0.875, 0.79 / 0.875, 0.79 / 0.875], rel=1e-5)


def test_what_failed_is_said_with_its_reason(example: tuple[Run, Page]) -> None:
    text = example[1].text
    assert "1 of 12 cells gave no result" in text
    assert "d/d8/random/s3: failed: ValueError: boom" in text
    assert "automl-cf run study.toml --out results/synthetic" in text
    assert "d/s1 a2c4" in text


def test_element_wise_functions_are_those_of_the_models() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 5))
    for activation in ACTIVATIONS:
        for units in (1, 5):
            vector = rng.normal(size=3 * units + 1)
            expected = apply_network(torch.tensor(x), torch.tensor(vector), activation).numpy()
            assert elementwise(vector.tolist(), x, activation) == pytest.approx(expected, abs=1e-12)
    assert elementwise(None, x).tolist() == x.tolist()


@pytest.mark.parametrize(
    ("parameters", "activation", "words"),
    [
        ([1.0] * 16, "sigmoyd", r"Unknown activation 'sigmoyd'.* 'sigmoid'"),
        ([1.0] * 15, "sigmoid", "there are 15, but they must be 3 x units"),
        ([1.0], "sigmoid", "there are 1, "),
        (["a"] * 16, "sigmoid", "must be a list of"),
    ],
)
def test_what_is_no_element_wise_function_is_refused(parameters: list[Any], activation: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        elementwise(parameters, [0.0], activation)


def test_functions_of_final_architectures_are_drawn(example: tuple[Run, Page]) -> None:
    (panel,) = example[1].data["panels"]
    item = next(item for item in panel["functions"] if panel["searchers"][item["s"]]["name"] == "sif")
    assert [(line["seed"], line["k"]) for line in item["lines"]] == [(s, k) for s in (1, 2, 3) for k in "pq"]
    vector = torch.tensor(architecture(12)["q"], dtype=torch.float64)
    expected = apply_network(torch.tensor(GRID), vector, "sigmoid").numpy()
    assert item["lines"][3]["y"] == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_the_members_of_an_ensemble_have_functions_too(tmp_path: Path) -> None:
    run = StoredRun(tmp_path / "run")
    members = [json.dumps(architecture(1)), json.dumps({"operation": "max"})]
    score = {"architecture": {"model": "ensemble", "members": members}}
    run.cell("d", 8, "e", 1, [Found(1, 0.8, score=score)], end=2)
    (panel,) = page(run).data["panels"]
    assert [(line["k"], line["part"]) for line in panel["functions"][0]["lines"]] == [("p", 0), ("q", 0)]


# --- bounds ---


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=200, unique=True), st.integers(4, 40))
def test_thinned_curves_keep_their_ends_and_order(times: list[float], most: int) -> None:
    x = np.sort(np.array(times))
    kept = thinned(x, most)
    assert len(kept) <= max(most, min(len(x), most))
    assert (np.diff(kept) > 0).all()
    assert (kept[0], kept[-1]) == (0, len(x) - 1)
    if len(x) <= most:
        assert len(kept) == len(x)


@pytest.mark.slow
def test_a_large_run_stays_small(tmp_path: Path) -> None:
    run = Run.load(many(tmp_path / "run").write())
    html = page_of([run])
    assert len(html.encode()) < 5_000_000
    shown = [s["name"] for s in Page(html).data["panels"][0]["searchers"] if s["shown"]]
    best = [name for name in final_table(run)["searcher"] if name != "bias-only"][:8]
    assert set(shown) == {*best, "bias-only"}


def test_more_steps_make_no_larger_report(tmp_path: Path) -> None:
    few, more = (Run.load(many(tmp_path / str(n), 4, 2, n).write()) for n in (60, 120))
    sizes = [len(json.dumps(panels(run, final_table(run), 20))) for run in (few, more)]
    assert sizes[1] < 1.1 * sizes[0]


# --- nothing can leave, nothing gets in ---


def test_the_policy_lets_nothing_but_our_scripts_run(example: tuple[Run, Page]) -> None:
    found = example[1]
    (policy,) = [a["content"] for tag, a in found.elements if a.get("http-equiv") == "Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in str(policy).split(";"))
    assert directives["default-src"] == "'none'"
    assert set(directives) == {"default-src", "script-src", "style-src", "base-uri", "form-action"}
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in found.scripts[1:]]
    assert len(digests) == 2
    assert set(directives["script-src"].split()) == {f"'sha256-{d}'" for d in digests}
    assert "http" not in str(policy)


def test_the_page_refers_to_nothing_outside_of_it(example: tuple[Run, Page]) -> None:
    found = example[1]
    for tag, attributes in found.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img", "form")
        assert not {"src", "srcset", "action", "data", "poster"} & set(attributes), (tag, attributes)
        assert str(attributes.get("href", "#")).startswith("#")
    assert not re.search(r"url\(|@import", STYLE.read_text())
    targets = {a["id"] for _, a in found.elements if "id" in a}
    links = {str(a["href"])[1:] for tag, a in found.elements if tag == "a"}
    assert links <= targets


def test_hostile_names_stay_text(tmp_path: Path, example: tuple[Run, Page]) -> None:
    harmless, found = example[1], page(hostile(tmp_path / "b"))
    assert {tag for tag, _ in found.elements} <= {tag for tag, _ in harmless.elements}
    assert len(found.scripts) == len(harmless.scripts) == 3
    assert found.scripts[1:] == harmless.scripts[1:]
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    for name in HOSTILE:
        assert one_line(name) in found.text
    assert one_line(MESSAGE) in found.text
    names = {searcher["name"] for searcher in found.data["panels"][0]["searchers"]}
    assert names == set(HOSTILE)


@given(st.recursive(st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner, max_size=3)))
def test_embedded_json_ends_no_script_and_loses_nothing(value: Any) -> None:
    text = embedded({"value": value})
    assert json.loads(text) == {"value": value}
    assert not set("<>&\u2028\u2029\n") & set(text)


def test_what_is_no_number_is_not_embedded() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        embedded([float("nan")])


# --- looks ---


def test_charts_are_vega_lite(example: tuple[Run, Page]) -> None:
    assert example[1].data["specs"] == json.loads(json.dumps(specs()))
    for spec in specs().values():
        alt.Chart.from_dict({**spec, "data": {"values": []}, "config": CONFIG})


def test_every_look_has_its_marker_and_enough_contrast() -> None:
    assert set(_MARKERS) <= set(MARKERS)
    names = [f"searcher-{number}" for number in range(60)]
    looks = looks_of([*names, "bias-only"])
    assert len({(look["color"], str(look["dash"]), look["path"]) for look in looks.values()}) == len(
        {(look.color, look.dashes, look.marker) for look in styles([*names, "bias-only"]).values()}
    )
    for color in {look.color for look in styles(names).values()}:
        for background in (LIGHT, DARK):
            assert contrast(readable(color, background), background) >= 3


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert readable("#000000", "#ffffff") == "#000000"


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_have_enough_contrast(scheme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", STYLE.read_text(), flags=re.DOTALL)
    colors = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", blocks[scheme]))
    assert colors["back"] == (LIGHT, DARK)[scheme]
    for text in ("text", "muted", "accent"):
        assert min(contrast(colors[text], colors[back]) for back in ("back", "card")) >= 4.5
    for kind in ("good", "bad", "same", "open", "alert"):
        assert contrast(colors[kind], colors[f"{kind}-back"]) >= 4.5


# --- tables, names ---


def test_columns_are_numbers_where_all_their_texts_begin_with_one(example: tuple[Run, Page]) -> None:
    results = final_table(example[0])
    made = {column["title"]: column for column in table(score_columns(results), search_columns(results))["columns"]}
    assert not made["Searcher"]["numeric"]
    assert not made["Found"]["numeric"]
    assert all(made[title]["numeric"] for title in made if title not in ("Searcher", "Found"))
    values = [float(cell["value"]) for cell in made["Test RMSE / std"]["cells"]]
    assert values == pytest.approx(results["rmse_std"].tolist(), abs=5e-5)
    assert [cell["text"] for cell in made["Minus bias-only"]["cells"]].count("-") == 1


def test_names_in_a_sentence() -> None:
    assert named([]) == ""
    assert named(["a"]) == "a"
    assert named("abc") == "a, b and c"
    assert named("abcdefgh") == "a, b, c, d, e and 3 more"


# --- several runs ---


def test_several_runs_are_ranked_over_their_data_sets(tmp_path: Path) -> None:
    runs = [Run.load(mixed(tmp_path / d, d, shift=n / 50).write()) for n, d in enumerate(("one", "two", "three"))]
    found = Page(page_of(runs))
    test = rank_test(dataset_errors([final_table(run) for run in runs]))
    shown = next(rows for rows in found.tables if "Mean rank" in rows[0])
    assert [[rank, name] for rank, name, _ in shown[1:]] == [[f"{v:.2f}", n] for n, v in test.ranks.items()]
    assert f"critical difference is {test.critical_difference:.2f}" in found.text
    assert len(found.data["panels"]) == 3
    assert {attributes["id"] for tag, attributes in found.elements if tag == "h2"} == {
        "across",
        *(f"run-{n}" for n in range(3)),
    }


def test_few_data_sets_have_no_ranks_over_them(tmp_path: Path) -> None:
    runs = [Run.load(mixed(tmp_path / d, d).write()) for d in ("one", "two")]
    text = Page(page_of(runs)).text
    assert "Ranks over data sets take 3 or more; here are 2: one and two." in text
    assert "Friedman" not in text


def test_ids_are_unique_and_headings_skip_no_level(tmp_path: Path) -> None:
    runs = [Run.load(mixed(tmp_path / d, d).write()) for d in ("one", "two")]
    for html in (page_of(runs), page_of(runs[:1])):
        found = Page(html)
        ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch(r"h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert max(np.diff(levels)) == 1
        references = {str(a["aria-labelledby"]) for _, a in found.elements if "aria-labelledby" in a}
        assert references <= set(ids)


# --- files ---


def test_the_same_run_gives_the_same_file(tmp_path: Path) -> None:
    run = Run.load(mixed(tmp_path / "run").write())
    first = write_report(run)
    assert first == run.path / "report.html"
    assert write_report(run, tmp_path / "again.html").read_bytes() == first.read_bytes()


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    run = Run.load(mixed(tmp_path / "run").write())
    with pytest.raises(InputError, match=r"r\.html cannot be written"):
        write_report(run, tmp_path / "nowhere" / "r.html")
    with pytest.raises(InputError, match="needs one run or more"):
        write_reports([], tmp_path / "r.html")


def test_the_command_writes_and_names_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from automl_cf.cli import app

    monkeypatch.chdir(tmp_path)
    folders = [str(mixed(tmp_path / name, name).write()) for name in ("one", "two")]
    done = CliRunner().invoke(app, ["report", folders[0]])
    assert done.exit_code == 0, done.output
    assert f"Report   {folders[0]}/report.html" in done.stdout
    assert (tmp_path / "one" / "report.html").exists()
    done = CliRunner().invoke(app, ["report", *folders])
    assert done.exit_code == 0, done.output
    assert "Report   report.html" in done.stdout
    assert "Across 2 runs" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "two" / "report.html").exists()
    done = CliRunner().invoke(app, ["report", folders[1], "--out", "two.html"])
    assert "Report   two.html" in done.stdout
    assert (tmp_path / "two.html").exists()


def test_reports_import_neither_torch_nor_ray() -> None:
    code = (
        "import sys, automl_cf.analysis.report; assert not {'torch', 'ray', 'vl_convert', 'altair'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
