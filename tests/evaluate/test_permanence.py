"""Permanence: true clips keep their bodies; spoilt ones lose, invent or delay them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.evaluate import laws
from kinema.evaluate.examples import frozen, unseen
from kinema.evaluate.judge import segment
from kinema.evaluate.permanence import GIVEN, count_wonders, hides_something, measure


@pytest.fixture(scope="module")
def clips() -> tuple[Clip, ...]:
    return unseen("occlude", WorldsConfig(), 5, hides_something)


def mean(clips: tuple[Clip, ...], spoil: object, name: str) -> float:
    assert callable(spoil)
    return float(np.nanmean([measure(clip, spoil(clip.pixels_THW3))[name] for clip in clips]))


def test_true_clips_hide_and_show_again(clips: tuple[Clip, ...]) -> None:
    assert mean(clips, lambda pixels: pixels, "comes_out_share") > 0.75
    assert mean(clips, lambda pixels: pixels, "hides_share") > 0.85
    assert mean(clips, lambda pixels: pixels, "stays_hidden_share") > 0.85
    assert mean(clips, lambda pixels: pixels, "time_error_s") < 0.2
    assert mean(clips, lambda pixels: pixels, "speed_error_mps") < 0.5


def test_spoilt_clips_fail(clips: tuple[Clip, ...]) -> None:
    rng = np.random.default_rng(0)
    assert mean(clips, lambda pixels: frozen(pixels, GIVEN), "hides_share") < 0.1
    assert mean(clips, lambda pixels: frozen(pixels, GIVEN), "stays_hidden_share") < 0.1
    assert mean(clips, rng.permutation, "hides_share") < 0.7

    def recolored(pixels_THW3: np.ndarray) -> np.ndarray:
        """Every body turns into another colour."""
        return np.concatenate([pixels_THW3[:GIVEN], pixels_THW3[GIVEN:, ..., [2, 0, 1]]])

    assert mean(clips, recolored, "comes_out_share") < 0.4

    def late(pixels_THW3: np.ndarray) -> np.ndarray:
        """Time goes at half speed: everything comes out late or never."""
        return np.concatenate([pixels_THW3[:GIVEN], pixels_THW3[GIVEN:].repeat(2, axis=0)])[: len(pixels_THW3)]

    slow = [measure(clip, late(clip.pixels_THW3)) for clip in clips]
    times = [found["time_error_s"] for found in slow if not math.isnan(found["time_error_s"])]
    assert not times or np.mean(times) > 0.2
    assert np.nanmean([found["comes_out_share"] for found in slow]) < 1


def test_wonders_are_counted_and_truth_has_none() -> None:
    clip = laws.examples("throw", WorldsConfig(), 1)[0]
    assert count_wonders(clip, clip.pixels_THW3, 5) == {"spontaneous_per_min": 0, "vanished_per_min": 0}
    mask_THW = segment(clip.pixels_THW3)[0].mask_THW
    minutes = (len(clip.pixels_THW3) - 5) / clip.fps / 60
    vanishing = clip.pixels_THW3.copy()
    vanishing[20:][mask_THW[20:]] = 110
    assert count_wonders(clip, vanishing, 5)["vanished_per_min"] >= 1 / minutes
    twice = np.where(np.roll(mask_THW, 32, axis=2)[..., None], np.roll(clip.pixels_THW3, 32, axis=2), clip.pixels_THW3)
    assert count_wonders(clip, twice, 5)["spontaneous_per_min"] >= 1 / minutes
    stranger = clip.pixels_THW3.copy()
    stranger[15:, 4:14, 4:14] = (20, 200, 60) if "green" not in {b.color for b in clip.state.bodies} else (220, 20, 20)  # type: ignore[union-attr]
    assert count_wonders(clip, stranger, 5)["spontaneous_per_min"] >= 1 / minutes
