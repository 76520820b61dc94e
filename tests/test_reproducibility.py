"""What a run's results depend on: its seeds' named streams, and nothing else that is random."""

import random
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from randomness import findings
from small_runs import PLANTED, counted_events, small_study, start_process, trajectory

import automl_cf.searchers
import automl_cf.spaces
from automl_cf.cf.data import load
from automl_cf.cf.splits import SearchData, random_split
from automl_cf.errors import InputError
from automl_cf.events import Event
from automl_cf.searchers import build, searchers
from automl_cf.suite import run
from automl_cf.suite.cell import training_task
from automl_cf.suite.streams import stream
from automl_cf.suite.study import Study

# The sources.

SOURCES = {
    name: Path(str(package.__file__)).parent
    for name, package in (("automl_cf", automl_cf), ("searchers", automl_cf.searchers), ("spaces", automl_cf.spaces))
}

EXCEPTIONS = {
    "automl_cf/testing/subject.py": "the contract watches the global generators, and puts them back",
    "automl_cf/templates/test_operation.py": "a test that `automl-cf new` writes, for any numbers at all",
    "automl_cf/cf/data/cache.py": "the name of a temporary file",
    "automl_cf/analysis/verify.py": "a short form of an id, looked up within one process",
    "automl_cf/analysis/merge.py": "puts values into sets, and sorts these afterwards",
    "spaces/architecture.py": "`__hash__`, for sets and dicts of one process; the id that is stored is a digest",
    "searchers/_ddpg.py": "layers on the meta device, which draws nothing; their weights are then drawn from `rng`",
}


def found_in_sources() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, folder in SOURCES.items():
        for path in sorted(folder.rglob("*.py")):
            if seen := findings(path.read_text(encoding="utf-8")):
                found[f"{name}/{path.relative_to(folder)}"] = [f"line {one.line}: {one.what}" for one in seen]
    return found


def test_no_source_uses_global_randomness_but_for_what_is_explained() -> None:
    found = found_in_sources()
    assert {file: seen for file, seen in found.items() if file not in EXCEPTIONS} == {}
    assert set(EXCEPTIONS) == set(found), "an exception that is not needed any more"


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import numpy as np\nnp.random.seed(1)", "numpy.random.seed"),
        ("import numpy as np\nx = np.random.rand", "numpy.random.rand"),
        ("from numpy import random as r\nr.shuffle(x)", "numpy.random.shuffle"),
        ("from numpy.random import permutation\npermutation(3)", "numpy.random.permutation"),
        ("import numpy as np\nnp.random.default_rng()", "default_rng() of the system's entropy"),
        ("import numpy as np\nnp.random.SeedSequence()", "SeedSequence() of the system's entropy"),
        ("import random\nrandom.choice(x)", "random.choice"),
        ("from random import shuffle as s\ns(x)", "random.shuffle"),
        ("import torch\ntorch.manual_seed(1)", "torch.manual_seed"),
        ("import torch\ntorch.randn(3)", "torch.randn without a generator"),
        ("import torch\nx = torch.empty(3).uniform_(0, 1)", ".uniform_ without a generator"),
        ("from torch import nn\nnn.init.xavier_uniform_(w)", "torch.nn.init.xavier_uniform_ without a generator"),
        ("from torch import nn\nnn.Linear(3, 4)", "torch.nn.Linear without a generator"),
        ("from torch.nn.functional import dropout\ndropout(x)", "torch.nn.functional.dropout without a generator"),
        ("seed = hash(name)", "hash()"),
        ("import time, numpy as np\nnp.random.default_rng(int(time.time()))", "time() in a seed"),
        ("import os\nf(random_state=os.getpid())", "getpid() in a seed"),
        ("for x in set(y):\n    f(x)", "the order of a set"),
        ("list({1, 2} | z)", "the order of a set"),
        ("', '.join({f(x) for x in y})", "the order of a set"),
        ("a = [*frozenset(y)]", "the order of a set"),
    ],
)
def test_what_the_scan_finds(source: str, what: str) -> None:
    assert what in [found.what for found in findings(source)]


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\nrng = np.random.default_rng(3)\nrng.shuffle(x)\nrng.random()",
        "import numpy as np\ndef f(rng: np.random.Generator, seed: np.random.SeedSequence): ...",
        "import torch\ntorch.randn(3, generator=g)\nw.normal_(generator=g)",
        "for x in sorted(set(y)):\n    f(x)",
        "a = sorted(map(int, set(y)))\nb = len({1, 2})\nc = x in {1, 2}",
        "import time\nbegan = time.time()",
        "random = 3\nprint(random)",
    ],
)
def test_what_the_scan_lets_pass(source: str) -> None:
    assert findings(source) == []


# Streams.


@st.composite
def studies(draw: st.DrawFn) -> Study:
    seeds = draw(st.lists(st.integers(0, 2**31 - 1), min_size=2, max_size=5, unique=True))
    vary = draw(st.lists(st.sampled_from(["split", "init", "searcher"]), unique=True))
    return small_study(searchers=["random", "bayes"], seeds=seeds, vary=vary)


