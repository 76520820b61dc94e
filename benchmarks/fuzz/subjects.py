"""What reads the files that a user hands in, each with valid examples and what reading such a file means.

Modules are imported when a subject is asked for: some need torch, some only the analysis.
"""

import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from automl_cf.benchmarks.fuzz.mutate import NUMBERS, TEXTS, Files, damaged_bytes, damaged_files
from automl_cf.errors import AutomlCfError

ARGUMENT = "argument"  # the file that holds a text of the command line


@dataclass(frozen=True)
class Subject:
    """A reader of files.

    `examples` are valid inputs; `read` takes the folder of one and raises an AutomlCfError for what it refuses; which
    of several things is done with it may be drawn. `damage` makes a malformed input of an example and another one.
    """

    name: str
    what: str
    examples: Callable[[], list[Files]]
    read: Callable[[Path, Random], object]
    damage: Callable[[Files, Files, Random], Files] = damaged_files


# Studies

_STUDY = b"""
name = "small"
datasets = [{name = "planted", options = {users = 60, items = 40, noise = 0.1}}]
searchers = ["bias-only", {name = "random", label = "r", options = {}}, {name = "sif", space = {name = "paper"}}]
dims = [4, 8]
seeds = [1, 2]
vary = ["split"]
fractions = [0.5, 0.25, 0.25]

[budget]
trials = 6
seconds = 1.5
visits = 400000

[training]
max_epochs = 8
batch_size = 256
l2_grid = [0.0, 1e-4]
engine = "fused"

[space]
options = {operations = ["plus", "multiply"], norm_bound = 2.0}

[scoring]
points = 2

[resources]
backend = "inline"

[analysis]
thresholds = [0.9]
"""


def _studies() -> list[Files]:
    return [{"study.toml": _STUDY}, {"study.toml": b'datasets = ["ml-100k"]\nsearchers = ["sif"]\nbudget.trials = 3\n'}]


def _stored_studies() -> list[Files]:
    from automl_cf.suite.study import read_study

    with TemporaryDirectory() as folder:
        made = []
        for files in _studies():
            path = Path(folder) / "study.toml"
            path.write_bytes(files[path.name])
            made.append({"study.json": read_study(path).model_dump_json().encode()})
        return made


def _read_study(folder: Path, rng: Random) -> object:
    from automl_cf.suite.study import read_study

    return read_study(next(folder.iterdir())).cells()


# Ratings


def _ratings_rows() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    cells = rng.permutation(30)[:24]
    return pd.DataFrame(
        {
            "user": [f"u{cell // 5}" for cell in cells],
            "item": cells % 5 + 100,
            "rating": rng.integers(1, 6, len(cells)) / 2,
            "time": 880_000_000 + 3_000_000 * cells,
        }
    )


def _texts() -> list[Files]:
    rows = _ratings_rows()
    plain = rows.assign(user=rows["user"].str[1:])
    return [
        {"ratings.csv": rows.to_csv(index=False).encode()},
        {"ratings.tsv": plain.to_csv(index=False, header=False, sep="\t").encode()},
        {"ratings.csv": "\n".join("::".join(map(str, row)) for row in plain.to_numpy()).encode()},
        {"ratings.csv": rows[["user", "item", "rating"]].to_csv(index=False).encode()},
    ]


def _parquets() -> list[Files]:
    rows = _ratings_rows()
    frames = [rows, rows.set_index(["user", "item"]), rows.astype({"user": "category"})]
    return [{"ratings.parquet": _parquet(frame)} for frame in frames]


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {},
    {"index_columns": [0, 1], "value_column": 2},
    {"index_columns": ["user", "item"], "value_column": "rating", "time_column": "time", "time_bin": "day"},
    {"index_columns": [0, 1], "value_column": 2, "time_column": 3},
    {"separator": ",", "header": True},
    {"separator": "\t", "header": False},
    {"value_column": "rating"},
)
_ODD_OPTIONS: tuple[dict[str, Any], ...] = (
    {"index_columns": "user"},
    {"index_columns": [True, None]},
    {"index_columns": [0, 10**30]},
    {"index_columns": [[0], {}]},
    {"index_columns": 3},
    {"value_column": 1.5},
    {"value_column": -1},
    {"value_column": ["rating"]},
    {"time_column": "time", "time_bin": 3},
    {"time_column": {}, "time_bin": "month"},
    {"time_bin": []},
    {"separator": ""},
    {"separator": 7},
    {"separator": '"'},
    {"separator": "\n"},
    {"separator": "é"},
    {"separator": "\x00"},
    {"header": "yes"},
    {"header": 2},
    {"unknown": 1},
)


