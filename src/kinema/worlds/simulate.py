"""Rigid physics by MuJoCo: a scene becomes exact state and a list of events. Nothing is drawn here.

Legend: T frames, B bodies. A bounce is a damped spring (MuJoCo's direct ``solref``): with natural frequency ω and
damping ratio ζ a body leaves a contact with the share e = exp(−πζ / √(1 − ζ²)) of its speed, so ζ follows from the
restitution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from kinema.data import Event, WorldState
from kinema.worlds import palette
from kinema.worlds.scene import HALF_DEPTH_M, HALF_WIDTH_M, Body, Prop, Scene

GRAVITY_MPS2 = 9.81
CONTACT_FREQUENCY_RADPS = 180.0  # a contact lasts π / ω ≈ 17 ms
STEP_S = 0.002
STEPS_PER_LOOK = 3  # contacts are looked at every third step
APART_S = 0.06  # two touches closer than this are one contact
IMPACT_S = 0.03  # the impulse of a contact is summed over its first moments; later force is only weight
RESTING_SPEED_MPS = 0.12
_GEOM = {"sphere": "sphere", "cube": "box", "cylinder": "cylinder"}


@dataclass(frozen=True)
class Motion:
    """Poses and velocities at every frame (world frame, SI) and the contacts on the way."""

    position_TB3: NDArray[np.float64]
    orientation_TB4: NDArray[np.float64]
    velocity_TB3: NDArray[np.float64]
    angular_velocity_TB3: NDArray[np.float64]
    contacts: tuple[Event, ...]


def simulate(scene: Scene, frames: int, fps: float) -> Motion:
    """Runs the scene for ``frames`` frames at ``fps``; frame 0 is the scene as drawn."""
    looks = max(1, math.ceil(1 / (fps * STEP_S * STEPS_PER_LOOK)))
    step_s = 1 / (fps * looks * STEPS_PER_LOOK)
    model = mujoco.MjModel.from_xml_string(_xml(scene, step_s))
    data = mujoco.MjData(model)
    count = len(scene.bodies)
    for index, body in enumerate(scene.bodies):
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, np.array(body.orientation))
        data.qvel[6 * index : 6 * index + 3] = body.velocity_mps
        data.qvel[6 * index + 3 : 6 * index + 6] = rotation.reshape(3, 3).T @ np.array(body.spin_radps)
    pose_TB7 = np.zeros((frames, count, 7))
    velocity_TB6 = np.zeros((frames, count, 6))
    watch = _ContactWatch(model, count)
    for frame in range(frames):
        pose_TB7[frame] = data.qpos.reshape(count, 7)
        velocity_TB6[frame] = data.qvel.reshape(count, 6)
        if frame < frames - 1:
            for _ in range(looks):
                mujoco.mj_step(model, data, STEPS_PER_LOOK)
                if data.ncon:
                    watch.look(model, data, STEPS_PER_LOOK * step_s)
    orientation_TB4 = pose_TB7[..., 3:] / np.linalg.norm(pose_TB7[..., 3:], axis=-1, keepdims=True)
    return Motion(
        pose_TB7[..., :3],
        orientation_TB4,
        velocity_TB6[..., :3],
        _rotate(orientation_TB4, velocity_TB6[..., 3:]),  # MuJoCo's free joints spin in the body's own frame
        watch.events(),
    )


def state_of(scene: Scene, motion: Motion, visible_TB: NDArray[np.float64], fps: float) -> WorldState:
    """The truth of a clip: motion, what can be seen of it, and all events in order of time."""
    events = [*motion.contacts, *_sight_events(visible_TB, fps), *_rest_events(motion, fps)]
    events += [
        Event(0.0, "launch", (index,))
        for index, body in enumerate(scene.bodies)
        if math.hypot(*body.velocity_mps) > RESTING_SPEED_MPS
    ]
    props = [
        {
            "name": p.name,
            "color": p.color,
            "position_m": p.position_m,
            "half_size_m": p.half_size_m,
            "orientation": p.orientation,
        }
        for p in scene.props
    ]
    return WorldState(
        bodies=tuple(body.info for body in scene.bodies),
        camera=scene.camera,
        position_TB3=motion.position_TB3,
        orientation_TB4=motion.orientation_TB4,
        velocity_TB3=motion.velocity_TB3,
        angular_velocity_TB3=motion.angular_velocity_TB3,
        visible_TB=visible_TB,
        events=tuple(sorted(events, key=lambda event: (event.time_s, event.kind, event.bodies))),
        facts=scene.facts | {"floor": scene.floor, "sky": scene.sky, "props": props, "invisible_walls_m": HALF_WIDTH_M},
    )


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


def _sight_events(visible_TB: NDArray[np.float64], fps: float) -> list[Event]:
    events = []
    for body in range(visible_TB.shape[1]):
        seen_T = visible_TB[:, body] > 0.08 * visible_TB[:, body].max(initial=1e-9)
        for frame in range(1, len(seen_T)):
            if seen_T[frame] != seen_T[frame - 1]:
                events.append(Event(frame / fps, "reappears" if seen_T[frame] else "hidden", (body,)))
    return events


def _rest_events(motion: Motion, fps: float) -> list[Event]:
    """A body comes to rest when it is slow from some moment to the end, and was not slow before."""
    speed_TB = np.linalg.norm(motion.velocity_TB3, axis=-1)
    events = []
    for body in range(speed_TB.shape[1]):
        moving = np.flatnonzero(speed_TB[:, body] > RESTING_SPEED_MPS)
        if len(moving) and moving[-1] < len(speed_TB) - 2:
            events.append(Event(float(moving[-1] + 1) / fps, "rests", (body,)))
    return events


def _rotate(quaternion_TB4: NDArray[np.float64], vector_TB3: NDArray[np.float64]) -> NDArray[np.float64]:
    real, imaginary = quaternion_TB4[..., :1], quaternion_TB4[..., 1:]
    twice = 2 * np.cross(imaginary, vector_TB3)
    rotated: NDArray[np.float64] = vector_TB3 + real * twice + np.cross(imaginary, twice)
    return rotated


def _xml(scene: Scene, step_s: float) -> str:
    """The scene as MJCF. Contacts are explicit pairs, so that each has its own bounciness and friction."""
    bodies = "".join(_body_xml(index, body) for index, body in enumerate(scene.bodies))
    statics = '<geom name="floor" type="plane" size="0 0 1"/>' + "".join(_prop_xml(prop) for prop in scene.props)
    for side, (x, y) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
        place = f"{x * HALF_WIDTH_M} {y * HALF_DEPTH_M} 0"
        statics += f'<geom name="side{side}" type="plane" size="0 0 1" pos="{place}" zaxis="{-x} {-y} 0"/>'
    grounds = {"floor": 1.0} | {prop.name: 1.0 for prop in scene.props} | {f"side{side}": 0.5 for side in range(4)}
    pairs = ""
    for index, body in enumerate(scene.bodies):
        own = palette.MATERIALS[body.info.material].restitution
        for name, bounce in grounds.items():
            pairs += _pair_xml(f"body{index}", name, own * bounce, scene.floor_friction, body)
        for other in range(index + 1, len(scene.bodies)):
            theirs = palette.MATERIALS[scene.bodies[other].info.material].restitution
            pairs += _pair_xml(f"body{index}", f"body{other}", max(own, theirs), 0.2, body)
    return f"""<mujoco><option timestep="{step_s!r}" gravity="0 0 {-GRAVITY_MPS2}" integrator="implicitfast"/>
