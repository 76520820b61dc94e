"""Deep deterministic policy gradient for processes of a few steps (Lillicrap et al.: "Continuous control with deep
reinforcement learning", ICLR 2016, Algorithm 1), with a recurrent actor and critic.

What it adds to Algorithm 1 is memory (Heess et al.: "Memory-based control with recurrent neural networks", 2015): a
state s_t is the history of an episode's observations up to step t, which a GRU reads. So the replay buffer keeps whole
episodes, and a batch of them is a batch of all their transitions. Lillicrap's correlated noise, made for bodies that
have inertia, is replaced by independent noise; without his batch normalisation, observations and rewards should
be of about size 1.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from automl_cf.searchers._replay import Batch, Floats

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class DdpgSettings:
    """The agent's settings; steps and `tau` are larger than Lillicrap's, for hundreds of episodes instead of many more.

    `hidden` units of each layer; `actor_step` and `critic_step`, the step sizes of Adam; `discount` gamma; `tau`, the
    share of the way that the targets go to their networks at each update. An action is explored by Gaussian noise of
    standard deviation `noise`, or else, with probability `surprise`, drawn uniformly.
    """

    hidden: Annotated[int, Field(gt=0)] = 16
    actor_step: Positive = 1e-3
    critic_step: Positive = 1e-2
    discount: Probability = 1.0
    tau: Probability = 0.05
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1
    surprise: Probability = 0.05


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: quicker for networks so small, and the same sums whatever the number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Network(nn.Module):
    """A GRU reads the observations; a layer on its states, the observations and `extra` inputs leads to the outputs."""

    def __init__(self, observation: int, extra: int, outputs: int, hidden: int, rng: np.random.Generator) -> None:
        super().__init__()
        with torch.device("meta"):  # or PyTorch would draw weights from its global stream
            self.memory = nn.GRU(observation, hidden, batch_first=True, dtype=torch.float64)
            self.layer = nn.Linear(hidden + observation + extra, hidden, dtype=torch.float64)
            self.out = nn.Linear(hidden, outputs, dtype=torch.float64)
        self.to_empty(device="cpu")
        with torch.no_grad():
            for module, bound in ((self.memory, hidden**-0.5), (self.layer, hidden**-0.5), (self.out, 3e-3)):
                for weights in module.parameters():  # the last layer's as in Lillicrap et al., section 7
                    weights.copy_(torch.from_numpy(rng.uniform(-bound, bound, weights.shape)))

    def forward(self, observations: Tensor, *extra: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Outputs, shape (episodes, T, outputs), and the memory after the last step."""
        states, memory = self.memory(observations, memory)
        return self.out(torch.relu(self.layer(torch.cat([states, observations, *extra], -1)))), memory


class Ddpg:
    """An actor mu and a critic Q, and the slower target networks mu' and Q' that the critic's targets are made of.

    An action is a vector of numbers in [0, 1]; entries that are not available are 0. All is in float64, and all
    randomness from `rng`.
    """

    def __init__(self, observation: int, action: int, settings: DdpgSettings, rng: np.random.Generator) -> None:
        self.settings = settings
        self.rng = rng
        self.actor = Network(observation, 0, action, settings.hidden, rng)
        self.critic = Network(observation, action, 1, settings.hidden, rng)
        self.target_actor, self.target_critic = deepcopy(self.actor), deepcopy(self.critic)
        self._actor_adam = torch.optim.Adam(self.actor.parameters(), settings.actor_step, fused=True)
        self._critic_adam = torch.optim.Adam(self.critic.parameters(), settings.critic_step, fused=True)

    @one_thread()
    @torch.no_grad()
    def act(self, observation: Floats, available: Floats, memory: Tensor | None = None) -> tuple[Floats, Tensor]:
        """mu's action, shape (action,), and the memory to go on from; `memory` is None at an episode's beginning."""
        scores, memory = self.actor(torch.from_numpy(observation)[None, None], memory=memory)
        action: Floats = torch.sigmoid(scores)[0, 0].numpy() * available
        return action, memory

    def explore(self, action: Floats, available: Floats) -> Floats:
        """The action with exploration noise."""
        if self.rng.random() < self.settings.surprise:
            return self.rng.random(len(action)) * available
        return np.clip(action + self.settings.noise * self.rng.normal(size=len(action)), 0.0, 1.0) * available

    @one_thread()
    def update(self, batch: Batch) -> None:
        """A step of the critic, a step of the actor, and the targets' soft update."""
        for loss, adam in ((self.critic_loss, self._critic_adam), (self.actor_loss, self._actor_adam)):
            parameters = adam.param_groups[0]["params"]
            gradients = torch.autograd.grad(loss(batch), parameters)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            adam.step()
        self.soft_update()

    def critic_loss(self, batch: Batch) -> Tensor:
        """The mean over transitions of (y - Q(s, a))^2."""
        errors = self.targets(batch) - self._values(self.critic, batch, batch.actions)
        return (batch.real * errors**2).sum() / batch.real.sum()

    def actor_loss(self, batch: Batch) -> Tensor:
        """Minus the mean over transitions of Q(s, mu(s)): its gradient is the deterministic policy gradient's."""
        values = self._values(self.critic, batch, self._actions(self.actor, batch))
        return -(batch.real * values).sum() / batch.real.sum()

    @torch.no_grad()
    def targets(self, batch: Batch) -> Tensor:
        """y = r + gamma Q'(s', mu'(s')), or r after the last step; shape (episodes, T)."""
        values = self._values(self.target_critic, batch, self._actions(self.target_actor, batch))
        return batch.rewards + self.settings.discount * batch.followed * values.roll(-1, dims=1)

    @torch.no_grad()
    def soft_update(self) -> None:
        """theta' <- tau theta + (1 - tau) theta'."""
        for network, target in ((self.actor, self.target_actor), (self.critic, self.target_critic)):
            torch._foreach_lerp_(list(target.parameters()), list(network.parameters()), self.settings.tau)

    def _actions(self, actor: Network, batch: Batch) -> Tensor:
        return torch.sigmoid(actor(batch.observations)[0]) * batch.available

    def _values(self, critic: Network, batch: Batch, actions: Tensor) -> Tensor:
        values: Tensor = critic(batch.observations, 2.0 * actions - 1.0)[0]
        return values[..., 0]