def _load(folder: Path, rng: Random) -> object:
    from automl_cf.cf.data import facts, load

    options = rng.choice(_ODD_OPTIONS) if rng.random() < 0.05 else rng.choice(_OPTIONS)
    return facts(load(next(folder.iterdir()), **options))


def _youtube() -> list[Files]:
    rng = np.random.default_rng(2)
    pairs = [(a, b) for a in range(1, 9) for b in range(a + 1, 9)]
    files = {}
    for kind in range(1, 6):
        lines = [f"{a},{b},{rng.integers(1, 9)}" for a, b in pairs if rng.random() < 0.8]
        files[f"{kind}-edges.csv"] = "\n".join(lines).encode() + b"\n"
    return [files]


def _costco() -> list[Files]:
    rng = np.random.default_rng(4)
    cells = rng.permutation(4 * 3 * 2)[:20]
    indices = "\n".join(f"{c // 6} {c // 2 % 3} {c % 2}" for c in cells).encode()
    values = "\n".join(str(value) for value in rng.integers(1, 6, len(cells))).encode()
    return [{"tensor_shape.txt": b"4\n3\n2\n", "train_indices.txt": indices, "train_values.txt": values}]


def _load_folder(folder: Path, rng: Random) -> object:
    from automl_cf.cf.data import facts, load

    files = {file.name for file in folder.iterdir()}
    options = {"rows": 4, "more_than": 3} if any("edges" in name for name in files) else {}
    return facts(load(folder, **options))


_PLANTED = (
    (b"users=20", b"items=30", b"noise=0.1", b"operation=plus", b"seed=3", b"density=0.5", b"dim=2", b"units=4"),
    (b"users=20", b"items=9", b"more=3", b"operation=plus(multiply(1,2),3)", b"nonzeros=40", b"scale=1.5", b"dim=2"),
    (b"users=9", b"items=8", b"dim=2", b"w=1,2", b"p=identity", b"q=0.1,0.2,0.3,0.4", b"activation=tanh"),
)


def _plant(folder: Path, rng: Random) -> object:
    from automl_cf.cf.data import facts, load
    from automl_cf.cli.compare import parse_data_options

    texts = _arguments(folder)
    return facts(load("planted", **parse_data_options(texts)))


# Archives


def _archives() -> list[Files]:
    import zipfile

    made = []
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as archive:
            archive.writestr("ml-10M100K/ratings.dat", "1::2::3.5::8\n2::2::4::9\n3::1::1::9\n1::1::2::9\n2::1::5::9\n")
            archive.writestr("u.data", "header\n" + "1\t2\t3\n" * 50)
        made.append({"archive.zip": buffer.getvalue()})
    return made


@dataclass(frozen=True)
class _Local:
    """A source whose archive is here."""

    archive: Path
    members: tuple[Any, ...]
    address: str = "https://example.org/archive.zip"

    def download(self, folder: Path, progress: bool) -> Path:
        return self.archive


def _read_archive(folder: Path, rng: Random) -> object:
    """Obtain a member into a cache that lies in the folder, as `fetch` does; or read MovieLens-10M's archive."""
    from automl_cf.cf.data.cache import CachedFile
    from automl_cf.cf.data.sets.ml_10m import ml_10m
    from automl_cf.cf.data.sources import Member, obtain

    archive = folder / "archive.zip"
    if rng.random() < 0.5:
        return ml_10m.read({"ml-10m.zip": archive})
    content = b"1\t2\t3\n" * 50
    file = CachedFile("u.data", hashlib.sha256(content).hexdigest(), len(content))
    return obtain("fuzz", [_Local(archive, (Member("u.data", file, skip_lines=1),))], progress=False)


# Models


