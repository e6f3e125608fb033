"""Waves and floating bodies against theory."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema.data import BodyInfo, Event
from kinema.worlds import palette
from kinema.worlds.families import float as floating
from kinema.worlds.families import ripple
from kinema.worlds.physics.simulate import Motion, simulate
from kinema.worlds.physics.water import points_in
from kinema.worlds.physics.waves import DENSITY, GRAVITY_MPS2, Basin, Surface, basin, exchange, turn
from kinema.worlds.scene import UPRIGHT, Body, Draw, Quat, Scene, Vec3, Water, axis_angle, body_info

STILL = {"damping_per_s": 0.0, "viscosity": 0.0}
LEVEL_M, HALF_X_M, HALF_Y_M = 1.0, 1.6, 1.2
AREA_M2 = 4 * HALF_X_M * HALF_Y_M


def pour(surface: Surface, x: float, y: float, volume: float, depth_m: float, impulse: float = 0.0) -> None:
    b = surface.basin
    size_3 = np.array([b.width_m, b.length_m, b.depth_m])
    share_MN = np.zeros_like(surface.height_MN)
    state = (surface.height_MN, surface.rate_MN, share_MN)
    exchange(*state, b.modes_3MN, size_3, x, y, b.depth_m - depth_m, volume, impulse)


def history(surface: Surface, step_s: float, steps: int, points: tuple[int, int] = (33, 3)) -> NDArray[np.float64]:
    stride, heights = turn(surface.basin, step_s), []
    for _ in range(steps):
        heights.append(surface.on_grid(*points))
        surface.advance(stride)
    return np.array(heights)


def pool(bodies: list[Body], half_x: float = HALF_X_M, half_y: float = HALF_Y_M) -> Scene:
    water = Water((-half_x, half_x), (-half_y, half_y), LEVEL_M, "blue")
    return Draw("float", np.random.default_rng(0), held_out=False).scene(bodies, water=water)


def dropped(info: BodyInfo, height_m: float, turn: Quat = UPRIGHT, seconds: float = 3.0, fps: float = 12.0) -> Motion:
    return simulate(pool([Body(info, (0.1, 0.05, height_m), turn)]), round(seconds * fps), fps)


def lightly(shape: str, material: str) -> BodyInfo:
    return body_info(shape, "red", material, "small", 0.8)


def of(motion: Motion, kind: str) -> list[Event]:
    return [event for event in motion.events if event.kind == kind]


def mean_height(height_XY: NDArray[np.floating]) -> float:
    """By the trapezoidal rule: points on the walls count half."""
    weight_X, weight_Y = np.ones(height_XY.shape[0]), np.ones(height_XY.shape[1])
    weight_X[[0, -1]] = weight_Y[[0, -1]] = 0.5
    return float(weight_X @ height_XY.astype(np.float64) @ weight_Y / (weight_X.sum() * weight_Y.sum()))


# --- waves ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("m", "n", "depth_m"), [(1, 0, 1.0), (0, 1, 0.5), (5, 0, 0.1), (3, 4, 0.6), (24, 0, 1.0), (20, 15, 0.4)]
)
def test_a_standing_wave_has_the_frequency_of_the_dispersion_relation(m: int, n: int, depth_m: float) -> None:
    surface = Surface(basin(3.2, 2.4, depth_m, **STILL))
    surface.height_MN[m, n] = 0.01
    step_s = 1 / 30
    corner_T = history(surface, step_s, 1200)[:, 0, 0]
    k = math.hypot(math.pi * m / 3.2, math.pi * n / 2.4)
    expected = math.sqrt(GRAVITY_MPS2 * k * math.tanh(k * depth_m))
    # the frequency that a clip shows: between upward zero crossings, found by straight lines
    before = np.flatnonzero((corner_T[:-1] < 0) & (corner_T[1:] >= 0))
    crossing_s = step_s * (before - corner_T[before] / (corner_T[before + 1] - corner_T[before]))
    measured = 2 * math.pi * (len(crossing_s) - 1) / (crossing_s[-1] - crossing_s[0])
    assert measured == pytest.approx(expected, rel=2e-3)


def test_long_waves_travel_with_the_square_root_of_g_times_depth() -> None:
    surface = Surface(basin(40.0, 1.0, 0.1, modes=(120, 1), **STILL))
    x_X = np.linspace(0, 40, 801)
    hump_X = np.exp(-((x_X / 3) ** 2))  # against the left wall: all of it goes to the right
    kx_M = np.pi / 40 * np.arange(120)
    surface.height_MN[:, 0] = np.trapezoid(hump_X * np.cos(kx_M[:, None] * x_X), x_X) / 20
    seconds = 20.0
    surface.advance(turn(surface.basin, seconds))
    place_m = x_X[np.argmax(surface.on_grid(801, 2)[:, 0])]
    assert place_m / seconds == pytest.approx(math.sqrt(GRAVITY_MPS2 * 0.1), rel=0.02)


def test_waves_that_four_times_the_gravity_drives_run_twice_as_fast() -> None:
    plain, driven = (Surface(basin(3.2, 2.4, 0.5, **STILL, gravity_mps2=g * GRAVITY_MPS2)) for g in (1, 4))
    for surface in (plain, driven):
        pour(surface, 1.0, 0.7, 0.01, 0.1)
    np.testing.assert_allclose(history(driven, 0.05, 20), history(plain, 0.1, 20), atol=1e-12)


def test_waves_of_a_splash_in_deep_water_spread_as_cauchy_and_poisson_found() -> None:
    """Far from a splash the wave number at distance r and time t is g t² / 4r² (Lamb, art. 240)."""
    surface = Surface(basin(60.0, 0.5, 8.0, modes=(1200, 1), **STILL))
    pour(surface, 0.0, 0.0, 0.1, depth_m=0.05)
    time_s = 12.0
    surface.advance(turn(surface.basin, time_s))
    height_X = surface.on_grid(6001, 2)[:, 0]
    x_X = np.linspace(0, 60, 6001)
    near = (x_X > 5) & (x_X < 15)
    change = np.flatnonzero(near[:-1] & (height_X[:-1] * height_X[1:] < 0))
    crossing_m = x_X[change] - height_X[change] * 0.01 / (height_X[change + 1] - height_X[change])
    middle_m, k = (crossing_m[1:] + crossing_m[:-1]) / 2, math.pi / np.diff(crossing_m)
    assert len(k) > 8
    np.testing.assert_allclose(k, GRAVITY_MPS2 * time_s**2 / (4 * middle_m**2), rtol=0.05)


def test_free_waves_keep_their_energy_and_damped_ones_only_lose_it() -> None:
    for damped in (False, True):
        surface = Surface(basin(3.2, 2.4, 0.6) if damped else basin(3.2, 2.4, 0.6, **STILL))
        pour(surface, 1.0, 0.7, 0.02, depth_m=0.2, impulse=20.0)
        stride, energies = turn(surface.basin, 0.01), []
        for _ in range(400):
            energies.append(surface.energy_j())
            surface.advance(stride)
        change = np.diff(energies) / energies[0]
        assert energies[0] > 1.0
        assert (change < 0).all() if damped else np.abs(change).max() < 1e-12


def test_a_step_of_any_length_is_exact() -> None:
    one, many = Surface(basin(3.2, 2.4, 0.6)), Surface(basin(3.2, 2.4, 0.6))
    for surface in (one, many):
        pour(surface, 1.0, 0.7, 0.02, depth_m=0.1)
    one.advance(turn(one.basin, 1.0))
    stride = turn(many.basin, 0.002)
    for _ in range(500):
        many.advance(stride)
    np.testing.assert_allclose(one.height_MN, many.height_MN, atol=1e-15)


def test_two_drops_make_the_sum_of_the_waves_of_each() -> None:
    drops = ((0.8, 0.6), (2.2, 1.7))
    surfaces = [Surface(basin(3.2, 2.4, 0.6)) for _ in range(3)]
    for (x, y), surface in zip(drops, surfaces, strict=False):
        for target in (surface, surfaces[2]):
            pour(target, x, y, 0.004, depth_m=0.1, impulse=8.0)
    first, second, both = (history(surface, 1 / 12, 24, (64, 48)) for surface in surfaces)
    np.testing.assert_allclose(both, first + second, atol=1e-15)
    assert np.abs(first[-1]).max() > 1e-3  # there is something to add


def test_rings_come_back_from_the_walls_as_if_from_a_drop_behind_them() -> None:
    """Reflection: a basin is half of a basin twice as wide with a second, mirrored drop."""
    single = Surface(basin(2.0, 1.5, 0.5, modes=(40, 20), **STILL))
    double = Surface(basin(4.0, 1.5, 0.5, modes=(80, 20), **STILL))
    pour(single, 1.4, 0.6, 0.004, depth_m=0.12)
    for x in (1.4, 2.6):
        pour(double, x, 0.6, 0.004, depth_m=0.12)
    for surface in (single, double):
        surface.advance(turn(surface.basin, 1.1))
    np.testing.assert_allclose(single.on_grid(41, 31), double.on_grid(81, 31)[:41], atol=1e-12)


def test_a_source_at_depth_raises_the_surface_as_its_potential_says() -> None:
    """In deep water far from walls: height = V d / (2π (r² + d²)^(3/2)), the flux of a source and its mirror image."""
    wide: Basin = basin(20.0, 20.0, 10.0, modes=(160, 160), **STILL)
    surface = Surface(wide)
    depth_m = 0.8
    pour(surface, 10.0, 10.0, 0.5, depth_m)
    row_X = surface.on_grid(101, 101)[50:65, 50]
    r_X = 0.2 * np.arange(15)
    np.testing.assert_allclose(row_X, 0.5 * depth_m / (2 * math.pi * (r_X**2 + depth_m**2) ** 1.5), atol=2e-3)


# --- bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", palette.SHAPES)
def test_the_points_of_a_body_hold_its_volume_and_its_middle(shape: str) -> None:
    info = lightly(shape, "wood")
    point_P3, volume_P, _ = points_in(info)
    assert volume_P.sum() == pytest.approx(info.mass_kg / palette.MATERIALS["wood"].density, rel=0.01)
    middle_3 = volume_P @ point_P3 / volume_P.sum()
    expected_m = -info.half_size_m[2] / 2 if shape == "cone" else 0.0
    np.testing.assert_allclose(middle_3, (0, 0, expected_m), atol=0.012)


def inside(info: BodyInfo, points_N3: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points are within a body, in its own axes."""
    x, y, z = np.abs(points_N3).T
    a, b, c = info.half_size_m
    across = np.hypot(x, y)
    result: NDArray[np.bool_] = {
        "sphere": across**2 + z**2 < a**2,
        "cube": z < c,
        "slab": z < c,
        "cylinder": across < a,
        "cone": across < a * (c - points_N3[:, 2]) / (2 * c),
        "capsule": across**2 + np.maximum(z - (c - a), 0) ** 2 < a**2,
    }[info.shape]
    return result & (x < a) & (y < b) & (z < c)


