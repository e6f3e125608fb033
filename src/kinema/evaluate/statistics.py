"""Means with bootstrap intervals, and differences of two models on the same units.

Units (clips, pairs of clips) are independent; what is inside one is not, so intervals resample units. Array suffixes:
N units, R resamplings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kinema.evaluate.suite import Better, Score

RESAMPLINGS = 2000
Floor = float | Sequence[float]  # of a floor: its value, or one for each unit


def score_of(
    name: str,
    about: str,
    better: Better,
    per_unit: Sequence[float],
    floors: Mapping[str, Floor] | None = None,
    weight: Sequence[float] = (),
) -> Score:
    """A score: the weighted mean of the units that could be measured, with its interval.

    Args:
        name: see :class:`Score`, as all others.
        about: one line.
        better: which way is better.
        per_unit: of the model; nan where nothing could be measured.
        floors: the same measure elsewhere, as a number or as one number for each unit, which are averaged alike.
        weight: things in each unit, for example bodies of a clip; ``n`` then counts things.
    """
    weight_N = np.ones(len(per_unit)) if not len(weight) else np.asarray(weight, dtype=np.float64)
    value_N = np.asarray(per_unit, dtype=np.float64)
    low, high = interval(value_N, weight_N)
    return Score(
        name=name,
        about=about,
        value=mean(value_N, weight_N),
        low=low,
        high=high,
        n=int(weight_N[np.isfinite(value_N)].sum()),
        better=better,
        floors={
            key: float(floor) if isinstance(floor, (int, float)) else mean(np.asarray(floor, dtype=float), weight_N)
            for key, floor in (floors or {}).items()
        },
        per_unit=tuple(float(value) for value in value_N),
        weight=tuple(float(w) for w in weight),
    )


def rate(
    name: str,
    about: str,
    hits: Sequence[float],
    trials: Sequence[float] | None = None,
    floors: Mapping[str, Floor] | None = None,
    better: Better = "higher",
) -> Score:
    """A share of hits.

    Args:
        name: of the score.
        about: one line.
        hits: in each unit.
        trials: things in each unit that could have been hits; one each if left out.
        floors: shares elsewhere, or the hits of each unit there.
        better: which way is better.
    """
    trial_N = np.ones(len(hits)) if trials is None else np.asarray(trials, dtype=np.float64)

    def share(hit: Sequence[float]) -> list[float]:
        return [float(h / t) if t else float("nan") for h, t in zip(hit, trial_N, strict=True)]

    shares = {key: floor if isinstance(floor, (int, float)) else share(floor) for key, floor in (floors or {}).items()}
    return score_of(name, about, better, share(hits), shares, trial_N.tolist())


def mean(value_N: NDArray[np.float64], weight_N: NDArray[np.float64]) -> float:
    """Weighted mean of the finite values; nan of none."""
    finite_N = np.isfinite(value_N) & (weight_N > 0)
    if not finite_N.any():
        return float("nan")
    return float((value_N * weight_N)[finite_N].sum() / weight_N[finite_N].sum())


def finite_mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Mean of the finite values; nan of none."""
    value_N = np.asarray(values, dtype=np.float64)
    return mean(value_N, np.ones(len(value_N)))


def interval(
    value_N: NDArray[np.float64], weight_N: NDArray[np.float64] | None = None, share: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval (Efron 1979) of the weighted mean; resamples units, always the same way."""
    weight_N = np.ones(len(value_N)) if weight_N is None else weight_N
    finite_N = np.isfinite(value_N) & (weight_N > 0)
    value_N, weight_N = value_N[finite_N], weight_N[finite_N]
    if not len(value_N):
        return float("nan"), float("nan")
    drawn_RN = np.random.default_rng(0).integers(len(value_N), size=(RESAMPLINGS, len(value_N)))
    mean_R = (value_N * weight_N)[drawn_RN].sum(axis=1) / weight_N[drawn_RN].sum(axis=1)
    low, high = np.quantile(mean_R, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def difference(first: Score, second: Score) -> Score:
    """First minus second, unit by unit, over the units that both have measured.

    Units have the same number of things in both (they are the same clips), so weights are the first's.
    """
    assert len(first.per_unit) == len(second.per_unit), f"{first.name}: two models, one list of units"
    gap_N = np.asarray(first.per_unit) - np.asarray(second.per_unit)
    return score_of(first.name, first.about, first.better, gap_N.tolist(), weight=first.weight)


def shortfall(score: Score) -> float:
    """How far a score is from the truth, from 0 (as good) to 1: orders failures of different units.

    A share of the truth that is missing where higher is better; a share of the error that the truth does not have
    where lower is better. What could not be measured at all has failed.
    """
    ideal = score.floors.get("truth", 1.0 if score.better == "higher" else 0.0)
    if not np.isfinite(score.value) or not np.isfinite(ideal):
        return 1.0 if not np.isfinite(score.value) else 0.0
    gap, scale = (ideal - score.value, ideal) if score.better == "higher" else (score.value - ideal, score.value)
    return float(np.clip(gap / scale, 0.0, 1.0)) if scale > 0 else 0.0
