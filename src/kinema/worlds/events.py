"""What happened: motion and what can be seen of it become the exact state of a clip with all events in order of time.

Legend: T frames, B bodies.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema.data import Event, WorldState
from kinema.worlds.scene import HALF_WIDTH_M, Prop, Scene
from kinema.worlds.simulate import Motion

RESTING_SPEED_MPS = 0.12
HIDDEN_SHARE = 0.08  # of the largest visible area, below which a body counts as hidden


def state_of(
    scene: Scene,
    motion: Motion,
    visible_TB: NDArray[np.float64],
    camera_eye_T3: NDArray[np.float64],
    camera_target_T3: NDArray[np.float64],
    fps: float,
) -> WorldState:
    """The truth of a clip.

    Args:
        scene: what was drawn.
        motion: what physics made of it.
        visible_TB: share of the picture that shows each body.
        camera_eye_T3: where the camera is at every frame, metres.
        camera_target_T3: what it looks at, metres.
        fps: frames per second.
    """
    events = [*motion.events, *_sight_events(visible_TB, fps), *_rest_events(motion, fps)]
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


def _sight_events(visible_TB: NDArray[np.float64], fps: float) -> list[Event]:
    events = []
    for body in range(visible_TB.shape[1]):
        seen_T = visible_TB[:, body] > HIDDEN_SHARE * visible_TB[:, body].max(initial=1e-9)
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
