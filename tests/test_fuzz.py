"""Everything that reads what a user hands in: malformed inputs, and a test for each defect that they once found."""

import ast
import gzip
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_runs import Found, StoredRun

from automl_cf.analysis.published import published_markdown
from automl_cf.analysis.run import Run
from automl_cf.benchmarks.fuzz.guard import ForbiddenError, Guard, Memory
from automl_cf.benchmarks.fuzz.mutate import damaged_files, json_text
from automl_cf.benchmarks.fuzz.subjects import SUBJECTS, made, outcome, write
from automl_cf.cf.data import load
from automl_cf.cf.data.files import read_rows
from automl_cf.cf.data.parquet import ROOM, TIMES, read_columns
from automl_cf.cf.data.sources import Member
from automl_cf.cf.portable import PortableModel
from automl_cf.cf.table import Table
from automl_cf.errors import InputError
from automl_cf.reading import load_toml, read_json, read_toml
from automl_cf.suite.study import read_study

SOURCES = Path(__file__).parents[1]


def stored_runs(folder):
    """Two runs, one with its log compressed; what the campaign makes by training is made by hand here."""
    found = []
    for seed in (1, 2):
        run = StoredRun(folder / str(seed))
        for searcher in ("sif", "random"):
            points = [Found(1.0, 0.95, retrain=0.5), Found(2.0, 0.9 + seed / 100, retrain=0.5)]
            run.cell("planted", 4, searcher, seed, points, end=3.0)
        path = run.write()
        (path / "reasons.toml").write_text('sif = "few epochs"\n')
        found.append({file.name: file.read_bytes() for file in path.iterdir()})
    found.append({name: content for name, content in found[1].items() if name != "events.jsonl"})
    found[-1]["events.jsonl.gz"] = gzip.compress(found[1]["events.jsonl"])
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return stored_runs(tmp_path_factory.mktemp("runs"))


def check(subject, examples, numbers, place):
    """Read inputs under guard; all must be accepted, or refused by one sentence."""
    inside, outside = place / "inside", place / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    verdicts = {"accepted": 0, "refused": 0}
    guard = Guard(inside, outside)
    for number in numbers:
        files, _ = made(subject, examples, 7, number)
        folder = inside / str(number)
        write(files, folder)
        with guard.at_work():
            verdict, detail = outcome(subject, folder, Random(number))
        assert verdict in verdicts, f"{subject.name} {number}: {detail}"
        verdicts[verdict] += 1
    assert sorted(file.name for file in place.iterdir()) == ["inside", "outside"]
    assert [file.name for file in outside.iterdir()] == ["secret.txt"]
    return verdicts


QUICK = {"study": 100, "stored-study": 100, "names": 100, "model": 150, "pairs": 50}
QUICK |= {"ratings": 50, "parquet": 40, "youtube": 30, "costco": 30}


@pytest.mark.parametrize("name", QUICK)
def test_malformed_inputs_are_accepted_or_refused_by_a_sentence(name, tmp_path):
    subject = SUBJECTS[name]
    verdicts = check(subject, subject.examples(), range(QUICK[name]), tmp_path)
    assert min(verdicts.values()) > 0


def test_malformed_logs_are_accepted_or_refused_by_a_sentence(runs, tmp_path):
    verdicts = check(SUBJECTS["log"], runs, range(40), tmp_path)
    assert min(verdicts.values()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_campaign_has_no_findings(name, tmp_path):
    command = [sys.executable, "-m", "automl_cf.benchmarks.fuzz", "--inputs", "80", "--seed", "11", "--parser", name]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"| {name} |" in (tmp_path / "fuzz.md").read_text()


# The harness itself: a campaign that cannot find anything would be worth nothing


def test_an_input_is_the_same_for_its_seed_and_number():
    subject = SUBJECTS["study"]
    examples = subject.examples()
    first = [made(subject, examples, 1, number)[0] for number in range(50)]
    assert first == [made(subject, examples, 1, number)[0] for number in range(50)]
    assert first != [made(subject, examples, 2, number)[0] for number in range(50)]
    assert sum(files not in examples for files in first) > 40


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.sampled_from(["a.json", "a.jsonl", "a.toml", "a.csv", "a.npz", "a.gz", "a.parquet"]))
def test_any_content_can_be_damaged(seed, name):
    rng = Random(seed)
    content = rng.randbytes(rng.randrange(50))
    assert set(damaged_files({name: content}, {name: b"x"}, rng)) <= {name}


