"""`automl-cf compare`: a study made from the options of the command line."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from automl_cf.errors import InputError
from automl_cf.reading import load_toml

SOURCE = "compare"
DATASET = "ml-100k"
SEARCHERS = ("bias-only", "single-op", "sif", "sif-robust", "sif-no-auto", "random", "bayes")
DIM = "8"
SEEDS = "2"
SECONDS = 20.0

_MOST_SEEDS = 1000  # more are surely one seed's number, meant as such

# A study's field -> the option that sets it
_OPTIONS = {
    "datasets": "--dataset",
    "searchers": "--searchers",
    "plugins": "--plugin",
    "space.options.operations": "--operations",
    "dims": "--dim",
    "seeds": "--seeds",
    "budget.trials": "--trials",
    "budget.seconds": "--time-budget",
    "budget.visits": "--visits",
    "budget": "--trials",
    "training.engine": "--engine",
    "resources.backend": "--backend",
    "resources.workers": "--workers",
    "resources.gpus_per_cell": "--gpus-per-worker",
    "resources.address": "--address",
    "limits.trial_seconds": "--trial-seconds",
    "limits.memory_gb": "--memory-gb",
    "limits.isolation": "--isolation",
}


def compare_study_values(
    *,
    dataset: str = DATASET,
    data_options: Sequence[str] = (),
    searchers: Sequence[str] = SEARCHERS,
    operations: Sequence[str] = (),
    plugins: Sequence[Path] = (),
    dim: str = DIM,
    seeds: str = SEEDS,
    trials: int | None = None,
    time_budget: float | None = None,
    visits: int | None = None,
    engine: str | None = None,
    backend: str = "ray",
    workers: int = 0,
    gpus_per_worker: float = 0.0,
    address: str | None = None,
    trial_seconds: float | None = None,
    memory_gb: float | None = None,
    isolation: str = "auto",
) -> dict[str, Any]:
    """The study that the options describe, for `make_study`.

    Texts are what stands on the command line: `dim`, `seeds` and each of `searchers` and `operations` may be comma
    lists (a single number N as `seeds` means 1 to N); each of `data_options` is key=value. Without any budget it is
    `SECONDS` of search a cell; with GPUs the engine is the one that can use them. Raises InputError, naming the option,
    for texts that cannot be read; whether the values make sense is for `make_study` to say.
    """
    label = Path(dataset).stem  # what a file is called in tables and in cells' names; of a name it is the name
    budget = {"trials": trials, "seconds": time_budget, "visits": visits}
    given = {key: value for key, value in budget.items() if value is not None}
    chosen = _distinct("--operations", [name for text in operations for name in _parts(text)])
    return {
        "name": "compare-" + (re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip("-.") or "data"),
        "datasets": [{"name": dataset, "label": label, "options": parse_data_options(data_options)}],
        "searchers": _distinct("--searchers", [name for text in searchers for name in _parts(text)]),
        "space": {"options": {"operations": chosen} if chosen else {}},
        "plugins": list(plugins),
        "dims": _distinct("--dim", _integers("--dim", dim, "a number, or several, such as 4,8,16")),
        "seeds": _seeds(seeds),
        "budget": given or {"seconds": SECONDS},
        "training": {"engine": engine or ("batched" if gpus_per_worker else "fused")},
        "resources": {
            "backend": backend,
            "workers": workers,
            "gpus_per_cell": gpus_per_worker,
            "address": None if address == "local" else address,
        },
        "limits": {
            "isolation": isolation,
            "memory_gb": memory_gb,
            **({} if trial_seconds is None else {"trial_seconds": trial_seconds}),
        },
    }


@contextmanager
def named_as_options() -> Iterator[None]:
    """Let an InputError about a field of the study name the option that sets the field."""
    try:
        yield
    except InputError as error:
        raise InputError(_with_options(str(error))) from error


def _with_options(message: str) -> str:
    message = message.removeprefix(f"{SOURCE}: ")
    for field, option in _OPTIONS.items():
        message = re.sub(rf"^{re.escape(field)}(\.\w+)*(?=:| is )", option, message)
    return message.replace("give seconds or visits", "give --time-budget or --visits")


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _seeds(text: str) -> list[int]:
    right = f"a count from 1 to {_MOST_SEEDS}, such as 5 for seeds 1 to 5, or a list (1,3,5; just seed 7 is '7,')"
    numbers = _distinct("--seeds", _integers("--seeds", text, right))
    if "," in text:
        return numbers
    (count,) = numbers
    if not 1 <= count <= _MOST_SEEDS:
        raise InputError(f"--seeds is '{text}', but must be {right}.")
    return list(range(1, count + 1))


def _integers(option: str, text: str, right: str) -> list[int]:
    try:
        numbers = [int(part) for part in _parts(text)]
    except ValueError:
        numbers = []
    if not numbers:
        raise InputError(f"{option} is '{text}', but must be {right}.")
    return numbers


def _distinct(option: str, values: list[Any]) -> list[Any]:
    for value in values:
        if values.count(value) > 1:
            raise InputError(f"{option} names {value} twice; once is enough.")
    return values


def parse_data_options(texts: Sequence[str]) -> dict[str, Any]:
    """Read a data set's options, each key=value. Raises InputError for one that is not, and for a key given twice."""
    options: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise InputError(f"--data-option is '{text}', but must be key=value, such as noise=0.1.")
        if key in options:
            raise InputError(f"--data-option gives '{key}' twice; once is enough.")
        options[key] = _data_value(value)
    return options


def _data_value(text: str) -> Any:
    """A value as TOML writes it, a comma list, or, if it is neither, the text itself."""
    try:
        parsed = load_toml(f"value = {text}")
    except (ValueError, RecursionError):
        parsed = {}
    if set(parsed) == {"value"} and isinstance(parsed["value"], bool | int | float | str | list):
        return parsed["value"]
    parts = [text] if "(" in text else text.split(",")  # a composition is one value: plus(multiply(1,2),3)
    return [_data_value(part) for part in parts] if len(parts) > 1 and all(parts) else text
