"""A study: what is compared, on what, under which budget and protocol. Read from TOML or built in Python."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from automl_cf.cf.elementwise import ACTIVATIONS
from automl_cf.cf.fused import program
from automl_cf.cf.interaction import operations_of
from automl_cf.cf.operations import operations
from automl_cf.cf.training import Training
from automl_cf.errors import InputError, shortened, suggest
from automl_cf.plugins import Plugin, module_name, read
from automl_cf.reading import expanded, read_json, read_toml
from automl_cf.searchers import SearchTask, build, searchers
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.interaction import interaction_space
from automl_cf.spaces.nas import nas_space
from automl_cf.spaces.space import Space
from automl_cf.spaces.tensor import tensor_space
from automl_cf.suite.streams import stream

SPACES: Mapping[str, Callable[..., Space]] = {
    "interaction": interaction_space,
    "nas": nas_space,
    "tensor": tensor_space,
}
_MOST_CELLS = 1_000_000  # of a study
_MOST_DIM = 65_536
_MOST = 2**63  # trials or visits, which files hold as numbers of 64 bits
PAPER = "paper"  # the paper's space for as many modes as the data have


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Named(_Part):
    """A name with options; a bare string in a study stands for the name alone."""

    name: str = Field(min_length=1)
    label: str = ""
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def title(self) -> str:
        """What events, tables and figures call it."""
        return self.label or self.name


class DatasetEntry(_Named):
    """A data set by name, or a ratings file by path, with the loader's options."""


class SpaceEntry(_Named):
    """A space by name with its options, such as `norm_bound`, `units`, `operations`.

    `paper` is `interaction` for matrices and `tensor` for data with more modes.
    """

    name: str = PAPER

    def build(self, order: int = 2) -> Space:
        """The space for data with so many modes.

        Raises InputError for an unknown name or option, or a value that makes no sense.
        """
        names = {PAPER: "interaction" if order == 2 else "tensor"} | {name: name for name in SPACES}
        if self.name not in names:
            raise InputError(f"unknown space '{self.name}'; known: {', '.join(names)}.{suggest(self.name, names)}")
        own = {"order": order} if names[self.name] == "tensor" and order > 2 else {}
        try:
            space = SPACES[names[self.name]](**own | self.options)
        except TypeError as error:
            raise InputError(f"space '{names[self.name]}': {error}.") from error
        activation = space.constants.get("activation", "sigmoid")
        if activation not in ACTIVATIONS:
            raise InputError(
                f"space.options.activation is '{activation}', but must be one of {', '.join(ACTIVATIONS)}."
            )
        for name in _operations_in(space):
            operations.get(name)
        return space


class SearcherEntry(_Named):
    """A searcher by name, with options and, if it is not the study's, a space."""

    space: SpaceEntry | None = None


class PluginEntry(_Part):
    """A plug-in's file and, if it must be a certain one, its SHA-256; a bare string stands for the file alone.

    In a study's file, a relative path is relative to that file's folder.
    """

    file: str
    sha256: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:
        return {"file": str(value)} if isinstance(value, str | Path) else value


class Skipped(_Part):
    """A searcher that `all` left out, and why."""

    name: str
    reason: str


class Budget(_Part):
    """What ends a cell's search, whichever comes first. `seconds` counts think + train + validate."""

    trials: int | None = Field(default=None, gt=0, lt=_MOST)
    seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    visits: int | None = Field(default=None, gt=0, lt=_MOST)

    @model_validator(mode="after")
    def _some(self) -> "Budget":
        if self.trials is None and self.seconds is None and self.visits is None:
            raise ValueError("needs at least one of trials, seconds, visits")
        return self


class Scoring(_Part):
    """What is retrained over the l2 grid and tested after the search.

    `points`: incumbents at that many log-spaced times of a cell's search, the last always among them;
    `top_k`: that many best trials by validation as well.
    """

    points: int = Field(default=4, gt=0)
    top_k: int = Field(default=1, gt=0)


class Analysis(_Part):
    """What the analysis is told; no result depends on it.

    `smallest_effect`: the smallest difference of test `rmse_std` that matters; `thresholds`: test `rmse_std` to which
    the time is taken.
    """

    smallest_effect: float = Field(default=0.002, gt=0, allow_inf_nan=False)
    thresholds: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = ()


