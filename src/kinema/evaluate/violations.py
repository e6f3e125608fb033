"""Clips that break one law of their world, beside the lawful clip that they were made from.

A violation is an edit of the simulator's exact motion, to be filmed again by the same ray tracer.

Array suffixes: T frames, N frames from the violation on, B bodies, 3 axis or colour channel, 4 quaternion (w, x, y, z),
H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kinema.config import WorldsConfig
from kinema.worlds import palette
from kinema.worlds.make import Cameras, film, move
from kinema.worlds.physics.mjcf import GRAVITY_MPS2
from kinema.worlds.physics.simulate import Motion
from kinema.worlds.scene import Body, Scene, body_info, reach, resting

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Show = Callable[[Cameras | None], Pixels]  # films a clip, through the given cameras or those of its scene

FIRST_S, LAST_S = 0.3, 2.0  # a violation begins between these moments, so that both sides of it can be seen
_EDGE_M = 1.5  # what teleports stays this near to the middle
_BOUNCE = 1.3  # what bounces too high leaves the floor with this multiple of its speed
_EARLY_S = 0.4  # what falls before it is hit does so by this much
_NOTCH = 0.03  # share of the mirror in which a wrong reflection may not be shown, because a body hides it


@dataclass(frozen=True)
class Take:
    """A scene and the motion that physics makes of it."""

    scene: Scene
    motion: Motion
    worlds: WorldsConfig

    def film(self, cameras: Cameras | None = None, motion: Motion | None = None, scene: Scene | None = None) -> Pixels:
        """The pictures, with another motion or scene if given."""
        return film(scene or self.scene, motion or self.motion, self.worlds, cameras=cameras).pixels_THW3

    def frame_at(self, time_s: float) -> int:
        """The first frame after a moment."""
        return math.floor(time_s * self.worlds.fps) + 1

    def first_contact(self, body: int, other: int | None = None) -> float:
        """When a body first touches something, or a certain thing (−1 is scenery); inf if never."""
        pairs = [event for event in self.motion.events if event.kind == "contact" and body in event.bodies]
        if other is not None:
            pairs = [event for event in pairs if set(event.bodies) == {body, other}]
        return min((event.time_s for event in pairs), default=math.inf)


@dataclass(frozen=True)
class Violation:
    """One way to break a law.

    Attributes:
        name: for tables.
        family: whose scenes it is made from.
        edit: makes the violated clip of a take, or None where the scene does not lend itself to it.
    """

    name: str
    family: str
    edit: Callable[[Take, np.random.Generator], Show | None]


def joined(
    take: Take, body: Body, position_T3: Floats, orientation_T4: Floats, shown_T: NDArray[np.bool_]
) -> tuple[Scene, Motion]:
    """The scene with one more body, and the motion with where it is."""
    motion, still_T13 = take.motion, np.zeros((len(position_T3), 1, 3))
    return replace(take.scene, bodies=(*take.scene.bodies, body)), replace(
        motion,
        position_TB3=np.concatenate([motion.position_TB3, position_T3[:, None]], axis=1),
        orientation_TB4=np.concatenate([motion.orientation_TB4, orientation_T4[:, None]], axis=1),
        velocity_TB3=np.concatenate([motion.velocity_TB3, still_T13], axis=1),
        angular_velocity_TB3=np.concatenate([motion.angular_velocity_TB3, still_T13], axis=1),
        shown_TB=np.concatenate([motion.shown_TB, shown_T[:, None]], axis=1),
    )


def is_free(take: Take, path_T3: Floats, radius_m: float, leave_out: int = -1) -> bool:
    """Whether a ball of this radius may be on this way without touching a body or the middle of a prop."""
    for index, body in enumerate(take.scene.bodies):
        away_T = np.linalg.norm(take.motion.position_TB3[:, index] - path_T3, axis=1)
        shown_T = take.motion.shown_TB[:, index]
        if index != leave_out and (away_T[shown_T] < radius_m + math.hypot(*body.info.half_size_m)).any():
            return False
    for prop in take.scene.props:
        gap_T3 = np.abs(path_T3 - prop.position_m) - max(prop.half_size_m[:2]) * np.array([1, 1, 0])
        gap_T3[:, 2] -= prop.half_size_m[2]
        if prop.half_size_m[0] < 3.0 and (np.linalg.norm(np.maximum(gap_T3, 0.0), axis=1) < radius_m).any():
            return False
    water = take.scene.water
    if water is not None:
        inside_T = (np.abs(path_T3[:, 0]) < water.x_m[1] + radius_m) & (np.abs(path_T3[:, 1]) < water.y_m[1] + radius_m)
        return not inside_T.any()
    return True


def _somewhen(take: Take, end_s: float, rng: np.random.Generator) -> int | None:
    """A frame between the first possible one and the last before a moment."""
    first, last = take.frame_at(FIRST_S), math.floor(min(end_s, LAST_S) * take.worlds.fps) - 1
    return int(rng.integers(first, last + 1)) if last >= first else None


def _with_body(motion: Motion, body: int, start: int, position_N3: Floats, orientation_N4: Floats) -> Motion:
    """The motion with other poses of one body from a frame on."""
    position_TB3, orientation_TB4 = motion.position_TB3.copy(), motion.orientation_TB4.copy()
    position_TB3[start:, body], orientation_TB4[start:, body] = position_N3, orientation_N4
    return replace(motion, position_TB3=position_TB3, orientation_TB4=orientation_TB4)


def _flight(take: Take, body: int, start: int, acceleration_mps2: float) -> tuple[Floats, Floats]:
    """Poses from frame ``start`` on of a body that flies on from the frame before, turning evenly."""
    motion, before = take.motion, start - 1
    time_N1 = (np.arange(start, take.worlds.frames) - before)[:, None] / take.worlds.fps
    fall_N3 = 0.5 * acceleration_mps2 * time_N1**2 * np.array([0.0, 0.0, 1.0])
    position_N3 = motion.position_TB3[before, body] + motion.velocity_TB3[before, body] * time_N1 + fall_N3
    spin_3 = motion.angular_velocity_TB3[before, body]
    rate = float(np.linalg.norm(spin_3))
    axis_3 = spin_3 / rate if rate > 1e-9 else np.array([0.0, 0.0, 1.0])
    half_N = rate * time_N1[:, 0] / 2
    turn_N4 = np.concatenate([np.cos(half_N)[:, None], np.sin(half_N)[:, None] * axis_3], axis=1)
    return position_N3, _product(turn_N4, motion.orientation_TB4[before, body])


def _product(first_N4: Floats, second_4: Floats) -> Floats:
    """Hamilton products: the rotation ``second``, then ``first``."""
    a_N, b_N3 = first_N4[:, :1], first_N4[:, 1:]
    c, d_3 = second_4[0], second_4[1:]
    real_N1 = a_N * c - (b_N3 @ d_3)[:, None]
    return np.concatenate([real_N1, a_N * d_3 + c * b_N3 + np.cross(b_N3, d_3)], axis=1)


def _teleports(take: Take, rng: np.random.Generator) -> Show | None:
    start = _somewhen(take, take.first_contact(0), rng)
    if start is None:
        return None
    path_T3 = take.motion.position_TB3[:, 0].copy()
    shift = float(rng.uniform(0.9, 1.4) * rng.choice([-1, 1]))
    path_T3[start:, 0] += shift
    radius = math.hypot(*take.scene.bodies[0].info.half_size_m)
    if (np.abs(path_T3[start:, 0]) > _EDGE_M).any() or not is_free(take, path_T3, radius, leave_out=0):
        return None
    motion = _with_body(take.motion, 0, start, path_T3[start:], take.motion.orientation_TB4[start:, 0])
    return lambda cameras: take.film(cameras, motion)


def _vanishes(take: Take, rng: np.random.Generator) -> Show | None:
    start = _somewhen(take, take.first_contact(0), rng)
    if start is None:
        return None
    shown_TB = take.motion.shown_TB.copy()
    shown_TB[start:, 0] = False
    return lambda cameras: take.film(cameras, replace(take.motion, shown_TB=shown_TB))


def _appears(take: Take, rng: np.random.Generator) -> Show | None:
    taken = {body.info.color for body in take.scene.bodies}
    color = str(rng.choice([c for c in palette.COLORS if c not in taken and c not in palette.NEUTRAL_COLORS]))
    info = body_info(str(rng.choice(palette.SHAPES)), color, "matte", "medium")
    orientation, height = resting(info)
    start = _somewhen(take, LAST_S, rng)
    place_3 = np.array([rng.uniform(-1.3, 1.3), rng.uniform(-0.6, 0.9), height])
    path_T3 = np.tile(place_3, (take.worlds.frames, 1))
    if start is None or not is_free(take, path_T3, reach(info)):
        return None
    shown_T = np.arange(take.worlds.frames) >= start
    body = Body(info, (float(place_3[0]), float(place_3[1]), height), orientation)
    scene, motion = joined(take, body, path_T3, np.tile(orientation, (take.worlds.frames, 1)), shown_T)
    return lambda cameras: take.film(cameras, motion, scene)


def _through_floor(take: Take, rng: np.random.Generator) -> Show | None:
    start = _landing(take)
    if start is None:
        return None
    poses = _flight(take, 0, start, -GRAVITY_MPS2)
    motion = _with_body(take.motion, 0, start, *poses)
    shown_TB = motion.shown_TB.copy()
    shown_TB[start:, 0] &= poses[0][:, 2] > -math.hypot(*take.scene.bodies[0].info.half_size_m)
    return lambda cameras: take.film(cameras, replace(motion, shown_TB=shown_TB))


def _bounces_too_high(take: Take, rng: np.random.Generator) -> Show | None:
    start, contact_s = _landing(take), take.first_contact(0)
    if start is None:
        return None
    position_N3, orientation_N4 = _flight(take, 0, start, -GRAVITY_MPS2)
    before_s = (start - 1) / take.worlds.fps
    place_3, velocity_3 = take.motion.position_TB3[start - 1, 0], take.motion.velocity_TB3[start - 1, 0]
    fall_s = contact_s - before_s
    touch = place_3[2] + velocity_3[2] * fall_s - GRAVITY_MPS2 * fall_s**2 / 2
    up_mps = -_BOUNCE * (velocity_3[2] - GRAVITY_MPS2 * fall_s)
    time_N = np.arange(start, take.worlds.frames) / take.worlds.fps - contact_s
    time_N %= 2 * up_mps / GRAVITY_MPS2  # again and again as high
    position_N3[:, 2] = touch + up_mps * time_N - GRAVITY_MPS2 * time_N**2 / 2
    motion = _with_body(take.motion, 0, start, position_N3, orientation_N4)
    return lambda cameras: take.film(cameras, motion)


def _landing(take: Take) -> int | None:
    """The first frame after the first body first touches the floor, if that is the first that it touches."""
    contact_s = take.first_contact(0, -1)
    if contact_s != take.first_contact(0) or not FIRST_S < contact_s < LAST_S:
        return None
    return take.frame_at(contact_s)


def _falls_up(take: Take, rng: np.random.Generator) -> Show | None:
    start = _somewhen(take, take.first_contact(0), rng)
    if start is None:
        return None
    motion = _with_body(take.motion, 0, start, *_flight(take, 0, start, GRAVITY_MPS2))
    return lambda cameras: take.film(cameras, motion)


def _hangs(take: Take, rng: np.random.Generator) -> Show | None:
    start = _somewhen(take, take.first_contact(0), rng)
    if start is None:
        return None
    before = start - 1
    motion = _with_body(
        take.motion, 0, start, take.motion.position_TB3[before, 0], take.motion.orientation_TB4[before, 0]
    )
    return lambda cameras: take.film(cameras, motion)


def _turns_back(take: Take, rng: np.random.Generator) -> Show | None:
    start = _somewhen(take, take.first_contact(0), rng)
    return None if start is None else _reversed(take, start)


def _mends(take: Take, rng: np.random.Generator) -> Show | None:
    breaks_s = min((event.time_s for event in take.motion.events if event.kind == "shatters"), default=math.inf)
    if not breaks_s + 0.3 < LAST_S:
        return None
    return _reversed(take, take.frame_at(breaks_s + rng.uniform(0.25, 0.5)))


def _reversed(take: Take, start: int) -> Show:
    """Time runs backwards from the frame before ``start`` on, until the beginning."""
    index_T = np.arange(take.worlds.frames)
    index_T[start:] = np.maximum(2 * (start - 1) - index_T[start:], 0)
    motion = take.motion
    motion = replace(
        motion,
        position_TB3=motion.position_TB3[index_T],
        orientation_TB4=motion.orientation_TB4[index_T],
        shown_TB=motion.shown_TB[index_T],
    )
    return lambda cameras: take.film(cameras, motion)


def _through_body(take: Take, rng: np.random.Generator) -> Show | None:
    contact_s = take.first_contact(0, 1)
    others = [take.first_contact(body, 0) for body in range(1, len(take.scene.bodies))]
    if contact_s > min(others) or not FIRST_S < contact_s < LAST_S:
        return None
    start = take.frame_at(contact_s)
    motion = _with_body(take.motion, 0, start, *_flight(take, 0, start, 0.0))
    for body in range(1, len(take.scene.bodies)):
        motion = _with_body(motion, body, start, *_flight(take, body, start, 0.0))
    return lambda cameras: take.film(cameras, motion)


def _falls_too_early(take: Take, rng: np.random.Generator) -> Show | None:
    """From one domino on, the row falls before the falling ones have reached it."""
    count, early = int(take.scene.facts["count"]), round(_EARLY_S * take.worlds.fps)
    starts = {first: take.first_contact(first, first - 1) for first in range(1, count)}
    fits = [first for first, time_s in starts.items() if FIRST_S + _EARLY_S < time_s < LAST_S]
    if not fits:
        return None
    first = int(rng.choice(fits))
    start, motion = take.frame_at(starts[first]) - early, take.motion
    index_N = np.minimum(np.arange(start, take.worlds.frames) + early, take.worlds.frames - 1)
    for body in range(first, count):
        motion = _with_body(
            motion, body, start, take.motion.position_TB3[index_N, body], take.motion.orientation_TB4[index_N, body]
        )
    return lambda cameras: take.film(cameras, motion)


def _wrong_reflection(take: Take, rng: np.random.Generator) -> Show | None:
    """The mirror goes on showing the bodies where they were, while they move on."""
    start = _somewhen(take, LAST_S, rng)
    moved_m = np.linalg.norm(take.motion.position_TB3[-1, 0] - take.motion.position_TB3[start or 0, 0])
    if start is None or moved_m < 0.5 or take.scene.facts["way"] == "behind":
        return None
    index_T = np.minimum(np.arange(take.worlds.frames), start - 1)
    stays = replace(
        take.motion,
        position_TB3=take.motion.position_TB3[index_T],
        orientation_TB4=take.motion.orientation_TB4[index_T],
    )
    mirror = len(take.scene.bodies) + [prop.mirror for prop in take.scene.props].index(True)
    true_THW, wrong_THW = (film(take.scene, motion, take.worlds).ids_THW for motion in (take.motion, stays))
    notch_T = ((true_THW == mirror) & (wrong_THW != mirror)).sum(axis=(1, 2))
    if (notch_T > _NOTCH * (true_THW == mirror).sum(axis=(1, 2))).any():
        return None

    def show(cameras: Cameras | None) -> Pixels:
        true, wrong = (film(take.scene, motion, take.worlds, cameras=cameras) for motion in (take.motion, stays))
        in_both_THW = (true.ids_THW == mirror) & (wrong.ids_THW == mirror)
        return np.where(in_both_THW[..., None], wrong.pixels_THW3, true.pixels_THW3)

    return show


def _changes_colour(take: Take, rng: np.random.Generator) -> Show | None:
    """A body goes behind a wall in one colour and comes out in another."""
    seen_T = film(take.scene, take.motion, take.worlds).visible_TB[:, 0]
    hidden = np.flatnonzero(seen_T == 0)
    if not len(hidden) or not seen_T[hidden[0] :].max() > 0.5 * seen_T.max():
        return None
    body = take.scene.bodies[0]
    taken = {other.info.color for other in take.scene.bodies}
    color = str(rng.choice([c for c in palette.COLORS if c not in taken and c not in palette.NEUTRAL_COLORS]))
    other = replace(body, info=replace(body.info, color=color))
    scene = replace(take.scene, bodies=(other, *take.scene.bodies[1:]))

    def show(cameras: Cameras | None) -> Pixels:
        before_THW3, after_THW3 = take.film(cameras), take.film(cameras, scene=scene)
        return np.concatenate([before_THW3[: hidden[0]], after_THW3[hidden[0] :]])

    return show


def _floats_or_sinks_wrongly(take: Take, rng: np.random.Generator) -> Show | None:
    """What looks like wood sinks; what looks like metal, rubber or stone floats. The same water, another weight."""
    body = take.scene.bodies[0]
    density = palette.MATERIALS[body.info.material].density
    factor = 3.0 if density < 1000 else 500.0 / density
    heavy = replace(body, info=replace(body.info, mass_kg=factor * body.info.mass_kg))
    scene = replace(take.scene, bodies=(heavy, *take.scene.bodies[1:]))
    motion = move(scene, take.worlds)
    return lambda cameras: take.film(cameras, motion)


def _flat_water(take: Take, rng: np.random.Generator) -> Show | None:
    """Bodies plunge in, and the water stays flat."""
    water = take.motion.water
    splashes_s = [event.time_s for event in take.motion.events if event.kind == "splash"]
    if water is None or not splashes_s or not FIRST_S < min(splashes_s) < LAST_S:
        return None
    height_TXY = water.height_TXY.copy()
    start = take.frame_at(min(splashes_s))
    height_TXY[start:] = height_TXY[start - 1]
    motion = replace(take.motion, water=replace(water, height_TXY=height_TXY))
    return lambda cameras: take.film(cameras, motion)


VIOLATIONS = (
    Violation("teleports", "throw", _teleports),
    Violation("vanishes", "fall", _vanishes),
    Violation("appears", "fall", _appears),
    Violation("falls through the floor", "fall", _through_floor),
    Violation("passes through a body", "collide", _through_body),
    Violation("dominoes fall before they are hit", "dominoes", _falls_too_early),
    Violation("broken glass mends", "shatter", _mends),
    Violation("gravity turns round", "throw", _falls_up),
    Violation("hangs in the air", "fall", _hangs),
    Violation("fall runs backwards", "fall", _turns_back),
    Violation("bounces too high", "fall", _bounces_too_high),
    Violation("reflection stays behind", "mirror", _wrong_reflection),
    Violation("colour changes behind a wall", "occlude", _changes_colour),
    Violation("wood sinks or steel floats", "float", _floats_or_sinks_wrongly),
    Violation("water stays flat", "ripple", _flat_water),
)