def test_raw_values_are_written_as_they_are():
    assert json_text({"a": "\x00raw\x001e400", "b": "c"}) == b'{"a": 1e400, "b": "c"}'


FORBIDDEN = {
    "a file outside is written": "open(path.parent.parent / 'x', 'w')",
    "a file outside is written, another way": "import os; os.open(path.parent.parent / 'x', os.O_WRONLY | os.O_CREAT)",
    "a folder outside is made": "(path.parent.parent / 'new').mkdir()",
    "a link outside is made": "(path.parent.parent / 'link').symlink_to('x')",
    "the secret is read": "(path.parent.parent / 'outside' / 'secret.txt').read_text()",
    "the secret is read by a link": "(path / 'to').symlink_to(path.parent.parent / 'outside'); "
    "(path / 'to' / 'secret.txt').read_text()",
    "a command is run": "import os; os.system('true')",
    "a process is started": "import subprocess; subprocess.Popen(['true'])",
    "a pickle is read": "import pickle; pickle.loads(b'\\x80\\x04cos\\nsystem\\n.')",
    "a connection is opened": "import socket; socket.socket().connect(('127.0.0.1', 9))",
    "a text is evaluated": "eval('1 + 1')",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_guard_sees_that(what, tmp_path):
    for folder in ("inside/input", "outside"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "outside" / "secret.txt").write_text("secret")
    code = compile(FORBIDDEN[what], __file__, "exec")
    names = {"path": tmp_path / "inside" / "input"}
    guard = Guard(tmp_path / "inside", tmp_path / "outside")
    with pytest.raises(ForbiddenError), guard.at_work():
        exec(code, names)
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "new").exists()


def test_the_guard_lets_readers_read_and_write_their_own(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside").mkdir()
    with Guard(tmp_path / "inside", tmp_path / "outside").at_work():
        (tmp_path / "inside" / "own").write_text("own")
        assert Path(__file__).read_text()


def test_memory_is_measured():
    memory = Memory()
    memory.before()
    content = np.ones(10_000_000)
    taken = memory.after()
    del content
    assert 70e6 < taken < 160e6


@pytest.mark.slow
def test_hangs_and_deaths_are_findings_and_the_rest_is_read_nevertheless(tmp_path, monkeypatch):
    """With a subject of its own, whose reading never ends, dies or takes memory at some inputs."""
    (tmp_path / "bad.py").write_text(
        "import os, sys\n"
        "import automl_cf.benchmarks.fuzz.subjects as subjects\n"
        "from automl_cf.errors import InputError\n"
        "def read(folder, rng):\n"
        "    text = (folder / 'argument0').read_bytes()\n"
        "    if b'hang' in text:\n"
        "        while True: pass\n"
        "    if b'die' in text: os.kill(os.getpid(), 11)\n"
        "    if b'memory' in text: x = bytearray(600_000_000)\n"
        "    if b'error' in text: raise KeyError(1)\n"
        "    if b'lines' in text: raise InputError('a\\nb')\n"
        "    if b'refused' in text: raise InputError('It is bad.')\n"
        "texts = [b'hang', b'fine', b'die', b'memory', b'error', b'lines', b'refused', b'fine']\n"
        "def made(subject, examples, seed, number): return {'argument0': texts[number]}, None\n"
        "subjects.SUBJECTS = {'bad': subjects.Subject('bad', '', lambda: [{'argument0': b'fine'}], read)}\n"
        "subjects.made = made\n"
        "import runpy\n"
        "sys.argv = ['worker', *sys.argv[1:]]\n"
        "runpy.run_module('automl_cf.benchmarks.fuzz.worker', run_name='__main__')\n"
    )
    from automl_cf.benchmarks.fuzz import __main__ as command

    def worker(subject, numbers, seed, place, seconds):
        line = [sys.executable, str(tmp_path / "bad.py"), "bad", "1", str(place), "1", *command._ranges(numbers)]
        return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy())

    monkeypatch.setattr(command, "_worker", worker)
    subject = SUBJECTS["plugin"]
    tally = command.campaign(subject, range(8), 1, tmp_path / "place")
    assert tally.verdicts == {"accepted": 2, "refused": 2, "finding": 4}
    by_number = {number: detail for found in tally.findings.values() for number, detail in found}
    assert "a hang" in by_number[0]
    assert "SIGSEGV" in by_number[2]
    assert "MiB of memory" in by_number[3]
    assert "KeyError" in by_number[4]


