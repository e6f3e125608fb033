"""Secondary numbers only: how far videos lie from true clips as a set, and how sharp they are.

The features need no download and do not depend on the codec under test: three random 3-D convolutions with fixed
seeds over the pixels and their changes in time, averaged over space and time. Random features see statistics of
colour, edges and motion and no meaning (Zhang et al. 2018, arXiv 1801.03924, compare random networks as measures), so
a model may score well here and still make impossible videos.

Array suffixes: B clips, C channels, T frames, H height, W width, N clips of a set, K features.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from kinema.evaluate import words
from kinema.evaluate.examples import TEST_SEED, unseen
from kinema.evaluate.families import FAMILIES
from kinema.evaluate.statistics import score_of
from kinema.evaluate.suite import Exam, Pixels, SuiteResult
from kinema.worlds.narration.narrate import short_prompt

NAME = "frechet"
ABOUT = "Secondary: distance of a set of videos from true clips on random features, and sharpness. No measure of truth."

EACH, QUICK_EACH = words.FAMILY_EACH, words.QUICK_FAMILY_EACH  # videos of a family: those that the words have asked for
REFERENCE, QUICK_REFERENCE = 10, 2  # true clips of a family
REFERENCE_SEED = TEST_SEED + 40_000
FEATURES = 16  # few, because sets are small: a covariance needs more clips than features
_WIDTHS = (6, 24, 32)  # channels before each convolution
_PLAIN = np.array([0.2126, 0.7152, 0.0722])

Floats = NDArray[np.float64]


def run(exam: Exam) -> SuiteResult:
    """Compares videos of plain prompts of all families, and true clips and codec copies, with other true clips."""
    each, per_family = (QUICK_EACH, QUICK_REFERENCE) if exam.quick else (EACH, REFERENCE)
    total, done = len(FAMILIES) * (each + per_family), 0
    sets: dict[str, list[Floats]] = {"model": [], "truth": [], "codec": [], "reference": []}
    sharp: dict[str, list[float]] = {"model": [], "truth": [], "codec": []}

    def count() -> None:
        nonlocal done
        exam.on_progress(done, total)
        done += 1

    count()
    for family in FAMILIES:
        for clip in unseen(family, exam.worlds, per_family, words.any_clip, first_seed=REFERENCE_SEED):
            sets["reference"].append(features(clip.pixels_THW3))
            count()
        for clip in unseen(family, exam.worlds, each, words.any_clip, first_seed=TEST_SEED + words.ONLY_HERE):
            assert clip.state is not None
            shown = {
                "model": exam.cache.make(short_prompt(family, clip.state), seed=clip.source.seed % 2**20),
                "truth": clip.pixels_THW3,
                "codec": exam.cache.coded(clip.pixels_THW3),
            }
            for column, pixels_THW3 in shown.items():
                sets[column].append(features(pixels_THW3))
                sharp[column].append(sharpness(pixels_THW3))
            count()
    reference_NK = np.array(sets["reference"])
    distances = {column: jackknifed(np.array(sets[column]), reference_NK) for column in ("model", "truth", "codec")}
    return SuiteResult(
        NAME,
        ABOUT,
        (
            score_of(
                "frechet_distance",
                "Fréchet distance to other true clips on random features, bias removed by the jackknife",
                "lower",
                distances["model"],
                {column: distances[column] for column in ("truth", "codec")},
            ),
            score_of(
                "sharpness_codes",
                "mean size of the Laplacian of brightness, in codes of 255",
                "higher",
                sharp["model"],
                {column: sharp[column] for column in ("truth", "codec")},
            ),
        ),
        notes=("Features: three random 3-D convolutions with fixed weights, on pixels and their changes in time.",),
    )


@torch.inference_mode()
def features(pixels_THW3: Pixels) -> Floats:
    """A clip as ``FEATURES`` numbers: random convolutions, rectified and averaged."""
    light_CTHW = torch.from_numpy(pixels_THW3.astype(np.float32) / 255).permute(3, 0, 1, 2)
    change_CTHW = F.pad(light_CTHW.diff(dim=1), (0, 0, 0, 0, 1, 0))
    x_BCTHW = torch.cat([light_CTHW - 0.5, 4 * change_CTHW])[None]
    for weight in _weights():
        x_BCTHW = F.relu(F.conv3d(x_BCTHW, weight, stride=(1, 2, 2), padding=1))
    result_K: Floats = x_BCTHW.mean(dim=(2, 3, 4))[0].double().numpy()
    return result_K


@cache
def _weights() -> tuple[Tensor, ...]:
    """Kernels whose outputs keep the scale of their inputs (He et al. 2015, arXiv 1502.01852)."""
    rng = torch.Generator().manual_seed(0)
    widths = [*_WIDTHS, FEATURES]
    shapes = [(after, before, 3, 3, 3) for before, after in zip(widths, widths[1:], strict=False)]
    return tuple(torch.randn(shape, generator=rng) * (2 / (27 * shape[1])) ** 0.5 for shape in shapes)


def frechet_distance(first_NK: Floats, second_NK: Floats) -> float:
    """|μ₁ − μ₂|² + tr(C₁ + C₂ − 2(C₁C₂)^½) of two sets (Dowson and Landau 1982; FID, arXiv 1706.08500, equation 6)."""
    gap_K = first_NK.mean(axis=0) - second_NK.mean(axis=0)
    first_KK, second_KK = (np.cov(rows_NK, rowvar=False) for rows_NK in (first_NK, second_NK))
    value, vector = np.linalg.eigh(first_KK)
    root_KK = vector * np.sqrt(value.clip(0)) @ vector.T
    shared = np.sqrt(np.linalg.eigvalsh(root_KK @ second_KK @ root_KK).clip(0)).sum()
    return float(gap_K @ gap_K + np.trace(first_KK) + np.trace(second_KK) - 2 * shared)


def jackknifed(rows_NK: Floats, reference_NK: Floats) -> list[float]:
    """Pseudo-values (Quenouille 1956) of the distance, one for each clip: their mean has less bias than the distance.

    Features are scaled by their spread in the reference.
    """
    scale_K = reference_NK.std(axis=0) + 1e-12
    rows_NK, reference_NK = rows_NK / scale_K, reference_NK / scale_K
    count, whole = len(rows_NK), frechet_distance(rows_NK, reference_NK)
    without = (frechet_distance(np.delete(rows_NK, index, axis=0), reference_NK) for index in range(count))
    return [count * whole - (count - 1) * distance for distance in without]


def sharpness(pixels_THW3: Pixels) -> float:
    """Mean absolute Laplacian of brightness."""
    light_THW = pixels_THW3.astype(np.float64) @ _PLAIN
    middle_THW = light_THW[:, 1:-1, 1:-1]
    around: Sequence[Floats] = (
        *(light_THW[:, :-2, 1:-1], light_THW[:, 2:, 1:-1]),
        *(light_THW[:, 1:-1, :-2], light_THW[:, 1:-1, 2:]),
    )
    return float(np.abs(4 * middle_THW - sum(around)).mean())
