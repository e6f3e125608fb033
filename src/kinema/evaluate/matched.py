"""Matched clips: one scene as physics has it, with one law broken, and with a lawful change instead.

Until the violation begins, all clips of a set are the same bytes. The lawful control is a ball that rolls through the
scene from beyond the picture's edge, with as much motion in the picture as the violation has; the camera control is the
valid and the violated clip, taken by a hand that shakes.

Array suffixes: T frames, B bodies, 3 axis or colour channel, 4 quaternion (w, x, y, z), H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from kinema.config import WorldsConfig
from kinema.evaluate.violations import FIRST_S, LAST_S, Pixels, Take, Violation, is_free, joined
from kinema.worlds import camera, palette
from kinema.worlds.make import HELD_OUT_SEED, Cameras, draw_scene, film, move
from kinema.worlds.physics.simulate import Motion
from kinema.worlds.scene import Body, Scene, body_info

SHAKE_PX = 0.5  # standard deviation of the camera's jitter, of a 64-pixel picture
CANDIDATES = 16  # balls of different speed, size and lane among which the lawful control is chosen
_SEEN, _PLAIN = 2, 60  # codes of change from which the ball or its shadow begins to be seen, and is seen plainly
_LANES_M = (-1.25, -0.9, 1.3, 1.9, 2.4)  # depths at which a ball may pass


@dataclass(frozen=True)
class Matched:
    """Clips of one scene, equal before ``start``, and the same valid and violated clip under a shaking camera.

    Attributes:
        valid_THW3: what physics makes.
        violated_THW3: one law broken from ``start`` on.
        legal_THW3: a further ball rolls through instead.
        shaken: the valid and the violated clip with camera jitter from ``start`` on.
        start: first frame in which the violated clip differs.
        energy: motion in the picture after ``start`` of the valid, violated and lawful clip (see ``motion_energy``).
    """

    violation: str
    seed: int
    valid_THW3: Pixels
    violated_THW3: Pixels
    legal_THW3: Pixels
    shaken: tuple[Pixels, Pixels]
    start: int
    energy: tuple[float, float, float]


def matched_clips(violation: Violation, worlds: WorldsConfig, count: int, offset: int) -> Iterator[Matched]:
    """``count`` matched sets of clips, from scenes that no training set contains.

    Args:
        violation: what goes wrong.
        worlds: size, frames, frame rate and samples a pixel.
        count: how many.
        offset: from which of the held-out seeds to look for suitable scenes.
    """
    made, seed = 0, HELD_OUT_SEED + offset
    while made < count:
        rng = np.random.default_rng([seed, offset])
        matched = _matched(violation, worlds, seed, rng)
        seed += 1
        if matched is not None:
            made += 1
            yield matched


def motion_energy(pixels_THW3: Pixels, start: int) -> float:
    """Mean squared change from frame to frame, as a share of the squared range, over the frames from ``start`` on."""
    values_THW3 = pixels_THW3[start - 1 :].astype(np.float64) / 255
    return float(np.square(np.diff(values_THW3, axis=0)).mean())


def _matched(violation: Violation, worlds: WorldsConfig, seed: int, rng: np.random.Generator) -> Matched | None:
    scene, _ = draw_scene(violation.family, seed, worlds)
    if scene.camera_move.kind != "fixed":
        return None
    take = Take(scene, move(scene, worlds), worlds)
    violated = violation.edit(take, rng)
    if violated is None:
        return None
    valid_THW3, violated_THW3 = take.film(), violated(None)
    differs_T = (valid_THW3 != violated_THW3).any(axis=(1, 2, 3))
    start = int(differs_T.argmax())
    if not differs_T.any() or not FIRST_S <= start / worlds.fps <= LAST_S:
        return None
    energy = motion_energy(violated_THW3, start)
    legal_THW3 = passing_ball(take, valid_THW3, start, energy, rng)
    if legal_THW3 is None:
        return None
    cameras = shaken_cameras(scene, worlds, start, rng)
    energies = motion_energy(valid_THW3, start), energy, motion_energy(legal_THW3, start)
    shaken = take.film(cameras), violated(cameras)
    return Matched(violation.name, seed, valid_THW3, violated_THW3, legal_THW3, shaken, start, energies)


def shaken_cameras(scene: Scene, worlds: WorldsConfig, start: int, rng: np.random.Generator) -> Cameras:
    """The scene's camera, whose aim jitters from frame ``start`` on."""
    eye_T3, target_T3 = camera.path(scene.camera, scene.camera_move, worlds.frames, worlds.fps)
    far_m = float(np.linalg.norm(target_T3[0] - eye_T3[0]))
    pixel_m = 2 * far_m * math.tan(math.radians(scene.camera.vertical_fov_deg) / 2) / 64
    jitter_T3 = rng.normal(0.0, SHAKE_PX * pixel_m, target_T3.shape)
    jitter_T3[:start] = 0.0
    return eye_T3, target_T3 + jitter_T3