@cache
def planted_data() -> SearchData:
    return random_split(load("planted", **PLANTED["options"]).ratings, 0).for_search()


def numbers(seed: np.random.SeedSequence) -> tuple[int, ...]:
    return tuple(np.random.default_rng(seed).integers(2**63, size=4).tolist())


@settings(max_examples=20, deadline=None)
@given(studies())
def test_streams_differ_where_they_should_and_nowhere_else(study: Study) -> None:
    """Those of one purpose by seed if it varies; those of two purposes always, and so do restarts and children."""
    data = planted_data()
    drawn: dict[str, set[tuple[int, ...]]] = {}
    for cell in study.cells():
        entry = study.entry(cell)
        by_purpose = {
            "init": training_task(study, cell, data).seed,
            **{f"searcher {n}": study.search_task(entry, 2, cell.seed, cell.dim, n).seed for n in range(3)},
            "order": stream("order", cell.seed),
        }
        for purpose, seed in by_purpose.items():
            drawn.setdefault(purpose, set()).add(numbers(seed))
            for child, spawned in enumerate(seed.spawn(2)):
                drawn.setdefault(f"{purpose}, child {child}", set()).add(numbers(spawned))
    for purpose, streams in drawn.items():
        name = purpose.split(",")[0].split()[0]
        varies = name == "order" or name in study.vary
        assert len(streams) == (len(study.seeds) if varies else 1), purpose
    for one, other in combinations(drawn, 2):
        assert not drawn[one] & drawn[other], (one, other)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 2**31 - 1), min_size=2, max_size=4, unique=True))
def test_splits_differ_by_seed_if_they_vary(seeds: list[int]) -> None:
    ratings = load("planted", **PLANTED["options"]).ratings
    assert len({random_split(ratings, seed).hash for seed in seeds}) == len(seeds)
    assert len({random_split(ratings, seed, vary=False).hash for seed in seeds}) == 1


def test_the_initialisation_of_a_seed_is_that_of_all_its_cells() -> None:
    """Architectures are compared under the same initialisation and order of batches, whoever proposed them."""
    study = small_study(searchers=["random", "bayes", "sif"], dims=[2, 4])
    data = planted_data()
    assert len({numbers(training_task(study, cell, data).seed) for cell in study.cells()}) == 1


# Global generators.

# Of each searcher a cell is run; those that take long, or come from packages that take long to import, are slow tests.
SLOW = {"smac", "tune-hyperopt", "tune-optuna", "surprise-svd", "surprise-svdpp", "myfm", "conv", "conv-ncf", "outer"}
SLOW |= {"darts", "snas", "gen-approx", "rl", "sif-ensemble", "optuna-gp", "altgrad", "nasp", "sif-no-auto"}
SLOW |= {"nas-random", "nas-reinforce", "deep-wide", "ncf", "ensemble"}
TENSOR = {"name": "planted", "options": {"users": 20, "items": 15, "more": 6, "density": 0.4, "dim": 2}}


def states() -> tuple[Any, ...]:
    numpy: Any = np.random.get_state()
    return random.getstate(), (numpy[0], numpy[1].tolist(), *numpy[2:]), torch.get_rng_state().tolist()


def study_of(name: str) -> Study:
    """A few trials of a searcher, on data with as many modes as it can search."""
    capabilities = searchers.get(name).capabilities
    dataset = PLANTED if 2 in capabilities.orders else TENSOR
    budget = {"visits": 150_000} if capabilities.one_shot else {"trials": 3}
    training = {"max_epochs": 3, "batch_size": 256, "l2_grid": [1e-4]}
    return small_study(datasets=[dataset], searchers=[name], budget=budget, training=training, scoring={"points": 1})


def results(folder: Path) -> list[Any]:
    scores = [event for event in counted_events(folder) if event["kind"] == "score"]
    return [trajectory(folder), [(event["cell"], event["id"], event["rmse"]) for event in scores]]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in searchers.names()]
)
def test_a_cell_neither_moves_the_global_generators_nor_hears_of_them(name: str, tmp_path: Path) -> None:
    study = study_of(name)
    try:
        build(name, study.search_task(study.searchers[0], 2, 1, 4, truth=truth_for(name)), {})
    except InputError as error:
        if "needs the package" in str(error):
            pytest.skip(str(error))
        if "modes" not in str(error):
            raise
    before = states()
    run.start(study, tmp_path / "undisturbed")
    assert states() == before
    undisturbed = results(tmp_path / "undisturbed")
    assert not [row for rows in undisturbed[0].values() for row in rows if row[0] == "cell_failed"]
    assert undisturbed[1]

    disturbances: Iterator[int] = iter(range(1000, 10**6))

    def disturb(event: Event) -> None:
        number = next(disturbances)
        random.seed(number)
        np.random.seed(number)
        torch.manual_seed(number)

    try:
        run.start(study, tmp_path / "disturbed", disturb)
    finally:
        random.setstate(before[0])
        np.random.set_state((before[1][0], np.array(before[1][1], np.uint32), *before[1][2:]))
        torch.set_rng_state(torch.tensor(before[2], dtype=torch.uint8))
    assert next(disturbances) > 1003
    assert results(tmp_path / "disturbed") == undisturbed


