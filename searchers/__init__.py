"""Search strategies, one per file: the module `sif_robust` holds the searcher `sif-robust`."""

from automl_cf.searchers._interface import (
    AskTellSearcher,
    Capabilities,
    OneShotSearcher,
    Proposal,
    Searcher,
    SearchTask,
    build,
    searchers,
)

__all__ = [
    "AskTellSearcher",
    "Capabilities",
    "OneShotSearcher",
    "Proposal",
    "SearchTask",
    "Searcher",
    "build",
    "searchers",
]
