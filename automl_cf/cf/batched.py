"""The batched engine: many interaction functions trained as one PyTorch program (paper, equation 5).

What the reference engine does for one candidate happens here for a stack of them: every tensor has the candidates as
its first dimension, C. Random streams and formulas are the reference engine's, so that in float64 both agree to
rounding. A GPU computes a step of one candidate in less time than the step's kernels take to launch; a stack needs
hardly more launches than one candidate, and nothing waits for the device within an epoch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from automl_cf.cf.elementwise import ACTIVATIONS
from automl_cf.cf.embeddings import Adagrad, DeviceRatings, dtype_of, initial_tables
from automl_cf.cf.interaction import InteractionFunction, InteractionModel
from automl_cf.cf.meter import Meter
from automl_cf.cf.operations import Operation, operations
from automl_cf.cf.predictor import LINEAR, Predictor
from automl_cf.cf.shuffle import shuffled
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Fit, Progress, Training
from automl_cf.spaces.architecture import Architecture

_NUMBERS_AT_ONCE = 1 << 27  # in one temporary tensor of a validation, to bound memory


@dataclass(frozen=True)
class Candidate:
    """What is to be trained; `seed` feeds the initialisation and the batch order, as that of a `TrainingTask`."""

    architecture: Architecture
    l2: float
    seed: np.random.SeedSequence


def train_batched(
    candidates: Sequence[Candidate],
    data: SearchData,
    training: Training,
    *,
    dim: int,
    meter: Meter,
    device: str = "cpu",
    epochs: int | None = None,
) -> list[Fit]:
    """Train every candidate until its validation stops improving; the fits are in the candidates' order.

    A candidate that stops or diverges leaves the others, and does not affect them. The device holds, beside the data,
    some five times the candidates' tables and a few temporaries of C x batch x dim x units numbers; where a batch has
    more ratings than a table rows, of C x rows x dim x units and C x batch x dim. `epochs` overrides the training's
    `max_epochs` (a lower fidelity). Raises InputError if an architecture makes no sense, and `BudgetExhausted`
    through `meter.check()`, which comes once per epoch.
    """
    if not candidates:
        return []
    with meter.timed("train"):
        resident = _Resident(data, training, dim, device)
        runs = _runs(candidates, resident)
        stacks = _stacks(runs, resident)
    for _ in range(epochs or training.max_epochs):
        with meter.timed("train"):
            _train_epoch(stacks)
        meter.visit(len(resident.train) * sum(len(run.operations) for stack in stacks for run in stack.runs))
        with meter.timed("validate"):
            stacks = _still_training(stacks)
        if not stacks:
            break
        meter.check()
    return [run.progress.fit(run.l2) for run in runs]


class _Resident:
    """The data on the device, and how all stacks are trained."""

    def __init__(self, data: SearchData, training: Training, dim: int, device: str) -> None:
        self.training, self.dim, self.device, self.dtype = training, dim, device, dtype_of(training)
        self.shape = data.train.shape
        self.train = DeviceRatings.of(data.train, device, self.dtype)
        self.valid = DeviceRatings.of(data.valid, device, self.dtype)
        counts = [torch.from_numpy(data.train.counts(mode)) for mode in range(data.train.order)]
        self.shares = [(len(data.train) / count.clamp(min=1).to(self.dtype)).to(device) for count in counts]
        self._cold = [(count == 0).unsqueeze(1).to(device) if (count == 0).any() else None for count in counts]
        self._warm = [count.nonzero().squeeze(1).to(device) for count in counts]

    def filled(self, mode: int, tables: Tensor) -> Tensor:
        """The mode's tables, (C, rows, dim), the cold rows replaced by the mean of the warm ones."""
        cold = self._cold[mode]
        if cold is None:
            return tables
        return torch.where(cold, tables.index_select(1, self._warm[mode]).mean(1, keepdim=True), tables)