@pytest.mark.parametrize("shape", palette.SHAPES)
def test_wood_floats_with_the_share_below_water_that_archimedes_says(shape: str) -> None:
    info = lightly(shape, "wood")
    motion = dropped(info, 1.3, axis_angle((1.0, 0.0, 0.0), 0.3), seconds=25.0, fps=6.0)
    assert motion.water is not None
    cloud_N3 = np.random.default_rng(1).uniform(-1, 1, (20000, 3)) * info.half_size_m
    cloud_N3 = cloud_N3[inside(info, cloud_N3)]
    shares = []
    for frame in range(-60, 0):  # ten seconds: it still bobs a little in the waves that it made
        w, x, y, z = motion.orientation_TB4[frame, 0]
        vertical_3 = np.array([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)])
        level_m = mean_height(motion.water.height_TXY[frame])
        shares.append((motion.position_TB3[frame, 0, 2] + cloud_N3 @ vertical_3 < level_m).mean())
    assert np.mean(shares) == pytest.approx(palette.MATERIALS["wood"].density / DENSITY, abs=0.02)
    assert of(motion, "floats") and not of(motion, "sinks")


@pytest.mark.parametrize("shape", palette.SHAPES)
@pytest.mark.parametrize("material", ["metal", "glass", "rubber"])
def test_what_is_heavier_than_water_sinks_to_the_bottom(shape: str, material: str) -> None:
    motion = dropped(lightly(shape, material), 1.5, seconds=4.0, fps=6.0)
    assert of(motion, "sinks") and not of(motion, "floats")
    assert of(motion, "splash")[0].time_s < of(motion, "sinks")[0].time_s
    assert motion.position_TB3[-1, 0, 2] < 0.75
    assert motion.position_TB3[..., 2].min() > 0.05  # and does not go through it


