"""Panes of glass struck at chosen speeds, and whether pixels show that one is broken.

One scene gives a whole curve: the same ball hits the same pane, only faster. The ball is let go so that it is about to
touch the pane in the last given frame; up to some 6 m/s its last two given places tell its speed.

Glass has no colour of its own, so a pane counts as broken where its part of the picture has changed: the mean
difference to the first frame, without the ball, is below 3 grey levels for panes that stand and above 6 for broken
ones on true renderings.

Array suffixes: T frames, H height, W width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.evaluate.bodies import Floats
from kinema.evaluate.judge import COLORS, classify, is_judged
from kinema.evaluate.silhouette import grown
from kinema.evaluate.suite import Pixels
from kinema.worlds.make import draw_scene, film, move
from kinema.worlds.narration.narrate import short_prompt
from kinema.worlds.render.tracer import project
from kinema.worlds.scene import Kick, Scene

GIVEN = 5
PANE = 1  # index of the body
BROKEN = 5.0  # grey levels
LAST_FRAMES = 4  # over which the end of a clip is judged
MENDED = 0.5  # of ``BROKEN``: what was broken and has changed less than that looks whole again


@dataclass(frozen=True)
class Strike:
    """A pane that is hit at a speed: what is seen, what the simulator says, and where to look."""

    pixels_THW3: Pixels
    prompt: str
    speed_mps: float
    breaks: bool
    region: tuple[slice, slice]
    color: str  # of the ball


def has_pane(clip: Clip) -> bool:
    """Whether a clip is of a pane that a coloured ball strikes, seen by a fixed camera."""
    assert clip.state is not None
    facts, ball = clip.state.facts, clip.state.bodies[0]
    return facts["thing"] == "pane" and facts["camera_move"] == "fixed" and is_judged(ball)


def is_of_pane(scene: Scene) -> bool:
    """Whether a scene of ``shatter`` is of a pane."""
    return bool(scene.facts["thing"] == "pane")


def strike(clip: Clip, speed_mps: float, worlds: WorldsConfig) -> Strike:
    """The scene of a clip with another speed of the ball, simulated and filmed anew."""
    assert clip.state is not None
    scene, _ = draw_scene(clip.source.family, clip.source.seed, worlds)
    scene = _at_speed(scene, speed_mps, worlds.fps)
    motion = move(scene, worlds)
    return Strike(
        film(scene, motion, worlds).pixels_THW3,
        short_prompt("shatter", clip.state),
        speed_mps,
        any(event.kind == "shatters" for event in motion.events),
        _region(clip, worlds.height, worlds.width),
        clip.state.bodies[0].color,
    )


def change(pixels_THW3: Pixels, hit: Strike) -> Floats:
    """How much the pane's part of the picture differs from the first frame, in grey levels; the ball is left out."""
    rows, columns = hit.region
    part_THW3 = pixels_THW3[:, rows, columns].astype(np.float64)
    ball_THW = classify(pixels_THW3)[0] == COLORS.index(hit.color)
    ball_THW = grown(grown(ball_THW))[:, rows, columns]  # with its rim and its shadow's edge
    difference_THW = np.abs(part_THW3 - part_THW3[0]).mean(axis=-1)
    free_THW = ~(ball_THW | ball_THW[0])
    return np.array(
        [float(d[free].mean()) if free.any() else np.nan for d, free in zip(difference_THW, free_THW, strict=True)]
    )


def breaks(change_T: Floats) -> bool:
    """Whether the pane is broken in the last frames."""
    return bool(np.nanmedian(change_T[-LAST_FRAMES:]) > BROKEN)


def mends(change_T: Floats) -> float:
    """Share of the frames after a pane broke in which it looks whole again; nan if it never broke."""
    low_T = np.nan_to_num(change_T, nan=np.inf)
    for frame in range(GIVEN, len(change_T) - LAST_FRAMES):
        if (low_T[frame : frame + LAST_FRAMES] > BROKEN).all():
            return float((low_T[frame:] < MENDED * BROKEN).mean())
    return math.nan


def _at_speed(scene: Scene, speed_mps: float, fps: float) -> Scene:
    """The ball gets this speed, at the moment that lets it touch the pane just after the last given frame."""
    ball, pane = scene.bodies[0], scene.bodies[PANE]
    launch = next((kick for kick in scene.kicks if kick.body == 0 and kick.towards is None), None)
    velocity_3 = np.array(launch.velocity_mps if launch else ball.velocity_mps)
    spin_3 = np.array(launch.spin_radps if launch else ball.spin_radps)
    faster, way_3 = speed_mps / np.linalg.norm(velocity_3), velocity_3 / np.linalg.norm(velocity_3)
    gap_m = float((np.array(pane.position_m) - np.array(ball.position_m)) @ way_3)
    gap_m -= pane.info.half_size_m[1] + ball.info.half_size_m[0]
    start_s = max((GIVEN - 0.9) / fps - gap_m / speed_mps, 0.0)
    vx, vy, vz = (velocity_3 * faster).tolist()
    sx, sy, sz = (spin_3 * faster).tolist()
    still = replace(ball, velocity_mps=(0.0, 0.0, 0.0), spin_radps=(0.0, 0.0, 0.0))
    return replace(
        scene,
        bodies=(still, *scene.bodies[1:]),
        kicks=(Kick(start_s, 0, (vx, vy, vz), (sx, sy, sz)), *(k for k in scene.kicks if k is not launch)),
    )


def _region(clip: Clip, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the picture that the pane covers at first."""
    state = clip.state
    assert state is not None
    w, x, y, z = state.orientation_TB4[0, PANE]
    turn_33 = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    signs_N3 = np.array(list(product((-1.0, 1.0), repeat=3)))
    corner_N3 = state.position_TB3[0, PANE] + (signs_N3 * state.bodies[PANE].half_size_m) @ turn_33.T
    place_N3 = project(state.camera, corner_N3, height, width)
    (left, top), (right, bottom) = place_N3[:, :2].min(axis=0), place_N3[:, :2].max(axis=0)
    rows = slice(max(round(top), 0), min(round(bottom), height))
    return rows, slice(max(round(left), 0), min(round(right), width))
