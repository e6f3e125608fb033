"""Events agree with the state that they are drawn from."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema.config import WorldsConfig
from kinema.worlds.make import make_world
from kinema.worlds.physics.events import HIDDEN_SHARE, RESTING_SPEED_MPS, TOPPLED_RAD
from kinema.worlds.physics.simulate import simulate
from kinema.worlds.scene import Body, CameraMove, Kick, axis_angle, body_info, half_height
from worlds.rigs import RIGID, ball, bench, scene_of, times_s, truth

FPS = 30.0


def test_events_come_in_order_and_within_the_clip() -> None:
    for family in RIGID:
        scene = scene_of(family, 3)
        state = truth(scene, simulate(scene, 33, 12.0), 12.0)
        times = [event.time_s for event in state.events]
        assert times == sorted(times) and all(0 <= time_s <= 32 / 12 + 1e-9 for time_s in times)
        assert all(-1 <= body < len(scene.bodies) for event in state.events for body in event.bodies)


def test_a_body_rests_each_time_it_stops_and_not_at_the_top_of_a_throw() -> None:
    cube = body_info("cube", "red", "matte", "small")
    pushes = tuple(Kick(time_s, 0, (1.2, 0.0, 0.0)) for time_s in (0.0, 2.0))
    scene = bench(Body(cube, (-1.0, 0.0, half_height(cube))), kicks=pushes, floor_friction=0.3)
    state = truth(scene, simulate(scene, 121, FPS), FPS)
    # friction stops it after v / (μ g); it counts as resting a little before, at 0.12 m/s
    stop_s = (1.2 - RESTING_SPEED_MPS) / (0.3 * 9.81)
    assert times_s(state, "rests", 0) == pytest.approx([stop_s, 2.0 + stop_s], abs=0.02)
    up = bench(Body(ball(), (0.0, 0.0, 0.5), velocity_mps=(0.0, 0.0, 4.0)))
    assert not times_s(truth(up, simulate(up, 20, FPS), FPS), "rests", 0)


@pytest.mark.parametrize("fps", [6.0, 30.0])
def test_rest_and_topple_times_hardly_depend_on_the_frame_rate(fps: float) -> None:
    plank = body_info("slab", "red", "wood", "small")
    tall = axis_angle((0.0, 1.0, 0.0), -math.pi / 2)  # its long axis upright
    lean = axis_angle((0.0, 1.0, 0.0), -math.pi / 2 + 0.36)
    a, _, c = plank.half_size_m
    # leaning about its lower edge, beyond where its middle is above that edge (tan = c / a, 0.31)
    height = a * math.cos(0.36) + c * math.sin(0.36)
    scene = bench(Body(plank, (0.0, 0.0, height), lean), Body(plank, (1.5, 0.0, a), tall), floor_friction=1.0)
    motion = simulate(scene, 1 + round(2 * fps), fps)
    state = truth(scene, motion, fps)
    assert times_s(state, "topples", 1) == []  # it stands
    (when_s,) = times_s(state, "topples", 0)
    fine = simulate(scene, 241, 120.0)
    lowering = np.array([_tilt(q) for q in fine.orientation_TB4[:, 0]])
    # between frames it falls faster and faster
    assert when_s == pytest.approx(np.argmax(lowering > TOPPLED_RAD) / 120, abs=0.75 / fps)


def _tilt(orientation_4: NDArray[np.float64]) -> float:
    """Turn about y since the start, for a body that turns about nothing else."""
    start = -math.pi / 2 + 0.36
    return abs(2 * math.atan2(orientation_4[2], orientation_4[0]) - start)


def test_what_falls_from_the_air_or_is_kicked_does_not_topple() -> None:
    cube = body_info("cube", "red", "matte", "small")
    tumbling = Body(cube, (0.0, 0.0, 1.5), spin_radps=(0.0, 4.0, 0.0))
    thrown = Kick(0.2, 1, (0.0, 0.0, 3.0), (0.0, 6.0, 0.0))
    scene = bench(tumbling, Body(cube, (1.2, 0.0, half_height(cube))), kicks=(thrown,))
    motion = simulate(scene, 60, FPS)
    state = truth(scene, motion, FPS)
    assert not any(event.kind == "topples" for event in state.events)
    assert times_s(state, "launch", 1) == pytest.approx([0.2], abs=0.003)


@pytest.mark.parametrize("move", [CameraMove(), CameraMove("pan", 13.0, swing_deg=40.0)])
def test_going_out_of_the_picture_is_not_hiding(move: CameraMove) -> None:
    rolling = Body(ball(), (0.0, 0.0, 0.3), velocity_mps=(2.0, 0.0, 0.0), spin_radps=(0.0, 2.0 / 0.3, 0.0))
    scene = bench(rolling, camera_move=move)
    motion = simulate(scene, 61, FPS)
    visible_TB = np.full(motion.shown_TB.shape, 0.05)
    visible_TB[10:15], visible_TB[50:] = 0.0, 0.0  # behind something, then gone for good
    kinds = [event.kind for event in truth(scene, motion, FPS, visible_TB).events if event.kind != "contact"]
    # after 50 frames the ball is at 3.3 m; the camera sees 1.8 m to the side, or turns after it
    assert kinds[:3] == ["launch", "hidden", "reappears"]
    assert kinds[3] == ("leaves_view" if move.kind == "fixed" else "hidden")


def test_bobs_turn_where_their_swing_reverses() -> None:
    scene = next(
        drawn for drawn in (scene_of("pendulum", seed) for seed in range(40)) if drawn.facts["kind"] == "cradle"
    )
    motion = simulate(scene, 66, 24.0)
    state = truth(scene, motion, 24.0)
    assert times_s(state, "contact", 0, 1)
    for body in (0, 1):
        rate_T = motion.angular_velocity_TB3[:, body, 1]
        reversals = [frame for frame in range(65) if rate_T[frame] * rate_T[frame + 1] < 0]
        turns_s = times_s(state, "turns", body)
        assert turns_s
        assert all(min(abs(time_s * 24.0 - frame - 0.5) for frame in reversals) < 1.0 for time_s in turns_s)
        # a bob that hangs still shivers without turning
        assert all(np.ptp(rate_T[max(0, int(time_s * 24.0) - 6) :][:13]) > 0.1 for time_s in turns_s)


def test_hidden_and_reappears_are_true_pixel_by_pixel() -> None:
    hidden = 0
    for seed in range(12):
        world = make_world("occlude", seed, WorldsConfig(height=48, width=48, samples_per_pixel=1))
        state = world.clip.state
        assert state is not None
        for body in range(len(state.bodies)):
            area_T = (world.ids_THW == body).sum(axis=(1, 2))
            for event in state.events:
                if event.kind in ("hidden", "reappears") and event.bodies == (body,):
                    frame = round(event.time_s * world.clip.fps)
                    unseen, seen = (frame, frame - 1) if event.kind == "hidden" else (frame - 1, frame)
                    assert area_T[unseen] <= (HIDDEN_SHARE + 0.1) * area_T.max()
                    assert area_T[seen] > 0
                    hidden += event.kind == "hidden"
    assert hidden > 6
