"""What happened: motion and what can be seen of it become the exact state of a clip with all events in order of time.

Legend: T frames, B bodies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema.data import Event, WorldState
from kinema.worlds.physics.fracture import visible_with_pieces
from kinema.worlds.physics.mjcf import GRAVITY_MPS2
from kinema.worlds.physics.simulate import Motion
from kinema.worlds.scene import HALF_WIDTH_M, Body, Prop, Scene

RESTING_SPEED_MPS = 0.12
MOVING_SPEED_MPS = 0.24  # a body that rests moves again from this speed on
REST_S = 0.25  # slow for this long is rest; shorter is the top of a bounce or the turn of a swing
HIDDEN_SHARE = 0.08  # of the largest visible area, below which a body counts as hidden
TOPPLED_RAD = math.radians(60)
SWINGING_RADPS = 0.05  # a bob that turns more slowly may shiver


def state_of(
    scene: Scene,
    motion: Motion,
    visible_TB: NDArray[np.float64],
    camera_eye_T3: NDArray[np.float64],
    camera_target_T3: NDArray[np.float64],
    fps: float,
    aspect: float = 1.0,
) -> WorldState:
    """The truth of a clip.

    Args:
        scene: what was drawn.
        motion: what physics made of it.
        visible_TB: share of the picture that shows each body.
        camera_eye_T3: where the camera is at every frame, metres.
        camera_target_T3: what it looks at, metres.
        fps: frames per second.
        aspect: width of the picture by its height.
    """
    in_picture_TB = in_picture(motion.position_TB3, camera_eye_T3, camera_target_T3, scene, aspect)
    visible_TB = visible_with_pieces(scene, visible_TB)
    is_whole_B = np.array([body.info.part_of < 0 for body in scene.bodies])  # splinters have no story of their own
    events = [*motion.events]
    if scene.game is None:  # where gems go under the player, who hides whom is of no interest
        events += _sight_events(visible_TB, in_picture_TB, motion.shown_TB & is_whole_B, fps)
    for index, body in enumerate(scene.bodies):
        if not is_whole_B[index]:
            continue
        events += [Event(time_s, "rests", (index,)) for time_s in _rests(body, index, motion, fps)]
        events += [Event(time_s, "topples", (index,)) for time_s in _topples(body, index, motion, fps)]
        events += [Event(time_s, "turns", (index,)) for time_s in _turns(body, index, motion, fps)]
    events += [
        Event(0.0, "launch", (index,))
        for index, body in enumerate(scene.bodies)
        if math.hypot(*body.velocity_mps) > RESTING_SPEED_MPS
    ]
    return WorldState(
        bodies=tuple(body.info for body in scene.bodies),
        camera=scene.camera,
        camera_eye_T3=camera_eye_T3,
        camera_target_T3=camera_target_T3,
        position_TB3=motion.position_TB3,
        orientation_TB4=motion.orientation_TB4,
        velocity_TB3=motion.velocity_TB3,
        angular_velocity_TB3=motion.angular_velocity_TB3,
        visible_TB=visible_TB,
        shown_TB=motion.shown_TB,
        events=tuple(sorted(events, key=lambda event: (event.time_s, event.kind, event.bodies))),
        water=motion.water,
        paint=motion.paint,
        voxels=motion.voxels,
        facts=_facts(scene),
    )


def _facts(scene: Scene) -> dict[str, Any]:
    common = {
        "floor": scene.floor,
        "floor_pattern": scene.floor_pattern,
        "floor_accent": scene.floor_accent,
        "sky": scene.sky,
        "camera_move": _camera_words(scene),
        "props": [_prop_facts(prop) for prop in scene.props],
    }
    return scene.facts | common | ({"invisible_walls_m": HALF_WIDTH_M} if scene.walled else {})


def _camera_words(scene: Scene) -> str:
    if scene.camera_move.kind == "fixed":
        return "fixed"
    verb = {"pan": "pans", "orbit": "orbits"}[scene.camera_move.kind]
    return f"{verb} {'right' if scene.camera_move.rate_degps > 0 else 'left'}"


def _prop_facts(prop: Prop) -> dict[str, Any]:
    return {
        "name": prop.name,
        "color": prop.color,
        "pattern": prop.pattern,
        "mirror": prop.mirror,
        "position_m": prop.position_m,
        "half_size_m": prop.half_size_m,
        "orientation": prop.orientation,
    }


def in_picture(
    position_TB3: NDArray[np.float64],
    eye_T3: NDArray[np.float64],
    target_T3: NDArray[np.float64],
    scene: Scene,
    aspect: float,
) -> NDArray[np.bool_]:
    """Whether the middle of each body falls within the picture, were nothing in front of it."""
    forward_T3 = target_T3 - eye_T3
    forward_T3 = forward_T3 / np.linalg.norm(forward_T3, axis=1, keepdims=True)
    right_T3 = np.cross(forward_T3, (0.0, 0.0, 1.0))
    right_T3 /= np.linalg.norm(right_T3, axis=1, keepdims=True)
    up_T3 = np.cross(right_T3, forward_T3)
    from_eye_TB3 = position_TB3 - eye_T3[:, None]
    depth_TB, x_TB, y_TB = (np.einsum("tbi,ti->tb", from_eye_TB3, axis_T3) for axis_T3 in (forward_T3, right_T3, up_T3))
    reach_TB = depth_TB * math.tan(math.radians(scene.camera.vertical_fov_deg) / 2)
    inside: NDArray[np.bool_] = (depth_TB > 0) & (np.abs(x_TB) < aspect * reach_TB) & (np.abs(y_TB) < reach_TB)
    return inside


def _sight_events(
    visible_TB: NDArray[np.float64], in_picture_TB: NDArray[np.bool_], shown_TB: NDArray[np.bool_], fps: float
) -> list[Event]:
    """A body that is not seen any more has gone out of the picture or behind something; the frame is the first such."""
    events = []
    for body in range(visible_TB.shape[1]):
        seen_T = visible_TB[:, body] > HIDDEN_SHARE * visible_TB[:, body].max(initial=1e-9)
        for frame in range(1, len(seen_T)):
            if seen_T[frame] == seen_T[frame - 1] or not shown_TB[frame - 1 : frame + 1, body].all():
                continue
            inside = in_picture_TB[frame - 1 if seen_T[frame] else frame, body]  # where it was while unseen
            kinds = ("hidden", "reappears") if inside else ("leaves_view", "enters_view")
            events.append(Event(frame / fps, kinds[int(seen_T[frame])], (body,)))
    return events


def _rests(body: Body, index: int, motion: Motion, fps: float) -> Iterator[float]:
    """Moments from which a body that moved stays slow for a while."""
    spin_T = np.linalg.norm(motion.angular_velocity_TB3[:, index], axis=-1)
    speed_T = np.maximum(np.linalg.norm(motion.velocity_TB3[:, index], axis=-1), spin_T * min(body.info.half_size_m))
    patience = max(1, round(REST_S * fps))
    moves = False
    for frame in range(len(speed_T) - patience):
        moves = moves or speed_T[frame] > MOVING_SPEED_MPS
        if moves and (speed_T[frame + 1 : frame + 1 + patience] < RESTING_SPEED_MPS).all():
            moves = False
            if motion.shown_TB[frame + 1, index]:
                yield _crossing(speed_T, frame, RESTING_SPEED_MPS) / fps


def _topples(body: Body, index: int, motion: Motion, fps: float) -> Iterator[float]:
    """The moment when what stood on something has fallen over of its own or by a hit, if it does."""
    frames = len(motion.position_TB3)
    if body.info.shape in ("sphere", "capsule", "shard") or body.rod is not None or frames < 2:
        return
    rise_m = motion.position_TB3[1, index, 2] - body.position_m[2]
    if abs(rise_m) > GRAVITY_MPS2 / fps**2 / 4:  # half of free fall: it begins in the air
        return
    kicks_s = [event.time_s for event in motion.events if event.kind == "launch" and event.bodies == (index,)]
    quiet = math.floor(min(kicks_s) * fps) + 1 if kicks_s else frames  # what is thrown does not topple
    tilt_T = _tilt(motion.orientation_TB4[:quiet, index])
    for frame in np.flatnonzero(tilt_T > TOPPLED_RAD)[:1]:
        yield _crossing(tilt_T, int(frame) - 1, TOPPLED_RAD) / fps


def _tilt(orientation_T4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle between the vertical and what was vertical at the first frame, radians."""
    w, x, y, z = orientation_T4.T
    # the last row of the rotation matrix is the world's vertical in the body's axes
    vertical_T3 = np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], axis=1)
    tilt_T: NDArray[np.float64] = np.arccos(np.clip(vertical_T3 @ vertical_T3[0], -1.0, 1.0))
    return tilt_T


def _turns(body: Body, index: int, motion: Motion, fps: float) -> Iterator[float]:
    """Moments when a bob on a rod swings back."""
    if body.rod is None:
        return
    rate_T = motion.angular_velocity_TB3[:, index] @ np.array(body.rod.axis)
    swinging = [int(frame) for frame in np.flatnonzero(np.abs(rate_T) > SWINGING_RADPS)]
    for before, after in zip(swinging, swinging[1:], strict=False):
        if rate_T[before] * rate_T[after] < 0:
            share = rate_T[before] / (rate_T[before] - rate_T[after])
            yield float(before + share * (after - before)) / fps


def _crossing(values_T: NDArray[np.float64], frame: int, threshold: float) -> float:
    """When the values reach the threshold between a frame and the next, in frames, as if they changed evenly."""
    change = values_T[frame + 1] - values_T[frame]
    return frame + float(np.clip((threshold - values_T[frame]) / change, 0.0, 1.0)) if change else float(frame + 1)
