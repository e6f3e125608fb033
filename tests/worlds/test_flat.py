"""The replica of published flat worlds: their laws, their ranges, and clips that training can take."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from kinema.config import WorldsConfig
from kinema.worlds import flat
from kinema.worlds.families import FAMILIES
from kinema.worlds.flat import RADIUS, SCENES, SPEED, WORLD_M, draw, move
from kinema.worlds.make import HELD_OUT_SEED, make_clip

FPS = 10.0
SEEDS = range(60)


def test_uniform_motion_and_parabola_follow_their_equations() -> None:
    for seed in SEEDS:
        straight, arc = (move(scene, seed, 33, FPS).position_TB2[:, 0] for scene in ("uniform_motion", "parabola"))
        np.testing.assert_allclose(np.diff(straight, 2, axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(np.diff(arc, 2, axis=0) * FPS**2, [[0.0, -2.5]] * 31, atol=1e-9)
        assert straight[0, 1] == straight[-1, 1] and straight[1, 0] > straight[0, 0]


@pytest.mark.parametrize("out", [False, True])
def test_collisions_keep_momentum_and_energy_and_happen_where_the_balls_touch(out: bool) -> None:
    for seed in SEEDS:
        motion = move("elastic_collision", seed, 33, FPS, out)
        velocity_TB = np.diff(motion.position_TB2[..., 0], axis=0) * FPS
        contact = int(motion.contact_s * FPS)
        assert flat.LEAST_BEFORE <= motion.contact_s * FPS <= 33 - flat.LEAST_SEEN
        before_B, after_B, mass_B = velocity_TB[contact - 1], velocity_TB[contact + 1], motion.radius_B**2
        assert mass_B @ before_B == pytest.approx(mass_B @ after_B, abs=1e-9)
        assert mass_B @ before_B**2 == pytest.approx(mass_B @ after_B**2, abs=1e-9)
        gap_T = np.diff(motion.position_TB2[..., 0], axis=1)[:, 0] - motion.radius_B.sum()
        assert gap_T.min() > -1e-9
        closing = (before_B[0] - before_B[1]) / FPS  # on the way of one frame
        assert min(gap_T[contact], gap_T[contact + 1]) <= closing + 1e-9
        assert motion.inside_T[: flat.LEAST_BEFORE].all()


def test_ranges_are_those_of_training_or_outside_in_at_least_one() -> None:
    for scene in SCENES:
        for seed in SEEDS:
            for out in (False, True):
                motion = move(scene, seed, 33, FPS, out)
                speed = np.abs(motion.position_TB2[1, :, 0] - motion.position_TB2[0, :, 0]) * FPS
                inside = [
                    low <= value <= high
                    for values, (low, high) in ((motion.radius_B, RADIUS[scene].inside), (speed, SPEED.inside))
                    for value in values
                ]
                assert all(inside) if not out else not all(inside)


def test_pictures_show_discs_of_the_right_size_at_the_right_place() -> None:
    motion = move("parabola", 3, 33, FPS)
    frames_THW3 = draw(motion, 64, 64)
    red_HW = (255.0 - frames_THW3[0, :, :, 1]) / 255
    radius = motion.radius_B[0] / WORLD_M * 64
    assert red_HW.sum() == pytest.approx(np.pi * radius**2, rel=0.05)
    row_H, column_W = red_HW.sum(axis=1), red_HW.sum(axis=0)
    x, y = motion.position_TB2[0, 0] / WORLD_M * 64
    place = np.arange(64) + 0.5
    assert row_H @ place / row_H.sum() == pytest.approx(64 - y, abs=0.05)
    assert column_W @ place / column_W.sum() == pytest.approx(x, abs=0.05)
    assert (frames_THW3[..., 0] == 255).all()  # red on white


def test_clips_come_from_seeds_like_those_of_families_and_are_none_of_them() -> None:
    worlds = WorldsConfig(SCENES, 32, 32, 9, FPS)
    digests = set()
    for scene in SCENES:
        assert scene not in FAMILIES
        for seed in (0, 1, HELD_OUT_SEED):
            clip, again = make_clip(scene, seed, worlds), make_clip(scene, seed, worlds)
            assert clip.pixels_THW3.shape == (9, 32, 32, 3) and clip.caption.short == flat.PROMPTS[scene]
            assert (clip.pixels_THW3 == again.pixels_THW3).all()
            digests.add(hashlib.sha256(clip.pixels_THW3.tobytes()).hexdigest())
    assert len(digests) == 9
