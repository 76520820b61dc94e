"""speed.md, written from the records and about.json alone: no number that was measured is typed by hand."""

import json
from collections.abc import Iterable, Iterator, Sequence

from automl_cf.benchmarks.speed.about import About
from automl_cf.benchmarks.speed.cases import TEXTBOOK_BATCH
from automl_cf.benchmarks.speed.compiling import CACHED, COMPILED
from automl_cf.benchmarks.speed.phases import VALIDATION
from automl_cf.benchmarks.speed.results import Results, Rounds, Setting, Spread
from automl_cf.benchmarks.speed.scaling import TOUCHED, on
from automl_cf.benchmarks.speed.subjects import C_LOOP, FUSED, LOADER
from automl_cf.benchmarks.speed.targets import OURS, TARGETS, gain
from automl_cf.benchmarks.speed.whole import at_batch
from automl_cf.benchmarks.speed.workers import subject_of

MS, NS, PERCENT = 1e3, 1e9, 1e2

_ROWS = """\
* **fused engine**: `train_fused`, this project's default engine: Numba kernels in float32.
* **reference engine**: `train_interaction`: eager PyTorch with autograd in float32, the networks applied to tables.
* **C loop**: `loop.c`, the fused engine's algorithm in plain C, compiled where it runs with -O3, -march=native and
  -ffast-math, for the dimension and the number of units. It is the limit: it only trains. Its random orders are
  drawn in C too.
* **textbook**: eager PyTorch the way the field writes it, in the style of public implementations but written anew:
  the networks are applied to each rating's embeddings, gradients are dense, and a supernet evaluates every
  operation. Its batches come from a `DataLoader`, or are slices of tensors that are shuffled once an epoch.
* **Surprise SVD**: `SVD(n_factors=8, n_epochs=20, biased=False)` of scikit-surprise: compiled, in double precision,
  one gradient step after each rating, no shuffling. It has neither networks nor batches: it does the same work at
  each batch size.

Every subject has one thread. Each round runs every subject once, each time another one first; a ratio is taken
within a round, so that a slower moment counts for both. Numbers are medians over rounds, in brackets the quantiles
at 10% and 90%. An epoch is one pass over the training ratings (half of all ratings; a quarter validates), the
drawing of its random order included and validation not."""

_WHOLE = """\
`multiply` with networks on ml-100k, dimension 8, set-up and validation included. By the study's protocol each
subject has as many epochs as its own validation asks for. The textbook takes batches as the authors' code does;
ours has a default of its own, and is shown at both sizes. RMSE is over the whole validation part, in units of the
training ratings' standard deviation; the textbook leaves rows without a training rating as first drawn."""

_SEARCH = """\
The default space on ml-100k, dimension 8: SIF for as many epochs as it has by default, then what it found trained
with each l2 of the grid. The row marked * is extrapolated: {sampled} epochs of its search and as many of a training
were measured, and multiplied by the epochs that the textbook with slices took."""

_PHASES = """\
An epoch of `multiply` with networks on ml-100k, dimension 8, and an epoch of SIF's supernet on the fused engine. The
C loop was built once more with a clock between its phases. The fused engine is seen from outside: its order is drawn
once more alone, and what the networks take is the difference between epochs with and without them. Shares are of the
sum without validation."""

_RATINGS = """\
Planted data, `multiply`, dimension 8, batches of 2048; 50 ratings a user and 100 an item, so that the tables grow
with the ratings. Half of the ratings are trained on."""

_ML_1M = """\
`multiply`, dimension 8, batches of 2048. ml-1m has ten times the ratings, and more than ten times the work: a batch
touches {large} rows for each of its ratings, where one of ml-100k touches {small}, and each touched row is copied,
transformed and updated."""

_WORKERS = """\
`multiply` with networks on ml-100k, dimension 8, batches of 2048: seconds per epoch of one process, and of the slower
of two that start together. The gain is what two do in the time in which one does 1."""