# No code of a user's, in any form

NEVER = {"eval", "exec", "compile", "__import__", "read_pickle", "unsafe_load", "full_load", "execfile", "to_pickle"}
NEVER_OF = {("torch", "load"), ("yaml", "load"), ("os", "system"), ("os", "popen"), ("joblib", "load")}
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "joblib", "yaml"}
ALLOWED = {"automl_cf/analysis/packed.py": {"marshal"}}  # of what it packed itself
BETWEEN_PROCESSES = ("isolation", "ray_backend", "ray_driver")  # of a run, never of a file
ALLOWED |= {f"automl_cf/suite/{name}.py": {"pickle"} for name in BETWEEN_PROCESSES}


def violations(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (name for name in names if name and name.split(".")[0] in PICKLES | {"marshal"})
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name) and function.id in NEVER:
                yield function.id
            if isinstance(function, ast.Attribute):
                of = function.value.id if isinstance(function.value, ast.Name) else ""
                if (of, function.attr) in NEVER_OF or function.attr in NEVER - {"compile"}:
                    yield f"{of}.{function.attr}"
            for keyword in node.keywords:
                truth = isinstance(keyword.value, ast.Constant) and keyword.value.value is not False
                if keyword.arg in ("allow_pickle", "shell") and truth:
                    yield keyword.arg


def test_no_source_unpickles_or_evaluates():
    found = {}
    for folder in ("automl_cf", "searchers", "spaces", "benchmarks"):
        for file in sorted((SOURCES / folder).rglob("*.py")):
            name = file.relative_to(SOURCES).as_posix()
            wrong = set(violations(ast.parse(file.read_text(encoding="utf-8")))) - ALLOWED.get(name, set())
            if wrong:
                found[name] = sorted(wrong)
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "eval(text)",
        "exec(text)",
        "import pickle",
        "from pickle import loads",
        "np.load(f, allow_pickle=True)",
        "torch.load(f)",
        "pd.read_pickle(f)",
        "yaml.load(f)",
        "os.system('x')",
        "subprocess.run(x, shell=True)",
        "import marshal",
    ],
)
def test_such_a_source_would_be_found(source):
    assert list(violations(ast.parse(source)))


# What was found once


def test_json_and_toml_that_are_nested_too_deep(tmp_path):
    for name, content in (("study.json", "[" * 100_000), ("study.toml", "a = " + "[" * 100_000)):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match="nested too deep"):
            read_study(tmp_path / name)


def test_keys_of_toml_with_very_many_parts(tmp_path):
    for text in ("a." * 100_000 + "a = 1", "x = {" + '"b" . ' * 100_000 + "c = 1}", "'a'." * 50 + "b = 2"):
        with pytest.raises(ValueError, match="more than 30 parts"):
            load_toml(text)
    sentence = "It ended early. Few epochs, by 0.5. " * 50
    assert load_toml(f'a.b.c = "{sentence}"\nd = {[0.5] * 500}')["a"]["b"]["c"] == sentence
    (tmp_path / "large.toml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(InputError, match="larger than 1048576 bytes"):
        read_toml(tmp_path / "large.toml")


def test_a_file_without_an_end(tmp_path):
    with pytest.raises(InputError, match="larger than"):
        read_toml(Path("/dev/zero"))
    (tmp_path / "ratings.csv").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="no regular file"):
        load(tmp_path / "ratings.csv")


def test_values_in_messages_about_studies_are_cut(tmp_path):
    path = tmp_path / "study.toml"
    begin = 'datasets = ["planted"]\nsearchers = ["sif"]\n'
    for text in (f'{begin}budget.trials = "{"x" * 100_000}"', f"{begin}budget.{'y' * 100_000} = 1"):
        path.write_text(text)
        with pytest.raises(InputError, match="budget") as caught:
            read_study(path)
        assert len(str(caught.value)) < 700
    path.with_suffix(".json").write_text('{"\\ud800\\n": 1}')
    with pytest.raises(InputError) as caught:
        read_study(path.with_suffix(".json"))
    str(caught.value).encode()
    assert "\n" not in str(caught.value)


