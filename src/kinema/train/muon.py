"""Muon: momentum whose matrices are orthogonalised (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/).

The mathematics of ``torch.optim.Muon``, which a test compares it with; this one also takes convolutions, as matrices of
outputs × inputs, and matrices that are sharded over processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from kinema.train.parallel import part_of, whole

MOMENTUM = 0.95  # Nesterov
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration
ITERATIONS = 5
EPS = 1e-7


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum with decoupled weight decay; the update is scaled by √max(1, rows / columns)."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(list(parameters), {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Updates every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group["lr"], group["weight_decay"])

    def _update(self, parameter: nn.Parameter, gradient: Tensor, lr: float, weight_decay: float) -> None:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum_buffer"]
        momentum.lerp_(gradient, 1 - MOMENTUM)
        # Elementwise so far, so a shard is enough; the matrix is orthogonalised as a whole, in every process.
        matrix = whole(gradient.lerp(momentum, MOMENTUM)).flatten(1)
        update = orthogonalise(matrix).view(parameter.shape)
        rows, columns = matrix.shape
        parameter.mul_(1 - lr * weight_decay)
        parameter.add_(part_of(update, parameter), alpha=-lr * math.sqrt(max(1, rows / columns)))


def orthogonalise(matrix: Tensor) -> Tensor:
    """A matrix with the same singular vectors and singular values near 1: Newton–Schulz iterations in bfloat16."""
    a, b, c = COEFFICIENTS
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=EPS)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).contiguous()
