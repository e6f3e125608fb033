"""Orbits fit one rigid scene to a pixel and strokes stay; scenes that come apart and paint that fades do not."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.evaluate.consistency import ORBIT_GIVEN, PAINT_GIVEN, around, has_stroke, is_still, strokes
from kinema.evaluate.examples import unseen
from kinema.evaluate.judge import segment

WORLDS = WorldsConfig()


@pytest.fixture(scope="module")
def orbit() -> Clip:
    return unseen("orbit", WORLDS, 1, is_still)[0]


def test_true_orbits_fit_the_scene_and_the_camera(orbit: Clip) -> None:
    found = around(orbit, orbit.pixels_THW3)
    assert found["reprojection_error_px"] < 2.0 and found["turn_error_deg"] < 3.0 and found["kept_share"] == 1.0


def test_scrambled_frames_and_a_scene_that_comes_apart_do_not_fit(orbit: Clip) -> None:
    good = around(orbit, orbit.pixels_THW3)
    scrambled = around(orbit, np.random.default_rng(0).permutation(orbit.pixels_THW3))
    assert scrambled["turn_error_deg"] > 5 * good["turn_error_deg"] + 5
    drifting = orbit.pixels_THW3.copy()
    mask_THW = segment(orbit.pixels_THW3)[0].mask_THW
    for frame in range(ORBIT_GIVEN, len(drifting)):  # one body sinks while the others turn
        drifting[frame][mask_THW[frame]] = 110
        moved_HW = np.roll(mask_THW[frame], frame // 2, axis=0)
        drifting[frame][moved_HW] = orbit.pixels_THW3[frame][mask_THW[frame]]
    assert around(orbit, drifting)["reprojection_error_px"] > 2 * good["reprojection_error_px"]
    gone = np.full_like(orbit.pixels_THW3, 110)
    assert around(orbit, gone)["kept_share"] == 0.0


def test_true_strokes_stay_and_fading_ones_do_not() -> None:
    clip = unseen("paint", WORLDS, 1, has_stroke)[0]
    true = strokes(clip, clip.pixels_THW3)
    assert true["given_stroke_stays_share"] > 0.9 and true["painted_area_error"] == 0.0
    fading = clip.pixels_THW3.copy()
    fading[PAINT_GIVEN + 4 :] = 110
    found = strokes(clip, fading)
    assert found["given_stroke_stays_share"] < 0.5 and found["painted_area_error"] == 1.0