def _models() -> list[Files]:
    from automl_cf.cf.data import plant
    from automl_cf.cf.models import TrainingTask
    from automl_cf.cf.portable import train_on_all
    from automl_cf.cf.splits import random_split
    from automl_cf.cf.training import Training
    from automl_cf.spaces.architecture import Architecture

    network = [0.3, -0.4, 0.1, 0.2, 0.5, -0.2, 0.05]
    kinds: list[dict[str, Any]] = [
        {"operation": "multiply"},
        {"operations": ["max", "plus"], "p": network, "q": network, "activation": "sigmoid"},
        {"model": "bias-only"},
        {"model": "mlp", "width1": 4, "width2": 0},
        {"model": "biased-mf"},
        {"operation": "concat", "predictor": "mlp"},
        {"operation": "plus", "bias": True},
        {"model": "fm"},
    ]
    dataset = plant(users=6, items=5, density=0.8, dim=2)
    data = random_split(dataset.ratings, 1).for_search()
    task = TrainingTask(data, Training(max_epochs=2, engine="reference"), 2, np.random.SeedSequence(1))
    made = []
    for kind in kinds:
        model = train_on_all(Architecture(kind), dataset.ratings, task, l2=1e-3, epochs=2)
        with TemporaryDirectory() as folder:
            model.save(Path(folder) / "model")
            made.append({file.name: file.read_bytes() for file in (Path(folder) / "model").iterdir()})
    return made


def _damaged_model(files: Files, others: Files, rng: Random) -> Files:
    """A model with damages, and mostly with checksums that are right nevertheless."""
    result = damaged_files(files, others, rng)
    if rng.random() < 0.2 or set(result) != set(files):
        return result
    try:
        record = json.loads(result["model.json"])
    except (ValueError, RecursionError):
        return result
    if isinstance(record, dict):
        record["arrays"] = hashlib.sha256(result["model.safetensors"]).hexdigest()
        record.pop("digest", None)
        record["digest"] = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
        result["model.json"] = json.dumps(record).encode()
    return result


def _use_model(folder: Path, rng: Random) -> object:
    from automl_cf.cf.portable import PortableModel

    model = PortableModel.load(folder)
    first = [names.labels[0] if names.labels else "?" for names in model.names]
    rows = pd.DataFrame({column: [label, "never seen"] for column, label in zip(model.columns, first, strict=True)})
    return model.predict(rows), model.recommend([first[0], "never seen"], n=3)


def _pairs() -> list[Files]:
    rows = pd.DataFrame({"user": [0, 1, 2, 7], "item": ["1", "2", "x", "3"], "note": ["a", "b,c", "", "d"]})
    texts = [rows.to_csv(index=False), rows.to_csv(index=False, sep="\t")]
    return [*({"pairs.csv": text.encode()} for text in texts), {"pairs.parquet": _parquet(rows)}]


_known: dict[str, Any] = {}


def _use_pairs(folder: Path, rng: Random) -> object:
    from automl_cf.cf.data.files import read_rows

    if "model" not in _known:
        _known["model"] = _tiny_model()
    model = _known["model"]
    if rng.random() < 0.7:
        return model.predict(read_rows(next(folder.iterdir()), model.columns))
    return model.recommend([0, 1], n=2, seen=read_rows(next(folder.iterdir()), model.columns[:2]))


def _tiny_model() -> Any:
    from automl_cf.cf.bias import BiasModel
    from automl_cf.cf.names import Names
    from automl_cf.cf.portable import PortableModel
    from automl_cf.spaces.architecture import Architecture

    biases = [np.linspace(-1, 1, size + 1) for size in (4, 3)]
    names = (Names(range(4), "user"), Names(range(1, 4), "item"))
    return PortableModel(
        Architecture({"model": "bias-only"}), BiasModel(0.5, biases), ("user", "item"), names, 3.0, 1.0, {}
    )


# Runs


def _runs() -> list[Files]:
    """Two small runs as the suite stores them, the second one with its log compressed."""
    from automl_cf.suite import run
    from automl_cf.suite.study import make_study

    planted = {"name": "planted", "options": {"users": 30, "items": 20, "density": 0.5, "dim": 2}}
    made = []
    for seeds in ([1, 2], [2, 3]):
        values = {
            "name": "small",
            "datasets": [planted],
            "searchers": ["bias-only", "sif"],
            "dims": [2],
            "seeds": seeds,
            "budget": {"trials": 2, "visits": 5_000},
            "training": {"max_epochs": 2, "batch_size": 64, "l2_grid": [0.0]},
            "scoring": {"points": 2},
            "resources": {"backend": "inline"},
            "analysis": {"thresholds": [0.9]},
        }
        with TemporaryDirectory() as place:
            folder = Path(place) / "run"
            run.start(make_study(values), folder)
            files = {name: (folder / name).read_bytes() for name in ("study.json", "manifest.json", "events.jsonl")}
        made.append(files | {"reasons.toml": b'sif = "few epochs"\n'})
    made.append({name: content for name, content in made[1].items() if name != "events.jsonl"})
    made[-1]["events.jsonl.gz"] = gzip.compress(made[1]["events.jsonl"])
    return made


