"""Physics: a scene becomes exact motion. MuJoCo moves rigid bodies; effects add what it does not know. Nothing is drawn.

Legend: T frames, B bodies, X, Y grid points of a water surface.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from kinema.data import Event, WaterState
from kinema.worlds.mjcf import scene_xml
from kinema.worlds.scene import Scene

STEP_S = 0.002
STEPS_PER_LOOK = 3  # contacts are looked at every third step
APART_S = 0.06  # two touches closer than this are one contact
IMPACT_S = 0.03  # the impulse of a contact is summed over its first moments; later force is only weight


@dataclass(frozen=True)
class Motion:
    """Poses and velocities at every frame (world frame, SI) and the events that physics itself knows."""

    position_TB3: NDArray[np.float64]
    orientation_TB4: NDArray[np.float64]
    velocity_TB3: NDArray[np.float64]
    angular_velocity_TB3: NDArray[np.float64]
    shown_TB: NDArray[np.bool_]  # whether the body exists at that frame
    events: tuple[Event, ...]
    water: WaterState | None = None


class Effect(Protocol):
    """What acts on bodies beside gravity and contacts: water, welds that break, kicks."""

    def before_step(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Called before every step; may set ``xfrc_applied``, ``qvel`` or ``eq_active``."""

    def at_frame(self, frame: int, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Called when a frame's poses are taken."""

    def finish(self, motion: Motion) -> Motion:
        """Adds what the effect knows: its events, the water's surface, which bodies exist when."""


def simulate(scene: Scene, frames: int, fps: float) -> Motion:
    """Runs the scene for ``frames`` frames at ``fps``; frame 0 is the scene as drawn."""
    looks = max(1, math.ceil(1 / (fps * STEP_S * STEPS_PER_LOOK)))
    step_s = 1 / (fps * looks * STEPS_PER_LOOK)
    model = mujoco.MjModel.from_xml_string(scene_xml(scene, step_s))
    data = mujoco.MjData(model)
    body_B = np.array([model.body(f"body{index}").id for index in range(len(scene.bodies))], dtype=np.int64)
    _start(scene, model, data)
    mujoco.mj_forward(model, data)
    effects = _effects(scene)
    watch = _ContactWatch(model, len(scene.bodies))
    pose_TB7 = np.zeros((frames, len(body_B), 7))
    velocity_TB6 = np.zeros((frames, len(body_B), 6))
    for frame in range(frames):
        mujoco.mj_kinematics(model, data)  # poses that belong to this instant's coordinates
        mujoco.mj_comPos(model, data)
        mujoco.mj_comVel(model, data)
        pose_TB7[frame, :, :3], pose_TB7[frame, :, 3:] = data.xpos[body_B], data.xquat[body_B]
        for index, body in enumerate(body_B):
            mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, body, velocity_TB6[frame, index], 0)
        for effect in effects:
            effect.at_frame(frame, model, data)
        if frame < frames - 1:
            for _ in range(looks):
                for _ in range(STEPS_PER_LOOK if effects else 1):
                    for effect in effects:
                        effect.before_step(model, data)
                    mujoco.mj_step(model, data, 1 if effects else STEPS_PER_LOOK)
                if data.ncon:
                    watch.look(model, data, STEPS_PER_LOOK * step_s)
    motion = Motion(
        pose_TB7[..., :3],
        pose_TB7[..., 3:] / np.linalg.norm(pose_TB7[..., 3:], axis=-1, keepdims=True),
        velocity_TB6[..., 3:],
        velocity_TB6[..., :3],
        np.ones((frames, len(body_B)), dtype=np.bool_),
        watch.events(),
    )
    for effect in effects:
        motion = effect.finish(motion)
    return motion


def _effects(scene: Scene) -> list[Effect]:
    return [_Kicks(scene)] if scene.kicks else []


def _start(scene: Scene, model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Velocities at time zero; bodies on rods start at rest or with their speed along the swing."""
    for index, body in enumerate(scene.bodies):
        _set_velocity(model, data, index, np.array(body.velocity_mps), np.array(body.spin_radps))


def _set_velocity(
    model: mujoco.MjModel, data: mujoco.MjData, index: int, velocity_3: NDArray[np.float64], spin_3: NDArray[np.float64]
) -> None:
    """Gives a body a velocity and spin in world axes; a body on a rod takes what its joint allows."""
    body = model.body(f"body{index}").id
    first = int(model.body_dofadr[body])
    if model.body_dofnum[body] == 6:
        data.qvel[first : first + 3] = velocity_3
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, data.qpos[model.jnt_qposadr[model.body_jntadr[body]] + 3 :][:4])
        data.qvel[first + 3 : first + 6] = rotation.reshape(3, 3).T @ spin_3  # free joints spin in the body's own frame
    else:
        joint = int(model.body_jntadr[body])
        mujoco.mj_kinematics(model, data)
        arm_3 = data.xpos[body] - data.xanchor[joint]
        data.qvel[first] = np.cross(data.xaxis[joint], arm_3) @ velocity_3 / max(float(arm_3 @ arm_3), 1e-9)


class _Kicks:
    """Gives bodies new velocities at their moments."""

    def __init__(self, scene: Scene) -> None:
        self._left = sorted(scene.kicks, key=lambda kick: kick.time_s)
        self._done: list[Event] = []

    def before_step(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        while self._left and data.time >= self._left[0].time_s:
            kick = self._left.pop(0)
            _set_velocity(model, data, kick.body, np.array(kick.velocity_mps), np.array(kick.spin_radps))
            self._done.append(Event(float(data.time), "launch", (kick.body,)))

    def at_frame(self, frame: int, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        pass

    def finish(self, motion: Motion) -> Motion:
        return replace(motion, events=(*motion.events, *self._done))


class _ContactWatch:
    """Collects touches into contacts: one event per pair and touch, with the normal impulse of the impact."""

    def __init__(self, model: mujoco.MjModel, bodies: int) -> None:
        geoms = {model.geom(f"body{index}").id: index for index in range(bodies)}
        self._body_of_geom = [geoms.get(geom, -1) for geom in range(model.ngeom)]
        self._last_touch_s: dict[tuple[int, int], float] = {}
        self._open: dict[tuple[int, int], int] = {}
        self._events: list[Event] = []

    def look(self, model: mujoco.MjModel, data: mujoco.MjData, span_s: float) -> None:
        force = np.zeros(6)
        for index, (first, second) in enumerate(data.contact.geom[: data.ncon]):
            # the lower body first; scenery is -1 and comes last
            low, high = sorted((self._body_of_geom[first], self._body_of_geom[second]))
            pair = (low, high) if low >= 0 else (high, low)
            mujoco.mj_contactForce(model, data, index, force)
            if force[0] <= 0:
                continue
            last_s = self._last_touch_s.get(pair, -math.inf)
            self._last_touch_s[pair] = data.time
            if data.time - last_s > APART_S:
                self._open[pair] = len(self._events)
                self._events.append(Event(data.time, "contact", pair, 0.0))
            event = self._events[self._open[pair]]
            if data.time - event.time_s < IMPACT_S:
                self._events[self._open[pair]] = replace(event, value=event.value + float(force[0]) * span_s)

    def events(self) -> tuple[Event, ...]:
        return tuple(self._events)
