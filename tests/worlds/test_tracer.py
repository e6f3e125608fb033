"""The ray tracer against geometry that can be worked out by hand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from kinema.data import CameraInfo
from kinema.worlds import tracer
from kinema.worlds.tracer import BOX, CYLINDER, SPHERE, Look

CAMERA = CameraInfo(position_m=(0.0, -6.0, 2.0), target_m=(0.0, 0.0, 0.7), vertical_fov_deg=40.0)
UPRIGHT = (1.0, 0.0, 0.0, 0.0)


def make_look(bodies: list[tuple[int, tuple[float, float, float]]], **changes: Any) -> Look:
    sun_3 = np.array([-0.5, -0.4, 0.8])
    look = Look(
        kind_B=np.array([kind for kind, _ in bodies], dtype=np.int32),
        half_size_B3=np.array([half for _, half in bodies], dtype=np.float64).reshape(-1, 3),
        albedo_B3=np.full((len(bodies), 3), 0.8),
        gloss_B=np.zeros(len(bodies)),
        floor_albedo_3=np.full(3, 0.5),
        floor_checker=0.0,
        sky_top_3=np.array([0.3, 0.5, 0.8]),
        sky_horizon_3=np.array([0.7, 0.8, 0.9]),
        sun_direction_3=sun_3 / np.linalg.norm(sun_3),
        ambient=0.4,
        camera=CAMERA,
    )
    return dataclasses.replace(look, **changes)


def draw(
    look: Look, centres: list[tuple[float, float, float]], side: int = 96, samples: int = 4
) -> tuple[NDArray[np.uint8], NDArray[np.int8], NDArray[np.float64]]:
    position_TB3 = np.array(centres, dtype=np.float64).reshape(1, -1, 3)
    orientation_TB4 = np.tile(np.array(UPRIGHT), (1, len(centres), 1))
    pixels_THW3, ids_THW, visible_TB = tracer.render(look, position_TB3, orientation_TB4, side, side, samples)
    return pixels_THW3[0], ids_THW[0], visible_TB[0]


def linear(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    code = pixels / 255
    return np.asarray(np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4))


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
def test_bytes_do_not_depend_on_the_number_of_threads() -> None:
    look = make_look(
        [(SPHERE, (0.5, 0.5, 0.5)), (BOX, (0.4, 0.2, 0.3)), (CYLINDER, (0.3, 0.3, 0.4))],
        gloss_B=np.array([0.2, 0.0, 0.05]),
        floor_checker=0.4,
    )
    rng = np.random.default_rng(0)
    position_TB3 = rng.uniform(-1, 1, (5, 3, 3)) + np.array([0, 0, 1.2])
    orientation_TB4 = rng.normal(size=(5, 3, 4))
    orientation_TB4 /= np.linalg.norm(orientation_TB4, axis=-1, keepdims=True)
    before = numba.get_num_threads()
    results = []
    for threads in (1, 2):
        numba.set_num_threads(threads)
        results.append(tracer.render(look, position_TB3, orientation_TB4, 32, 48))
    numba.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("centre", [(0.0, 0.0, 0.7), (1.2, 0.5, 0.9), (-1.0, -1.5, 0.4)])
def test_sphere_covers_its_pinhole_projection(centre: tuple[float, float, float]) -> None:
    radius, side = 0.5, 128
    _, ids_HW, visible_B = draw(make_look([(SPHERE, (radius,) * 3)]), [centre], side, samples=9)
    # A sphere whose axis is at angle θ to the view and whose cone has half angle α projects to an ellipse of area
    # π f² s √(1 − s) / (c − s)^(3/2) with s = sin²α, c = cos²θ.
    axis_3 = np.array(centre) - np.array(CAMERA.position_m)
    forward_3 = np.array(CAMERA.target_m) - np.array(CAMERA.position_m)
    distance = float(np.linalg.norm(axis_3))
    cos_square = float(axis_3 @ forward_3 / distance / np.linalg.norm(forward_3)) ** 2
    sin_square = (radius / distance) ** 2
    focal = side / 2 / math.tan(math.radians(CAMERA.vertical_fov_deg) / 2)
    area = math.pi * focal**2 * sin_square * math.sqrt(1 - sin_square) / (cos_square - sin_square) ** 1.5
    assert visible_B[0] * side * side == pytest.approx(area, rel=0.02)
    assert (ids_HW == 0).sum() == pytest.approx(area, rel=0.03)


def test_ids_lie_on_projected_centres() -> None:
    shapes = [(SPHERE, (0.3, 0.3, 0.3)), (BOX, (0.3, 0.2, 0.25)), (CYLINDER, (0.25, 0.25, 0.3))]
    centres = [(-1.2, 0.0, 0.3), (0.1, 0.5, 0.25), (1.1, -0.5, 0.3)]
    _, ids_HW, _ = draw(make_look(shapes), centres)
    for body, (column, row, _) in enumerate(tracer.project(CAMERA, np.array(centres), 96, 96)):
        assert ids_HW[int(row), int(column)] == body
    assert ids_HW[0, 0] == ids_HW[-1, -1] == -1


def test_shadow_lies_opposite_to_the_sun() -> None:
    look, centre = make_look([(SPHERE, (0.3, 0.3, 0.3))]), (0.0, 0.0, 0.9)
    lit_HW3, ids_HW, _ = draw(look, [centre])
    empty_HW3, _, _ = draw(make_look([]), [])
    darker_HW = (empty_HW3.astype(int) - lit_HW3).max(axis=-1) > 30
    rows, columns = np.nonzero(darker_HW & (ids_HW < 0))
    sun_3 = look.sun_direction_3
    shadow_3 = np.array(centre) - sun_3 * (centre[2] / sun_3[2])
    column, row, _ = tracer.project(CAMERA, shadow_3[None], 96, 96)[0]
    assert abs(columns.mean() + 0.5 - column) < 1.0 and abs(rows.mean() + 0.5 - row) < 1.0


def test_white_sphere_keeps_to_the_light_budget() -> None:
    """Facing the sun a matte white body returns all light; facing away, at most the skylight's share."""
    sun_3 = np.array([0.0, -1.0, 0.0])
    white = {"albedo_B3": np.ones((1, 3)), "floor_albedo_3": np.ones(3), "ambient": 0.25}
    camera = CameraInfo((0.0, -60.0, 5.0), (0.0, 0.0, 5.0), 3.0)
    front_HW3, ids_HW, _ = draw(
        make_look([(SPHERE, (1.0,) * 3)], sun_direction_3=sun_3, camera=camera, **white), [(0.0, 0.0, 5.0)], samples=1
    )
    light_HW = linear(front_HW3).mean(axis=-1)
    assert light_HW[48, 48] == pytest.approx(1.0, abs=0.02)
    # Lambert seen from the lamp: the mean of cosine over the disc is 2/3.
    assert light_HW[ids_HW == 0].mean() == pytest.approx(0.25 + 0.75 * 2 / 3, rel=0.02)
    back_HW3, _, _ = draw(
        make_look([(SPHERE, (1.0,) * 3)], sun_direction_3=-sun_3, camera=camera, **white), [(0.0, 0.0, 5.0)]
    )
    assert linear(back_HW3)[48, 48] == pytest.approx(0.25, abs=0.02)