_LOGS = ("events.jsonl", "events.jsonl.gz")
_CHECKSUM = re.compile(rb',\s*"crc"\s*:\s*"[0-9a-f]{8}"\s*}\s*$')


def _damaged_log(files: Files, others: Files, rng: Random) -> Files:
    return _damaged_run(files, others, rng, _LOGS)


def _damaged_run(files: Files, others: Files, rng: Random, names: Sequence[str] = ()) -> Files:
    """A run with damages, and mostly with checksums of its log's lines that are right nevertheless."""
    result = damaged_files(files, others, rng, names)
    if rng.random() < 0.2:
        return result
    if _LOGS[0] in result:
        result[_LOGS[0]] = _signed(result[_LOGS[0]])
    elif result.get(_LOGS[1], b"") != files.get(_LOGS[1]):
        try:
            lines = zlib.decompressobj(31).decompress(result[_LOGS[1]], 1 << 22)
        except (KeyError, zlib.error):
            return result
        result[_LOGS[1]] = gzip.compress(_signed(lines), 1) if len(lines) < 1 << 22 else result[_LOGS[1]]
    return result


def _signed(log: bytes) -> bytes:
    """The lines of a log with checksums as `events.encode` writes them."""
    lines = []
    for line in log.splitlines(keepends=True):
        content, found = _CHECKSUM.subn(b"}", line)
        end = b',"crc":"%08x"}\n' % zlib.crc32(content)
        lines.append(content[:-1] + end if found else line)
    return b"".join(lines)


def _load_run(folder: Path, rng: Random) -> object:
    from automl_cf.analysis.run import Run

    run = Run.load(folder)
    return [list(run.trials[column]) for column in ("architecture", "curve", "seconds")], run.scores.describe()


def _use_run(folder: Path, rng: Random) -> object:
    """Do one of the things that are done with a stored run."""
    from automl_cf.analysis.run import Run

    (name,) = rng.choices(list(_USES), [_OFTEN.get(use, 1) for use in _USES])
    if name in _OF_FOLDERS:
        return _USES[name](folder)
    return _USES[name](Run.load(folder))


def _published(run: Any) -> object:
    from automl_cf.analysis.published import published_markdown

    return published_markdown(run)


def _verdict(run: Any) -> object:
    from automl_cf.analysis.verdicts import verdict_text

    return verdict_text(run)


def _compared(run: Any) -> object:
    from automl_cf.analysis.run_comparison import compare_runs

    if "run" not in _known:
        raise LookupError("there is no other run to compare with; `prepare` must be called first")
    found = compare_runs(run, _known["run"])
    found.check()
    return str(found)


def _summarised(run: Any) -> object:
    from automl_cf.analysis.summary import write_summary
    from automl_cf.analysis.tables import write_scores

    return write_scores(run), write_summary(run)


def _tabulated(run: Any) -> object:
    from automl_cf.analysis import export_tables

    for kind in export_tables.KINDS:
        export_tables.as_text(export_tables.table(run, kind), kind, "latex")
    return None


def _reported(run: Any) -> object:
    from automl_cf.analysis.report import write_report

    return write_report(run)


def _drawn(run: Any) -> object:
    from automl_cf.analysis.figures.draw import draw_figure

    return draw_figure("anytime", run, run.path / "figure", formats=["svg"])


def _watched(folder: Path) -> object:
    from rich.console import Console

    from automl_cf.cli.watch import look

    return look(folder, Console(file=io.StringIO()))


def _stored(folder: Path) -> object:
    from automl_cf.suite.run import stored_study

    return stored_study(folder)


_USES: Mapping[str, Callable[[Any], object]] = {
    "published": _published,
    "verdict": _verdict,
    "compare-runs": _compared,
    "summary": _summarised,
    "table": _tabulated,
    "watch": _watched,
    "study": _stored,
    "report": _reported,
    "figure": _drawn,
}
_OF_FOLDERS = ("watch", "study")
_OFTEN = {"watch": 8, "study": 8, "compare-runs": 4, "published": 4, "summary": 4, "verdict": 2}


# Checkpoints and tables


def _checkpoints() -> list[Files]:
    from automl_cf.suite.cell import _Saved

    arrays = {"alpha": np.arange(5.0), "table0": np.ones((4, 2), np.float32)}
    found = {"architecture": {"operation": "plus"}, "rmse": 0.9}
    values = {"searcher": {"step": 3}, "restart": 0, "best": 0.9, "shown": "id", "found": found}
    return [{"checkpoint.npz": _Saved(arrays, values).to_bytes()}]