def test_a_slab_bobs_with_the_period_of_its_waterplane() -> None:
    """T = 2π √((m + added mass) / (ρ g A)), in a wide basin; the waves that it makes change it a little."""
    info = lightly("slab", "wood")
    draft_m = 0.6 * 2 * info.half_size_m[2]
    body = Body(info, (0.0, 0.0, LEVEL_M - draft_m + info.half_size_m[2] + 0.03))
    motion = simulate(pool([body], 6.0, 6.0), 60, 30.0)
    speed_T = motion.velocity_TB3[:, 0, 2]
    lowest = int(np.argmax(speed_T[1:] > 0))  # half a period after it was let go above its level
    half_s = (lowest + speed_T[lowest] / (speed_T[lowest] - speed_T[lowest + 1])) / 30
    area = 4 * info.half_size_m[0] * info.half_size_m[1]
    expected_s = 2 * math.pi * math.sqrt(1.5 * info.mass_kg / (DENSITY * GRAVITY_MPS2 * area))
    assert 2 * half_s == pytest.approx(expected_s, rel=0.06)


def test_bobbing_dies_away() -> None:
    height_T = dropped(lightly("sphere", "wood"), 1.9, seconds=8.0, fps=30.0).position_TB3[:, 0, 2]
    tops = height_T[1:-1][(height_T[1:-1] > height_T[:-2]) & (height_T[1:-1] >= height_T[2:])]
    assert len(tops) >= 3 and height_T.max() == height_T[0]
    level_m = height_T[-30:].mean()  # around which later waves of the basin still move it a little
    assert tops[0] - level_m > 2 * np.abs(tops[1:] - level_m).max()