def test_the_home_of_a_user_whom_there_is_not(tmp_path):
    begin = 'datasets = ["planted"]\nsearchers = ["sif"]\nbudget.trials = 1\n'
    (tmp_path / "study.toml").write_text(f'{begin}plugins = ["~no-such-user-here/x.py"]\n')
    for read in (lambda: read_study(tmp_path / "study.toml"), lambda: load("~no-such-user-here/ratings.csv")):
        with pytest.raises(InputError, match="home of a user whom there is not"):
            read()


@pytest.mark.parametrize(
    ("file", "field", "value", "message"),
    [
        ("study.json", "budget", 3, "budget = 3, but it must be an object"),
        ("study.json", "searchers", [{"name": "sif", "space": {"options": []}}], "searchers.0.space.options"),
        ("study.json", "analysis", {"thresholds": ["x"]}, "analysis.thresholds.0 = 'x', but it must be a number"),
        ("study.json", "seeds", [2**70], "a whole number of more than 64 bits"),
        ("study.json", "training", {"l2": float("inf")}, "numbers must be finite"),
        ("study.json", "name", "\ud800", "which is no Unicode"),
        ("study.json", "seeds", list(range(1_100_000)), "cells, but a study may have 1000000"),
        ("manifest.json", "versions", [1], r"versions = \[1\], but it must be an object"),
        ("manifest.json", "datasets", {"planted": 7}, "datasets.planted = 7, but it must be an object"),
        ("manifest.json", "machine", [[[[]]]], "machine = .*, but it must be an object or null"),
        ("manifest.json", "plugins", {"a": {}}, "plugins.a = {}, but it must be a text"),
    ],
)
def test_fields_of_others_runs_are_checked(runs, file, field, value, message, tmp_path):
    changed = json.loads(runs[0][file]) | {field: value}
    write(runs[0] | {file: json.dumps(changed).encode()}, tmp_path)
    with pytest.raises(InputError, match=message):
        Run.load(tmp_path)


def test_a_study_of_more_cells_than_can_be_meant(tmp_path):
    many = list(range(1, 1001))
    values = {"datasets": ["planted"], "searchers": ["sif", "random"], "budget": {"trials": 1}}
    (tmp_path / "study.json").write_text(json.dumps(values | {"seeds": many, "dims": many}))
    with pytest.raises(InputError, match=r"1 datasets x 1000 dims x 2 searchers x 1000 seeds = 2000000 cells"):
        read_study(tmp_path / "study.json")


RATINGS = "user,item,rating\n" + "".join(f"u{i},{i % 3},{i % 5}\n" for i in range(12))


def parquet(tmp_path, columns, **how):
    path = tmp_path / "ratings.parquet"
    pyarrow.parquet.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **how)
    return path


def test_parquet_that_is_far_larger_in_memory(tmp_path):
    zeros = np.zeros(20_000_000, np.int64)
    path = parquet(tmp_path, {"user": zeros, "item": zeros, "rating": zeros})
    assert path.stat().st_size < 1_000_000
    with pytest.raises(InputError, match=r"has 20000000 rows in \d+ bytes of a file"):
        load(path)
    texts = pa.DictionaryArray.from_arrays(np.zeros(5000, np.int32), pa.array(["x" * 1_000_000]))
    path = parquet(tmp_path, {"user": texts, "item": texts, "rating": np.arange(5000)})
    with pytest.raises(InputError, match="bytes or more in"):
        load(path)
    assert path.stat().st_size * TIMES + ROOM < 5_000 * 1_000_000


def test_claims_of_parquet_are_kept_by_what_is_large_indeed(tmp_path):
    rows = 300_000
    rng = np.random.default_rng(0)
    users = np.char.add("user-of-a-long-name-", np.sort(rng.integers(0, 1000, rows)).astype(str))
    frame = pd.DataFrame({"user": users, "item": rng.permutation(rows), "rating": rng.integers(1, 6, rows)})
    frame.to_parquet(tmp_path / "r.parquet", compression="zstd")
    pd.testing.assert_frame_equal(read_columns(tmp_path / "r.parquet", ["user", "item", "rating"]), frame)


