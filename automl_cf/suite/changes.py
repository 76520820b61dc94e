"""What is not as it was when a run began: data that are others end it, all else is accepted only where that is asked.

A run that goes on under other code, versions or plug-ins may give other results than one that was never stopped. So
`resume` refuses it, unless it is told to accept it, and then the run's log and manifest say so.
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from automl_cf.cf.data import Dataset
from automl_cf.errors import InputError
from automl_cf.events import SCHEMA, Event
from automl_cf.suite.manifest import RESOLVED, code, processor, read_manifest, versions
from automl_cf.suite.store import MANIFEST_NAME, Store
from automl_cf.suite.study import Study, make_study

RESUMED_WITH = "resumed_with"  # the manifest's list of what a run was gone on with
KIND = "changed"  # of the event

_SHOWN = 3  # changes that a refusal names
_FREE = {"name", "resources", "limits", "analysis", "skipped", "plugins"}  # keys of a study that no result depends on


def changes(
    manifest: Mapping[str, Any], study: Study, datasets: Mapping[str, Dataset], splits: Mapping[str, str] | None = None
) -> list[str]:
    """What differs now from what the manifest of a run says, each in words; what it does not say is passed over.

    `splits` are the splits' hashes by the manifest's keys. What is compared is the code and the versions that the run
    was gone on with last, if it was.
    """
    found = [*problem_changes(manifest, datasets, splits or {}), *_study(manifest, study), *_plugins(manifest, study)]
    return [*found, *_code(manifest), *_versions(manifest)]


def problem_changes(
    manifest: Mapping[str, Any], datasets: Mapping[str, Dataset], splits: Mapping[str, str]
) -> list[str]:
    """Those that make it another problem: other data, or other splits of them."""
    before = _mapping(manifest, "datasets")
    recorded = {title: entry.get("sha256") for title, entry in before.items() if isinstance(entry, Mapping)}
    found = [
        f"the data set '{title}' had the SHA-256 {_short(recorded[title])} and has {_short(data.sha256)}"
        for title, data in datasets.items()
        if recorded.get(title) not in (None, data.sha256)
    ]
    former = _mapping(manifest, "splits")
    for key, now in splits.items():
        if former.get(key) not in (None, now):
            found.append(f"the split '{key}' had the hash {_short(former[key])} and has {_short(now)}")
    return found


def machine_changes(manifest: Mapping[str, Any]) -> list[str]:
    """Another processor: no reason to refuse, but bits and seconds may differ."""
    before, now = _last(manifest, "processor", _mapping(manifest, "machine").get("processor")), processor()
    return [] if before in (None, now) else [f"the processor was '{before}' and is '{now}'"]


def go_on_with(
    store: Store, study: Study, datasets: Mapping[str, Dataset], splits: Mapping[str, str], accept: bool
) -> list[str]:
    """Record what has changed since a run began, before it is gone on with; return that in words.

    Raises InputError for other data, which are never accepted, and unless `accept` for all else but another processor.
    """
    folder = store.folder
    manifest = read_manifest(folder)
    if others := problem_changes(manifest, datasets, splits):
        raise InputError(
            f"'{folder}' cannot be gone on with, since the data have changed: {_some(others)}. Start a new run."
        )
    found = changes(manifest, study, datasets)
    if found and not accept:
        raise InputError(
            f"'{folder}' was begun under other conditions, so that its results may become others: {_some(found)}. "
            "Bring back what was, or go on all the same by --accept-changes (in Python accept_changes=True), which is "
            "recorded."
        )
    found += [*machine_changes(manifest), *_unknown(manifest)]
    if found:
        now = time.time()
        event = {"schema": SCHEMA, "kind": KIND, "cell": None, "time": now, "changes": found}
        store.append(event)
        entry: dict[str, Any] = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(now)), "changes": found}
        entry |= {"versions": versions(), "code": code(), "processor": processor()}
        entry |= {"plugins": _hashes(study)}
        if manifest:
            store.write_json(MANIFEST_NAME, {**manifest, RESUMED_WITH: [*(manifest.get(RESUMED_WITH) or ()), entry]})
    return found


class Unfinished:
    """Whether a run has something left to do, told its events one by one."""

    def __init__(self, cells: Iterable[str]) -> None:
        self._cells = tuple(cells)
        self._of_kind: dict[str, set[str]] = {kind: set() for kind in ("incumbent", "ended", "cell_scored")}

    def add(self, event: Event) -> None:
        """Take in the next event."""
        kind = "ended" if event["kind"] in ("cell_finished", "cell_failed") else event["kind"]
        if kind in self._of_kind:
            self._of_kind[kind].add(event["cell"])

    def __bool__(self) -> bool:
        found, ended, scored = self._of_kind.values()
        return any(cell not in ended or (cell in found and cell not in scored) for cell in self._cells)


def _study(manifest: Mapping[str, Any], study: Study) -> list[str]:
    """Keys of the study that were edited in the run's folder, and on which results depend."""
    try:
        before = make_study(_mapping(manifest, RESOLVED)).model_dump(mode="json")
    except InputError:  # there is none, or an older version wrote it
        return []
    now = study.model_dump(mode="json")
    return [
        f"the study's '{key}' was {before[key]!r:.60} and is {now[key]!r:.60}"
        for key in now
        if key not in _FREE and before[key] != now[key]
    ]


