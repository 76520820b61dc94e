"""An MLP as the interaction function, whose widths are searched and whose weights are trained (paper, 4.5.1).

h_0 = [u; v], h_l = sigmoid(W_l h_{l-1} + b_l) for the layers l = 1, ..., L, and the prediction is w . h_L with
||w||_2 <= 1, as for any other interaction function; with no layer it is `concat`'s. Embeddings, w and all W_l and b_l
are trained together, by the objective and the protocol of equation (5): its penalty is on the embeddings only. The
paper names no activation for this MLP; ours is that of its other MLPs (sections 3.2 and A.1). More modes are
concatenated likewise.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from automl_cf.cf.approximator import (
    PerceptronModel,
    Rows,
    Shapes,
    concatenated,
    glorot,
    in_chunks,
    stored_tensors,
    unpacked,
)
from automl_cf.cf.embeddings import Adagrad, DeviceRatings, project_predictor, shuffled_batches
from automl_cf.cf.meter import Meter
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Fit, Model, Training, train_until_best
from automl_cf.cf.unrolled import Predict, TorchTables
from automl_cf.errors import InputError
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.nas import LAYERS, WIDTHS, nas_space

MODEL = "mlp"


def widths_of(architecture: Architecture) -> tuple[int, ...]:
    """Read the widths of an architecture's layers, which may be none; raises InputError if `nas_space` has no such."""
    given = {name: value for name, value in architecture.items() if name != "l2"}
    if not nas_space().contains(Architecture(given)):
        listed = ", ".join(f"{name} {value!r}" for name, value in given.items() if name != "model") or "no width"
        raise InputError(
            f"an architecture with model '{MODEL}' has {listed}, but must have width1, width2 and so on, each one of "
            f"{', '.join(map(str, WIDTHS))}, until one is 0 or it has {LAYERS}, and nothing else."
        )
    widths = [given.get(f"width{layer}", 0) for layer in range(1, LAYERS + 1)]
    return tuple(width for width in widths if isinstance(width, int) and width > 0)


def layer_shapes(inputs: int, widths: Sequence[int]) -> Shapes:
    """The shapes of W_1, b_1, W_2, b_2, ..."""
    return [shape for n, width in pairwise((inputs, *widths)) for shape in ((width, n), (width,))]


class MlpTables(TorchTables):
    """Embeddings, w and an MLP's weights, with what trains them.

    `weights` is one vector, in the order of `layer_shapes`; `l2` is the penalty's. `rng` draws the initial values: of
    embeddings and w as for any other model, then of the weights, by `glorot`.
    """

    def __init__(
        self,
        widths: Sequence[int],
        data: SearchData,
        training: Training,
        *,
        dim: int,
        l2: float,
        rng: np.random.Generator,
        device: str,
    ) -> None:
        inputs = dim * data.train.order
        predictors = {MODEL: widths[-1] if widths else inputs}
        super().__init__(predictors, data, training, dim=dim, l2=l2, rng=rng, device=device)
        self.widths = tuple(widths)
        self.weights = self._tensor(glorot(layer_shapes(inputs, widths), rng))
        self._optimizer = Adagrad([*self.tables, self.predictors[MODEL], self.weights], training.learning_rate)
        for parameter in self._optimizer.parameters:
            parameter.requires_grad_()
        self._scores = _scores(self.weights, widths)

    def train_batch(self, rows: Rows) -> None:
        """One Adagrad step of everything on a training batch."""
        loss = self._objective(self._scores, self.tables, self.predictors, self._batch("train", rows))
        parameters = self._optimizer.parameters
        self._optimizer.step(torch.autograd.grad(loss, parameters, allow_unused=True))  # no layer uses no weights
        project_predictor(self.predictors[MODEL])

    def rmse(self) -> float:
        """The validation RMSE."""
        return self._rmse(in_chunks(self._scores), "valid")

    def frozen(self) -> "MlpModel":
        """A copy of the model as it stands, for predicting."""
        return MlpModel(self.widths, self.weights, self._cold.filled(self.tables), self.predictors)


class MlpModel(PerceptronModel):
    """A trained model with layers of these widths."""

    def __init__(
        self, widths: Sequence[int], weights: Tensor, tables: Sequence[Tensor], predictors: Mapping[str, Tensor]
    ) -> None:
        super().__init__(weights, tables, predictors)
        self.widths = tuple(widths)

    def scores(self) -> Predict:
        return _scores(self.weights, self.widths)

    def parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays, _ = super().parts()
        return arrays, {"widths": list(self.widths)}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> Self:
        """The inverse of `parts`, on the CPU."""
        weights, tables, w = stored_tensors(arrays)
        return cls(values["widths"], weights, tables, {MODEL: w})


def train_mlp(
    architecture: Architecture,
    data: SearchData,
    training: Training,
    *,
    dim: int,
    l2: float,
    rng: np.random.Generator,
    meter: Meter,
    device: str = "cpu",
    epochs: int | None = None,
) -> Fit:
    """Train embeddings, w and the MLP's weights until validation stops improving.

    By the same protocol as `train_interaction`, always on PyTorch. Raises InputError as `widths_of` does.
    """
    with meter.timed("train"):
        net = MlpTables(widths_of(architecture), data, training, dim=dim, l2=l2, rng=rng, device=device)

    def train_epoch() -> None:
        for rows in shuffled_batches(len(data.train), training.batch_size, rng, device):
            net.train_batch(rows)
        meter.visit(len(data.train))

    def validate() -> tuple[float, Callable[[], Model]]:
        return net.rmse(), net.frozen

    return train_until_best(training, epochs, l2, meter, train_epoch, validate)


def _scores(weights: Tensor, widths: Sequence[int]) -> Predict:
    """w . h_L of every rating, as a function of tables and w."""

    def predict(tables: Sequence[Tensor], predictors: Mapping[str, Tensor], batch: DeviceRatings) -> Tensor:
        hidden = concatenated(tables, batch)
        layers = unpacked(weights, layer_shapes(hidden.shape[1], widths))
        for matrix, bias in zip(layers[::2], layers[1::2], strict=True):
            hidden = torch.sigmoid(torch.addmm(bias, hidden, matrix.T))
        return hidden @ predictors[MODEL]

    return predict