def test_a_tilted_slab_rights_itself() -> None:
    motion = dropped(lightly("slab", "wood"), 1.4, axis_angle((1.0, 0.0, 0.0), 0.8), seconds=15.0, fps=6.0)
    _, x, y, _ = motion.orientation_TB4[-1, 0]
    assert abs(1 - 2 * (x * x + y * y)) > math.cos(0.06)


def test_water_that_a_body_displaces_is_not_lost() -> None:
    info = lightly("sphere", "metal")
    motion = dropped(info, 1.6)
    assert motion.water is not None
    mean_T = np.array([mean_height(height_XY) for height_XY in motion.water.height_TXY])
    volume = info.mass_kg / palette.MATERIALS["metal"].density
    assert mean_T[0] == pytest.approx(LEVEL_M, abs=1e-7)
    assert mean_T[-1] - LEVEL_M == pytest.approx(volume / AREA_M2, rel=0.01)
    assert (np.diff(mean_T) > -1e-4).all()  # it only ever goes in


def test_a_splash_tells_the_speed_of_free_fall_and_faster_bodies_make_higher_waves() -> None:
    info = lightly("sphere", "metal")
    waves = []
    for height_m in (1.5, 2.2):
        motion = dropped(info, height_m, seconds=2.0)
        assert motion.water is not None
        drop_m = height_m - info.half_size_m[2] - LEVEL_M
        splash = of(motion, "splash")
        assert len(splash) == 1
        assert splash[0].value == pytest.approx(math.sqrt(2 * GRAVITY_MPS2 * drop_m), rel=0.08)
        assert splash[0].time_s == pytest.approx(math.sqrt(2 * drop_m / GRAVITY_MPS2), abs=0.03)
        waves.append(np.abs(motion.water.height_TXY - LEVEL_M).max())
    assert waves[1] > waves[0] > 0.02


