"""The thresholds of figures about times: those that studies declare, and others that are added and named as such."""

from dataclasses import replace

import pandas as pd

from automl_cf.analysis.figures.subject import Subject
from automl_cf.analysis.run import Run
from automl_cf.analysis.thresholds import times_to
from automl_cf.errors import InputError


def thresholds_of(subject: Subject, dataset: str) -> tuple[float, ...]:
    """Return the thresholds of a data set, declared or added."""
    return tuple(sorted({*subject.declared.get(dataset, ()), *subject.options.thresholds}))


def times(subject: Subject) -> pd.DataFrame:
    """Return `thresholds.times_to` of each data set's thresholds; raises InputError if none has any."""
    frames = []
    for dataset in sorted(set(subject.run.cells["dataset"])):
        wanted = thresholds_of(subject, dataset)
        if wanted:
            frames.append(times_to(_of_dataset(subject.run, dataset), wanted, subject.clock))
    if not frames:
        raise InputError(
            "thresholds: the study declares none (analysis.thresholds); add one with --threshold, such as 0.85, which "
            "the caption will say."
        )
    return pd.concat(frames, ignore_index=True)


def thresholds_in_words(subject: Subject) -> str:
    """Return which thresholds are declared, which are not, and for which data sets there are none."""
    parts, without = [], []
    datasets = sorted(set(subject.run.cells["dataset"]))
    for dataset in datasets:
        declared = subject.declared.get(dataset, ())
        known = thresholds_of(subject, dataset)
        if not known:
            without.append(dataset)
            continue
        words = [f"{value:g}{'' if value in declared else ' (not declared in the study)'}" for value in known]
        parts.append((f"of {dataset} " if len(datasets) > 1 else "") + ", ".join(words))
    text = f"Thresholds of test RMSE / std: {'; '.join(parts)}."
    return f"{text} None are declared for {', '.join(without)}." if without else text


def _of_dataset(run: Run, dataset: str) -> Run:
    names = ("cells", "trials", "incumbents", "scores")
    frames = {name: getattr(run, name) for name in names}
    return replace(run, **{k: f[f["dataset"] == dataset].reset_index(drop=True) for k, f in frames.items()})
