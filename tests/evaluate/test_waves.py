"""Waves and light: readings of true clips, and of clips that are spoilt in known ways."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from evaluate.models import Painter, exam_of
from kinema.config import WorldsConfig
from kinema.evaluate import waves
from kinema.evaluate.examples import frozen, unseen
from kinema.evaluate.waves import (
    GIVEN,
    Stage,
    is_legible,
    is_promising,
    lens_slope,
    measure,
    reflection_errors,
    stage_of,
    water_in_motion,
)
from kinema.sample.generate import reconstruct
from kinema.sample.pipeline import load
from kinema.worlds.make import film, move
from kinema.worlds.render.tracer import project

WORLDS = WorldsConfig(samples_per_pixel=1)


@pytest.fixture(scope="module")
def stages() -> dict[str, list[Stage]]:
    """Two legible true clips of every family."""
    return {
        family: [
            stage_of(clip, WORLDS)
            for clip in unseen(family, WORLDS, 2, partial(is_legible, worlds=WORLDS), is_promising)
        ]
        for family in GIVEN
    }


def true_value(stage: Stage, name: str) -> float:
    return measure(stage, stage.clip.pixels_THW3)[name]


def test_true_reflections_are_where_the_mirror_puts_them_and_moved_ones_are_not(stages: dict[str, list[Stage]]) -> None:
    for stage in stages["mirror"]:
        assert true_value(stage, "reflection_error") < 2 / 64 and true_value(stage, "reflection_seen") == 1
        moved_THW3 = stage.clip.pixels_THW3.copy()
        inside_T = np.roll(moved_THW3, 8, axis=0)  # the mirror shows what was two thirds of a second ago
        moved_THW3[:, stage.mask_HW] = inside_T[:, stage.mask_HW]
        late = measure(stage, moved_THW3)
        assert late["reflection_seen"] < 0.5 or late["reflection_error"] > 1.5 * true_value(stage, "reflection_error")
        empty_THW3 = stage.clip.pixels_THW3.copy()
        empty_THW3[:, stage.mask_HW] = 120
        assert measure(stage, empty_THW3)["reflection_seen"] == 0
        assert len(reflection_errors(stage, empty_THW3)) == 33


def test_a_pixel_leads_back_to_the_point_that_it_shows(stages: dict[str, list[Stage]]) -> None:
    scene = stages["mirror"][0].scene
    point_P3 = np.array([(0.3, 0.4, 0.35), (-0.2, 0.1, 0.35)])
    pixel_P2 = project(scene.camera, point_P3, 64, 64)[:, :2]
    np.testing.assert_allclose(waves._on_level(scene, pixel_P2, 0.35, 64, 64), point_P3, atol=1e-9)


def test_a_ball_turns_the_way_round_and_a_plain_pane_would_not(stages: dict[str, list[Stage]]) -> None:
    for stage in stages["lens"]:
        true = stage.clip.pixels_THW3
        assert lens_slope(stage, true) < -0.1 and true_value(stage, "lens_error") == 0
        turned_THW3 = true.copy()
        turned_THW3[:, stage.mask_HW] = true[::-1][:, stage.mask_HW]
        assert not measure(stage, turned_THW3)["lens_error"] < 0.2
        assert np.isnan(measure(stage, frozen(true, 5))["lens_error"])


def test_a_ball_shows_its_own_index_through_a_codec_too_and_nothing_where_all_is_still(
    stages: dict[str, list[Stage]],
) -> None:
    codec = load("nano").codec
    for stage in stages["lens"]:
        true = stage.clip.pixels_THW3
        copy = measure(stage, reconstruct(codec, true)[0])
        assert copy["refraction_seen"] == 1 and copy["refraction_error"] == 0
        ball, body = stage.scene.bodies[1], stage.scene.bodies[0]
        gone = replace(stage.scene, bodies=(body, replace(ball, index=1.0), *stage.scene.bodies[2:]))
        without = measure(stage, film(gone, move(stage.scene, WORLDS), WORLDS).pixels_THW3)
        assert without["refraction_seen"] == 1 and without["refraction_error"] == pytest.approx(0.5)
        for spoilt_THW3 in (frozen(true, 5), np.concatenate([true[:5], true[:4:-1]])):
            assert measure(stage, spoilt_THW3)["refraction_seen"] == 0


def test_floating_and_sinking_are_told_apart_and_exchanged_fates_are_wrong(stages: dict[str, list[Stage]]) -> None:
    right = [true_value(stage, "floats_or_sinks_right") for stage in stages["float"]]
    assert np.mean(right) >= 0.75, right
    for stage in stages["float"]:
        assert measure(stage, np.full_like(stage.clip.pixels_THW3, 120))["floats_or_sinks_right"] == 0


def test_water_that_stays_flat_or_is_noise_has_another_share_in_motion(stages: dict[str, list[Stage]]) -> None:
    for stage in stages["ripple"]:
        true = stage.clip.pixels_THW3
        share_T = water_in_motion(stage.mask_HW, true)
        assert share_T[0] == 0 and share_T[-8:].mean() > 0.05
        assert true_value(stage, "water_in_motion_error") == 0
        flat = measure(stage, frozen(true, 1))["water_in_motion_error"]
        noise_THW3 = np.random.default_rng(0).integers(0, 255, true.shape).astype(np.uint8)
        assert flat > 0.03 and measure(stage, noise_THW3)["water_in_motion_error"] > flat


def filmed(stage: Stage, waves_g: float) -> np.ndarray:
    """The clip's scene with waves that another gravity drives."""
    assert stage.scene.water is not None
    other = replace(stage.scene, water=replace(stage.scene.water, waves_g=waves_g))
    return film(other, move(other, WORLDS), WORLDS).pixels_THW3


