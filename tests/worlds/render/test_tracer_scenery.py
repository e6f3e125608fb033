"""Water, worlds of cubes and wet paint in the ray tracer."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from kinema.worlds.render import tracer
from kinema.worlds.render.tracer import PLAIN, SPHERE, PaintLook, VoxelLook, WaterLook
from worlds.render.stills import UPRIGHT, camera_of, centre_rays, centroid, linear, make_look, redness, seen_from, still

LEVEL_M = 0.8


def basin(**changes: object) -> WaterLook:
    still_water = WaterLook(-1.5, 1.5, -1.5, 1.5, LEVEL_M, np.full((1, 24, 24), LEVEL_M), tint_3=np.ones(3))
    return dataclasses.replace(still_water, floor_pattern=PLAIN, **changes)


def test_still_water_lifts_what_lies_in_it() -> None:
    """The picture of a pebble lies where the ray that Snell bends towards it crosses the surface."""
    pebble = np.array([0.3, 0.4, 0.06])
    look = make_look(
        [(SPHERE, (0.06, 0.06, 0.06))],
        albedo_B3=np.array([[0.9, 0.02, 0.02]]),
        water=basin(),
        **seen_from((0.0, -4.0, 3.5), (0.0, 0.0, 0.5), 30.0),
    )
    seen = still(look, [(0.3, 0.4, 0.06)], 128)
    eye = look.eye_T3[0]
    over, under = eye[2] - LEVEL_M, LEVEL_M - pebble[2]
    reach = float(np.linalg.norm(pebble[:2] - eye[:2]))
    low, high = 0.0, reach  # of the crossing, seen from above the eye's foot
    for _ in range(60):
        middle = (low + high) / 2
        bends_enough = middle / math.hypot(middle, over) > 1.33 * (reach - middle) / math.hypot(reach - middle, under)
        low, high = (low, middle) if bends_enough else (middle, high)
    crossing_2 = eye[:2] + (pebble[:2] - eye[:2]) * low / reach
    column, row, _ = tracer.project(camera_of(look), np.array([[*crossing_2, LEVEL_M]]), 128, 128)[0]
    assert centroid(seen.ids_HW == 0) == pytest.approx((column, row), abs=0.6)
    _, dry_row, _ = tracer.project(camera_of(look), pebble[None], 128, 128)[0]
    assert dry_row - row > 5  # without water it would lie much lower


def test_depth_of_a_tilted_surface_is_that_of_a_plane() -> None:
    x_X = np.linspace(-1.5, 1.5, 20)
    height_TXY = np.broadcast_to((LEVEL_M + 0.1 * x_X)[None, :, None], (1, 20, 30))
    look = make_look([], water=basin(height_TXY=height_TXY), **seen_from((0.2, -3.0, 4.0), (0.0, 0.0, 0.8), 20.0))
    seen = still(look, [], 48)
    direction_N3, cosine_N = centre_rays(look, 48)
    normal_3, eye = np.array([-0.1, 0.0, 1.0]), look.eye_T3[0]
    distance_N = (LEVEL_M - normal_3 @ eye) / (direction_N3 @ normal_3)
    assert seen.depth_HW.ravel() == pytest.approx(distance_N * cosine_N, rel=1e-6)


def test_depth_of_waves_agrees_with_small_steps() -> None:
    """The cell-by-cell crossing against a march of 2,500 steps through the same bilinear surface."""
    rng = np.random.default_rng(1)
    height_XY = LEVEL_M + 0.12 * rng.uniform(-1, 1, (9, 9))
    look = make_look(
        [], water=basin(height_TXY=height_XY[None], rim_m=-0.6), **seen_from((0.0, -5.0, 1.9), (0.0, 0.1, 0.8), 12.0)
    )
    seen = still(look, [], 28)
    direction_N3, cosine_N = centre_rays(look, 28)
    t_K = np.linspace(3.4, 6.8, 2500)
    x_NK, y_NK, z_NK = np.moveaxis(look.eye_T3[0] + t_K[:, None] * direction_N3[:, None], -1, 0)
    u_NK, v_NK = (x_NK + 1.5) / 3 * 8, (y_NK + 1.5) / 3 * 8
    i, j = np.clip(u_NK.astype(int), 0, 7), np.clip(v_NK.astype(int), 0, 7)
    u, v = u_NK - i, v_NK - j
    low = height_XY[i, j] * (1 - u) + height_XY[i + 1, j] * u
    high = height_XY[i, j + 1] * (1 - u) + height_XY[i + 1, j + 1] * u
    within = (u_NK >= 0) & (u_NK <= 8) & (v_NK >= 0) & (v_NK <= 8)
    below_NK = within & (z_NK < low * (1 - v) + high * v)
    seen_N = below_NK.any(axis=1)
    distance_N = t_K[below_NK.argmax(axis=1)] * cosine_N
    wrong_N = np.abs(seen.depth_HW.ravel() - distance_N) > 0.002
    assert seen_N.mean() > 0.5 and wrong_N[seen_N].mean() < 0.01


def test_from_below_the_surface_is_a_mirror_beyond_the_critical_angle() -> None:
    """48.8° in water: steeper one sees the blue sky, flatter the red floor of the basin."""
    for degrees, sees_sky in ((40.0, True), (56.0, False)):
        angle = math.radians(degrees)
        target = (0.0, math.sin(angle), 0.4 + math.cos(angle))
        look = make_look(
            [],
            water=basin(floor_albedo_3=np.array([0.9, 0.1, 0.1]), wall_albedo_3=np.array([0.9, 0.1, 0.1]), rim_m=0.0),
            sky_top_3=np.array([0.1, 0.1, 0.9]),
            sky_horizon_3=np.array([0.1, 0.1, 0.9]),
            **seen_from((0.0, -0.8, 0.4), (0.0, target[1] - 0.8, target[2]), 2.0),
        )
        assert (redness(still(look, [], 16).pixels_HW3) < 0).all() == sees_sky


def test_water_absorbs_with_depth() -> None:
    """Straight down: the light passes the tint along the sun's slanted path and up again."""
    tint_3 = np.array([0.2, 0.6, 0.9])
    colors = {"floor_albedo_3": np.full(3, 0.8), "tint_3": tint_3}
    sun_3 = np.array([0.6, 0.0, 0.8])
    black = {"sky_top_3": np.zeros(3), "sky_horizon_3": np.zeros(3), "ambient": 0.0, "sun_direction_3": sun_3}
    look = make_look([], water=basin(**colors), **black, **seen_from((0.0, 0.0, 9.0), (0.0, 0.0, 0.0), 2.0))
    lit_3 = linear(still(look, [], 9).pixels_HW3[4, 4])
    bent = math.sqrt(1 - (0.6 / 1.33) ** 2)  # the sun's cosine below the surface
    pass_up = 1 - (0.33 / 2.33) ** 2
    assert lit_3 == pytest.approx(pass_up * 0.8 * bent * tint_3 ** (LEVEL_M * (1 + 1 / bent)), abs=0.01)