def test_body_behind_a_wall_is_not_visible() -> None:
    look = make_look([(SPHERE, (0.3, 0.3, 0.3)), (BOX, (1.0, 0.05, 0.8))])
    _, ids_HW, visible_B = draw(look, [(0.0, 1.0, 0.3), (0.0, 0.0, 0.8)])
    assert visible_B[0] == 0.0 and visible_B[1] > 0.1 and not (ids_HW == 0).any()


def test_rotation_turns_body_axes_to_the_world() -> None:
    """A cylinder laid along x by a quarter turn about y is wide and low; the same box rotated a full turn is equal."""
    half = (0.2, 0.2, 0.8)
    camera = CameraInfo((0.0, -8.0, 1.0), (0.0, 0.0, 1.0), 30.0)
    look = make_look([(CYLINDER, half)], camera=camera)
    quarter = (math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0)
    for quaternion, wide in [(UPRIGHT, False), (quarter, True)]:
        _, ids_THW, _ = tracer.render(look, np.array([[[0.0, 0.0, 1.0]]]), np.array([[quaternion]]), 64, 64)
        rows, columns = np.nonzero(ids_THW[0] == 0)
        aspect = (np.ptp(columns) + 1) / (np.ptp(rows) + 1)
        assert (aspect > 3) if wide else (aspect < 1 / 3)


def test_screen_bounds_skip_nothing() -> None:
    """Bodies around, behind and on both sides of the eye: every visible one is drawn as if there were no bounds."""
    rng = np.random.default_rng(3)
    shapes = [(int(kind), (0.4, 0.4 if kind != BOX else 0.2, 0.4)) for kind in rng.integers(0, 3, 8)]
    shapes = [(kind, (half[0],) * 3 if kind == SPHERE else half) for kind, half in shapes]
    position_TB3 = rng.uniform(-2, 2, (6, 8, 3)) + np.array([0.0, -5.0, 2.0])
    orientation_TB4 = rng.normal(size=(6, 8, 4))
    orientation_TB4 /= np.linalg.norm(orientation_TB4, axis=-1, keepdims=True)
    look = make_look(shapes)
    bounded = tracer.render(look, position_TB3, orientation_TB4, 32, 32)
    everywhere = np.broadcast_to(np.array([-1, -1, 32, 32]), (6, 8, 4)).copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracer, "_screen_bounds", lambda *_: everywhere)
        free = tracer.render(look, position_TB3, orientation_TB4, 32, 32)
    assert (bounded[1] >= 0).any()
    for one, two in zip(bounded, free, strict=True):
        assert np.array_equal(one, two)


def test_glossy_ball_mirrors_its_neighbour() -> None:
    """Seen in a mirror ball, a red box in front of it (behind the camera's side) reddens the ball."""
    shapes = [(SPHERE, (0.6, 0.6, 0.6)), (BOX, (0.5, 0.1, 0.5))]
    albedo_B3 = np.array([[0.5, 0.5, 0.5], [0.9, 0.0, 0.0]])
    centres = [(0.0, 0.0, 0.6), (1.3, -0.6, 0.5)]
    redness = []
    for gloss in (0.0, 0.8):
        look = make_look(shapes, albedo_B3=albedo_B3, gloss_B=np.array([gloss, 0.0]))
        pixels_HW3, ids_HW, _ = draw(look, centres)
        ball_N3 = pixels_HW3[ids_HW == 0].astype(int)
        redness.append(int((ball_N3[:, 0] - ball_N3[:, 2]).max()))
    assert redness[1] > redness[0] + 60