def _read_checkpoint(folder: Path, rng: Random) -> object:
    from automl_cf.suite.cell import _Saved

    return _Saved.from_bytes((folder / "checkpoint.npz").read_bytes()).found


_KEYS = ("operation", "users", "items")


def _tables() -> list[Files]:
    from automl_cf.cf.table import Row, Table, architectures

    rows = [
        Row(
            seed, str(a["operation"]), str(a["users"]), str(a["items"]), "ok", 0.9, 0.95, 2, 1, (0.9, 1.0), 10, 0.1, 0.1
        )
        for seed in (1, 2)
        for a in architectures()
    ]
    return [{"table.parquet": _parquet(Table.of(rows).rows)}]


def _read_table(folder: Path, rng: Random) -> object:
    from automl_cf.cf.table import Table, architectures

    table = Table.read(folder / "table.parquet")
    architecture = rng.choice(list(architectures()))
    return [(table.best(seed), table.evaluate(architecture, seed, 1)) for seed in table.seeds]


# Texts of the command line


def _argument_examples(*groups: tuple[bytes, ...]) -> Callable[[], list[Files]]:
    return lambda: [{f"{ARGUMENT}{i}": text for i, text in enumerate(group)} for group in groups]


def _arguments(folder: Path) -> list[str]:
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return [file.read_bytes().decode("utf-8", "surrogateescape") for file in files]


def _damaged_text(files: Files, others: Files, rng: Random) -> Files:
    """Texts with damages; a system hands no text on with a zero byte in it."""
    chosen = [name for name in files if rng.random() < 0.5] or [next(iter(files))]
    result = {name: files[name] for name in chosen}
    name = rng.choice(chosen)
    for _ in range(rng.choice((1, 1, 2))):
        other = rng.choice([*files.values(), *others.values()])
        result[name] = damaged_bytes(result[name], rng, other)
    key, equals, _ = result[name].partition(b"=")
    if equals and rng.random() < 0.5:
        result[name] = key + equals + rng.choice(NUMBERS + TEXTS).encode()
    return {name: text.replace(b"\x00", b"") for name, text in result.items()}


def _parse_formula(folder: Path, rng: Random) -> object:
    from automl_cf.cf.operations import operations

    (text, *_) = _arguments(folder)
    return operations.get(text).width(4, 3)


def _parse_options(folder: Path, rng: Random) -> object:
    """The options of `compare`, up to its study."""
    from automl_cf.cli.compare import compare_study_values
    from automl_cf.suite.study import make_study

    texts = _arguments(folder) + [""] * 5
    rng.shuffle(texts)
    return make_study(
        compare_study_values(
            dataset=texts[0] or "ml-100k",
            searchers=[texts[1] or "sif"],
            operations=[texts[2] or "plus"],
            dim=texts[3] or "4",
            seeds=texts[4] or "2",
            trials=1,
        )
    )


def _parse_recommend(folder: Path, rng: Random) -> object:
    from automl_cf.cli import model

    texts = _arguments(folder)
    return _tiny_model().recommend(model._in_commas(texts[0]), n=2), model._context(texts[1:])


def _parse_searcher(folder: Path, rng: Random) -> object:
    """A searcher's options, as a study in TOML has them."""
    from automl_cf.suite.study import read_study

    study = read_study(folder / "study.toml")
    for entry in study.searchers:
        study.check_searcher(entry, 2, None)
    return study


def _searcher_studies() -> list[Files]:
    options = {
        "sif": "step = 0.1",
        "sif-robust": "",
        "evolution": "",
        "bayes": "",
        "rl": "",
        "darts": "",
        "asha": "",
        "successive-halving": "",
        "ensemble": "",
        "snas": "",
    }
    text = 'datasets = ["planted"]\nbudget.visits = 1000\nsearchers = [{{name = "{}", options = {{{}}}}}]\n'
    return [{"study.toml": text.format(name, given).encode()} for name, given in options.items()]


def _read_plugin(folder: Path, rng: Random) -> object:
    from automl_cf.plugins import read

    (text, *_) = _arguments(folder)
    return read(text)


def prepare(subject: Subject, examples: list[Files], folder: Path) -> None:
    """Make what the subject's reading needs beside its input, in `folder`, and import what its ways of reading need."""
    if subject.name == "plugin":
        for path in (Path("local.py"), Path("plugins") / "mine.py"):
            write({path.name: b""}, path.parent)
    if subject.name != "run":
        return
    from automl_cf.analysis.run import Run

    write(examples[1], folder)
    _known["run"] = Run.load(folder)
    for name, use in _USES.items():
        with suppress(AutomlCfError):  # such as that a run is compared with itself
            use(folder if name in _OF_FOLDERS else _known["run"])


