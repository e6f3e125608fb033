"""Strokes of paint against the way of the ball that leaves them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kinema.data import PaintState
from kinema.worlds import camera
from kinema.worlds.families import paint as painting
from kinema.worlds.look import look_of, poses
from kinema.worlds.physics.paint import CELL_M, MOVED_M
from kinema.worlds.physics.simulate import Motion, simulate
from kinema.worlds.render import tracer
from kinema.worlds.scene import Body, Draw, Paint, Scene, Vec3, body_info

RADIUS_M = 0.34
WIDTH_M = 0.3


def rolling(velocity_mps: Vec3, place_m: Vec3, length_m: float = 50.0, material: str = "matte") -> Scene:
    info = replace(body_info("sphere", "red", material, "small"), half_size_m=(RADIUS_M,) * 3)
    spin = (-velocity_mps[1] / RADIUS_M, velocity_mps[0] / RADIUS_M, 0.0)
    draw = Draw("paint", np.random.default_rng(0), held_out=False)
    return draw.scene(
        [Body(info, place_m, velocity_mps=velocity_mps, spin_radps=spin)], paint=Paint(0, "red", WIDTH_M, length_m)
    )


def stroke(motion: Motion) -> PaintState:
    assert motion.paint is not None
    return motion.paint


def cells(state: PaintState) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middles of the cells along x and y."""
    columns, rows = state.time_XY.shape
    return state.x_m[0] + CELL_M * (np.arange(columns) + 0.5), state.y_m[0] + CELL_M * (np.arange(rows) + 0.5)


def under(state: PaintState, x: float, y: float) -> float:
    """When the floor was painted at a point."""
    return float(state.time_XY[int((x - state.x_m[0]) / CELL_M), int((y - state.y_m[0]) / CELL_M)])


def test_the_stroke_lies_where_the_ball_was_and_when_it_was_there() -> None:
    motion = simulate(rolling((1.2, 0.4, 0.0), (-1.2, -0.5, RADIUS_M)), 121, 60.0)
    state = stroke(motion)
    x_X, y_Y = cells(state)
    painted_N2 = np.argwhere(np.isfinite(state.time_XY))
    assert len(painted_N2) > 1000
    times_T = np.arange(121) / 60
    for i, j in painted_N2[::7]:
        time_s = float(state.time_XY[i, j])
        ball_2 = [np.interp(time_s, times_T, motion.position_TB3[:, 0, axis]) for axis in (0, 1)]
        assert math.dist(ball_2, (x_X[i], y_Y[j])) < WIDTH_M / 2 + MOVED_M + 0.01
    for frame, (x, y, _) in enumerate(motion.position_TB3[:, 0]):  # and it is painted wherever the ball was
        assert under(state, x, y) <= frame / 60 + 1e-6


def test_no_paint_falls_from_a_ball_in_the_air() -> None:
    motion = simulate(rolling((1.5, 0.0, 0.0), (-1.3, 0.0, 1.0), material="rubber"), 91, 60.0)
    state = stroke(motion)
    height_T = motion.position_TB3[:, 0, 2] - RADIUS_M
    first = int(np.argmax(height_T < 0.01))
    assert np.nanmin(np.where(np.isfinite(state.time_XY), state.time_XY, np.nan)) > (first - 2) / 60 > 0.2
    flying = [frame for frame in range(first, 91) if height_T[max(0, frame - 6) : frame + 7].min() > 0.05]
    assert len(flying) > 5
    for frame in flying:
        assert under(state, *motion.position_TB3[frame, 0, :2]) == math.inf


def test_a_stroke_gets_thinner_as_the_ball_dries_and_ends_when_it_is_dry() -> None:
    motion = simulate(rolling((1.5, 0.0, 0.0), (-1.3, 0.0, RADIUS_M), length_m=2.0), 61, 30.0)
    state = stroke(motion)
    x_X, _ = cells(state)
    width_X = CELL_M * np.isfinite(state.time_XY).sum(axis=1)
    assert motion.position_TB3[-1, 0, 0] > 1.0  # the ball itself goes on
    for way_m in (0.2, 1.0, 1.6):
        wide = float(width_X[np.argmin(np.abs(x_X + 1.3 - way_m))])
        assert abs(wide - WIDTH_M * math.sqrt(1 - way_m / 2.0)) < 1.6 * CELL_M
    assert np.isinf(state.time_XY[x_X > -1.3 + 2.0 + WIDTH_M / 2]).all()
    begins, ends = ([e.time_s for e in motion.events if e.kind == kind] for kind in ("stroke_begins", "stroke_ends"))
    assert begins == [0.0]
    assert len(ends) == 1
    dry_s = float(np.interp(0.7, motion.position_TB3[:, 0, 0], np.arange(61) / 30))
    assert abs(ends[0] - dry_s) < 0.05


def test_what_was_painted_first_keeps_its_time_when_the_ball_comes_back() -> None:
    motion = simulate(rolling((2.0, 0.0, 0.0), (0.6, 0.0, RADIUS_M), material="rubber"), 121, 60.0)
    x_T = motion.position_TB3[:, 0, 0]
    turned = int(np.argmax(x_T))
    assert x_T[-1] < x_T[turned] - 0.15  # it came back from the side of the scene
    again = next(frame for frame in range(turned, 121) if x_T[frame] < x_T[turned] - 0.1)
    assert under(stroke(motion), x_T[again], motion.position_TB3[again, 0, 1]) < turned / 60


def test_paint_stays_in_the_picture() -> None:
    scene = rolling((1.4, 0.0, 0.0), (-1.2, 0.0, RADIUS_M))
    motion = simulate(scene, 25, 12.0)
    eye_T3, target_T3 = camera.path(scene.camera, replace(scene.camera_move, kind="fixed"), 25, 12.0)
    look = look_of(scene, motion, eye_T3, target_T3, 12.0)
    position_TA3, orientation_TA4, shown_TA = poses(scene, motion)
    wet, dry = (
        tracer.render(a, position_TA3, orientation_TA4, 48, 48, 1, shown_TB=shown_TA).pixels_THW3
        for a in (look, replace(look, paint=None))
    )
    differs_THW = (wet != dry).any(axis=-1)
    body_T = differs_THW.sum(axis=(1, 2))
    assert body_T[-1] > 30
    # once the ball has passed, what is painted is painted in every later frame
    passed_HW = differs_THW[10]
    assert passed_HW.sum() > 8
    assert (differs_THW[11:] >= passed_HW).all()


def test_families_scenes_paint_and_repeat_exactly() -> None:
    for seed in range(10):
        draws = [Draw("paint", np.random.default_rng(seed), held_out=seed % 2 == 1) for _ in range(2)]
        first, again = (simulate(painting.draw(draw), 33, 12.0) for draw in draws)
        assert stroke(first).time_XY.tobytes() == stroke(again).time_XY.tobytes()
        assert first.events == again.events
        painted_m2 = np.isfinite(stroke(first).time_XY).sum() * CELL_M**2
        assert painted_m2 > 0.1, seed
        assert any(event.kind == "stroke_begins" for event in first.events)
