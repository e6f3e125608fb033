"""Solvers against a flow whose solution is known: Gaussian data N(m, s²) and noise N(0, 1).

x(σ) is N((1 − σ) m, v(σ)) with v = (1 − σ)² s² + σ², and the flow moves every quantile along:
x(σ) = (1 − σ) m + √v(σ) · q.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kinema.flow.schedule import sampling_levels
from kinema.flow.solvers import SOLVERS, hold, twice

MEAN, SPREAD = 1.5, 0.5
QUANTILES = torch.linspace(-2, 2, 9, dtype=torch.float64)
ORDER = {"euler": 1, "heun": 2, "dpmpp": 2, "unipc": 3}
CALLS_PER_STEP = {"euler": 1, "heun": 2, "dpmpp": 1, "unipc": 1}


def variance(sigma: float) -> float:
    return (1 - sigma) ** 2 * SPREAD**2 + sigma**2


def exact(sigma: float) -> Tensor:
    return (1 - sigma) * MEAN + math.sqrt(variance(sigma)) * QUANTILES


def velocity(x: Tensor, sigma: float) -> Tensor:
    """d/dσ of :func:`exact` at the quantile that x lies on."""
    slope = (sigma - (1 - sigma) * SPREAD**2) / variance(sigma)
    return -MEAN + slope * (x - (1 - sigma) * MEAN)


def interior_levels(steps: int) -> list[float]:
    """Levels at equal distances of log((1 − σ)/σ), where all solvers keep their order."""
    return torch.linspace(4, -4, steps + 1, dtype=torch.float64).sigmoid().tolist()


def error(name: str, levels: list[float]) -> float:
    found = SOLVERS[name](velocity, exact(levels[0]), levels)
    return float((found - exact(levels[-1])).abs().max())


@pytest.mark.parametrize("name", SOLVERS)
def test_order_of_convergence(name: str) -> None:
    order = math.log2(error(name, interior_levels(80)) / error(name, interior_levels(160)))
    assert order == pytest.approx(ORDER[name], abs=0.15)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_from_pure_noise_to_data_the_error_vanishes(name: str, shift: float) -> None:
    errors = [error(name, sampling_levels(steps, shift)) for steps in (40, 320)]
    assert errors[1] < errors[0] / 4
    assert errors[1] < (0.02 if ORDER[name] == 1 else 0.002)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_constant_velocity_needs_no_small_steps(name: str, steps: int) -> None:
    x, slope = torch.randn(5).double(), torch.randn(5).double()
    found = SOLVERS[name](lambda x, sigma: slope, x, sampling_levels(steps, 2.0))
    torch.testing.assert_close(found, x - slope)


@pytest.mark.parametrize("name", SOLVERS)
def test_held_elements_stay_and_the_others_move_as_before(name: str) -> None:
    levels, x = sampling_levels(6), exact(1.0)
    noisy = torch.arange(len(x)) % 3 > 0
    found = SOLVERS[name](hold(velocity, noisy), x, levels)
    torch.testing.assert_close(found[~noisy], x[~noisy])
    torch.testing.assert_close(found[noisy], SOLVERS[name](velocity, x, levels)[noisy])


@pytest.mark.parametrize("name", SOLVERS)
def test_elements_on_their_own_straight_path_end_at_their_data(name: str) -> None:
    x, data = exact(1.0), torch.linspace(3, 5, len(QUANTILES), dtype=torch.float64)
    noisy = torch.arange(len(x)) % 3 > 0
    seen: list[Tensor] = []
    found = SOLVERS[name](hold(velocity, noisy, x - data), x, sampling_levels(6), lambda step, x: seen.append(x))
    torch.testing.assert_close(found[~noisy], data[~noisy])
    torch.testing.assert_close(seen[2][~noisy], ((x + data) / 2)[~noisy])  # half of the way, half of the noise


def test_at_few_calls_the_higher_order_is_nearer() -> None:
    """One call a step each, from pure noise, as in sampling."""
    errors = [error(name, sampling_levels(20, 3.0)) for name in ("euler", "dpmpp", "unipc")]
    assert errors[0] > 3 * errors[1] and errors[1] > errors[2]


@pytest.mark.parametrize("name", SOLVERS)
def test_calls_and_progress(name: str) -> None:
    calls: list[float] = []
    done: list[int] = []

    def counting(x: Tensor, sigma: float) -> Tensor:
        calls.append(sigma)
        return velocity(x, sigma)

    on_step: Callable[[int, Tensor], None] = lambda step, x: done.append(step)  # noqa: E731
    SOLVERS[name](counting, exact(1.0), sampling_levels(5), on_step)
    assert done == [1, 2, 3, 4, 5]
    assert min(calls) > 0  # no model is trained at σ = 0
    assert len(calls) == 5 * CALLS_PER_STEP[name] - (name == "heun")


@pytest.mark.parametrize("name", SOLVERS)
def test_twice_on_the_exact_way_back_ends_where_the_flow_does(name: str) -> None:
    levels, ways, steps = sampling_levels(160), [], []

    def back(x: Tensor, sigma: float, higher: float) -> Tensor:
        ways.append((sigma, higher))
        scale = math.sqrt(variance(higher) / variance(sigma))
        return (1 - higher) * MEAN + scale * (x - (1 - sigma) * MEAN)

    found = twice(SOLVERS[name], velocity, exact(1), levels, back, lambda step, x: steps.append(step))
    assert float((found - exact(0)).abs().max()) < 0.02
    assert ways == list(zip(levels[2:-1], levels[1:-2], strict=True))
    assert steps == list(range(1, 2 * 160 - 1))