def test_drops_become_water_and_fall_again() -> None:
    info = body_info("sphere", "blue", "water", "small", 0.3)
    place: Vec3 = (0.3, 0.2, 1.9)
    motion = simulate(pool([Body(info, place, released_s=(0.25, 1.25))]), 31, 12.0)
    assert motion.water is not None
    shown_T, splashes_s = motion.shown_TB[:, 0], [event.time_s for event in of(motion, "splash")]
    assert len(splashes_s) == 2
    for frame, shown in enumerate(shown_T):
        time_s = frame / 12
        assert shown == any(start_s < time_s < end_s for start_s, end_s in zip((0.25, 1.25), splashes_s, strict=True))
    assert (motion.velocity_TB3[~shown_T] == 0).all()
    risen_m = mean_height(motion.water.height_TXY[-1]) - LEVEL_M
    assert risen_m == pytest.approx(2 * info.mass_kg / DENSITY / AREA_M2, rel=0.01)


# --- families ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [floating, ripple], ids=["float", "ripple"])
def test_scenes_stay_in_the_basin_splash_and_repeat_exactly(family: object) -> None:
    name = "float" if family is floating else "ripple"
    for seed in range(8):
        motions = []
        for _ in range(2):
            draw = Draw(name, np.random.default_rng(seed), held_out=seed % 2 == 1)
            scene = family.draw(draw)  # type: ignore[attr-defined]
            motions.append(simulate(scene, 33, 12.0))
        first, again = motions
        assert first.water is not None and again.water is not None and scene.water is not None
        assert first.position_TB3.tobytes() == again.position_TB3.tobytes()
        assert first.water.height_TXY.tobytes() == again.water.height_TXY.tobytes()
        assert first.events == again.events
        assert of(first, "splash")
        there_TB = first.shown_TB
        assert np.abs(first.position_TB3[there_TB][:, 0]).max() < scene.water.x_m[1]
        assert np.abs(first.position_TB3[there_TB][:, 1]).max() < scene.water.y_m[1]
        assert np.isfinite(first.water.height_TXY).all()
        assert first.water.height_TXY.min() > 0.2 and first.water.height_TXY.max() < scene.water.level_m + 0.5


def test_long_scenes_keep_splashing() -> None:
    for name, family in (("float", floating), ("ripple", ripple)):
        scene = family.draw(Draw(name, np.random.default_rng(3), held_out=False, duration_s=20.0))
        times_s = sorted(event.time_s for event in of(simulate(scene, 160, 8.0), "splash"))
        assert len(times_s) > 5 and max(np.diff(times_s)) < 6.0, name


def test_a_clip_of_water_is_simulated_quickly() -> None:
    scenes = [floating.draw(Draw("float", np.random.default_rng(seed), held_out=False)) for seed in range(4)]
    simulate(scenes[0], 2, 12.0)  # compiles
    start_s = time.process_time()
    for scene in scenes:
        simulate(scene, 33, 12.0)
    assert time.process_time() - start_s < 4 * 0.16  # measured 0.04 a clip; others may use the machine


def test_one_frame_is_a_still_surface() -> None:
    scene = floating.draw(Draw("float", np.random.default_rng(0), held_out=False, duration_s=0.1))
    motion = simulate(replace(scene, kicks=()), 1, 12.0)
    assert motion.water is not None and scene.water is not None
    np.testing.assert_allclose(motion.water.height_TXY, scene.water.level_m, atol=1e-6)
