"""Muon: momentum whose matrices are orthogonalised (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/).

The mathematics of ``torch.optim.Muon``, which a test compares it with; this one also takes convolutions, as matrices of
outputs × inputs, and matrices that are sharded over processes. Of several processes each orthogonalises a part.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from kinema.codec.pixels import fast_bf16
from kinema.train.parallel import part_of, shared_out, whole

MOMENTUM = 0.95  # Nesterov
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration
ITERATIONS = 5
EPS = 1e-7
STACKED = 1 << 27  # numbers in the matrices that are orthogonalised together


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum with decoupled weight decay; the update is scaled by √max(1, rows / columns)."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(list(parameters), {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Updates every parameter that has a gradient; matrices of one size are orthogonalised together."""
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            for parameters in _alike(moved):
                self._update(parameters, group["lr"], group["weight_decay"])

    def _update(self, parameters: Sequence[nn.Parameter], lr: float, weight_decay: float) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        momenta = [self._momentum(parameter) for parameter in parameters]
        for momentum, gradient in zip(momenta, gradients, strict=True):
            momentum.lerp_(gradient, 1 - MOMENTUM)
        # Elementwise so far, so a shard is enough; matrices are orthogonalised as wholes.
        nesterov = [g.lerp(m, MOMENTUM) for g, m in zip(gradients, momenta, strict=True)]
        updates = shared_out(orthogonalise, torch.stack([whole(matrix).flatten(1) for matrix in nesterov]))
        rows, columns = updates.shape[1:]
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.mul_(1 - lr * weight_decay)
            step = part_of(update.reshape(parameter.shape), parameter)
            parameter.add_(step, alpha=-lr * math.sqrt(max(1, rows / columns)))

    def _momentum(self, parameter: nn.Parameter) -> Tensor:
        momentum: Tensor = self.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))
        return momentum


def _alike(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Parameters of one shape, as many as may be stacked at once."""
    by_shape: dict[torch.Size, list[nn.Parameter]] = {}
    for parameter in parameters:
        by_shape.setdefault(parameter.shape, []).append(parameter)
    for shape, same in by_shape.items():
        count = max(1, STACKED // shape.numel())
        for start in range(0, len(same), count):
            yield same[start : start + count]


def orthogonalise(matrices: Tensor) -> Tensor:
    """Matrices with the same singular vectors and singular values near 1, by Newton–Schulz iterations.

    They need no more than bfloat16, and take it where it is fast.

    Args:
        matrices: (count, rows, columns).
    """
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16() if fast_bf16(matrices.device) else matrices.float()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / x.flatten(1).norm(dim=1).clamp(min=EPS)[:, None, None]
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
