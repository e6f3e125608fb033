"""Physics against theory. Every expectation is derived beside the test that uses it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from kinema.worlds import palette
from kinema.worlds.physics.mjcf import GRAVITY_MPS2
from kinema.worlds.physics.simulate import simulate
from kinema.worlds.scene import Body, Kick, Prop, Rod, Vec3, axis_angle, body_info, half_height, resting
from worlds.rigs import ball, bench, deepest_m, energy_T, scene_of, times_s, truth

FPS = 30.0


@pytest.mark.parametrize("shape", palette.SHAPES)
def test_free_fall_has_the_acceleration_of_gravity(shape: str) -> None:
    info = body_info(shape, "red", "wood", "medium")
    motion = simulate(bench(Body(info, (0.0, 0.0, 4.0))), 16, FPS)
    time_T = np.arange(16) / FPS
    assert motion.velocity_TB3[:, 0, 2] == pytest.approx(-GRAVITY_MPS2 * time_T, abs=1e-6)
    # semi-implicit Euler falls half a step's worth further than g t² / 2
    assert motion.position_TB3[:, 0, 2] == pytest.approx(4.0 - GRAVITY_MPS2 * time_T**2 / 2, abs=0.006)


@pytest.mark.parametrize("shape", palette.SHAPES)
@pytest.mark.parametrize("material", palette.MATERIAL_WEIGHT)
def test_a_bounce_keeps_the_share_of_speed_that_the_material_says(shape: str, material: str) -> None:
    info, drop_m = body_info(shape, "red", material, "medium"), 1.2
    scene = bench(Body(info, (0.0, 0.0, half_height(info) + drop_m)))
    motion = simulate(scene, 31, FPS)
    arrival_mps = math.sqrt(2 * GRAVITY_MPS2 * drop_m)
    after = math.ceil((arrival_mps / GRAVITY_MPS2 + 0.03) * FPS)
    # energy per mass keeps the speed of departure: v²/2 + g h, with h above the place of the contact
    height_m = motion.position_TB3[after, 0, 2] - half_height(info)
    departure_mps = math.sqrt(motion.velocity_TB3[after, 0, 2] ** 2 + 2 * GRAVITY_MPS2 * height_m)
    restitution = palette.MATERIALS[material].restitution
    assert departure_mps / arrival_mps == pytest.approx(restitution, abs=0.06)
    # the floor's impulse reverses the momentum: m (1 + e) v; the weight adds m g t during a contact of 17 ms
    impulse = next(event.value for event in motion.events if event.kind == "contact")
    assert impulse / (info.mass_kg * arrival_mps) == pytest.approx(1 + departure_mps / arrival_mps, abs=0.06)


def test_elastic_collisions_keep_momentum_and_energy() -> None:
    # in the air, with equal and opposite energy of height, so that only the collision acts along x
    light, heavy = ball(mass_kg=20.0), ball(mass_kg=60.0)
    bodies = Body(light, (-0.6, 0.0, 4.0), velocity_mps=(3.0, 0.0, 0.0)), Body(heavy, (0.6, 0.0, 4.0))
    motion = simulate(bench(*bodies, body_restitution=1.0), 16, FPS)
    mass_B, speed_TB = np.array([20.0, 60.0]), motion.velocity_TB3[..., 0]
    assert speed_TB @ mass_B == pytest.approx(np.full(16, 60.0), rel=1e-6)
    # head on: v1' = (m1 - m2) / (m1 + m2) v, v2' = 2 m1 / (m1 + m2) v
    assert speed_TB[-1] == pytest.approx([-1.5, 1.5], abs=0.05)
    contacts = [event for event in motion.events if event.bodies == (0, 1)]
    assert len(contacts) == 1 and contacts[0].value == pytest.approx(60.0 * 1.5, rel=0.05)


@pytest.mark.parametrize("restitution", [0.5, 0.8, 0.97])
def test_collisions_lose_what_restitution_says(restitution: float) -> None:
    # the speed of separation is e times that of approach; where within a step the touch falls changes e by about 0.03
    shares = []
    for gap in np.linspace(0.6, 0.61, 5):
        bodies = Body(ball(), (-gap, 0.0, 4.0), velocity_mps=(3.0, 0.0, 0.0)), Body(ball(), (0.6, 0.0, 4.0))
        first, second = simulate(bench(*bodies, body_restitution=restitution), 10, 12.0).velocity_TB3[-1, :, 0]
        assert first + second == pytest.approx(3.0, rel=1e-6)
        shares.append((second - first) / 3.0)
    assert np.mean(shares) == pytest.approx(restitution, abs=0.06)


def test_energy_never_rises() -> None:
    checked = 0
    for family in ("fall", "throw", "collide", "ramp", "tower", "dominoes"):
        for seed in range(6):
            scene = scene_of(family, seed)
            if any(body.info.shape in ("cone", "capsule") for body in scene.bodies):
                continue  # their energy is a longer formula
            total_T = energy_T(scene, simulate(scene, 23, 12.0))
            # what touches at a frame keeps some energy in its springs, and has given it back by the next frame
            least_T = np.minimum.accumulate(np.maximum(total_T[:-1], total_T[1:]))
            assert (total_T[2:] <= least_T[:-1] + 0.02 * total_T[0]).all(), (family, seed)
            checked += 1
    assert checked > 10


def slope(shape: str, friction: float, angle: float) -> float:
    """Acceleration along a long slope, m/s²."""
    info = body_info(shape, "red", "matte", "small")  # of friction 1
    tilt, length = axis_angle((0.0, 1.0, 0.0), angle), 6.0

    def at(uphill: float, above: float) -> Vec3:
        cosine, sine = math.cos(angle), math.sin(angle)
        return (-uphill * cosine + above * sine, 0.0, uphill * sine + above * cosine)

    ramp = Prop("ramp", "white", (length / 2, 1.0, 0.06), at(length / 2, -0.06), tilt)
    body = Body(info, at(5.0, half_height(info)), tilt)
    motion = simulate(bench(body, props=(ramp,), floor_friction=friction), 25, FPS)
    speed_T = np.linalg.norm(motion.velocity_TB3[:, 0], axis=-1)
    return float(np.polyfit(np.arange(8, 25) / FPS, speed_T[8:], 1)[0])


@pytest.mark.parametrize("angle", [0.25, 0.4])
def test_balls_roll_and_blocks_slide_or_stay_on_a_slope(angle: float) -> None:
    fall, press = GRAVITY_MPS2 * math.sin(angle), GRAVITY_MPS2 * math.cos(angle)
    # rolling without slip shares the energy with the spin: a = g sin θ / (1 + 2/5)
    for friction in (0.15, 0.6):
        assert slope("sphere", friction, angle) == pytest.approx(5 / 7 * fall, rel=0.03)
    # sliding: a = g sin θ − μ g cos θ, or nothing where the friction is larger
    for shape in ("cube", "slab", "cylinder", "cone"):
        assert slope(shape, 0.15, angle) == pytest.approx(fall - 0.15 * press, rel=0.04, abs=0.06)
        assert slope(shape, 0.7, angle) == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("amplitude", [0.1, 0.6, 1.1])
@pytest.mark.parametrize("shape", ["sphere", "cube", "cylinder"])
def test_a_pendulum_keeps_its_period(shape: str, amplitude: float) -> None:
    # a stiff pendulum: T = 2π √(I / (m g L)) (1 + θ²/16 + 11 θ⁴/3072 + 173 θ⁶/737280 + …), I = m L² + that of the bob
    info, length = body_info(shape, "red", "metal", "small"), 1.4
    a, b, c = info.half_size_m
    own = {"sphere": 2 / 5 * a * a, "cube": (a * a + c * c) / 3, "cylinder": a * a / 4 + c * c / 3}[shape]
    series = 1 + amplitude**2 / 16 + 11 * amplitude**4 / 3072 + 173 * amplitude**6 / 737280
    period_s = 2 * math.pi * math.sqrt((length**2 + own) / (GRAVITY_MPS2 * length)) * series
    place = (length * math.sin(amplitude), 0.0, 2.6 - length * math.cos(amplitude))
    body = Body(info, place, axis_angle((0.0, 1.0, 0.0), -amplitude), rod=Rod((0.0, 0.0, 2.6)))
    scene = bench(body)
    motion = simulate(scene, 200, 20.0)
    turns_s = times_s(truth(scene, motion, 20.0), "turns", 0)
    assert np.diff(turns_s) == pytest.approx(period_s / 2, rel=0.01)
    assert turns_s[0] == pytest.approx(period_s / 2, rel=0.02)
    assert np.linalg.norm(motion.position_TB3[:, 0] - np.array([0.0, 0.0, 2.6]), axis=-1) == pytest.approx(length)


def test_stacks_of_every_block_stand_still_for_10_seconds() -> None:
    for shapes in (("cube",) * 4, ("slab",) * 5, ("cylinder",) * 3, ("slab", "cylinder", "cube", "cylinder")):
        bodies, top = [], 0.0
        for shape in shapes:
            info = body_info(shape, "red", "wood", "small", 0.8)
            bodies.append(Body(info, (0.0, 0.0, top + half_height(info))))
            top += 2 * half_height(info)
        motion = simulate(bench(*bodies), 11, 1.0)
        assert np.abs(motion.position_TB3 - motion.position_TB3[0]).max() < 0.01, shapes


@pytest.mark.parametrize("shape", palette.SHAPES)
def test_what_is_put_down_stays(shape: str) -> None:
    info = body_info(shape, "red", "matte", "large")
    orientation, height = resting(info, 0.7)
    motion = simulate(bench(Body(info, (0.0, 0.0, height), orientation)), 13, 6.0)
    assert np.abs(motion.position_TB3 - motion.position_TB3[0]).max() < 0.002
    assert not motion.events  # what has always touched makes no contact


@pytest.mark.parametrize("fps", [6.0, 30.0])
@pytest.mark.parametrize("shape", palette.SHAPES)
def test_nothing_tunnels_at_high_speed(shape: str, fps: float) -> None:
    info, speed = body_info(shape, "red", "rubber", "small"), 11.0
    wall = Prop("wall", "white", (0.06, 2.0, 20.0), (1.2, 0.0, 20.0))
    target = Body(ball("metal", 0.3, 800.0), (0.0, 0.0, 0.3))
    for start, velocity in (
        ((-1.2, 0.0, 0.6), (speed, 0.0, 0.0)),
        ((0.0, 0.0, 2.5), (0.0, 0.0, -speed)),
        ((0.3, 1.0, 1.0), (speed, 0.0, -speed)),
    ):
        scene = bench(Body(info, start, velocity_mps=velocity), target, props=(wall,), walled=True)
        motion = simulate(scene, 2 + round(fps), fps)
        assert motion.position_TB3[:, 0, 0].max() < 1.2
        # a spring of frequency ω that stops a speed v gives way by v / ω, here 11 √2 / 180 = 9 cm
        assert deepest_m(scene, motion) < 0.09


def test_kicks_come_on_time_and_carry_bodies_where_they_should_go() -> None:
    goal = (0.9, -0.4, 0.3)
    bodies = Body(ball(), (-0.8, 0.3, 0.3)), Body(ball(), (0.0, 0.6, 0.3))
    hop = Kick(0.5, 0, towards=goal, flight_s=0.8)
    scene = bench(*bodies, kicks=(hop,))
    motion = simulate(scene, 41, FPS)
    assert times_s(truth(scene, motion, FPS), "launch", 0) == pytest.approx([0.5], abs=0.003)
    assert motion.position_TB3[39, 0] == pytest.approx(goal, abs=0.03)  # 1.3 s
    dash = Kick(0.2, 0, (2.0, 0.0, 0.0), (0.0, 2.0 / 0.3, 0.0), towards=1)
    motion = simulate(bench(*bodies, kicks=(dash,)), 25, FPS)
    assert any(event.kind == "contact" and event.bodies == (0, 1) for event in motion.events)


def test_time_and_motion_do_not_depend_on_the_frame_rate() -> None:
    scene = scene_of("throw", 5)
    coarse, fine = simulate(scene, 4, 6.0), simulate(scene, 16, 30.0)
    assert coarse.position_TB3 == pytest.approx(fine.position_TB3[::5], abs=0.03)


def test_same_scene_same_bytes() -> None:
    scene = scene_of("tower", 1)
    first, again = simulate(scene, 20, 12.0), simulate(replace(scene), 20, 12.0)
    assert first.position_TB3.tobytes() == again.position_TB3.tobytes()
    assert first.orientation_TB4.tobytes() == again.orientation_TB4.tobytes()
    assert first.events == again.events


def test_an_upright_cylinder_stands_still() -> None:
    """MuJoCo's plane throws one in three of them up by up to half a metre."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        info = body_info("cylinder", "red", "matte", "medium", float(rng.uniform(0.8, 1.2)))
        place = (float(rng.uniform(-1, 1)), float(rng.uniform(-0.2, 0.2)), info.half_size_m[2])
        turn = axis_angle((0.0, 0.0, 1.0), float(rng.uniform(0, 6.28)))
        motion = simulate(bench(Body(info, place, turn)), 33, 12.0)
        assert np.abs(motion.velocity_TB3).max() < 0.02, seed
