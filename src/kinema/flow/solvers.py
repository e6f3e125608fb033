"""From noise to data: solvers of dx/dσ = velocity(x, σ), one pure function each.

A solver calls ``velocity`` with a single σ. Known parts of x (an image to continue, say) are a matter of the caller's
velocity: wrap it in :func:`hold`, and give the known tokens noise level 0 where the model is called.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kinema.flow.path import data_from_velocity

Velocity = Callable[[Tensor, float], Tensor]
OnStep = Callable[[int, Tensor], None]  # called with the number of steps done and x
Solver = Callable[..., Tensor]


def hold(velocity: Velocity, noisy: Tensor, known: Tensor | float = 0.0) -> Velocity:
    """The same velocity, but a constant one where ``noisy`` is False.

    With 0 every solver leaves those elements as they are; with noise − data it moves them along their own straight path
    and ends at the data.

    Args:
        velocity: the model's.
        noisy: booleans that broadcast against x.
        known: the velocity of the other elements.
    """
    return lambda x, sigma: velocity(x, sigma).where(noisy, torch.as_tensor(known, dtype=x.dtype, device=x.device))


def euler(velocity: Velocity, x: Tensor, levels: Sequence[float], on_step: OnStep | None = None) -> Tensor:
    """First order: one call of ``velocity`` a step.

    Args:
        velocity: dx/dσ at (x, σ).
        x: the state at ``levels[0]``.
        levels: falling noise levels, usually from 1 to 0.
        on_step: progress.

    Returns:
        The state at ``levels[-1]``.
    """
    for step, (sigma, following) in enumerate(zip(levels[:-1], levels[1:], strict=True), start=1):
        x = x + (following - sigma) * velocity(x, sigma)
        _report(on_step, step, x)
    return x


def heun(velocity: Velocity, x: Tensor, levels: Sequence[float], on_step: OnStep | None = None) -> Tensor:
    """Second order: the trapezoidal rule after an Euler step, two calls a step (EDM, arXiv 2206.00364, algorithm 1).

    Arguments and result are those of :func:`euler`. A last step to σ = 0 is an Euler step, as the paper advises: no
    model is trained there.
    """
    for step, (sigma, following) in enumerate(zip(levels[:-1], levels[1:], strict=True), start=1):
        before = velocity(x, sigma)
        ahead = x + (following - sigma) * before
        x = ahead if following == 0 else x + (following - sigma) / 2 * (before + velocity(ahead, following))
        _report(on_step, step, x)
    return x


def dpm_solver_2m(velocity: Velocity, x: Tensor, levels: Sequence[float], on_step: OnStep | None = None) -> Tensor:
    """Second order with one call a step: DPM-Solver++(2M) (arXiv 2211.01095, algorithm 2) with α = 1 − σ.

    Arguments and result are those of :func:`euler`. The step away from σ = 1 and the step to σ = 0, where the half
    log-signal-to-noise ratio λ is infinite, are first order; so is the one after σ = 1.
    """
    last_data: Tensor | None = None
    last_h = math.inf
    for step, (sigma, following) in enumerate(zip(levels[:-1], levels[1:], strict=True), start=1):
        data = data_from_velocity(x, velocity(x, sigma), sigma)
        h = _half_log_snr(following) - _half_log_snr(sigma)
        estimate = data
        if last_data is not None and math.isfinite(last_h) and math.isfinite(h):
            estimate = data + h / (2 * last_h) * (data - last_data)
        ratio = following / sigma
        x = ratio * x + (1 - following - ratio * (1 - sigma)) * estimate  # α' (1 − e^−h) in terms of σ
        last_data, last_h = data, h
        _report(on_step, step, x)
    return x


def unipc(velocity: Velocity, x: Tensor, levels: Sequence[float], on_step: OnStep | None = None) -> Tensor:
    """Third order with one call a step: UniPC-2 (arXiv 2302.04867, algorithms 5 and 6, B(h) = e^h − 1) with α = 1 − σ.

    Every call serves twice: it corrects the step that led to it (UniC), then predicts the next one (UniP, which at this
    order is DPM-Solver++(2M)). Arguments and result are those of :func:`euler`. Where λ is infinite a step is first
    order; the step away from σ = 1 is not corrected.
    """
    past: list[_Call] = []  # the last two calls at finite λ, the later one first
    for step, (sigma, following) in enumerate(zip(levels[:-1], levels[1:], strict=True), start=1):
        here = _Call(x, data_from_velocity(x, velocity(x, sigma), sigma), sigma)
        estimate = here.data
        if past:
            here = replace(here, x=past[0].move(sigma, _corrected(past, here)))
            h = _half_log_snr(following) - here.lam
            if math.isfinite(h):
                estimate = here.data + h / 2 * _slope(past[0], here)
        if math.isfinite(here.lam):
            past = [here, *past[:1]]
        x = here.move(following, estimate)
        _report(on_step, step, x)
    return x


def twice(
    solver: Solver,
    velocity: Velocity,
    x: Tensor,
    levels: Sequence[float],
    back: Callable[[Tensor, float, float], Tensor],
    on_step: OnStep | None = None,
) -> Tensor:
    """Makes every step but the first and the last twice, with a way back in between (RePaint, arXiv 2201.09865).

    What is sampled gets a second chance to agree with what is known around it. A solver that remembers earlier calls
    starts anew at every step.

    Args:
        solver: one of :data:`SOLVERS`.
        velocity: dx/dσ at (x, σ).
        x: the state at ``levels[0]``.
        levels: falling noise levels.
        back: brings a state from its level up to a higher one: (x, level, higher level).
        on_step: progress, at the second time too.
    """
    pairs, done = list(itertools.pairwise(levels)), 0
    for place, (sigma, following) in enumerate(pairs):
        for again in range(2 if 0 < place < len(pairs) - 1 else 1):
            begin = back(x, following, sigma) if again else x
            x = solver(velocity, begin, [sigma, following])
            done += 1
            _report(on_step, done, x)
    return x


@dataclass(frozen=True)
class _Call:
    """A point where the model was called, and the data that its answer points to."""

    x: Tensor
    data: Tensor
    sigma: float

    @property
    def lam(self) -> float:
        return _half_log_snr(self.sigma)

    def move(self, following: float, data: Tensor) -> Tensor:
        """The exact step to another level if the data were constant."""
        ratio = following / self.sigma
        return ratio * self.x + (1 - following - ratio * (1 - self.sigma)) * data  # α' (1 − e^−h) in terms of σ


def _slope(before: _Call, after: _Call) -> Tensor:
    """How fast the data change with λ."""
    return (after.data - before.data) / (after.lam - before.lam)


def _corrected(past: list[_Call], here: _Call) -> Tensor:
    """The data that UniC puts into the step from ``past[0]`` now that its end is known (equation 9, theorem 3.1)."""
    h = here.lam - past[0].lam
    b1 = (math.expm1(-h) / -h - 1) / math.expm1(-h)
    change = here.data - past[0].data
    if len(past) == 1:
        return past[0].data + b1 * change
    b2 = 2 * (-b1 * math.expm1(-h) / h - 0.5) / math.expm1(-h)
    older = (b1 - b2) / (1 - (past[1].lam - past[0].lam) / h)
    return past[0].data + older * h * _slope(past[1], past[0]) + (b1 - older) * change


SOLVERS: dict[str, Solver] = {"euler": euler, "heun": heun, "dpmpp": dpm_solver_2m, "unipc": unipc}


def _half_log_snr(sigma: float) -> float:
    """λ = log(α / σ)."""
    if sigma >= 1:
        return -math.inf
    return math.inf if sigma <= 0 else math.log((1 - sigma) / sigma)


def _report(on_step: OnStep | None, step: int, x: Tensor) -> None:
    if on_step is not None:
        on_step(step, x)
