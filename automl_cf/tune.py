"""Our searchers in a plain Ray Tune experiment: one Tune trial is one architecture.

tuner = tune.Tuner(
    trainable,  # gets the architecture as its config, reports {"rmse": ...}
    tune_config=tune.TuneConfig(search_alg=TuneSearch("evolution", space, metric="rmse"), num_samples=50),
)
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from ray.tune.search import Searcher

from automl_cf.cf.problem import Evaluation
from automl_cf.cf.training import PAPER_L2_GRID
from automl_cf.errors import InputError
from automl_cf.searchers import AskTellSearcher, SearchTask, build
from automl_cf.spaces.space import Space


class TuneSearch(Searcher):
    """An ask/tell searcher of ours as a search algorithm of Tune.

    A trial's config is the architecture's JSON, and `epochs` where the searcher limits the training (a lower fidelity).
    `metric` is minimised, or with `mode` "max" maximised; Tune does not pass on those of a TuneConfig without a
    `param_space`, so they are given here. `order` is the number of modes, `dim` the embedding
    dimension, for searchers that ask for them. Raises InputError for what `searchers.build` refuses, and for a
    one-shot searcher. Wrap it in Tune's ConcurrencyLimiter to bound the trials pending at once.
    """

    def __init__(
        self,
        searcher: str,
        space: Space,
        metric: str,
        mode: str = "min",
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        order: int = 2,
        dim: int = 8,
        max_epochs: int = 60,
    ) -> None:
        super().__init__(metric=metric, mode=mode)
        stream = np.random.SeedSequence(seed)
        built = build(searcher, SearchTask(space, order, PAPER_L2_GRID, stream, dim, max_epochs), options or {})
        if not isinstance(built, AskTellSearcher):
            raise InputError(f"searcher '{searcher}' trains a supernet of its own; Tune needs one that proposes.")
        self._searcher = built
        self._numbers: dict[str, int] = {}

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Refuse a `param_space`: the space is ours."""
        return not config

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The next trial's config, or that there are no more."""
        proposals = self._searcher.ask(1)
        if not proposals:
            return cast(None, Searcher.FINISHED)  # a text, which Ray's own types forget
        (proposal,) = proposals
        self._numbers[trial_id] = proposal.id
        limit = {} if proposal.epochs is None else {"epochs": proposal.epochs}
        return {**proposal.architecture.to_json(), **limit}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the searcher: a trial with an error, or without a finite metric, has failed."""
        value = None if error or result is None else result.get(str(self._metric))
        number = self._numbers.pop(trial_id)
        if value is None or not np.isfinite(value):
            self._searcher.tell(number, Evaluation("failed", None, error="the trial gave no result"))
        else:
            self._searcher.tell(number, Evaluation("ok", float(value if self._mode == "min" else -value)))

    def save(self, checkpoint_path: str) -> None:
        """Write the searcher's log."""
        state = {**self._searcher.state_dict(), "numbers": self._numbers}
        Path(checkpoint_path).write_text(json.dumps(state), encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        """Replay a log on this fresh searcher."""
        state = json.loads(Path(checkpoint_path).read_text(encoding="utf-8"))
        self._searcher.load_state_dict(state)
        self._numbers = state["numbers"]