<default><geom contype="0" conaffinity="0"/></default>
<worldbody>{bodies}{statics}</worldbody><contact>{pairs}</contact></mujoco>"""


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(repr(float(value)) for value in values)


def _body_xml(index: int, body: Body) -> str:
    half = body.info.half_size_m
    size = {"sphere": half[:1], "cube": half, "cylinder": (half[0], half[2])}[body.info.shape]
    return (
        f'<body pos="{_numbers(body.position_m)}" quat="{_numbers(body.orientation)}"><freejoint/>'
        f'<geom name="body{index}" type="{_GEOM[body.info.shape]}" size="{_numbers(size)}" '
        f'mass="{body.info.mass_kg!r}"/></body>'
    )


def _prop_xml(prop: Prop) -> str:
    return (
        f'<geom name="{prop.name}" type="box" size="{_numbers(prop.half_size_m)}" pos="{_numbers(prop.position_m)}" '
        f'quat="{_numbers(prop.orientation)}"/>'
    )


def _pair_xml(first: str, second: str, restitution: float, friction: float, body: Body) -> str:
    log_e = math.log(max(restitution, 0.01))
    damping_ratio = -log_e / math.hypot(math.pi, log_e)
    stiffness, damping = CONTACT_FREQUENCY_RADPS**2, 2 * damping_ratio * CONTACT_FREQUENCY_RADPS
    rolls = body.info.shape == "sphere"
    sliding = max(friction, 0.4) if rolls else friction  # a ball grips and rolls where a cube would slide
    return (
        f'<pair geom1="{first}" geom2="{second}" condim="{6 if rolls else 3}" solref="{-stiffness} {-damping}" '
        f'solimp="0.98 0.98 0.001" friction="{sliding} {sliding} 0.003 0.002 0.002"/>'
    )
