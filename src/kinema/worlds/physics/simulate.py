"""Physics: a scene becomes exact motion. MuJoCo moves rigid bodies; effects add what it does not know.

Legend: T frames, B bodies, X, Y grid points of a water surface.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from kinema.data import Event, PaintState, VoxelState, WaterState
from kinema.worlds.physics.fracture import Fracture
from kinema.worlds.physics.mjcf import GRAVITY_MPS2, scene_xml
from kinema.worlds.physics.paint import PaintEffect
from kinema.worlds.physics.releases import Releases
from kinema.worlds.physics.water import WaterEffect
from kinema.worlds.scene import Kick, Scene

STEP_S = 0.002
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
    paint: PaintState | None = None
    voxels: VoxelState | None = None

    @property
    def beginning(self) -> Motion:
        """The first frame of it."""
        water, voxels = self.water, self.voxels
        return replace(
            self,
            position_TB3=self.position_TB3[:1],
            orientation_TB4=self.orientation_TB4[:1],
            velocity_TB3=self.velocity_TB3[:1],
            angular_velocity_TB3=self.angular_velocity_TB3[:1],
            shown_TB=self.shown_TB[:1],
            water=water and replace(water, height_TXY=water.height_TXY[:1]),
            voxels=voxels and replace(voxels, grid_TXYZ=voxels.grid_TXYZ[:1]),
        )


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
    steps = math.ceil(1 / (fps * STEP_S))
    step_s = 1 / (fps * steps)
    model = mujoco.MjModel.from_xml_string(scene_xml(scene, step_s))
    data = mujoco.MjData(model)
    body_B = np.array([model.body(f"body{index}").id for index in range(len(scene.bodies))], dtype=np.int64)
    for index, body in enumerate(scene.bodies):
        _set_velocity(model, data, index, np.array(body.velocity_mps), np.array(body.spin_radps))
    mujoco.mj_forward(model, data)
    effects = _effects(scene)
    watch = _ContactWatch(model, scene)
    pose_TB7 = np.zeros((frames, len(body_B), 7))
    velocity_TB6 = np.zeros((frames, len(body_B), 6))
    for frame in range(frames):
        mujoco.mj_kinematics(model, data)  # poses that belong to this instant's coordinates
        mujoco.mj_comPos(model, data)
        mujoco.mj_comVel(model, data)
        pose_TB7[frame, :, :3], pose_TB7[frame, :, 3:] = data.xpos[body_B], data.xquat[body_B]
        for index, number in enumerate(body_B):
            mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, number, velocity_TB6[frame, index], 0)
        for effect in effects:
            effect.at_frame(frame, model, data)
        if frame < frames - 1:
            for _ in range(steps):
                for effect in effects:
                    effect.before_step(model, data)
                mujoco.mj_step(model, data)
                if data.ncon:
                    watch.look(data, step_s)
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
    effects: list[Effect] = [_Kicks(scene)] if scene.kicks else []
    if scene.water is not None:
        releases = Releases(scene)
        effects += [releases, WaterEffect(scene, releases)]
    if scene.paint is not None:
        effects.append(PaintEffect(scene))
    if scene.broken is not None:
        effects.append(Fracture(scene))
    return effects


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
            _set_velocity(model, data, kick.body, *_aimed(kick, model, data))
            self._done.append(Event(float(data.time), "launch", (kick.body,)))

    def at_frame(self, frame: int, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        pass

    def finish(self, motion: Motion) -> Motion:
        return replace(motion, events=(*motion.events, *self._done))


def _aimed(kick: Kick, model: mujoco.MjModel, data: mujoco.MjData) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Velocity and spin in world axes of a kick, which may depend on where things are by now."""
    velocity_3, spin_3 = np.array(kick.velocity_mps), np.array(kick.spin_radps)
    if kick.towards is None:
        return velocity_3, spin_3
    goal_3 = data.xpos[model.body(f"body{kick.towards}").id] if isinstance(kick.towards, int) else kick.towards
    way_3 = np.array(goal_3) - data.xpos[model.body(f"body{kick.body}").id]
    if kick.flight_s:
        return way_3 / kick.flight_s + np.array([0.0, 0.0, GRAVITY_MPS2 * kick.flight_s / 2]), spin_3
    cosine, sine = way_3[:2] / max(float(np.hypot(*way_3[:2])), 1e-9)
    turn_33 = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return turn_33 @ velocity_3, turn_33 @ spin_3


class _ContactWatch:
    """Collects touches into contacts: one event per pair and touch, with the normal impulse of the impact.

    What shards touch is left out: there is no end to it.
    """

    def __init__(self, model: mujoco.MjModel, scene: Scene) -> None:
        body_of_geom = {model.geom(f"body{index}").id: index for index in range(len(scene.bodies))}
        ordered = [body_of_geom.get(geom, -1) for geom in range(model.ngeom)]
        # the lower body first; scenery is -1 and comes last
        self._pair = [[(b, a) if a < 0 or 0 <= b < a else (a, b) for b in ordered] for a in ordered]
        shards = {index for index, body in enumerate(scene.bodies) if body.info.shape == "shard"}
        cores = {geom for geom in range(model.ngeom) if model.geom(geom).name.startswith("core")}
        self._quiet = [geom in cores or body in shards for geom, body in enumerate(ordered)]
        self._last_touch_s: dict[tuple[int, int], float] = {}
        self._open: dict[tuple[int, int], int] = {}
        self._times_s: list[float] = []
        self._pairs: list[tuple[int, int]] = []
        self._impulses_ns: list[float] = []

    def look(self, data: mujoco.MjData, step_s: float) -> None:
        """Adds the contacts of the step that has just been made."""
        contact, now_s = data.contact, float(data.time)
        forces_n = data.efc_force.tolist()
        for (first, second), row in zip(contact.geom.tolist(), contact.efc_address.tolist(), strict=True):
            if self._quiet[first] or self._quiet[second]:
                continue
            force_n = forces_n[row] if row >= 0 else 0.0  # the first row of an elliptic contact is its normal
            if force_n <= 0:
                continue
            pair = self._pair[first][second]
            # what touches in the first moments has touched since before the scene began
            if now_s - self._last_touch_s.get(pair, 0.0) > APART_S:
                self._open[pair] = len(self._pairs)
                self._times_s.append(now_s)
                self._pairs.append(pair)
                self._impulses_ns.append(0.0)
            self._last_touch_s[pair] = now_s
            index = self._open.get(pair)
            if index is not None and now_s - self._times_s[index] < IMPACT_S:
                self._impulses_ns[index] += force_n * step_s

    def events(self) -> tuple[Event, ...]:
        """One contact event each, in order of time."""
        return tuple(
            Event(time_s, "contact", pair, impulse_ns)
            for time_s, pair, impulse_ns in zip(self._times_s, self._pairs, self._impulses_ns, strict=True)
        )
