"""REINFORCE (Williams 1992), for softmax policies: the gradient of an expected reward, from rewards of samples.

For a policy pi with parameters theta that chooses a, the gradient of E[R(a)] by theta is E[(R(a) - b) s(a)] with the
*score* s(a), the gradient of log pi(a), and any baseline b that does not depend on a, since E[s(a)] = 0.
"""

from collections.abc import Mapping
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from automl_cf.searchers._alpha import softmax

Gradient = dict[str, NDArray[np.float64]]


def policy_gradient(score: Gradient, reward: float, baseline: float = 0.0) -> Gradient:
    """One sample's estimate of the gradient of the expected reward."""
    return {name: (reward - baseline) * part for name, part in score.items()}


class SoftmaxPolicy:
    """Makes each of several named choices by itself, with probabilities softmax(logits[name]), uniform at first.

    `sizes` are the choices' numbers of classes.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.logits = {name: np.zeros(size) for name, size in sizes.items()}

    def draw(self, name: str, rng: np.random.Generator) -> int:
        """A class of the choice `name`."""
        return int(rng.choice(len(self.logits[name]), p=softmax(self.logits[name])))

    def score(self, choices: Mapping[str, int]) -> Gradient:
        """The gradient of the log-probability of `choices`, classes by name, by the logits of those that were made."""
        return {
            name: np.eye(len(self.logits[name]))[chosen] - softmax(self.logits[name])
            for name, chosen in choices.items()
        }

    def ascend(self, gradient: Gradient, step: float) -> None:
        """A step of the logits along the gradient."""
        for name, part in gradient.items():
            self.logits[name] = self.logits[name] + step * part


class MovingBaseline:
    """Mean and standard deviation of the rewards so far, each reward weighing `decay` times as much as its successor.

    No reward counts for more than `LIMIT` deviations from the mean: a single failure among rewards that hardly differ
    would otherwise set the scale for long.
    """

    LIMIT = 3.0

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.mean = 0.0
        self._weight = self._squares = 0.0

    @property
    def deviation(self) -> float:
        """0 as long as all rewards are the same."""
        return sqrt(self._squares / self._weight) if self._weight else 0.0

    def clipped(self, reward: float) -> float:
        """The reward as it counts."""
        reach = self.LIMIT * self.deviation
        return min(max(reward, self.mean - reach), self.mean + reach) if reach > 0 else reward

    def update(self, reward: float) -> None:
        """Take note of a reward, by West's recurrence for weighted moments (1979), which cancels nothing."""
        reward = self.clipped(reward)
        self._weight = self.decay * self._weight + 1.0
        before = reward - self.mean
        self.mean += before / self._weight
        self._squares = self.decay * self._squares + before * (reward - self.mean)


class Reinforce:
    """A policy that learns from one reward at a time, by steps whose size does not depend on the rewards' scale.

    A step ascends the expectation of (R - b) / s, clipped to +-3, where b and s are the mean and the deviation of
    *earlier* rewards: so it remains an unbiased estimate. While s is 0 there is no step.
    """

    def __init__(self, policy: SoftmaxPolicy, step: float, decay: float) -> None:
        self.policy = policy
        self.step = step
        self.baseline = MovingBaseline(decay)

    def learn(self, score: Gradient, reward: float) -> None:
        """Move the policy by the reward of a sample, whose score is that of the policy that drew it."""
        if self.baseline.deviation > 0:
            gradient = policy_gradient(score, self.baseline.clipped(reward), self.baseline.mean)
            self.policy.ascend(gradient, self.step / self.baseline.deviation)
        self.baseline.update(reward)
