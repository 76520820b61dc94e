"""What a data set is, and how one gets its name."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING

from automl_cf.cf.data.sources import Source, obtain
from automl_cf.cf.ratings import RatingTensor
from automl_cf.registry import Registry
from automl_cf.spaces.architecture import Architecture

if TYPE_CHECKING:
    from automl_cf.cf.data.planted import Truth


@dataclass(frozen=True, eq=False)
class Dataset:
    """Ratings, and where they come from.

    ``sha256`` tells the contents: of the file, or of the values if they were generated. ``source`` is the
    address, the path, or a description. ``truth`` is known for planted data only. ``columns`` names the modes,
    if they have names of their own.
    """

    name: str
    ratings: RatingTensor
    sha256: str
    source: str
    truth: "Truth | None" = None
    columns: tuple[str, ...] = ()

    @property
    def architecture(self) -> Architecture | None:
        """The interaction function that made planted data."""
        return self.truth.architecture if self.truth else None


datasets: Registry[Callable[..., Dataset]] = Registry("data set", "automl_cf.cf.data.sets", "automl_cf.datasets")
"""Functions that return a data set, by its name; what options they take is their own affair."""

Reader = Callable[[Mapping[str, Path]], RatingTensor]


class Fetched:
    """A loader of a data set whose files are fetched and kept; it takes no options.

    ``read`` makes the ratings of the files, which it gets by name: those of whichever source they came from.
    The cache keeps them in the folder ``files_of``, which is another data set's name where both are made of
    the same files. ``columns`` are as in `Dataset`.
    """

    def __init__(
        self,
        name: str,
        sources: tuple[Source, ...],
        read: Reader,
        files_of: str | None = None,
        columns: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.files_of = files_of or name
        self.columns = columns
        self.sources = sources
        self.read = read
        update_wrapper(self, read)  # for the registry it is the same after a reload, and documented by ``read``

    def __call__(self) -> Dataset:
        """Return the data set; only if its files are not in the cache are they fetched.

        It names the source whose files were read: of several with the same files the first.
        """
        files = obtain(self.files_of, self.sources)
        source = next(source for source in self.sources if {m.file.name for m in source.members} == files.keys())
        digest = joint_sha256({member.file.name: member.file.sha256 for member in source.members})
        return Dataset(self.name, self.read(files), digest, source.address, columns=self.columns)


def joint_sha256(digests: Mapping[str, str]) -> str:
    """Return the SHA-256 of the one file, or of several ones' SHA-256 in the order of their names."""
    ordered = [digests[name] for name in sorted(digests)]
    return ordered[0] if len(ordered) == 1 else hashlib.sha256("".join(ordered).encode()).hexdigest()


def fetched(
    name: str, *sources: Source, files_of: str | None = None, columns: tuple[str, ...] = ()
) -> Callable[[Reader], Fetched]:
    """Register the decorated function as reader of the data set ``name``, which any of ``sources`` has.

    ``files_of`` names the data set whose files these are, if not this one's; ``columns`` names the modes.
    """

    def decorate(read: Reader) -> Fetched:
        return datasets.register(name)(Fetched(name, sources, read, files_of, columns))

    return decorate