def test_what_pandas_has_noted_in_parquet_is_not_asked(tmp_path):
    table = pa.table({"user": ["a", "b", "c"] * 4, "item": [1, 2, 3, 4] * 3, "rating": [1.0, 2.0] * 6})
    for noted in (b"[" * 5000, b'{"index_columns": [7], "columns": [3]}', b'{"columns": [{"numpy_type": "xyz"}]}'):
        path = parquet(tmp_path, table.replace_schema_metadata({b"pandas": noted}))
        assert len(load(path).ratings) == 12


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[i] for i in range(12)]),
        pa.array([{"a": i} for i in range(12)]),
        pa.array([b"\xff"] * 12),
        pa.array(range(12), pa.duration("s")),
        pa.array(range(12), pa.time64("us")),
    ],
)
def test_columns_of_parquet_that_are_no_names(column, tmp_path):
    path = parquet(tmp_path, {"user": column, "item": pa.array(range(12)), "rating": pa.array(range(12))})
    with pytest.raises(InputError, match=r"column 'user' has the type .*, but must have numbers, texts"):
        load(path)


def test_columns_of_parquet_that_are_there_twice(tmp_path):
    table = pa.Table.from_arrays([pa.array(range(12))] * 3, names=["user", "item", "item"])
    path = parquet(tmp_path, table)
    with pytest.raises(InputError, match=r"must be given|2 times, not once"):
        load(path)
    with pytest.raises(InputError, match="2 times, not once"):
        read_rows(path, ["user", "item"])


def test_ids_of_parquet_stay_exact_beside_gaps(tmp_path):
    ids = [2**53 + 1, None, 2**53 + 3]
    path = parquet(tmp_path, {"user": pa.array(ids, pa.int64()), "note": pa.array([[1], None, [2]])})
    rows = read_rows(path, ["user"])
    assert rows["user"].tolist() == ids


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"index_columns": 3}, "must be a list of two or more columns"),
        ({"index_columns": [True, None]}, "index_columns is True, but must name columns"),
        ({"index_columns": [[0], {}]}, r"index_columns is \[0\], but must name columns"),
        ({"value_column": ["rating"]}, "value_column is"),
        ({"value_column": 1.5}, "value_column is 1.5"),
        ({"time_column": {}}, "time_column is"),
        ({"time_bin": []}, "time_bin is"),
        ({"separator": 7}, "separator 7 must be one character"),
        ({"separator": '"'}, "must be one character"),
        ({"separator": "\n"}, "must be one character"),
        ({"separator": "é"}, "must be one character"),
        ({"header": "yes"}, "header is 'yes', but must be true or false"),
    ],
)
def test_options_of_other_types(options, message, tmp_path):
    (tmp_path / "ratings.csv").write_text(RATINGS)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "ratings.csv", **options)