class Resources(_Part):
    """Where cells run, on which no result depends. `workers` 0: one per core, or as many as a cluster has room for.

    `address` is that of a Ray cluster which is there: `auto`, or the head's host:port; `ship` sends it this package,
    and `wait_for_nodes_s` waits for nodes that can run a cell. GPUs may be fractions; `custom_per_cell` are resources
    of Ray, which nodes of a cluster are given by name; `memory_gb_per_cell` is Ray's memory, 0 not asking for any.
    """

    backend: Literal["ray", "inline"] = "ray"
    workers: int = Field(default=0, ge=0)
    cpus_per_cell: int = Field(default=1, gt=0)
    gpus_per_cell: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    memory_gb_per_cell: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    custom_per_cell: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    address: str | None = None
    ship: bool = False
    wait_for_nodes_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @field_validator("gpus_per_cell")
    @classmethod
    def _whole_above_one(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("must be a fraction of one GPU, or a whole number of them")
        return value

    @field_validator("custom_per_cell")
    @classmethod
    def _not_of_ray_itself(cls, values: dict[str, float]) -> dict[str, float]:
        for name, amount in values.items():
            if name.lower() in ("cpu", "gpu", "memory", "object_store_memory"):
                raise ValueError(f"'{name}' has a field of its own: cpus_per_cell, gpus_per_cell, memory_gb_per_cell")
            if not name or (amount > 1 and amount != int(amount)):
                raise ValueError(f"'{name}' must be a name with a fraction of one, or a whole number")
        return values

    @field_validator("address")
    @classmethod
    def _reachable_by_tune(cls, value: str | None) -> str | None:
        if value is None or value == "auto":
            return value
        if value.startswith("ray://"):
            raise ValueError(
                "by its client Ray would run the study on the cluster, away from its folder; give the head's "
                "host:port, often of port 6379, on a machine that is a node of the cluster"
            )
        host, _, port = value.rpartition(":")
        if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 2**16) or "/" in host:
            raise ValueError("must be auto, or the head's host:port, such as 10.0.0.1:6379")
        return value

    @property
    def device(self) -> str:
        """The torch device of a cell."""
        return "cuda" if self.gpus_per_cell > 0 else "cpu"


