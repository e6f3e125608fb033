"""The published metric: its floor on true pictures is the published one, and what breaks a law scores far above."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluate.models import Painter, Pixels, exam_of
from kinema.config import nano
from kinema.evaluate import phyworld
from kinema.evaluate.phyworld import FPS, FRAMES, GIVEN, PUBLISHED, SIDE, parse, velocity_error
from kinema.worlds import flat
from kinema.worlds.flat import SCENES, FlatMotion, draw, move

FLOORS = {scene: error for scene, who, _, error, _ in PUBLISHED if who == "truth parsed"}
CLIPS = 12


def clips(scene: str, count: int = CLIPS) -> list[tuple[Pixels, FlatMotion]]:
    motions = [move(scene, seed, FRAMES, FPS) for seed in range(count)]
    return [(draw(motion, SIDE, SIDE), motion) for motion in motions]


@pytest.mark.parametrize("scene", SCENES)
def test_the_floor_of_true_pictures_is_the_published_one(scene: str) -> None:
    errors = [velocity_error(pixels_THW3, motion) for pixels_THW3, motion in clips(scene)]
    assert 0.6 * FLOORS[scene] < np.nanmean(errors) < 1.7 * FLOORS[scene]


def test_places_are_exact_to_a_hundredth_of_a_metre() -> None:
    for pixels_THW3, motion in clips("elastic_collision", 3):
        off_TB2 = (parse(pixels_THW3, 2) - motion.position_TB2)[motion.inside_T]
        assert np.abs(off_TB2).max() < 0.02


@pytest.mark.parametrize("scene", SCENES)
def test_broken_laws_and_scrambled_frames_score_far_worse(scene: str) -> None:
    rng = np.random.default_rng(0)
    for pixels_THW3, motion in clips(scene, 3):
        floor = velocity_error(pixels_THW3, motion)
        frozen_THW3 = np.concatenate([pixels_THW3[:GIVEN], np.repeat(pixels_THW3[GIVEN - 1 : GIVEN], 28, axis=0)])
        for spoilt_THW3 in (frozen_THW3, rng.permutation(pixels_THW3), np.full_like(pixels_THW3, 255)):
            assert velocity_error(spoilt_THW3, motion) > 8 * max(floor, 0.01)


def test_another_gravity_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    true = clips("parabola", 3)
    monkeypatch.setattr(flat, "GRAVITY_MPS2", 0.0)
    for (pixels_THW3, motion), (floating_THW3, _) in zip(true, clips("parabola", 3), strict=True):
        assert velocity_error(floating_THW3, motion) > 20 * velocity_error(pixels_THW3, motion)


def test_a_ball_that_vanishes_counts_as_gone_to_the_side() -> None:
    pixels_THW3, motion = clips("uniform_motion", 1)[0]
    gone_THW3 = pixels_THW3.copy()
    gone_THW3[6:] = 255
    position_T2 = parse(gone_THW3, 1)[:, 0]
    np.testing.assert_allclose(position_T2[6:, 0], flat.WORLD_M)
    np.testing.assert_allclose(position_T2[6:, 1], position_T2[5, 1])
    assert velocity_error(gone_THW3, motion) > 1.0


def test_only_models_of_these_worlds_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that continues perfectly reaches the floor; its clips are told with its cost beside the published ones."""
    monkeypatch.setattr(phyworld, "QUICK_CLIPS", 1)

    def goes_on(prompt: str, seed: int, extend: Pixels, **options: Any) -> Pixels:
        assert len(extend) == GIVEN and options["fps"] == FPS and options["guidance"] == 1.0
        scene = next(name for name in SCENES if flat.PROMPTS[name] == prompt)
        for out, first in ((False, phyworld.TEST_SEED), (True, phyworld.HELD_OUT_SEED)):
            pixels_THW3 = draw(move(scene, first + seed, FRAMES, FPS, out), SIDE, SIDE)
            if (pixels_THW3[:GIVEN] == extend).all():
                return pixels_THW3
        raise AssertionError("asked to continue an unknown clip")

    knows = Painter(goes_on, frames=33)
    knows.config = dataclasses.replace(nano(), worlds=dataclasses.replace(nano().worlds, families=SCENES))
    result = phyworld.run(exam_of(knows, tmp_path))
    assert len(result.scores) == 6 and knows.calls == 6
    for score in result.scores:
        assert score.value == score.floors["truth"] == score.floors["codec"] < 0.1
    others = phyworld.run(exam_of(Painter(), tmp_path))
    assert others.scores == () and "not trained" in others.notes[0]
    assert {row[0] for row in others.tables[0].rows} == set(SCENES)