class _Stream:
    """The random stream of a seed as a training draws from it: tables, predictors, then a batch order per epoch."""

    def __init__(
        self, seed: np.random.SeedSequence, predictor: Predictor, widths: Sequence[int], resident: _Resident
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._n, self._device = len(resident.train), resident.device
        self.tables = initial_tables(resident.shape, resident.dim, resident.training, self._rng, "cpu")
        self.predictors = [predictor.initial(width, resident.training, self._rng, "cpu") for width in widths]

    def order(self) -> Tensor:
        """The next epoch's order of the training ratings, (n,)."""
        return torch.from_numpy(shuffled(self._n, self._rng).astype(np.int64)).to(self._device)


@dataclass(frozen=True, eq=False)
class _Run:
    """A candidate in training."""

    function: InteractionFunction
    operations: tuple[Operation, ...]
    l2: float
    stream: _Stream
    progress: Progress

    @property
    def likeness(self) -> tuple[str, tuple[int, ...], Predictor]:
        """What the candidates of one stack have in common: activation and sizes of the networks, and the predictor."""
        sizes = tuple(0 if vector is None else len(vector) for vector in self.function.vectors)
        return self.function.activation if any(sizes) else "", sizes, self.function.predictor


def _runs(candidates: Sequence[Candidate], resident: _Resident) -> list[_Run]:
    """Read the candidates. Those that draw the same numbers share a stream, so that they are drawn once.

    These are the ones with equal seeds and predictors of one kind and lengths: batch orders are drawn after predictors.
    """
    order = len(resident.shape)
    streams: dict[object, _Stream] = {}
    runs = []
    for candidate in candidates:
        function = InteractionFunction.of(candidate.architecture, order, resident.dtype, resident.device)
        selected = tuple(operations.get(name) for name in function.names)
        widths = tuple(operation.width(resident.dim, order) for operation in selected)
        numbers = candidate.seed.generate_state(4, np.uint64).tobytes()  # all that default_rng takes of a seed
        key = numbers, function.predictor, widths
        if key not in streams:
            streams[key] = _Stream(candidate.seed, function.predictor, widths, resident)
        progress = Progress(resident.training.patience)
        runs.append(_Run(function, selected, candidate.l2, streams[key], progress))
    return runs


@dataclass(frozen=True)
class _Group:
    """Neighbours in a stack, `size` of them, that have the same operations."""

    operations: tuple[Operation, ...]
    size: int
    predictor: Predictor
    lengths: tuple[int, ...]  # of the operations' predictors

    def scores(self, rows: Sequence[Tensor], predictors: Tensor) -> Tensor:
        """Sum over the operations of their predictors' scores, (size, n), from a mode's rows (size, n, dim) each."""
        flat = [part.flatten(0, 1) for part in rows]  # operations take (n, dim), and do not ask whose rows these are
        scores = []
        for operation, weights in zip(self.operations, self.unpadded(predictors), strict=True):
            combined = operation.combine(flat)
            scores.append(self.predictor.score(combined.view(self.size, -1, combined.shape[1]), weights))
        return scores[0] if len(scores) == 1 else torch.stack(scores).sum(0)

    def unpadded(self, predictors: Tensor) -> list[Tensor]:
        """Each operation's predictors, (size, length), of the group's padded ones: views."""
        return [w[:, :length] for w, length in zip(predictors.unbind(1), self.lengths, strict=False)]


class _Stack:
    """Candidates with networks alike, trained together.

    `parameters` are a table per mode, (C, rows, dim), and last the predictors, (C, k, width), which are padded with
    zeros that no gradient reaches. Runs with the same operations must stand side by side.
    """

    def __init__(self, runs: Sequence[_Run], parameters: Sequence[Tensor], resident: _Resident) -> None:
        device, dtype = resident.device, resident.dtype
        self.runs, self.resident = list(runs), resident
        self.parameters = [parameter.requires_grad_() for parameter in parameters]
        *self.tables, self.predictors = self.parameters
        self.optimizer = Adagrad(self.parameters, resident.training.learning_rate)
        self.predictor = runs[0].function.predictor
        self.groups = [_group(list(same)) for _, same in groupby(runs, lambda run: run.operations)]
        self.activation = ACTIVATIONS[runs[0].function.activation]
        self.networks = [_stacked(mode) for mode in zip(*(run.function.vectors for run in runs), strict=True)]
        self.l2 = torch.tensor([[run.l2] for run in runs], dtype=dtype, device=device)
        self.penalised = any(run.l2 > 0 for run in runs)
        self.streams = list(dict.fromkeys(run.stream for run in runs))
        self.stream_of = torch.tensor([self.streams.index(run.stream) for run in runs], device=device)
        self.numbers = torch.arange(len(runs), device=device).unsqueeze(1)
        self.one = torch.ones(1, dtype=dtype, device=device)

    @classmethod
    def start(cls, runs: Sequence[_Run], resident: _Resident) -> "_Stack":
        """The candidates with their initial values."""
        runs = sorted(runs, key=lambda run: run.function.names)
        tables = [torch.stack(mode) for mode in zip(*(run.stream.tables for run in runs), strict=True)]
        starts = [run.stream.predictors for run in runs]
        most, longest = max(map(len, starts)), max(len(w) for ws in starts for w in ws)
        predictors = torch.zeros(len(runs), most, longest, dtype=resident.dtype)
        for padded, ws in zip(predictors, starts, strict=True):
            for row, w in zip(padded, ws, strict=False):
                row[: len(w)] = w
        return cls(runs, [parameter.to(resident.device) for parameter in (*tables, predictors)], resident)

    def keeping(self, positions: Sequence[int]) -> "_Stack":
        """The stack with only the candidates at `positions`, as they were."""
        if len(positions) == len(self.runs):
            return self
        index = torch.tensor(positions, device=self.resident.device)
        parameters = [parameter.detach().index_select(0, index) for parameter in self.parameters]
        kept = _Stack([self.runs[position] for position in positions], parameters, self.resident)
        kept.optimizer.sums = [total.index_select(0, index) for total in self.optimizer.sums]
        return kept

    def train_epoch(self, orders: Mapping[_Stream, Tensor]) -> None:
        """One epoch, without waiting for the device."""
        ratings = torch.stack([orders[stream] for stream in self.streams])
        for batch in torch.split(ratings, self.resident.training.batch_size or ratings.shape[1], dim=1):
            self._step(batch.index_select(0, self.stream_of))

    def _step(self, ratings: Tensor) -> None:
        """One step of each candidate on its own batch: numbers of training ratings, (C, batch)."""
        batch = self.resident.train.take(ratings.flatten())
        places = [  # of the batch's rows in all candidates' tables laid end to end
            torch.add(index.view_as(ratings), self.numbers, alpha=rows)
            for index, rows in zip(batch.indices, self.resident.shape, strict=True)
        ]
        scores = self._scores([self._embedded(mode, at) for mode, at in enumerate(places)])
        # No candidate's loss depends on another's parameters, so the sum's gradient is each one's own.
        loss = (scores - batch.values.view_as(ratings)).square().mean(1).sum()
        gradients = torch.autograd.grad(loss, self.parameters)
        if self.penalised:
            for mode, at in enumerate(places):
                self._penalise(mode, gradients[mode], at)
        self.optimizer.step(gradients)
        if self.predictor is LINEAR:  # all at once: what pads them changes nothing
            self.predictor.project(self.predictors)
        else:
            for group, own in self._by_group(self.predictors.detach()):
                for weights in group.unpadded(own):
                    self.predictor.project(weights)

    def _embedded(self, mode: int, places: Tensor) -> Tensor:
        """The mode's rows at `places` after their networks, (C, batch, dim)."""
        tables, networks = self.tables[mode], self.networks[mode]
        if networks is None:
            return _gathered(tables, places)
        if places.shape[1] < tables.shape[1]:  # the networks are applied to whichever is smaller, batch or table
            return _transformed(_gathered(tables, places), networks, self.activation)
        return _gathered(_transformed(tables, networks, self.activation), places)

    def _scores(self, rows: Sequence[Tensor]) -> Tensor:
        """The predictions, (C, n), from a mode's transformed rows (C, n, dim) each."""
        sizes = [group.size for group in self.groups]
        parts = zip(*(torch.split(mode, sizes) for mode in rows), strict=True)
        own = zip(parts, self._by_group(self.predictors), strict=True)
        return torch.cat([group.scores(part, predictors) for part, (group, predictors) in own])

    def _by_group(self, predictors: Tensor) -> Iterator[tuple[_Group, Tensor]]:
        """The groups with their predictors, (size, k, length)."""
        return zip(self.groups, torch.split(predictors, [group.size for group in self.groups]), strict=True)

    @torch.no_grad()
    def _penalise(self, mode: int, gradient: Tensor, places: Tensor) -> None:
        """Add the gradient of the penalty on the mode's tables (see `Training`): each row times a decay of its own.

        Written out, because autograd would take several times as many launches.
        """
        tables = self.tables[mode]
        count = tables.new_zeros(tables.shape[:2])
        count.view(-1).index_add_(0, places.flatten(), self.one.expand(places.numel()))
        kind = self.resident.training.penalty
        if kind == "expected":
            decay = count * self.resident.shares[mode] / places.shape[1]
        elif kind == "touched":
            decay = (count > 0).to(count.dtype)
        else:
            decay = count / (count * tables.square().sum(2)).sum(1, keepdim=True).sqrt()
        gradient.addcmul_((self.l2 * decay).unsqueeze(2), tables)

    @torch.no_grad()
    def validate(self) -> tuple[Tensor, list[Tensor]]:
        """The validation RMSE of each candidate, (C,), and the transformed tables that it was measured on."""
        tables = [self._transformed_tables(mode) for mode in range(len(self.tables))]
        valid = self.resident.valid
        squares = torch.zeros(len(self.runs), dtype=torch.float64, device=self.resident.device)
        of_rating = max(self.resident.dim * len(tables), self.predictor.hidden)
        at_once = max(1, _NUMBERS_AT_ONCE // (len(self.runs) * of_rating))
        pieces = (torch.split(column, at_once) for column in (valid.values, *valid.indices))
        for values, *indices in zip(*pieces, strict=True):
            scores = self._scores([table.index_select(1, index) for table, index in zip(tables, indices, strict=True)])
            squares += (scores - values).double().square().sum(1)
        return (squares / len(valid)).sqrt(), tables

    def _transformed_tables(self, mode: int) -> Tensor:
        """The mode's tables, (C, rows, dim), cold rows filled, after their networks: some candidates at a time."""
        tables, networks = self.resident.filled(mode, self.tables[mode]), self.networks[mode]
        if networks is None:
            return tables
        at_once = max(1, _NUMBERS_AT_ONCE // (tables[0].numel() * networks.shape[1]))
        parts = zip(torch.split(tables, at_once), torch.split(networks, at_once), strict=True)
        return torch.cat([_transformed(some, theirs, self.activation) for some, theirs in parts])

    @torch.no_grad()
    def model(self, position: int, transformed: Sequence[Tensor]) -> InteractionModel:
        """The candidate at `position` as it is, with the tables that `validate` gave."""
        run = self.runs[position]
        padded = zip(run.function.names, self.predictors[position], run.stream.predictors, strict=False)
        predictors = {name: w[: len(start)].clone() for name, w, start in padded}
        return InteractionModel(run.function, [table[position].clone() for table in transformed], predictors)


def _group(runs: Sequence[_Run]) -> _Group:
    """The group of these runs, which have the same operations."""
    lengths = tuple(len(weights) for weights in runs[0].stream.predictors)
    return _Group(runs[0].operations, len(runs), runs[0].function.predictor, lengths)


def _stacks(runs: Sequence[_Run], resident: _Resident) -> list[_Stack]:
    """As few stacks as there can be."""
    alike: dict[object, list[_Run]] = {}
    for run in runs:
        alike.setdefault(run.likeness, []).append(run)
    return [_Stack.start(some, resident) for some in alike.values()]


def _train_epoch(stacks: Sequence[_Stack]) -> None:
    # All orders first: to copy one to the device later would wait for the training that was begun before.
    streams = dict.fromkeys(stream for stack in stacks for stream in stack.streams)
    orders = {stream: stream.order() for stream in streams}
    for stack in stacks:
        stack.train_epoch(orders)


def _still_training(stacks: Sequence[_Stack]) -> list[_Stack]:
    """Validate, and keep the candidates that go on. Here the program waits for the device, once per epoch."""
    validated = [stack.validate() for stack in stacks]
    rmses = iter(torch.cat([rmse for rmse, _ in validated]).tolist())
    kept = []
    for stack, (_, transformed) in zip(stacks, validated, strict=True):
        going = [
            position
            for position, run in enumerate(stack.runs)
            if run.progress.goes_on(next(rmses), partial(stack.model, position, transformed))
        ]
        if going:
            kept.append(stack.keeping(going))
    return kept


def _stacked(vectors: Sequence[Tensor | None]) -> Tensor | None:
    """A mode's networks, (C, 3H + 1), or None where it has none."""
    present = [vector for vector in vectors if vector is not None]
    return torch.stack(present) if present else None


def _gathered(tables: Tensor, places: Tensor) -> Tensor:
    """The rows (C, n, dim) at `places`, (C, n), of the tables laid end to end."""
    return tables.flatten(0, 1).index_select(0, places.flatten()).view(*places.shape, -1)


def _transformed(rows: Tensor, networks: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """`apply_network` for a stack: rows (C, n, dim), each after its candidate's network of (C, 3H + 1)."""
    units = networks.shape[1] // 3
    w, b, a, c = torch.split(networks, [units, units, units, 1], dim=1)
    hidden = activation(rows.unsqueeze(3) * w[:, None, None] + b[:, None, None])
    return torch.bmm(hidden.flatten(1, 2), a.unsqueeze(2)).view_as(rows) + c.unsqueeze(2)
