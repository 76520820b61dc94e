"""The supernet on the fused engine: the same interface, streams and results as `Supernet`."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_cf.cf import kernels
from automl_cf.cf.elementwise import MODE_VECTORS
from automl_cf.cf.fused import Arrays, FusedTables, vectors_of
from automl_cf.cf.meter import Meter
from automl_cf.cf.metrics import rmse
from automl_cf.cf.models import TrainingTask
from automl_cf.cf.supernet import ArchitectureGradients, Part, Rows, Vector, check_networks, paired_batches
from automl_cf.spaces.views.relaxation import Relaxation


class FusedSupernet:
    """See `Supernet`: shared embeddings, one predictor per operation of the relaxation."""

    def __init__(self, relaxation: Relaxation, task: TrainingTask, meter: Meter, seed: np.random.SeedSequence) -> None:
        self.relaxation = relaxation
        self.meter = meter
        self.training = task.training
        self._rng = np.random.default_rng(seed)
        data = task.data
        check_networks(relaxation, data.train.order)
        self._model = FusedTables(
            relaxation.operations, data, task.training, task.dim, self._rng, task.training.search_l2
        )
        self._parts = {"train": self._model.part(data.train), "valid": self._model.part(data.valid)}
        activation = str(relaxation.space.constants.get("activation", "sigmoid"))
        self._activation = kernels.ACTIVATION_CODES[activation]

    def epoch(self) -> Iterator[tuple[Rows, Rows]]:
        """Pairs of batches (validation rows, training rows), see `paired_batches`."""
        train, valid = (len(self._parts[part][1]) for part in ("train", "valid"))
        return paired_batches(train, valid, self.training.batch_size, self._rng)

    def architecture_gradients(
        self, alpha: Vector, vectors: Mapping[str, Vector], part: Part, rows: Rows
    ) -> ArchitectureGradients:
        """Gradients on one batch at the discrete `alpha`; every operation is evaluated, for alpha's gradient."""
        with self.meter.timed("train"):
            networks = self._networks(vectors)
            by_networks = np.zeros((len(networks), max(map(len, networks))))
            by_alpha = kernels.architecture_gradients(
                self._model.for_batches_of(len(rows)),
                rows.astype(np.uint32),
                *self._parts[part],
                self._cast(alpha),
                networks,
                self._activation,
                by_networks,
            )
            self.meter.visit(len(rows) * len(alpha))
            named = dict(zip(MODE_VECTORS, by_networks, strict=False))
            return ArchitectureGradients(by_alpha, {name: named[name][: len(v)] for name, v in vectors.items()})

    def train_batch(self, alpha: Vector, vectors: Mapping[str, Vector], rows: Rows) -> None:
        """One Adagrad step of the embeddings and the selected predictors on F_alpha, at the search l2."""
        with self.meter.timed("train"):
            kernels.train_batch(
                self._model.for_batches_of(len(rows)),
                rows.astype(np.uint32),
                *self._parts["train"],
                self._cast(alpha),
                self._networks(vectors),
                self._activation,
            )
            self.meter.visit(len(rows) * int(np.count_nonzero(alpha)))

    def rmse(self, alpha: Vector, vectors: Mapping[str, Vector], part: Part = "valid") -> float:
        """The supernet's own RMSE at `alpha`; in-sample for whatever was fitted on that part."""
        with self.meter.timed("validate"):
            indices, y = self._parts[part]
            transformed = self._model.transformed(self._networks(vectors), self._activation)
            return rmse(self._model.predict(transformed, self._cast(alpha), indices), y)

    def state_dict(self) -> tuple[dict[str, NDArray[np.floating]], dict[str, object]]:
        """Arrays of T and of Adagrad, and the random generator's state (JSON)."""
        return {key: array.copy() for key, array in self._arrays()}, dict(self._rng.bit_generator.state)

    def load_state_dict(self, arrays: Mapping[str, NDArray[np.floating]], rng_state: dict[str, Any]) -> None:
        """The inverse of `state_dict`, exact."""
        for key, array in self._arrays():
            array[...] = arrays[key]
        self._rng.bit_generator.state = rng_state

    def _arrays(self) -> Iterator[tuple[str, NDArray[np.floating]]]:
        state = self._model.state
        for i, array in enumerate([*(mode.table for mode in state.modes), state.ws]):
            yield f"parameter{i}", array
        for i, array in enumerate([*(mode.sums for mode in state.modes), state.wsums]):
            yield f"adagrad{i}", array

    def _networks(self, vectors: Mapping[str, Vector]) -> Arrays:
        return vectors_of(vectors, len(self._model.state.modes), self._model.dtype)

    def _cast(self, values: NDArray[np.floating]) -> Any:
        return np.asarray(values, dtype=self._model.dtype)
