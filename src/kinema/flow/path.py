"""The straight path between data and noise, and what to learn on it (rectified flow, arXiv 2209.03003, equation 1).

    x(σ) = (1 − σ) · data + σ · noise        velocity = dx/dσ = noise − data

Suffixes: X any shape. Noise levels broadcast against the tensors: one per token is ``sigma_F[frame_N, None]``.
"""

from __future__ import annotations

import math

from torch import Tensor


def interpolate(data_X: Tensor, noise_X: Tensor, sigma: Tensor) -> Tensor:
    """The point at noise level σ: data at 0, noise at 1."""
    return data_X + sigma * (noise_X - data_X)


def velocity(data_X: Tensor, noise_X: Tensor) -> Tensor:
    """The target of learning, constant along the path."""
    return noise_X - data_X


def data_from_velocity(x_X: Tensor, velocity_X: Tensor, sigma: Tensor | float) -> Tensor:
    """Where the path through ``x`` with this velocity begins: the data it points to."""
    return x_X - sigma * velocity_X


def noise_from_velocity(x_X: Tensor, velocity_X: Tensor, sigma: Tensor | float) -> Tensor:
    """Where the path through ``x`` with this velocity ends."""
    return x_X + (1 - sigma) * velocity_X


def velocity_from_data(x_X: Tensor, data_X: Tensor, sigma: Tensor | float) -> Tensor:
    """The velocity at ``x`` of the path that begins at ``data``; σ must not be 0."""
    return (x_X - data_X) / sigma


def renoise(x_X: Tensor, noise_X: Tensor, sigma: float, higher: float) -> Tensor:
    """From noise level σ back up to a higher one below 1, with as much of another noise as that takes.

    If x is (1 − σ) · data + σ · some noise, the result is (1 − higher) · data + higher · a mixture of both noises.
    """
    kept = (1 - higher) / (1 - sigma)
    return kept * x_X + math.sqrt(higher**2 - (kept * sigma) ** 2) * noise_X
