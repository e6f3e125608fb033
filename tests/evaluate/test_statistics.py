"""Intervals against theory, pairing, and the order of failures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kinema.evaluate.statistics import difference, interval, rate, score_of, shortfall

NAN = math.nan


def test_interval_has_the_width_of_a_binomial() -> None:
    result = rate("hits", "", [1] * 70 + [0] * 30)
    assert result.value == 0.7 and result.n == 100
    assert result.high - result.low == pytest.approx(2 * 1.96 * np.sqrt(0.7 * 0.3 / 100), rel=0.15)
    same = rate("hits", "", [1] * 10)
    assert (same.value, same.low, same.high) == (1.0, 1.0, 1.0)


def test_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    samples = rng.exponential(1.0, (200, 40))
    covered = [low <= 1.0 <= high for low, high in (interval(sample) for sample in samples)]
    assert 0.87 <= np.mean(covered) <= 0.98


def test_units_weigh_by_the_things_in_them_and_unmeasured_ones_not_at_all() -> None:
    result = rate("shapes", "", [1, 0, 5], [1, 3, 0], {"truth": [1, 3, 0], "chance": 0.1})
    assert result.value == 1 / 4 and result.n == 4 and math.isnan(result.per_unit[2])
    assert result.floors == {"truth": 1.0, "chance": 0.1}
    nothing = score_of("error_m", "", "lower", [NAN, NAN])
    assert nothing.n == 0 and math.isnan(nothing.value) and math.isnan(nothing.low)


def test_differences_pair_units_so_that_their_common_spread_cancels() -> None:
    hard = np.linspace(0, 10, 50)
    first, second = (score_of("error_m", "", "lower", (hard + shift).tolist()) for shift in (0.5, 0.0))
    gap = difference(first, second)
    assert gap.value == pytest.approx(0.5) and gap.high - gap.low < 1e-9 < first.high - first.low
    holed = score_of("error_m", "", "lower", [NAN, *(hard[1:])])
    assert difference(first, holed).n == 49


def test_shortfall_orders_failures_of_different_units() -> None:
    def lower(value: float, truth: float) -> float:
        return shortfall(score_of("a", "", "lower", [value], {"truth": truth}))

    assert lower(0.1, 0.1) == 0 and lower(0.2, 0.1) == 0.5 and lower(10, 0.1) == pytest.approx(0.99)
    assert lower(0.05, 0.1) == 0  # better than the truth's own floor
    assert shortfall(score_of("a", "", "higher", [0.3], {"truth": 0.6})) == 0.5
    assert shortfall(score_of("a", "", "higher", [0.8])) == pytest.approx(0.2)
    assert shortfall(score_of("a", "", "lower", [NAN], {"truth": 0.6})) == 1