def test_texts_with_a_line_that_is_too_long(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text(RATINGS + '"' + "x" * 200_000 + '",1,2\n')
    with pytest.raises(InputError, match="field larger than field limit"):
        load(path)
    path.write_text("user,item,rating" + "," * 100_000 + "\n")
    with pytest.raises(InputError, match="line 1 has 100003 columns, but a table may have 10000"):
        load(path, index_columns=["user", "item"], value_column="rating")
    with pytest.raises(InputError, match="line 1 has 100003 columns"):
        read_rows(path, ["user"])
    path.write_text("a" * 100_000 + ",b,c,d\n1,2,3,4\n")
    with pytest.raises(InputError, match="must be given") as caught:
        load(path)
    assert len(str(caught.value)) < 700


def test_a_shape_of_costco_that_no_memory_holds(tmp_path):
    (tmp_path / "train_indices.txt").write_text("".join(f"{i} {i % 3}\n" for i in range(12)))
    (tmp_path / "train_values.txt").write_text("".join(f"{i}\n" for i in range(12)))
    (tmp_path / "tensor_shape.txt").write_text("2147483648\n3\n")
    with pytest.raises(InputError, match="whose sum must be at most 1001200"):
        load(tmp_path)
    (tmp_path / "tensor_shape.txt").write_text("12\n3\n")
    assert load(tmp_path).ratings.shape == (12, 3)


@pytest.mark.parametrize(
    "options",
    [
        {"users": 10**9, "items": 10**9},
        {"users": 10**400},
        {"units": 10**6},
        {"dim": 10**9},
        {"users": 10**6, "items": 10**6, "density": 0.5},
        {"more": [10**9, 10**9], "operation": "plus"},
        {"noise": 10**400},
        {"w": [10**400]},
        {"operation": {}},
    ],
)
def test_planted_data_that_no_memory_holds(options):
    with pytest.raises(InputError, match="planted data") as caught:
        load("planted", **options)
    assert len(str(caught.value)) < 500


def test_an_exported_model_that_is_nested_too_deep(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    (tmp_path / "model.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="nested too deep"):
        PortableModel.load(tmp_path)


def test_reasons_that_are_nested_too_deep(runs, tmp_path):
    write(runs[0] | {"reasons.toml": b"a = " + b"[" * 100_000}, tmp_path)
    with pytest.raises(InputError, match=r"reasons\.toml' is not valid TOML: it is nested too deep"):
        published_markdown(Run.load(tmp_path))


def test_a_manifest_that_is_nested_too_deep(runs, tmp_path):
    write(runs[0] | {"manifest.json": b"[" * 100_000}, tmp_path)
    with pytest.raises(InputError, match=r"manifest.json' is not JSON: it is nested too deep"):
        Run.load(tmp_path)


def test_json_must_be_one_object_of_utf_8(tmp_path):
    path = tmp_path / "x.json"
    for content, message in ((b"[1]", "one JSON object"), (b"\xff", "is not JSON"), (b"{", "is not JSON")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_json(path)
    with pytest.raises(InputError, match=r"cannot be read \(No such file.*\), but every run has it"):
        read_json(tmp_path / "nothing.json", ", but every run has it")


def table_rows():
    return SUBJECTS["table"].examples()[0]["table.parquet"]


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("visits", None, "'visits' 0 times"),
        ("rmse", ["x"], "column 'rmse' must have numbers"),
        ("curve", [1.0], "column 'curve' must have lists"),
        ("seed", ["1"], "column 'seed' must have whole numbers"),
        ("operation", [3], "column 'operation' must have texts"),
        ("epochs", [-1], "column 'epochs' must have whole numbers of at least 0"),
    ],
)
def test_tables_with_columns_that_are_wrong(name, values, message, tmp_path):
    frame = pd.read_parquet(io.BytesIO(table_rows()))
    frame = frame.drop(columns=name) if values is None else frame.assign(**{name: values * len(frame)})
    frame.to_parquet(tmp_path / "table.parquet")
    with pytest.raises(InputError, match=message) as caught:
        Table.read(tmp_path / "table.parquet")
    assert "\n" not in str(caught.value)


def test_an_archive_that_swells_is_stopped_and_leaves_nothing(tmp_path, monkeypatch):
    """Also one whose member is named as if it lay elsewhere: names of members are never paths of ours."""
    from automl_cf.benchmarks.fuzz.subjects import _Local
    from automl_cf.cf.data.cache import CachedFile
    from automl_cf.cf.data.sources import obtain

    monkeypatch.setenv("AUTOML_CF_DATA", str(tmp_path / "cache"))
    for name in ("u.data", "../../u.data"):
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, b"\0" * 30_000_000)
        source = _Local(tmp_path / "a.zip", (Member(name, CachedFile("u.data", "0" * 64, 1000)),))
        memory = Memory()
        memory.before()
        with pytest.raises(InputError, match="larger than the 1000 bytes expected"):
            obtain("fuzz", [source], progress=False)
        assert memory.after() < 20e6
        assert sorted(file.name for file in tmp_path.rglob("*")) == ["a.zip", "cache", "fuzz"]


@pytest.mark.slow
def test_damaged_statistics_of_a_parquet_column_do_not_end_the_process(tmp_path):
    """This input once did: PyArrow ends the process where it is asked for such a column's metadata."""
    command = [sys.executable, "-m", "automl_cf.benchmarks.fuzz", "--parser", "pairs", "--seed", "3", "--only", "698"]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 refused" in done.stdout