class Limits(_Part):
    """What a trial, or a searcher's thought, may take before its process is ended.

    `isolation`: "process" runs each cell in a process of its own, which is watched; "none" in the worker itself, which
    then has no limits and does not survive a crash; "auto" is "process" with Ray and "none" inline. `trial_seconds` of
    silence are a time-out (of a retraining that many per l2 of the grid); `memory_gb` is the process's resident memory,
    by default its share of the machine's.
    """

    isolation: Literal["auto", "process", "none"] = "auto"
    trial_seconds: float = Field(default=3600.0, gt=0, allow_inf_nan=False)
    memory_gb: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class Study(_Part):
    """Everything that a run's results depend on, versions and hardware apart."""

    name: str = Field(default="study", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    datasets: tuple[DatasetEntry, ...] = Field(min_length=1)
    searchers: tuple[SearcherEntry, ...] = Field(min_length=1)
    dims: tuple[int, ...] = Field(default=(8,), min_length=1)
    seeds: tuple[int, ...] = Field(default=(1,), min_length=1)
    vary: tuple[Literal["split", "init", "searcher"], ...] = ("split", "init", "searcher")
    fractions: tuple[float, float, float] = (0.5, 0.25, 0.25)
    budget: Budget
    training: Training = Training()
    space: SpaceEntry = SpaceEntry()
    scoring: Scoring = Scoring()
    resources: Resources = Resources()
    limits: Limits = Limits()
    analysis: Analysis = Analysis()
    skipped: tuple[Skipped, ...] = ()
    plugins: tuple[PluginEntry, ...] = ()

    @field_validator("dims", "seeds")
    @classmethod
    def _distinct_and_non_negative(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(values)) < len(values):
            raise ValueError("values must differ")
        if min(values) < 0:
            raise ValueError("values must not be negative")
        if max(values) >= 2**31:
            raise ValueError("values must be below 2**31")
        return values

    @field_validator("dims")
    @classmethod
    def _possible(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if min(values) < 1:
            raise ValueError("values must be at least 1")
        if max(values) > _MOST_DIM:
            raise ValueError(f"values must be at most {_MOST_DIM}")
        return values

    @field_validator("searchers", "datasets")
    @classmethod
    def _distinct_titles(cls, entries: tuple[_Named, ...]) -> tuple[_Named, ...]:
        titles = [entry.title for entry in entries]
        for title in titles:
            if titles.count(title) > 1:
                raise ValueError(f"'{title}' is there twice; give each a label of its own")
        return entries

    @field_validator("plugins")
    @classmethod
    def _distinct_modules(cls, entries: tuple[PluginEntry, ...]) -> tuple[PluginEntry, ...]:
        modules = [module_name(entry.file) for entry in entries]
        for entry, module in zip(entries, modules, strict=True):
            if modules.count(module) > 1:
                raise ValueError(f"'{Path(entry.file).name}' is there twice; two plug-ins need two names")
        return entries

    @property
    def isolated(self) -> bool:
        """Whether each cell runs in a process of its own."""
        isolation = self.limits.isolation
        return isolation == "process" or (isolation == "auto" and self.resources.backend == "ray")

    def load_plugins(self) -> tuple[Plugin, ...]:
        """Execute the study's plug-ins, so that what they register can be named; returns their sources.

        Raises InputError for one that cannot be read, is not the one that it must be, or raises anything.
        """
        found = tuple(read(entry.file, entry.sha256) for entry in self.plugins)
        for plugin in found:
            plugin.execute()
        return found

    def with_plugins(self, paths: Sequence[Path | str]) -> "Study":
        """The study with the plug-ins at `paths`, too. Raises InputError if two have one name."""
        own = {Path(entry.file).expanduser().resolve() for entry in self.plugins}
        more = [str(path) for path in paths if Path(path).expanduser().resolve() not in own]
        values = self.model_dump(mode="json")
        return make_study({**values, "plugins": [*values["plugins"], *more]}) if more else self

    def space_of(self, entry: SearcherEntry, order: int) -> Space:
        """The space that a searcher searches on data with so many modes."""
        return (entry.space or self.space).build(order)

    def search_task(
        self, entry: SearcherEntry, order: int, seed: int, dim: int, restart: int = 0, truth: Architecture | None = None
    ) -> SearchTask:
        """What the searcher of one cell is made for; `truth` is the architecture that made planted data."""
        drawn = stream("searcher", seed if "searcher" in self.vary else 0, restart)
        known = truth if searchers.get(entry.name).capabilities.needs_truth else None
        training = self.training
        return SearchTask(self.space_of(entry, order), order, training.l2_grid, drawn, dim, training.max_epochs, known)

    def cells(self) -> list["Cell"]:
        """All cells, shuffled within each seed so that no searcher always runs first or last."""
        cells = []
        for seed in self.seeds:
            of_seed = [
                Cell(dataset.title, dim, entry.title, seed)
                for dataset in self.datasets
                for dim in self.dims
                for entry in self.searchers
            ]
            order = np.random.default_rng(stream("order", seed)).permutation(len(of_seed))
            cells += [of_seed[i] for i in order]
        return cells

    def entry(self, cell: "Cell") -> SearcherEntry:
        """The searcher of a cell."""
        return next(entry for entry in self.searchers if entry.title == cell.searcher)

    def check(self, order: int = 2, truth: Architecture | None = None) -> None:
        """Refuse, before anything runs, what could only fail later on such data. Raises InputError."""
        fused = self.training.engine == "fused"
        if fused and self.resources.device != "cpu":
            raise InputError(
                "training.engine is 'fused', which trains on the CPU only; GPUs need "
                'engine = "reference" or "batched".'
            )
        capabilities = [searchers.get(entry.name).capabilities for entry in self.searchers]
        for entry, able in zip(self.searchers, capabilities, strict=True):
            if order not in able.orders:  # before its space is made, which grows fast with the order
                raise InputError(f"searcher '{entry.name}' cannot search data with {order} modes.")
        needs_kernel: dict[str, bool] = {}
        for space in (self.space_of(entry, order) for entry in self.searchers):
            for name in _operations_in(space):
                # With a perceptron as predictor a function trains on PyTorch, whatever the engine.
                needs_kernel[name] = needs_kernel.get(name, False) or "predictor" not in space.constants
        if truth is not None and any(able.needs_truth for able in capabilities):
            needs_kernel |= dict.fromkeys(operations_of(truth), True)
        for name, needed in needs_kernel.items():
            operations.get(name).width(1, order)  # refuses a composition of another number of modes
            if fused and needed:
                program([name], order)  # refuses what has no kernel
        for entry in self.searchers:
            self.check_searcher(entry, order, truth)

    def check_searcher(self, entry: SearcherEntry, order: int, truth: Architecture | None) -> None:
        """Raise InputError if this searcher cannot search such data under the study's budget."""
        build(entry.name, self.search_task(entry, order, 0, self.dims[0], truth=truth), entry.options)
        one_shot = searchers.get(entry.name).capabilities.one_shot
        if one_shot and self.budget.seconds is None and self.budget.visits is None:
            raise InputError(
                f"budget: searcher '{entry.title}' is one-shot and has no trials to count; give seconds or visits."
            )


@dataclass(frozen=True)
class Cell:
    """One data set x dimension x searcher x seed."""

    dataset: str
    dim: int
    searcher: str
    seed: int

    @property
    def id(self) -> str:
        """How events name it."""
        return f"{self.dataset}/d{self.dim}/{self.searcher}/s{self.seed}"


def make_study(values: Mapping[str, Any], source: str = "study") -> Study:
    """Validate a study. Raises InputError with one sentence naming the field, its value and what would be right."""
    try:
        return Study.model_validate(dict(values))
    except ValidationError as error:
        sentence = " ".join(f"{source}: {_first_problem(error)}".split())
        raise InputError(sentence.encode(errors="backslashreplace").decode()) from error


def read_study(path: Path | str) -> Study:
    """Read a study in TOML, or a run's resolved one in JSON.

    Raises InputError for a file that is missing, not of that form, or no valid study.
    """
    path = Path(path)
    values = read_json(path) if path.suffix == ".json" else read_toml(path)
    study = make_study({"name": path.stem, **values}, str(path))
    _check_size(study, path)
    found = [entry.model_copy(update={"file": str(path.parent / expanded(entry.file))}) for entry in study.plugins]
    return study.model_copy(update={"plugins": tuple(found)})


def _check_size(study: Study, path: Path) -> None:
    """Raise InputError for more cells than can be meant, before they are made."""
    sizes = {key: len(getattr(study, key)) for key in ("datasets", "dims", "searchers", "seeds")}
    cells = math.prod(sizes.values())
    if cells > _MOST_CELLS:
        counted = " x ".join(f"{size} {key}" for key, size in sizes.items())
        raise InputError(f"'{path}' has {counted} = {cells} cells, but a study may have {_MOST_CELLS}.")


def _operations_in(space: Space) -> list[str]:
    """The names of the operations that a space chooses among."""
    choices = [parameter for parameter in space.parameters if parameter.name in ("operation", "operations")]
    return [str(name) for parameter in choices for name in getattr(parameter, "options", ())]


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    field = f"{'.'.join(f'{part!s:.60}' for part in problem['loc']):.200}" or "the study"
    if problem["type"] == "extra_forbidden":
        key = str(problem["loc"][-1])
        known = _fields_at(problem["loc"][:-1])
        return f"unknown key '{field}'; known there are {', '.join(known)}.{suggest(key, known)}"
    if problem["type"] == "missing":
        return f"{field} is missing."
    message = f"{problem['msg'].removeprefix('Value error, '):.300}"
    if problem["type"] == "too_short":
        message = f"must have at least {problem['ctx']['min_length']}, but has {problem['ctx']['actual_length']}"
    given = problem["input"]
    shown = "" if isinstance(given, dict | BaseModel) else f" is {shortened(given)}"
    return f"{field}{shown}: {message[:1].lower()}{message[1:]}."


def _fields_at(place: tuple[int | str, ...]) -> list[str]:
    """The keys that the model at a place of a study knows."""
    model: type[BaseModel] = Study
    for part in place:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        nested = [a for a in (annotation, *getattr(annotation, "__args__", ())) if isinstance(a, type)]
        model = next((a for a in nested if issubclass(a, BaseModel)), model)
    return list(model.model_fields)