def test_crests_gather_the_sun_on_the_floor() -> None:
    x_X = np.linspace(-1.5, 1.5, 96)
    height_TXY = np.broadcast_to((LEVEL_M + 0.02 * np.cos(4 * np.pi * x_X))[None, :, None], (1, 96, 96))
    overhead = {"ambient": 0.0, "sun_direction_3": np.array([0.0, 0.0, 1.0])}
    dark = {"sky_top_3": np.zeros(3), "sky_horizon_3": np.zeros(3)}
    view = seen_from((0.0, 0.0, 40.0), (0.0, 0.0, 0.0), math.degrees(2 * math.atan(1 / 39)))
    look = make_look([], water=basin(height_TXY=height_TXY), **overhead, **dark, **view)
    light_W = linear(still(look, [], 64).pixels_HW3).mean(axis=(0, 2))
    x_W = (np.arange(64) + 0.5) / 32 - 1
    assert np.corrcoef(light_W, np.cos(4 * np.pi * x_W))[0, 1] > 0.8


def test_cubes_agree_with_small_steps() -> None:
    rng = np.random.default_rng(2)
    grid_XYZ = (rng.uniform(size=(6, 5, 4)) < 0.3).astype(np.uint8) * rng.integers(1, 4, (6, 5, 4)).astype(np.uint8)
    origin_3, cell = np.array([-0.9, -0.7, 0.2]), 0.3
    look = make_look(
        [],
        voxels=VoxelLook(origin_3, cell, grid_XYZ[None], rng.uniform(size=(4, 3))),
        **seen_from((1.0, -5.0, 3.0), (0.0, 0.0, 0.7), 26.0),
    )
    seen = still(look, [], 28, samples=1)
    direction_N3, cosine_N = centre_rays(look, 28)
    t_K = np.linspace(3.0, 8.5, 4000)
    cell_NK3 = np.floor((look.eye_T3[0] + t_K[:, None] * direction_N3[:, None] - origin_3) / cell).astype(int)
    inside_NK = ((cell_NK3 >= 0) & (cell_NK3 < grid_XYZ.shape)).all(axis=-1)
    i, j, k = np.moveaxis(np.where(inside_NK[..., None], cell_NK3, 0), -1, 0)
    filled_NK = inside_NK & (grid_XYZ[i, j, k] > 0)
    hit_N = filled_NK.any(axis=1)
    floor_N = -look.eye_T3[0, 2] / direction_N3[:, 2]
    expected_N = np.where(hit_N, t_K[filled_NK.argmax(axis=1)], floor_N) * cosine_N
    wrong_N = np.abs(seen.depth_HW.ravel() - expected_N) > 0.003
    assert 0.2 < hit_N.mean() < 0.9 and wrong_N.mean() < 0.005  # steps may miss a grazed edge
    assert (seen.ids_HW == -1).all()


