"""`all` as a searcher's name: every registered searcher that can search the study's data."""

from automl_cf.cf.data import load
from automl_cf.errors import AutomlCfError
from automl_cf.searchers import searchers
from automl_cf.suite.study import SearcherEntry, Skipped, Study

EVERY = "all"


def with_every_searcher(study: Study) -> Study:
    """The study with its entry `all` replaced; those left out stand in `skipped`, with the reason.

    A searcher that is there already is left as it is; under a label it is another, beside which its plain form stands.
    A study without that entry stays as it is. Raises InputError if its data cannot be loaded.
    """
    if EVERY not in [entry.name for entry in study.searchers]:
        return study
    titles = {entry.title for entry in study.searchers}
    fitting, skipped = [entry for entry in study.searchers if entry.name != EVERY], []
    datasets = [load(entry.name, **entry.options) for entry in study.datasets]
    for name in searchers.names():
        if name in titles:
            continue
        entry = SearcherEntry(name=name)
        try:
            for dataset in datasets:
                study.check_searcher(entry, dataset.ratings.order, dataset.architecture)
        except AutomlCfError as error:
            skipped.append(Skipped(name=name, reason=str(error)))
        else:
            fitting.append(entry)
    return study.model_copy(update={"searchers": tuple(fitting), "skipped": tuple(skipped)})
