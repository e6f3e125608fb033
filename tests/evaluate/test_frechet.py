"""Distance of sets on random features, and sharpness: known answers, and sets that are spoilt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from evaluate.models import Painter, exam_of
from kinema.data import Clip
from kinema.evaluate import frechet
from kinema.evaluate.frechet import FEATURES, features, frechet_distance, jackknifed, sharpness
from kinema.evaluate.silhouette import soften


def test_distance_of_normal_sets_is_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    first_NK = rng.normal(size=(40_000, 3)) * (1.0, 2.0, 0.5) + (1.0, 0.0, 0.0)
    second_NK = rng.normal(size=(40_000, 3)) * (2.0, 2.0, 1.0)
    expected = 1.0 + (1 - 2) ** 2 + 0.0 + (0.5 - 1) ** 2  # of diagonal covariances: means apart, spreads apart
    assert frechet_distance(first_NK, second_NK) == pytest.approx(expected, rel=0.03)
    assert frechet_distance(first_NK, first_NK) == pytest.approx(0, abs=1e-9)
    turned_NK = second_NK @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert frechet_distance(turned_NK, turned_NK + (0.0, 3.0, 0.0)) == pytest.approx(9)


def test_the_jackknife_takes_away_most_of_the_bias_of_small_sets() -> None:
    rng = np.random.default_rng(1)
    reference_NK = rng.normal(size=(4000, 6))
    plain, corrected = [], []
    for _ in range(20):
        few_NK = rng.normal(size=(30, 6))
        plain.append(frechet_distance(few_NK, reference_NK))
        corrected.append(np.mean(jackknifed(few_NK, reference_NK)))
    assert np.mean(plain) > 0.4 and abs(np.mean(corrected)) < 0.4 * np.mean(plain)


def test_scrambled_blurred_and_frozen_clips_lie_far_from_true_ones(judged_clips: tuple[Clip, ...]) -> None:
    clips = [clip.pixels_THW3 for clip in judged_clips]
    true_NK = np.array([features(pixels) for pixels in clips])
    assert true_NK.shape == (len(clips), FEATURES) and (features(clips[0]) == true_NK[0]).all()
    others = float(np.mean(jackknifed(true_NK[::2], true_NK[1::2])))

    def distance(spoilt: list[np.ndarray]) -> float:
        return float(np.mean(jackknifed(np.array([features(pixels) for pixels in spoilt]), true_NK[1::2])))

    rng = np.random.default_rng(0)
    scrambled = [rng.permutation(pixels.reshape(-1, 3)).reshape(pixels.shape) for pixels in clips[::2]]
    frozen = [np.repeat(pixels[:1], len(pixels), axis=0) for pixels in clips[::2]]
    assert distance(scrambled) > 10 * max(others, 1) and distance(frozen) > others
    assert sharpness(soften(clips[0])) < 0.8 * sharpness(clips[0]) < sharpness(scrambled[0])
    ramp_THW3 = np.broadcast_to(np.arange(64, dtype=np.uint8)[None, None, :, None], (3, 64, 64, 3))
    assert sharpness(ramp_THW3) == pytest.approx(0)


def test_who_shows_true_clips_is_near_and_who_shows_noise_is_far(
    judged_clips: tuple[Clip, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frechet, "FAMILIES", ("fall", "throw"))

    def some(family: str, worlds: object, each: int, usable: object, first_seed: int) -> Iterator[Clip]:
        return iter(judged_clips[::4] if each > 1 else judged_clips[2::4])

    monkeypatch.setattr(frechet, "unseen", some)
    pixels = [clip.pixels_THW3 for clip in judged_clips]
    true = iter(pixels[1::4] * 2)
    near = frechet.run(exam_of(Painter(lambda prompt, seed: next(true)), tmp_path))
    noise_THW3 = np.random.default_rng(0).integers(0, 255, pixels[0].shape).astype(np.uint8)
    far = frechet.run(exam_of(Painter(lambda prompt, seed: np.roll(noise_THW3, seed), "b"), tmp_path))
    assert far.scores[0].value > 10 * max(near.scores[0].value, 1)
    assert far.scores[0].floors == near.scores[0].floors and near.scores[1].floors["truth"] > 0
    assert near.scores[0].low <= near.scores[0].value <= near.scores[0].high