def truth_for(name: str) -> Any:
    return load("planted", **PLANTED["options"]).architecture if searchers.get(name).capabilities.needs_truth else None


# Whole runs: the same bits whatever the process, the order of the cells, the number of workers or the interruptions.

MIXED = {"searchers": ["bias-only", "random", "evolution", "bayes", "sif"], "budget": {"trials": 4, "visits": 200_000}}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed") / "run"
    run.start(small_study(**MIXED, seeds=[1, 2]), folder)
    return folder


def by_cell(folder: Path) -> dict[str, list[Any]]:
    """All that a cell came to, whatever the order of the cells was."""
    found = {cell: [rows] for cell, rows in trajectory(folder).items()}
    for event in counted_events(folder):
        if event["kind"] == "score":
            found[event["cell"]].append((event["id"], event["l2"], event["validation"], event["rmse"]))
    return found


def test_the_order_and_the_company_of_cells_change_nothing(mixed: Path, tmp_path: Path) -> None:
    """Other cells before it, or none: a cell is the same."""
    backwards = {**MIXED, "searchers": MIXED["searchers"][::-1]}
    run.start(small_study(**backwards, seeds=[2, 1]), tmp_path / "backwards")
    firsts = [counted_events(folder)[0]["cell"] for folder in (mixed, tmp_path / "backwards")]
    assert firsts[0] != firsts[1]
    assert by_cell(tmp_path / "backwards") == by_cell(mixed)
    run.start(small_study(**{**MIXED, "searchers": ["sif"]}, seeds=[2]), tmp_path / "alone")
    alone = by_cell(tmp_path / "alone")
    assert len(alone) == 1
    assert alone.items() <= by_cell(mixed).items()


def test_other_hashes_of_strings_change_nothing(mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processes = []
    for number in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", number)
        processes.append(start_process(small_study(**MIXED, seeds=[1, 2]), tmp_path / number))
    assert [process.wait(300) for process in processes] == [0, 0]
    for number in ("1", "2"):
        assert by_cell(tmp_path / number) == by_cell(mixed)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers: int, mixed: Path, tmp_path: Path) -> None:
    study = small_study(**MIXED, seeds=[1, 2], resources={"backend": "ray", "workers": workers})
    run.start(study, tmp_path / "ray")
    assert by_cell(tmp_path / "ray") == by_cell(mixed)


def test_a_process_of_its_own_changes_nothing(mixed: Path, tmp_path: Path) -> None:
    run.start(small_study(**MIXED, seeds=[1, 2], limits={"isolation": "process"}), tmp_path / "isolated")
    assert by_cell(tmp_path / "isolated") == by_cell(mixed)


@pytest.mark.parametrize("engine", ["fused", "reference", "batched"])
def test_small_problems_do_not_depend_on_the_number_of_threads(engine: str, tmp_path: Path) -> None:
    found = []
    for cpus in (1, 2):
        changes: dict[str, Any] = {"resources": {"backend": "inline", "cpus_per_cell": cpus}}
        changes |= {"training": {"engine": engine, "max_epochs": 3, "batch_size": 256, "l2_grid": [0.0, 1e-4]}}
        study = small_study(searchers=["random", "sif"], budget={"trials": 2, "visits": 60_000}, **changes)
        run.start(study, tmp_path / str(cpus))
        found.append(by_cell(tmp_path / str(cpus)))
    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "equal"), [("fused", True), ("reference", False)])
def test_of_large_problems_it_depends_on_the_engine(engine: str, equal: bool, tmp_path: Path) -> None:
    """100,000 ratings: PyTorch adds up sums of that length in parts, one for each thread."""
    options = {"users": 943, "items": 1682, "density": 0.063, "operation": "multiply", "dim": 4}
    found = []
    for cpus in (1, 2):
        changes: dict[str, Any] = {"datasets": [{"name": "planted", "options": options}], "dims": [8]}
        changes |= {"training": {"engine": engine, "max_epochs": 1}, "scoring": {"points": 1}}
        changes |= {"resources": {"backend": "inline", "cpus_per_cell": cpus}}
        run.start(small_study(searchers=["random"], budget={"trials": 2}, **changes), tmp_path / str(cpus))
        (rows,) = trajectory(tmp_path / str(cpus)).values()
        found.append([row for row in rows if row[0] == "trial"])
    for one, other in zip(*found, strict=True):
        assert one[3] == pytest.approx(other[3], rel=1e-6)
    if equal:
        assert found[0] == found[1]


def test_under_a_budget_of_seconds_the_shorter_search_is_the_beginning_of_the_longer_one(tmp_path: Path) -> None:
    """What is not the same is where it ends."""
    rows = []
    for seconds in (0.15, 0.6):
        study = small_study(searchers=["random"], budget={"seconds": seconds}, scoring={"points": 1})
        run.start(study, tmp_path / str(seconds))
        (of_cell,) = trajectory(tmp_path / str(seconds)).values()
        rows.append([row for row in of_cell if row[0] == "trial"])
    shorter, longer = sorted(rows, key=len)
    assert longer[: len(shorter)] == shorter
    assert len(longer) > 1