def write(files: Files, folder: Path) -> None:
    """Write an input's files into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


_FORMULAS = ((b"plus(multiply(1,2),3)",), (b"max(1,2,3)",), (b"concat(min(1,3),2)",))
_COMMANDS = ((b"1,3,5", b"3", b"4,8,16", b"sif,random", b"plus,multiply"), (b"ratings.csv", b"all", b"7,"))
_NAMES = ((b"0,1,2", b"month=3"), (b'"a,b",c', b"city=x"))
_PATHS = ((b"local.py",), (b"~/plugins/../plugins/mine.py",))

SUBJECTS: Mapping[str, Subject] = {
    subject.name: subject
    for subject in (
        Subject("study", "a study in TOML", _studies, _read_study),
        Subject("stored-study", "a run's study.json", _stored_studies, _read_study),
        Subject("searcher", "searchers' options in a study", _searcher_studies, _parse_searcher),
        Subject("ratings", "ratings in CSV, TSV and '::', with options", _texts, _load),
        Subject("parquet", "ratings in Parquet", _parquets, _load),
        Subject("youtube", "a folder of Youtube's form", _youtube, _load_folder),
        Subject("costco", "a folder of CoSTCo's form", _costco, _load_folder),
        Subject("archive", "archives of data sets", _archives, _read_archive),
        Subject("log", "event logs, plain and .gz, read as a run", _runs, _load_run, _damaged_log),
        Subject("run", "folders of runs, by all that reads them", _runs, _use_run, _damaged_run),
        Subject("model", "exported models: load, predict, recommend", _models, _use_model, _damaged_model),
        Subject("pairs", "files given to predict and recommend", _pairs, _use_pairs),
        Subject("checkpoint", "checkpoints of one-shot searchers", _checkpoints, _read_checkpoint),
        Subject("table", "exhaustive tables", _tables, _read_table),
        Subject("formula", "formulas of compositions", _argument_examples(*_FORMULAS), _parse_formula, _damaged_text),
        Subject("options", "options of compare", _argument_examples(*_COMMANDS), _parse_options, _damaged_text),
        Subject("data-option", "options of planted data", _argument_examples(*_PLANTED), _plant, _damaged_text),
        Subject("names", "--users and --context", _argument_examples(*_NAMES), _parse_recommend, _damaged_text),
        Subject("plugin", "paths of plug-ins", _argument_examples(*_PATHS), _read_plugin, _damaged_text),
    )
}


def made(subject: Subject, examples: list[Files], seed: int, number: int) -> tuple[Files, Random]:
    """The malformed input of that number, and what draws how it is read."""
    rng = Random(f"{seed}/{subject.name}/{number}")
    files, others = rng.choice(examples), rng.choice(examples)
    return subject.damage(files, others, rng), rng


def outcome(subject: Subject, folder: Path, rng: Random) -> tuple[str, str]:
    """Read an input: "accepted", "refused" with the message, or "finding" with what is wrong.

    An error that is no AutomlCfError, and a message that is not one printable line, are findings.
    """
    try:
        subject.read(folder, rng)
    except AutomlCfError as error:
        return _judged(error)
    except Exception as error:
        return "finding", f"{type(error).__name__} at {_place(error)}: {error!s:.200}"
    return "accepted", ""


MOST_SIGNS = 1000  # of a message


def _judged(error: AutomlCfError) -> tuple[str, str]:
    """Whether the message of an error is one printable line that is not too long."""
    message = str(error)
    wrong = ""
    if not message.strip() or len(message.splitlines()) > 1:
        wrong = "is not one line"
    elif len(message) > MOST_SIGNS:
        wrong = "is too long"
    else:
        try:
            message.encode()
        except UnicodeEncodeError:
            wrong = "cannot be printed"
    if wrong:
        return "finding", f"a message at {_place(error)} {wrong}: {message!r:.200}"
    return "refused", message


def _place(error: BaseException) -> str:
    """The last place of ours that an error passed."""
    place, trace = "?", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not any(part in code.co_filename for part in ("site-packages", "/fuzz/", "lib/python", "<frozen")):
            file = Path(code.co_filename)
            place = f"{file.parent.name}/{file.name}:{trace.tb_lineno} {code.co_name}"
        trace = trace.tb_next
    return place
