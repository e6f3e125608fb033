"""Moving averages of the weights, which are what samples and evaluations use."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from kinema.train.parallel import local


class MovingAverage:
    """An exponential moving average of a module's parameters; buffers are copied.

    The decay warms up as min(decay, (1 + n) / (10 + n)) after n updates, so early weights are soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay = decay
        self.updates = 0
        self._source = module

    @torch.no_grad()
    def update(self) -> None:
        """Moves the average towards the module's present weights; of sharded ones, every process moves its part."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        averages: list[Tensor] = [local(p) for p in self.module.parameters()]
        sources: list[Tensor] = [local(p) for p in self._source.parameters()]
        torch._foreach_lerp_(averages, sources, 1 - decay)
        for average, source in zip(self.module.buffers(), self._source.buffers(), strict=True):
            average.copy_(source)