_MEMORY = """\
The most that a process of its own held, in MB of 10^6 bytes: after importing what training needs, and after loading
or planting, splitting, and three epochs of `multiply` with networks (dimension 8) on the fused engine."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(results: Results, about: About) -> str:
    """The whole report; what was not measured has no section."""
    sections = {
        "epoch": ("Seconds per epoch", _epoch),
        "operations": ("By operation", _operations),
        "whole": ("One candidate's whole training", _whole),
        "search": ("SIF, and retraining over the l2 grid", _search),
        "phases": ("Where an epoch's time goes", _phases),
        "ratings": ("By number of ratings", _ratings),
        "dims": ("By dimension", _dims),
        "ml-1m": ("ml-1m against ml-100k", _ml_1m),
        "workers": ("Two processes at once", _workers),
        "memory": ("Memory", _memory),
        "compiling": ("Compiling", _compiling),
    }
    parts = ["# Speed", "Written by `python -m automl_cf.benchmarks.speed` from measurements.csv and about.json."]
    if any(entry["quick"] for entry in about.values()):
        parts.append("**A quick run: far too little to conclude anything from.**")
    parts += ["## Targets", _targets(results), "## Who is measured, and how", _ROWS]
    for measurement, (title, section) in sections.items():
        if not results.of(measurement).empty:
            parts += [f"## {title} (`{measurement}`)", *section(results)]
    parts += ["## Left out", _left_out(about), "## Made on", *_made_on(about)]
    return "\n\n".join(parts) + "\n"


def _targets(results: Results) -> str:
    rows = []
    for target in TARGETS:
        measured, verdict = target.check(results)
        rows.append([target.text, target.goal_text, measured.text(unit=target.unit), verdict])
    return table(["target", "goal", "measured", "verdict"], rows)


def _epoch(results: Results) -> Iterator[str]:
    yield "`multiply` on ml-100k, 50,000 training ratings, dimension 8, networks of 5 sigmoid units."
    rows = []
    for at in results.settings("epoch", "batch", "networks"):
        for subject in results.subjects("epoch", at):
            seconds = Spread.of(results.rounds("epoch", subject, at))
            ratios = [results.ratio("epoch", subject, other, at) for other in (C_LOOP, FUSED)]
            rows.append([*_words(at), subject, seconds.text(MS), *(Spread.of(ratio).text() for ratio in ratios)])
    yield table(["batch", "networks", "subject", "ms", "× the C loop's", "× the fused engine's"], rows)
    yield "![Epoch times](epoch.png)"


def _operations(results: Results) -> Iterator[str]:
    yield "On ml-100k, batches of 2048, dimension 8."
    yield _against_c(results, "operations", "operation", "networks")


def _against_c(results: Results, measurement: str, *names: str) -> str:
    """Both compiled loops by setting."""
    rows = []
    for at in results.settings(measurement, *names):
        seconds = [Spread.of(results.rounds(measurement, subject, at)).text(MS) for subject in (FUSED, C_LOOP)]
        speed = Spread.of(results.ratio(measurement, C_LOOP, FUSED, at)).text(PERCENT)
        rows.append([*_words(at), *seconds, speed])
    header = [name.replace("_", " ") for name in names]
    return table([*header, "fused engine, ms", "C loop, ms", "fused engine's speed, % of the C loop's"], rows)


def _whole(results: Results) -> Iterator[str]:
    yield _WHOLE
    rows = []
    for subject in results.subjects("whole"):
        cells = [
            Spread.of(results.rounds("whole", subject, quantity=name)).text() for name in ("seconds", "epochs", "rmse")
        ]
        rows.append([subject, *cells, Spread.of(results.ratio("whole", subject, OURS)).text()])
    yield table(["subject", "s", "epochs", "validation RMSE", f"seconds, × {OURS}"], rows)


def _search(results: Results) -> Iterator[str]:
    sampled = results.rounds("search", at_batch(LOADER, TEXTBOOK_BATCH), quantity="epochs measured")
    yield _SEARCH.format(sampled=Spread.of(sampled).text())
    rows = []
    for subject in results.subjects("search"):
        mark = "" if results.rounds("search", subject, quantity="epochs measured").empty else " *"
        names = ("seconds", "search", "retraining", "rmse")
        cells = _texts(*(results.rounds("search", subject, quantity=name) for name in names))
        rows.append([subject + mark, *cells, Spread.of(results.ratio("search", subject, OURS)).text()])
    header = ["subject", "s", "of it search, s", "of it retraining, s", "validation RMSE of the best"]
    yield table([*header, f"seconds, × {OURS}"], rows)


def _phases(results: Results) -> Iterator[str]:
    yield _PHASES
    rows = []
    for at in results.settings("phases", "batch"):
        for subject in results.subjects("phases", at):
            medians = {
                name: Spread.of(results.rounds("phases", subject, at, name))
                for name in results.quantities("phases", subject)
            }
            whole = sum(seconds.median for name, seconds in medians.items() if name != VALIDATION)
            for name, seconds in medians.items():
                rows.append([*_words(at), subject, name, seconds.text(MS), f"{seconds.median / whole:.0%}"])
    yield table(["batch", "subject", "phase", "ms", "share"], rows)


def _ratings(results: Results) -> Iterator[str]:
    yield _RATINGS
    yield _against_c(results, "ratings", "ratings", "networks")
    rows = []
    for at in results.settings("ratings", "training_ratings", "networks"):
        per_rating = [results.rounds("ratings", s, at) / float(str(at["training_ratings"])) for s in (FUSED, C_LOOP)]
        rows.append([*_words(at), *(Spread.of(seconds).text(NS) for seconds in per_rating)])
    yield "The same per training rating:"
    yield table(["training ratings", "networks", "fused engine, ns", "C loop, ns"], rows)
    yield "![By number of ratings](ratings.png)"


def _dims(results: Results) -> Iterator[str]:
    yield "`multiply` on ml-100k, batches of 2048."
    yield _against_c(results, "dims", "dim", "networks")
    yield "![By dimension](dims.png)"


def _ml_1m(results: Results) -> Iterator[str]:
    small, large = (
        Spread.of(results.rounds("ml-1m", TOUCHED, {"data": name}, "per rating")).text()
        for name in ("ml-100k", "ml-1m")
    )
    yield _ML_1M.format(small=small, large=large)
    rows = []
    for networks in ("yes", "no"):
        at = {"networks": networks}
        for subject in (FUSED, C_LOOP):
            small, large = on(subject, "ml-100k"), on(subject, "ml-1m")
            seconds = [Spread.of(results.rounds("ml-1m", name, at)).text(MS) for name in (small, large)]
            rows.append([*_words(at), subject, *seconds, Spread.of(results.ratio("ml-1m", large, small, at)).text()])
    yield table(["networks", "subject", "ml-100k, ms", "ml-1m, ms", "ratio"], rows)


def _workers(results: Results) -> Iterator[str]:
    yield _WORKERS
    rows = []
    for engine in (FUSED, C_LOOP):
        seconds = [Spread.of(results.rounds("workers", subject_of(engine, n))).text(MS) for n in (1, 2)]
        rows.append([engine, *seconds, Spread.of(gain(results, engine)).text()])
    yield table(["subject", "one process, ms", "two processes, ms", "gain"], rows)


def _memory(results: Results) -> Iterator[str]:
    yield _MEMORY
    rows = []
    for at in results.settings("memory", "data"):
        peak, imports = (results.rounds("memory", FUSED, at, quantity) for quantity in ("peak", "imports"))
        rows.append([*_words(at), *_texts(imports, peak - imports, peak)])
    yield table(["data", "after imports, MB", "above that, MB", "all in all, MB"], rows)


def _compiling(results: Results) -> Iterator[str]:
    yield "`warm_up(8, 'float32')` in a new process, imports not counted."
    rows = [_texts(*(results.rounds("compiling", FUSED, quantity=quantity) for quantity in (COMPILED, CACHED)))]
    yield table(["first use, s", "from Numba's cache, s"], rows)


def _texts(*numbers: Rounds) -> list[str]:
    return [Spread.of(values).text() for values in numbers]


def _words(at: Setting) -> list[str]:
    return [f"{value:.0f}" if isinstance(value, float) else str(value) for value in at.values()]


def _left_out(about: About) -> str:
    reasons = dict.fromkeys(reason for entry in about.values() for reason in entry["skipped"])
    return "\n".join(f"* {reason}" for reason in reasons) or "Nothing."


def _made_on(about: About) -> Iterator[str]:
    """One paragraph for each machine with its versions and day; usually there is one."""
    kinds: dict[str, list[str]] = {}
    for measurement, entry in about.items():
        shared = {key: entry[key] for key in ("date", "command", "machine", "versions")}
        kinds.setdefault(json.dumps(shared, sort_keys=True), []).append(measurement)
    for text, measurements in kinds.items():
        made = json.loads(text)
        machine, versions = made["machine"], made["versions"]
        yield (
            f"{', '.join(measurements)}: {made['date']}, `{made['command']}`, on {machine['processor']} with "
            f"{machine['cores']} cores, {machine['platform']}; "
            f"{', '.join(f'{name} {version}' for name, version in versions.items())}."
        )