def passing_ball(take: Take, valid_THW3: Pixels, start: int, energy: float, rng: np.random.Generator) -> Pixels | None:
    """The take with a further ball that rolls through it, first seen from frame ``start`` to a third of a second later.

    Of ``CANDIDATES`` balls that touch nothing, the one is taken whose clip has the motion energy nearest to ``energy``,
    judged on small pictures. None if there is no way through.
    """
    small = replace(take.worlds, height=32, width=32, samples_per_pixel=1)
    plain_THW3 = film(take.scene, take.motion, small).pixels_THW3
    best: tuple[float, Scene, Motion] | None = None
    for _ in range(CANDIDATES):
        scene, motion = _with_ball(take, start, rng)
        if not is_free(take, motion.position_TB3[:, -1], scene.bodies[-1].info.half_size_m[0]):
            continue
        pixels_THW3 = film(scene, motion, small).pixels_THW3
        change_T = np.abs(pixels_THW3.astype(int) - plain_THW3).max(axis=(1, 2, 3))
        in_time = start <= (change_T > _SEEN).argmax() <= start + take.worlds.fps / 3
        if not in_time or change_T.max() < _PLAIN:
            continue
        miss = abs(math.log(motion_energy(pixels_THW3, start) / max(energy, 1e-9)))
        if best is None or miss < best[0]:
            best = miss, scene, motion
    if best is None:
        return None
    legal_THW3 = take.film(scene=best[1], motion=best[2])
    legal_THW3[:start] = valid_THW3[:start]  # at most a shadow of a few codes
    return legal_THW3


def _with_ball(take: Take, start: int, rng: np.random.Generator) -> tuple[Scene, Motion]:
    """The scene with one more body, and the motion with a ball that rolls in evenly from one side."""
    taken = {body.info.color for body in take.scene.bodies}
    color = str(rng.choice([name for name in palette.COLORS if name not in taken]))
    scale, speed, side = rng.uniform(0.5, 1.25), rng.uniform(0.7, 4.0), rng.choice([-1.0, 1.0])
    info = body_info("sphere", color, "rubber", "medium", float(scale))
    radius, lane = info.half_size_m[0], float(rng.choice(_LANES_M))
    eye_3 = np.array(take.scene.camera.position_m)
    half_view = math.tan(math.radians(take.scene.camera.vertical_fov_deg) / 2)
    edge = half_view * float(np.linalg.norm([lane - eye_3[1], radius - eye_3[2]])) + 1.1 * radius
    time_T = (np.arange(take.worlds.frames) - start + rng.uniform(0.0, 2.0)) / take.worlds.fps
    way_T = speed * time_T - edge
    position_T3 = np.stack([eye_3[0] + side * way_T, np.full_like(way_T, lane), np.full_like(way_T, radius)], axis=1)
    half_T = side * way_T / radius / 2
    zero_T = np.zeros_like(half_T)
    orientation_T4 = np.stack([np.cos(half_T), zero_T, np.sin(half_T), zero_T], axis=1)
    body = Body(info, (float(position_T3[0, 0]), lane, radius))
    return joined(take, body, position_T3, orientation_T4, np.ones(len(time_T), bool))