def test_a_cube_has_the_colour_of_its_number_and_casts_a_shadow() -> None:
    grid = np.zeros((1, 1, 1, 1), np.uint8)
    cube = VoxelLook(np.array([-0.5, -0.5, 0.0]), 1.0, grid, np.array([[0, 0, 0], [0.8, 0.1, 0.1]], float))
    sun = {"sun_direction_3": np.array([-0.6, 0.0, 0.8]), "ambient": 0.0}
    view = seen_from((0.0, -0.1, 12.0), (0.0, 0.0, 0.0), 25.0)
    empty = still(make_look([], voxels=cube, **sun, **view), [], 64).pixels_HW3
    filled = still(
        make_look([], voxels=dataclasses.replace(cube, grid_TXYZ=grid + np.uint8(1)), **sun, **view), [], 64
    ).pixels_HW3
    assert linear(filled[32, 32]) == pytest.approx([0.64, 0.08, 0.08], abs=0.01)
    dark_W = linear(filled[32]).mean(axis=-1) < 0.05
    metre = 64 / (2 * 12 * math.tan(math.radians(12.5)))
    assert dark_W.sum() == pytest.approx(0.75 * metre, abs=2)  # 1 m × tan of the sun's distance from the zenith
    assert not (linear(empty[32]).mean(axis=-1) < 0.05).any()


def test_paint_appears_in_its_frame_and_stays() -> None:
    time_XY = np.full((10, 10), np.inf)
    time_XY[3:7, 3:7] = 2.0
    paint = PaintLook(-1.0, 1.0, -1.0, 1.0, time_XY, np.array([0.9, 0.05, 0.05]))
    look = make_look([], paint=paint, **seen_from((0.0, -0.1, 8.0), (0.0, 0.0, 0.0), 20.0))
    image = tracer.render(look, np.zeros((5, 0, 3)), np.zeros((5, 0, 4)), 64, 64)
    red_T = [(redness(frame) > 50).sum() for frame in image.pixels_THW3]
    assert red_T[0] == red_T[1] == 0 and red_T[2] == red_T[3] == red_T[4]
    pixel_m = 2 * 8 * math.tan(math.radians(10)) / 64
    assert red_T[2] * pixel_m**2 == pytest.approx(0.8**2, rel=0.1)


def test_sky_is_infinitely_far_and_depth_is_measured_on_request() -> None:
    look = make_look([])
    assert np.isinf(still(look, [], 16).depth_HW[0]).all()
    assert tracer.render(look, np.zeros((1, 0, 3)), np.tile(np.array(UPRIGHT), (1, 0, 1)), 8, 8).depth_THW is None