def test_rings_have_the_speed_of_their_gravity_through_a_codec_too(stages: dict[str, list[Stage]]) -> None:
    codec = load("nano").codec
    for stage in stages["ripple"]:
        for waves_g, octaves in ((0.25, 1.0), (1.0, 0.0), (4.0, 1.0)):
            rings = measure(stage, filmed(stage, waves_g))
            assert rings["ripple_seen"] == 1 and rings["ripple_speed_error"] == octaves, waves_g
        copy = measure(stage, reconstruct(codec, stage.clip.pixels_THW3)[0])
        assert copy["ripple_seen"] == 1 and copy["ripple_speed_error"] == 0


def test_no_rings_are_seen_in_still_scrambled_or_backward_water(stages: dict[str, list[Stage]]) -> None:
    for stage in stages["ripple"]:
        true = stage.clip.pixels_THW3
        mixed_THW3 = true[np.random.default_rng(0).permutation(len(true))]
        for spoilt_THW3 in (frozen(true, 1), mixed_THW3, true[::-1]):
            rings = measure(stage, spoilt_THW3)
            assert rings["ripple_seen"] == 0 and np.isnan(rings["ripple_speed_error"])


def test_who_continues_truly_scores_like_truth_and_who_scrambles_does_not(
    stages: dict[str, list[Stage]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = {family: [stage.clip for stage in own] for family, own in stages.items()}
    monkeypatch.setattr(waves, "unseen", lambda family, *_: iter(clips[family]))

    def scrambled(pixels_THW3: np.ndarray) -> np.ndarray:
        mixed = np.random.default_rng(1).permutation(pixels_THW3[1:].reshape(-1, 3)).reshape(pixels_THW3[1:].shape)
        return np.concatenate([pixels_THW3[:1], mixed])

    results = {}
    for name, change in (("true", lambda pixels: pixels), ("scrambled", scrambled)):
        monkeypatch.setattr(waves, "continued", lambda exam, clip, *_, change=change: change(clip.pixels_THW3))
        results[name] = waves.run(exam_of(Painter(sha256=name), tmp_path))
    for true, mixed in zip(results["true"].scores, results["scrambled"].scores, strict=True):
        assert true.value == true.floors["truth"]
        worse = mixed.value < 0.6 * true.value if true.better == "higher" else not mixed.value <= true.value + 0.02
        assert worse, (true.name, true.value, mixed.value)
    assert results["true"].strips[0].pixels_THW3.shape == (33, 128, 64, 3)
