"""Reinforcement learning, the paper's RL (sections 4.3 and A.5): a recurrent controller emits the architecture and is
trained by deterministic policy gradient, with reward 1 / RMSE on validation.

The paper leaves the decision process open. Emitted in one step, an architecture would be the arm of a bandit, where
nothing follows and target networks do nothing. Here an episode makes one architecture, one searched parameter a step
(for the paper's space: operation, p, q), skipping those that do not exist beside what has been chosen:

- the *state* is what has been chosen so far, and which parameter comes next. The controller reads it step by step: an
  observation says which parameter comes next, and what was chosen for the one before;
- the *action* is a vector in [0, 1]: a number per `Unit` coordinate of the parameter, and a score per class of a
  `Category`, whose highest score is chosen (as in Hausknecht and Stone: "Deep reinforcement learning in parameterized
  action space", ICLR 2016). The transition is deterministic;
- the *reward* is 0 but for the last step's: 1 / RMSE, or 0 for a failed evaluation. By default nothing is discounted.

The agent, DDPG, is `_ddpg.py`. The rewards that it learns from are standardised by mean and deviation of the replay's
successful ones, since those of good and bad architectures differ in the second digit, and limited to 3 deviations, or
one failure would hide all other differences. As episodes are rewarded at their end only, shift and scale change no
order of policies.
"""

from collections import deque
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field
from torch import Tensor

from automl_cf.cf.problem import Evaluation
from automl_cf.searchers._ddpg import Ddpg, DdpgSettings
from automl_cf.searchers._interface import AskTellSearcher, SearchTask, searchers
from automl_cf.searchers._replay import Batch, Episode, Replay
from automl_cf.searchers._reward import reward_of
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.parameters import Category, Coordinate

_LIMIT = 3.0  # of a standardised reward
_SMALLEST = 1e-8  # beside a deviation that is divided by


@dataclass(frozen=True)
class RlOptions(DdpgSettings):
    """The agent's settings (see `DdpgSettings`), and how it is trained.

    The first `startup` architectures are drawn uniformly; after each evaluation the agent makes `updates` updates, each
    on `batch` episodes drawn from a replay buffer of the last `capacity`.
    """

    startup: Annotated[int, Field(ge=0)] = 10
    updates: Annotated[int, Field(gt=0)] = 4
    batch: Annotated[int, Field(gt=0)] = 32
    capacity: Annotated[int, Field(gt=0)] = 1000


@searchers.register("rl")
class Rl(AskTellSearcher):
    """A GRU emits the architecture parameter by parameter and learns by DDPG; several episodes may be pending."""

    Options = RlOptions

    def __init__(self, task: SearchTask, options: RlOptions) -> None:
        super().__init__(task, options)
        self._places: dict[str, tuple[int, slice]] = {}  # by coordinate: its parameter, its entries of an action
        sizes = []
        for index, parameter in enumerate(self.space.searched):
            size = 0
            for coordinate in parameter.coordinates():
                start, size = size, size + (coordinate.n if isinstance(coordinate, Category) else 1)
                self._places[coordinate.name] = index, slice(start, size)
            sizes.append(size)
        self._next = np.eye(len(sizes))
        self._available = (np.arange(max(sizes, default=1)) < np.array(sizes)[:, None]).astype(np.float64)
        width = self._available.shape[1]
        self._agent = Ddpg(len(sizes) + width, width, options, self.rng)
        self._replay = Replay(options.capacity, len(sizes))
        self._rewards: deque[float] = deque(maxlen=options.capacity)  # of the replay's episodes
        self._episodes: dict[int, Episode] = {}  # of the pending proposals

    def propose(self, number: int) -> Architecture:
        episode, memory = Episode(), None
        action = chosen = np.zeros(self._available.shape[1])

        def read(coordinate: Coordinate) -> float:
            nonlocal action, chosen, memory
            index, entries = self._places[coordinate.name]
            if entries.start == 0:  # the first of its parameter: a step
                observation, available = np.concatenate([self._next[index], chosen]), self._available[index]
                if number < self.options.startup:
                    action = self.rng.random(len(available)) * available
                else:
                    action, memory = self._agent.act(observation, available, memory)
                    action = self._agent.explore(action, available)
                episode.add(observation, available, action, 0.0)
                chosen = np.zeros_like(action)
            if isinstance(coordinate, Category):
                best = int(np.argmax(action[entries]))
                chosen[entries.start + best] = 1.0
                return best
            chosen[entries] = 2.0 * action[entries] - 1.0
            return float(action[entries.start])

        architecture = self.space.build(read)
        self._episodes[number] = episode
        return architecture

    def observe(self, number: int, architecture: Architecture, evaluation: Evaluation) -> None:
        episode = self._episodes.pop(number)
        if not episode.rewards:  # a space that leaves nothing to choose
            return
        episode.rewards[-1] = reward_of(evaluation)
        self._replay.add(episode)
        self._rewards.append(episode.rewards[-1])
        for _ in range(self.options.updates):
            batch = self._replay.sample(self.options.batch, self.rng)
            self._agent.update(batch._replace(rewards=self._standardised(batch)))

    def _standardised(self, batch: Batch) -> Tensor:
        succeeded = [reward for reward in self._rewards if reward > 0] or [0.0]
        mean, deviation = float(np.mean(succeeded)), float(np.std(succeeded))
        standardised = (batch.rewards - mean) / (deviation + _SMALLEST)
        return standardised.clamp(-_LIMIT, _LIMIT) * batch.real * (1.0 - batch.followed)
