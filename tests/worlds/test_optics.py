"""What glass, mirrors and a moving camera show, against formulas; and that it can be seen in every clip."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kinema.config import WorldsConfig
from kinema.data import BodyInfo, CameraInfo, WorldState
from kinema.worlds import camera
from kinema.worlds.families import lens, mirror, orbit
from kinema.worlds.look import look_of, poses
from kinema.worlds.make import HELD_OUT_SEED, World, make_world
from kinema.worlds.physics.simulate import Motion
from kinema.worlds.render import tracer
from kinema.worlds.scene import Body, Draw, Prop, Quat, Scene, Vec3, yaw

OURS = ("lens", "mirror", "orbit", "blocks")
DRAWS: dict[str, Callable[[Draw], Scene]] = {"lens": lens.draw, "mirror": mirror.draw, "orbit": orbit.draw}
GLASS_INDEX = 1.5
QUICK = WorldsConfig(height=48, width=48, frames=17, fps=6.0, samples_per_pixel=1)


def view(state: WorldState, frame: int) -> CameraInfo:
    eye_3, target_3 = state.camera_eye_T3[frame], state.camera_target_T3[frame]
    return CameraInfo(tuple(eye_3), tuple(target_3), state.camera.vertical_fov_deg)


def body(shape: str, color: str, material: str, half: Vec3, place: Vec3, turn: Quat = (1.0, 0.0, 0.0, 0.0)) -> Body:
    return Body(BodyInfo(shape, color, material, "medium", half, 1.0), place, turn)


def picture(bodies: list[Body], look_from: CameraInfo, side: int, **fields: Any) -> tuple[tracer.Image, Scene]:
    """A still scene on a plain floor."""
    draw = Draw("lens", np.random.default_rng(0), held_out=False)
    scene = draw.scene(bodies, camera=look_from, floor="grey", floor_pattern="plain", sky="light grey", **fields)
    shape = (1, len(bodies))
    motion = Motion(
        np.array([[one.position_m for one in bodies]]),
        np.array([[one.orientation for one in bodies]]),
        np.zeros((*shape, 3)),
        np.zeros((*shape, 3)),
        np.ones(shape, dtype=np.bool_),
        (),
    )
    eye_T3, target_T3 = camera.path(look_from, scene.camera_move, 1, 12.0)
    position_TA3, orientation_TA4, shown_TA = poses(scene, motion)
    look = look_of(scene, motion, eye_T3, target_T3, 12.0)
    return tracer.render(look, position_TA3, orientation_TA4, side, side, 16, shown_TB=shown_TA), scene


def red(pixels_HW3: np.ndarray) -> np.ndarray:
    """How red each pixel is beyond grey: 0 for anything neutral."""
    linear_HW3 = (pixels_HW3 / 255.0) ** 2.2
    red_HW: np.ndarray = np.clip(linear_HW3[..., 0] - linear_HW3[..., 1:].max(axis=-1), 0.0, None)
    return red_HW


def middle(weight_HW: np.ndarray) -> tuple[float, float]:
    """Column and row of the centre of mass."""
    rows, columns = np.indices(weight_HW.shape) + 0.5
    total = weight_HW.sum()
    assert total > 0
    return float((weight_HW * columns).sum() / total), float((weight_HW * rows).sum() / total)


# --- mirror -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turn", "place", "eye_x"), [(0.45, (0.1, 1.2), 0.4), (-0.4, (0.2, 0.8), 0.4), (0.0, (0.3, 0.9), -3.0)]
)
def test_a_reflection_is_where_the_virtual_image_is(turn: float, place: tuple[float, float], eye_x: float) -> None:
    stand = mirror.Stand((-0.2, 0.8), turn, 2.2, 1.7)
    x, y = stand.at(*place)
    ball = body("sphere", "red", "matte", (0.2, 0.2, 0.2), (x, y, 0.6))
    from_here = CameraInfo((eye_x, -8.0, 2.0), (0.0, 0.0, 0.9), 25.0)
    image, scene = picture([ball], from_here, 96, props=stand.props("black"))
    direct = image.ids_THW[0] == 0
    for axis in (0, 1):  # and the pixels at its edge
        direct = direct | np.roll(direct, 1, axis) | np.roll(direct, -1, axis)
    reflected = (red(image.pixels_THW3[0]) > 0.06) & ~direct  # not weighted: its lit side counts no more
    virtual = mirror.virtual_image(ball.position_m, scene.props[0])
    assert math.dist(virtual, stand.at(place[0], -place[1]) + (0.6,)) < 1e-9
    column, row, _ = tracer.project(from_here, np.array([virtual]), 96, 96)[0]
    assert middle(reflected) == pytest.approx((column, row), abs=0.6)


def reflection_seen(world: World, frame: int) -> bool:
    """Whether the line of sight to the virtual image of body 0 meets the mirror, and nothing stands before it there."""
    state = world.clip.state
    assert state is not None
    fact = next(prop for prop in state.facts["props"] if prop["mirror"])
    glass = Prop("mirror", "white", fact["half_size_m"], fact["position_m"], fact["orientation"], mirror=True)
    place: Vec3 = tuple(state.position_TB3[frame, 0])
    image_3, eye_3 = np.array(mirror.virtual_image(place, glass)), state.camera_eye_T3[frame]
    turn = 2 * math.atan2(glass.orientation[3], glass.orientation[0])
    along_2, normal_2 = (math.cos(turn), math.sin(turn)), (math.sin(turn), -math.cos(turn))
    eye_before, image_before = ((p[:2] - glass.position_m[:2]) @ normal_2 for p in (eye_3, image_3))
    if image_before > 0:
        return False  # the body is behind the mirror
    cross_3 = eye_3 + (image_3 - eye_3) * eye_before / (eye_before - image_before)
    if abs((cross_3[:2] - glass.position_m[:2]) @ along_2) > glass.half_size_m[0]:
        return False
    height, width = world.ids_THW.shape[1:]
    column, row, _ = tracer.project(view(state, frame), image_3[None], height, width)[0]
    inside = 0 <= column < width and 0 <= row < height
    return bool(inside and world.ids_THW[frame, int(row), int(column)] == -1 and cross_3[2] < glass.position_m[2] * 2)


def test_body_and_reflection_are_both_in_the_picture() -> None:
    shares = []
    for seed in range(24):
        world = make_world("mirror", seed, QUICK)
        assert world.clip.state is not None
        seen = [reflection_seen(world, frame) for frame in range(QUICK.frames)]
        if world.clip.state.facts["way"] == "behind":
            assert not any(seen)
            assert world.clip.state.visible_TB[:, 0].min() < 0.3 * world.clip.state.visible_TB[:, 0].max()
        else:
            assert any(seen[:6]), seed
            shares.append(np.mean(seen))
    assert np.mean(shares) > 0.55


# --- lens ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.05, -0.08])
def test_a_ball_inverts_what_is_behind_it_as_the_ball_lens_formula_says(offset: float) -> None:
    radius, lens_y, thing_y, eye_y = 0.6, -0.85, 0.9, -7.3
    bodies = [
        body("sphere", "red", "matte", (0.06,) * 3, (offset, thing_y, 1.0)),
        body("sphere", "white", "glass", (radius,) * 3, (0.0, lens_y, 1.0)),
    ]
    from_here = CameraInfo((0.0, eye_y, 1.0), (0.0, 0.0, 1.0), 12.0)
    image, _ = picture(bodies, from_here, 128)
    seen = red(image.pixels_THW3[0]) * (image.ids_THW[0] == 1)
    focal_m = GLASS_INDEX * radius / (2 * (GLASS_INDEX - 1))  # from the ball's centre
    behind_m, before_m = thing_y - lens_y, lens_y - eye_y
    image_m = 1 / (1 / focal_m - 1 / behind_m)  # the real image hangs before the ball
    pixels = 64 / math.tan(math.radians(6.0))
    expected = 64 - pixels * offset * image_m / behind_m / (before_m - image_m)
    assert (expected - 64) * offset < 0  # on the other side
    assert middle(seen)[0] == pytest.approx(expected, abs=0.12 * abs(expected - 64))


@pytest.mark.parametrize(("turn_deg", "thick"), [(30.0, 0.5), (-45.0, 0.5), (55.0, 0.3)])
def test_a_slab_shifts_what_is_behind_it_by_snells_law(turn_deg: float, thick: float) -> None:
    far, fov = 60.0, 1.6  # rays are almost parallel
    stick = body("cube", "red", "matte", (0.03, 0.03, 1.5), (0.0, 0.9, 1.5))
    slab = body("slab", "white", "glass", (1.2, thick / 2, 1.2), (0.0, -0.8, 1.2), yaw(math.radians(turn_deg)))
    from_here = CameraInfo((0.0, -far, 0.9), (0.0, 0.0, 0.9), fov)
    bare, _ = picture([stick], from_here, 128)
    bent, _ = picture([stick, slab], from_here, 128)
    rows = slice(40, 88)
    through = red(bent.pixels_THW3[0][rows]) * (bent.ids_THW[0][rows] == 1)
    shift_m = (middle(through)[0] - middle(red(bare.pixels_THW3[0][rows]))[0]) / (
        64 / math.tan(math.radians(fov / 2)) / (far + 0.9)
    )
    angle = math.radians(abs(turn_deg))
    inner = math.cos(angle) / math.sqrt(GLASS_INDEX**2 - math.sin(angle) ** 2)
    assert abs(shift_m) == pytest.approx(thick * math.sin(angle) * (1 - inner), rel=0.04)
    assert shift_m * turn_deg > 0  # towards the edge of the slab that is further away


def test_a_full_glass_bends_like_water_and_other_glass_like_glass() -> None:
    seen = set()
    for seed in range(16):
        scene = lens.draw(Draw("lens", np.random.default_rng(seed), held_out=False))
        motion = Motion(
            np.zeros((1, len(scene.bodies), 3)),
            np.tile([1.0, 0.0, 0.0, 0.0], (1, len(scene.bodies), 1)),
            *(np.zeros((1, len(scene.bodies), 3)),) * 2,
            np.ones((1, len(scene.bodies)), dtype=np.bool_),
            (),
        )
        index_A = look_of(scene, motion, np.zeros((1, 3)), np.ones((1, 3)), 12.0).index_B
        assert index_A[0] == 0.0
        assert index_A[1] == {"sphere": 1.5, "slab": 1.5, "water": 1.33}[scene.facts["thing"]]
        seen.add(scene.facts["thing"])
    assert seen == {"sphere", "slab", "water"}


def test_through_the_ball_a_body_goes_the_other_way() -> None:
    clips = 0
    for seed in range(40):
        scene = lens.draw(Draw("lens", np.random.default_rng(seed), held_out=False))
        if scene.facts["thing"] != "sphere" or scene.facts["moves"] != "body":
            continue
        first = scene.bodies[0]
        if first.info.color not in ("red", "orange", "pink"):
            scene = replace(scene, bodies=(replace(first, info=replace(first.info, color="red")), *scene.bodies[1:2]))
        glass_x = scene.bodies[1].position_m[0]
        columns = []
        for x in np.linspace(-0.3, 0.3, 4):
            moved = replace(scene.bodies[0], position_m=(glass_x + x, first.position_m[1], first.position_m[2]))
            image, _ = picture([moved, scene.bodies[1]], scene.camera, 48)
            columns.append(middle(red(image.pixels_THW3[0]) * (image.ids_THW[0] == 1))[0])
        assert (np.diff(columns) < 0).all(), seed
        clips += 1
    assert clips > 3


# --- orbit --------------------------------------------------------------------------------------------------


def test_what_one_frame_shows_is_at_the_same_place_in_another() -> None:
    config = WorldsConfig(height=64, width=64, frames=9, fps=6.0, samples_per_pixel=1)
    checked = 0
    for seed in range(12):
        world = make_world("orbit", seed, config, depth=True)
        state, depth_THW = world.clip.state, world.depth_THW
        assert state is not None and depth_THW is not None
        if state.facts["moving"]:
            continue
        here, there = view(state, 0), view(state, 8)
        rows, columns = np.indices((64, 64))
        near = (depth_THW[0] < 12.0).ravel()
        points_N3 = unprojected(here, depth_THW[0])[near]
        where_N3 = tracer.project(there, points_N3, 64, 64)
        inside = (np.abs(where_N3[:, :2] - 32) < 31.5).all(axis=1)
        measured_N = depth_THW[8][where_N3[inside, 1].astype(int), where_N3[inside, 0].astype(int)]
        lost = measured_N > where_N3[inside, 2] * 1.03 + 0.05  # the ray goes on where there was something
        same = np.abs(measured_N - where_N3[inside, 2]) < 0.15
        assert lost.mean() < 0.06, seed
        assert same.mean() > 0.7, seed
        turned = np.degrees(np.arctan2(*(state.camera_eye_T3[[0, 8], :2]).T))
        assert abs(turned[1] - turned[0]) > 10
        checked += 1
    assert checked > 2


def unprojected(here: CameraInfo, depth_HW: np.ndarray) -> np.ndarray:
    """The points that the middles of all pixels show, in world coordinates."""
    height, width = depth_HW.shape
    eye_3 = np.array(here.position_m)
    forward_3 = (np.array(here.target_m) - eye_3) / math.dist(here.target_m, here.position_m)
    right_3 = np.cross(forward_3, (0.0, 0.0, 1.0))
    right_3 /= np.linalg.norm(right_3)
    focal = height / 2 / math.tan(math.radians(here.vertical_fov_deg) / 2)
    rows, columns = np.indices((height, width)) + 0.5
    ray_HW3 = (
        forward_3
        + ((columns - width / 2) / focal)[..., None] * right_3
        - ((rows - height / 2) / focal)[..., None] * np.cross(right_3, forward_3)
    )
    points: np.ndarray = (eye_3 + depth_HW[..., None] * ray_HW3).reshape(-1, 3)
    return points


def test_short_orbits_turn_by_20_to_120_degrees_within_the_clip() -> None:
    for seed in range(40):
        scene = orbit.draw(Draw("orbit", np.random.default_rng(seed), held_out=False))
        eye_T3, target_T3 = camera.path(scene.camera, scene.camera_move, 34, 12.0)
        heading_T = np.unwrap(np.arctan2(*(eye_T3 - target_T3)[:, 1::-1].T))
        assert 19.0 < abs(math.degrees(heading_T[-1] - heading_T[0])) < 121.0


def test_bodies_of_an_orbit_stand_apart_and_stay_in_view() -> None:
    for seed in range(30):
        world = make_world("orbit", seed, QUICK)
        state = world.clip.state
        assert state is not None and 2 <= len(state.bodies) <= 5
        for index in range(len(state.bodies)):
            for frame in (0, 8, 16):
                where = tracer.project(view(state, frame), state.position_TB3[frame, [index]], 48, 48)[0]
                assert 0 < where[0] < 48 and 0 < where[1] < 48, (seed, index, frame)
        assert not any(
            event.kind == "contact" and event.time_s < 0.05 and -1 not in event.bodies for event in state.events
        )


# --- all four -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", OURS)
def test_same_seed_same_bytes(family: str) -> None:
    first, again, other = (make_world(family, seed, replace(QUICK, frames=5)).clip for seed in (5, 5, 6))
    assert first.pixels_THW3.tobytes() == again.pixels_THW3.tobytes()
    assert first.state is not None and again.state is not None
    assert first.state.events == again.state.events and first.caption == again.caption
    assert first.pixels_THW3.tobytes() != other.pixels_THW3.tobytes()


@pytest.mark.parametrize(
    ("family", "least"), [("lens", (0.012, 0.05)), ("mirror", (0.012,)), ("orbit", (0.006,) * 2), ("blocks", (0.009,))]
)
def test_what_it_is_about_can_be_seen(family: str, least: tuple[float, ...]) -> None:
    for seed in (*range(20), *range(HELD_OUT_SEED, HELD_OUT_SEED + 5)):
        state = make_world(family, seed, QUICK).clip.state
        assert state is not None
        assert (state.visible_TB.max(axis=0)[: len(least)] > least).all(), (seed, state.visible_TB.max(axis=0))


@pytest.mark.parametrize("family", OURS)
@pytest.mark.parametrize(("size", "frames", "fps"), [((64, 32), 1, 12.0), ((32, 80), 5, 30.0), ((48, 32), 9, 6.0)])
def test_any_size_and_rate(family: str, size: tuple[int, int], frames: int, fps: float) -> None:
    config = WorldsConfig(height=size[0], width=size[1], frames=frames, fps=fps, samples_per_pixel=1)
    state = make_world(family, 4, config).clip.state
    assert state is not None and state.visible_TB.shape[0] == frames
    assert state.visible_TB[0].max() > 0.003
    assert np.isfinite(state.position_TB3).all()


@pytest.mark.parametrize("family", DRAWS)
def test_a_minute_of_it_keeps_happening_in_view(family: str) -> None:
    config = WorldsConfig(height=32, width=32, frames=361, fps=6.0, samples_per_pixel=1)
    state = make_world(family, 3, config).clip.state
    assert state is not None
    moving_T = np.linalg.norm(state.velocity_TB3, axis=-1).max(axis=1) > 0.2
    sweeping_T = np.linalg.norm(np.diff(state.camera_eye_T3, axis=0, append=state.camera_eye_T3[-1:]), axis=1) > 0.02
    for start in range(0, 360, 60):
        assert (moving_T | sweeping_T)[start : start + 60].any(), start
    assert (state.visible_TB[:, 0] > 0).mean() > 0.4
