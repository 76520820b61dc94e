"""NAS (reinforce): widths of an MLP, whose weights are trained, by a policy that learns (paper, section 4.5.1).

After Zoph and Le ("Neural Architecture Search with Reinforcement Learning", ICLR 2017): a policy emits the widths layer
by layer, the reward is 1 / RMSE on the validation part (0 for what failed), and REINFORCE with a moving baseline moves
the policy. Their controller, a recurrent network trained on 12,800 architectures, is replaced by the simplest that
can be trained on some tens: each layer has logits of its own over its widths. A layer is chosen only where none before
it is 0, but given that, its width does not depend on the others'.
"""

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from automl_cf.cf.problem import Evaluation
from automl_cf.searchers._interface import AskTellSearcher, SearchTask, searchers
from automl_cf.searchers._reinforce import Gradient, Reinforce, SoftmaxPolicy
from automl_cf.searchers._reward import reward_of
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.nas import nas_space
from automl_cf.spaces.parameters import Category, Coordinate


@dataclass(frozen=True)
class NasReinforceOptions:
    """`step` of the logits for a reward of one standard deviation above the baseline; `decay` of the baseline."""

    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.2
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.9


@searchers.register("nas-reinforce")
class NasReinforce(AskTellSearcher):
    """Draws MLPs from `nas_space`, whatever the study's space, by a policy that REINFORCE trains.

    Several proposals may be pending. Each moves the policy by its score under the policy that drew it, which may have
    moved since.
    """

    Options = NasReinforceOptions

    def __init__(self, task: SearchTask, options: NasReinforceOptions) -> None:
        super().__init__(replace(task, space=nas_space()), options)
        sizes = {c.name: c.n for c in self.space.coordinates if isinstance(c, Category)}
        self.policy = SoftmaxPolicy(sizes)
        self._reinforce = Reinforce(self.policy, options.step, options.decay)
        self._scores: dict[int, Gradient] = {}  # of the pending proposals

    def propose(self, number: int) -> Architecture:
        choices: dict[str, int] = {}

        def draw(coordinate: Coordinate) -> int:
            choices[coordinate.name] = self.policy.draw(coordinate.name, self.rng)
            return choices[coordinate.name]

        architecture = self.space.build(draw)
        self._scores[number] = self.policy.score(choices)
        return architecture

    def observe(self, number: int, architecture: Architecture, evaluation: Evaluation) -> None:
        self._reinforce.learn(self._scores.pop(number), reward_of(evaluation))
