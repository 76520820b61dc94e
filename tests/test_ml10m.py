"""MovieLens-10M's form, on small archives made here; the real one is not fetched."""

import hashlib
import random
import zipfile

import numpy as np
import pytest

from automl_cf.cf import data
from automl_cf.cf.data.cache import CachedFile, store
from automl_cf.cf.data.dataset import Fetched
from automl_cf.cf.data.sets.ml_10m import ml_10m
from automl_cf.cf.data.sources import Member, WebArchive, obtain
from automl_cf.errors import InputError


def made_lines():
    """(user, film, rating, timestamp) as in ratings.dat: ids with gaps, sorted by user, half stars."""
    rng = random.Random(2)
    films = rng.sample(range(1, 60000), 9)
    return [
        (user, film, rng.randint(1, 10) / 2, 838980000 + rng.randint(0, 10**8))
        for user in (1, 2, 5, 71567)
        for film in sorted(rng.sample(films, rng.randint(3, 8)))
    ]


def text_of(lines):
    return "".join(f"{user}::{film}::{rating:g}::{time}\n" for user, film, rating, time in lines)


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "ml-10m.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("ml-10M100K/ratings.dat", text_of(made_lines()))
        opened.writestr("ml-10M100K/movies.dat", "1::A film: with colons::Comedy|Drama\n")
    return path


def as_dict(ratings):
    rows = zip(ratings.indices.tolist(), ratings.values.tolist(), strict=True)
    return {tuple(int(names[i]) for names, i in zip(ratings.labels, index, strict=True)): v for index, v in rows}


EXPECTED = {(user, film): rating for user, film, rating, _ in made_lines()}


def test_the_archive_is_read(archive):
    ratings = ml_10m.read({"ml-10m.zip": archive})
    assert as_dict(ratings) == EXPECTED
    assert ratings.shape == (4, len({film for _, film in EXPECTED}))
    assert [names.tolist() == sorted(names.tolist()) for names in ratings.labels] == [True, True]
    assert not np.array_equal(ratings.values, np.rint(ratings.values))  # half stars are kept


def test_an_unpacked_file_is_read_by_its_path(tmp_path):
    path = tmp_path / "ratings.dat"
    path.write_text(text_of(made_lines()))
    assert as_dict(data.load(path).ratings) == EXPECTED


def test_an_archive_may_be_kept_as_it_comes(archive, tmp_path, monkeypatch):
    """As MovieLens-10M's is: what is checked and cached is the archive itself."""
    monkeypatch.setenv("AUTOML_CF_DATA", str(tmp_path / "cache"))
    contents = archive.read_bytes()
    file = CachedFile("ml-10m.zip", hashlib.sha256(contents).hexdigest(), len(contents))

    class Local(WebArchive):
        def download(self, folder, progress):
            return archive

    made = Fetched("made", (Local("http://example.org/ml-10m.zip", (Member(None, file),)),), ml_10m.read)
    dataset = made()
    assert as_dict(dataset.ratings) == EXPECTED
    assert dataset.sha256 == file.sha256
    assert (tmp_path / "cache" / "made" / "ml-10m.zip").read_bytes() == contents

    other = CachedFile("ml-10m.zip", "0" * 64, len(contents))
    with pytest.raises(InputError, match=r"ml-10m\.zip has SHA-256 [0-9a-f]{64}, not 0{64}"):
        obtain("other", [Local("http://example.org/ml-10m.zip", (Member(None, other),))])
    assert not list((tmp_path / "cache").glob("other/*"))


def test_a_file_in_the_cache_that_is_not_the_published_one_is_refused(archive, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOML_CF_DATA", str(tmp_path / "cache"))
    contents = archive.read_bytes()
    store(
        tmp_path / "cache" / "ml-10m",
        CachedFile("ml-10m.zip", hashlib.sha256(contents).hexdigest(), len(contents)),
        [contents],
    )
    with pytest.raises(InputError, match=r"data set 'ml-10m': what .*ml-10m should have is corrupt"):
        data.verify("ml-10m")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"ml-10M100K/movies.dat": "1::a::b\n"}, r"has no readable ml-10M100K/ratings\.dat"),
        ({"ml-10M100K/ratings.dat": "1::x::5::1\n"}, r"has no readable ml-10M100K/ratings\.dat"),
    ],
)
def test_an_archive_of_another_form_is_refused(tmp_path, members, message):
    path = tmp_path / "ml-10m.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for name, contents in members.items():
            opened.writestr(name, contents)
    with pytest.raises(InputError, match=message):
        ml_10m.read({"ml-10m.zip": path})
    path.write_bytes(b"no archive")
    with pytest.raises(InputError, match=message):
        ml_10m.read({"ml-10m.zip": path})