def _plugins(manifest: Mapping[str, Any], study: Study) -> list[str]:
    before, now = _last(manifest, "plugins", manifest.get("plugins")), _hashes(study)
    if not isinstance(before, Mapping):
        return []
    return [
        f"the plug-in '{name}' had the SHA-256 {_short(before.get(name))} and has {_short(now.get(name))}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]


def _hashes(study: Study) -> dict[str, str | None]:
    return {Path(plugin.file).name: plugin.sha256 for plugin in study.plugins}


def _code(manifest: Mapping[str, Any]) -> list[str]:
    before = _last(manifest, "code", manifest.get("code"))
    former = before.get("fingerprint") if isinstance(before, Mapping) else None
    now = code()["fingerprint"]
    if former in (None, now):
        return []
    return [f"the code of automl-cf had the fingerprint {_short(former)} and has {_short(now)}"]


def _unknown(manifest: Mapping[str, Any]) -> list[str]:
    """What an older run's manifest does not say."""
    known = _last(manifest, "code", manifest.get("code")) is not None
    return [] if known else ["whether the code of automl-cf is the same is not known: the manifest does not say it"]


def _versions(manifest: Mapping[str, Any]) -> list[str]:
    """Versions that differ; of Python's the first two numbers count, since the third one brings corrections only."""
    before, now = _last(manifest, "versions", manifest.get("versions")), versions()
    if not isinstance(before, Mapping):
        return []
    found = []
    for name in sorted({*before, *now} - {"automl-cf"}):  # of ours the fingerprint says more
        was, has = before.get(name), now.get(name)
        if name == "python":
            was, has = (None if version is None else ".".join(str(version).split(".")[:2]) for version in (was, has))
        # Older manifests have fewer names; what has gone, or come, since a newer one is a change.
        if was != has and (was is not None or RESOLVED in manifest):
            found.append(f"{name} was {was or 'not installed'} and is {has or 'not installed'}")
    return found


def _last(manifest: Mapping[str, Any], key: str, first: Any) -> Any:
    """What the run was gone on with last, or else what it began with."""
    for entry in reversed(manifest.get(RESUMED_WITH) or ()):
        if isinstance(entry, Mapping) and key in entry:
            return entry[key]
    return first


def _mapping(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = values.get(key)
    return value if isinstance(value, Mapping) else {}


def _short(digest: object) -> str:
    return "none" if digest is None else str(digest)[:12]


def _some(found: Iterable[str]) -> str:
    listed = list(found)
    more = f"; and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return "; ".join(listed[:_SHOWN]) + more
