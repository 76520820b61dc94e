"""Replay of episodes for agents with memory: what happened, kept whole, drawn in padded batches."""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]


@dataclass
class Episode:
    """Each step's observation, which entries of its action were available (1, others 0), its action and reward."""

    observations: list[Floats] = field(default_factory=list)
    available: list[Floats] = field(default_factory=list)
    actions: list[Floats] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def add(self, observation: Floats, available: Floats, action: Floats, reward: float) -> None:
        """Add a step."""
        self.observations.append(observation)
        self.available.append(available)
        self.actions.append(action)
        self.rewards.append(reward)


class Batch(NamedTuple):
    """Episodes of one padded length T: tensors of shape (episodes, T, ...).

    `real` is 1 for steps that happened and 0 for padding, `followed` is 1 for steps that another one followed.
    """

    observations: Tensor
    available: Tensor
    actions: Tensor
    rewards: Tensor
    real: Tensor
    followed: Tensor


class Replay:
    """The last `capacity` episodes of 1 to `horizon` steps, each ended by a terminal state."""

    def __init__(self, capacity: int, horizon: int) -> None:
        self.horizon = horizon
        self._episodes: deque[tuple[Floats, ...]] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._episodes)

    def add(self, episode: Episode) -> None:
        """Remember a finished episode."""
        steps = len(episode.rewards)
        real, followed = np.ones(steps), np.arange(steps) < steps - 1
        columns = (episode.observations, episode.available, episode.actions, episode.rewards, real, followed)
        self._episodes.append(tuple(self._padded(np.asarray(column, dtype=np.float64)) for column in columns))

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw so many episodes uniformly, with replacement."""
        drawn = [self._episodes[i] for i in rng.integers(len(self), size=size)]
        return Batch(*(torch.from_numpy(np.stack(column)) for column in zip(*drawn, strict=True)))

    def _padded(self, column: Floats) -> Floats:
        return np.pad(column, [(0, self.horizon - len(column)), *[(0, 0)] * (column.ndim - 1)])
