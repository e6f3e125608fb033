"""Small scenes and measurements that the tests of rigid bodies share.

Legend: T frames, B bodies.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from kinema.data import BodyInfo, WorldState
from kinema.worlds import camera
from kinema.worlds.families import FAMILIES
from kinema.worlds.make import HELD_OUT_SEED, VERSION
from kinema.worlds.physics.events import state_of
from kinema.worlds.physics.mjcf import GRAVITY_MPS2, scene_xml
from kinema.worlds.physics.simulate import Motion
from kinema.worlds.scene import Body, CameraMove, Draw, Scene, body_info

RIGID = ("fall", "throw", "collide", "ramp", "pendulum", "dominoes", "tower", "occlude")


def scene_of(family: str, seed: int, duration_s: float = 2.75) -> Scene:
    """The scene that a family draws from a seed, as :func:`make_clip` would."""
    rng = np.random.default_rng([VERSION, zlib.crc32(family.encode()), seed])
    return FAMILIES[family](Draw(family, rng, seed >= HELD_OUT_SEED, duration_s))


def bench(*bodies: Body, **fields: Any) -> Scene:
    """Bodies in plain surroundings without invisible walls, seen by a fixed camera."""
    fields = {"walled": False, "camera_move": CameraMove()} | fields
    return Draw("fall", np.random.default_rng(0), held_out=False).scene(list(bodies), **fields)


def ball(material: str = "rubber", radius_m: float = 0.3, mass_kg: float = 40.0) -> BodyInfo:
    info = body_info("sphere", "red", material, "small")
    return replace(info, half_size_m=(radius_m,) * 3, mass_kg=mass_kg)


def truth(scene: Scene, motion: Motion, fps: float, visible_TB: NDArray[np.float64] | None = None) -> WorldState:
    """The state of a clip of which every body is seen all the time, unless ``visible_TB`` says otherwise."""
    eye_T3, target_T3 = camera.path(scene.camera, scene.camera_move, len(motion.position_TB3), fps)
    seen_TB = np.full(motion.shown_TB.shape, 0.05) if visible_TB is None else visible_TB
    return state_of(scene, motion, seen_TB, eye_T3, target_T3, fps)


def times_s(state: WorldState, kind: str, *bodies: int) -> list[float]:
    return [event.time_s for event in state.events if event.kind == kind and event.bodies == bodies]


def deepest_m(scene: Scene, motion: Motion) -> float:
    """How far, at most, one thing is inside another at any frame."""
    free = replace(scene, bodies=tuple(replace(body, rod=None) for body in scene.bodies))
    model = mujoco.MjModel.from_xml_string(scene_xml(free, 0.002))
    data = mujoco.MjData(model)
    deepest = 0.0
    for position_B3, orientation_B4 in zip(motion.position_TB3, motion.orientation_TB4, strict=True):
        data.qpos[:] = np.concatenate([position_B3, orientation_B4], axis=1).ravel()
        mujoco.mj_fwdPosition(model, data)
        deepest = max(deepest, float(-data.contact.dist.min(initial=0.0)))
    return deepest


def energy_T(scene: Scene, motion: Motion) -> NDArray[np.float64]:
    """Kinetic and potential energy of balls, cuboids and upright cylinders, joules."""
    total_T = np.zeros(len(motion.position_TB3))
    for index, body in enumerate(scene.bodies):
        a, b, c = body.info.half_size_m
        inertia_3 = {
            "sphere": np.full(3, 2 / 5 * a * a),
            "cylinder": np.array([a * a / 4 + c * c / 3, a * a / 4 + c * c / 3, a * a / 2]),
        }.get(body.info.shape, np.array([b * b + c * c, a * a + c * c, a * a + b * b]) / 3)
        for frame in range(len(total_T)):
            rotation_9 = np.zeros(9)
            mujoco.mju_quat2Mat(rotation_9, motion.orientation_TB4[frame, index])
            spin_3 = rotation_9.reshape(3, 3).T @ motion.angular_velocity_TB3[frame, index]
            speed_3, height = motion.velocity_TB3[frame, index], motion.position_TB3[frame, index, 2]
            own = (speed_3 @ speed_3 + inertia_3 @ spin_3**2) / 2 + GRAVITY_MPS2 * height
            total_T[frame] += body.info.mass_kg * own
    return total_T
