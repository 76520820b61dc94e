"""The yardstick of the search: Algorithm 2 on the textbook's supernet, every operation in every forward pass.

Mini-batches and step sizes are those of the searcher `sif`; the gradient of a discrete alpha moves the continuous one.
"""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import torch
from torch import Tensor

from automl_cf.benchmarks.speed.cases import NORM_BOUND, UNITS
from automl_cf.benchmarks.speed.textbook import OPERATIONS, ElementWise, Feed, Textbook, train_batch
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Training
from automl_cf.searchers.sif import SifOptions
from automl_cf.spaces.architecture import Architecture


class TextbookSif:
    """A search in progress."""

    def __init__(self, data: SearchData, training: Training, dim: int, seed: int, feed: Feed) -> None:
        torch.manual_seed(seed)
        self.l2 = training.search_l2
        self.networks = [ElementWise(UNITS), ElementWise(UNITS)]
        self.model = Textbook(data.train.shape, dim, list(OPERATIONS), self.networks, training.init_scale)
        self.alpha = torch.rand(len(OPERATIONS))
        self.rate = SifOptions().step
        self.weight_optimizer = torch.optim.Adagrad(self.model.trained(), lr=training.learning_rate)
        parameters = [parameter for network in self.networks for parameter in network.parameters()]
        self.network_optimizer = torch.optim.SGD(parameters, lr=self.rate)
        self.train = feed(data.train, training.batch_size)
        steps = -(-len(data.train) // training.batch_size)
        self.valid = feed(data.valid, -(-len(data.valid) // steps))

    def epoch(self) -> None:
        """One pass over both parts: a step of alpha and the networks, then one of embeddings and predictors."""
        for validating, training in zip(cycle(self.valid), self.train, strict=False):
            self._architecture_step(validating)
            train_batch(self.model, self.weight_optimizer, training, self._selected(), self.l2)

    def architecture(self) -> Architecture:
        """What the search has come to."""
        names = list(OPERATIONS)
        p, q = (tuple(network.vector().tolist()) for network in self.networks)
        return Architecture({"operation": names[int(self.alpha.argmax())], "p": p, "q": q, "activation": "sigmoid"})

    def _selected(self) -> Tensor:
        return torch.where(torch.arange(len(self.alpha)) == self.alpha.argmax(), self.alpha, 0.0)

    def _architecture_step(self, batch: Sequence[Tensor]) -> None:
        users, items, values = batch
        selected = self._selected().requires_grad_()
        prediction, _ = self.model(users, items, selected)
        self.network_optimizer.zero_grad()
        (prediction - values).square().mean().backward()
        self.network_optimizer.step()
        with torch.no_grad():
            assert selected.grad is not None
            self.alpha = (self.alpha - self.rate * selected.grad).clamp(0, 1)
            if not self.alpha.any():
                self.alpha = torch.rand(len(self.alpha))
            for network in self.networks:
                norm = float(np.linalg.norm(network.vector()))
                for part in network.parameters():
                    part.div_(max(1.0, norm / NORM_BOUND))
