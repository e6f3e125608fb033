"""A replica of the flat worlds of "How Far is Video Generation from World Model" (Kang et al., arXiv 2411.02385).

Discs on white, ten by ten metres, one law each: a ball that nothing slows, two balls that collide without loss, a ball
that falls in an arc. Sizes and speeds are theirs; so are the soft edge and the colours. Motion is written down instead
of simulated, and a picture is averaged down from twice its size, so that a ball's edge says where it is to a fraction
of a pixel. These worlds are not among the sixteen families: they are trained on alone, to compare with published
numbers.

Array suffixes: T frames, B balls, H height, W width, 2 (x, y) in metres, y upwards, 3 RGB.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinema.config import WorldsConfig
from kinema.data import Caption, Clip, Source

Floats = NDArray[np.float64]

VERSION = 1
WORLD_M = 10.0
GRAVITY_MPS2 = 2.5  # of the parabola
MARGIN_M = 0.5  # between a ball and the upper and lower edge at first
LEAST_SEEN = 8  # frames that a ball stays within the picture, and that are left after a collision
LEAST_BEFORE = 5  # frames before a collision: those that a model is given
FINER = 2  # drawn so many times as large, then averaged
EDGE = 0.03  # of the squared radius, over which a ball fades into the ground

PROMPTS = {
    "uniform_motion": "a red ball moves at constant speed",
    "elastic_collision": "a red ball and a blue ball collide",
    "parabola": "a red ball flies in an arc",
}
SCENES = tuple(PROMPTS)
COLORS = ((255, 0, 0), (0, 0, 255))  # of the first and the second ball


@dataclass(frozen=True)
class Range:
    """Radii (m) or speeds (m/s) in distribution, and the smaller and larger ones outside."""

    inside: tuple[float, float]
    below: tuple[float, float]
    above: tuple[float, float]

    def draw(self, rng: np.random.Generator, out: bool) -> float:
        return float(rng.uniform(*((self.below, self.above)[int(rng.integers(2))] if out else self.inside)))


SPEED = Range((1.0, 4.0), (0.0, 0.8), (4.5, 6.0))
RADIUS = {
    "uniform_motion": Range((0.7, 1.4), (0.3, 0.6), (1.5, 2.0)),
    "elastic_collision": Range((0.5, 1.5), (0.3, 0.4), (1.7, 2.0)),
    "parabola": Range((0.7, 1.4), (0.3, 0.6), (1.5, 2.0)),
}


@dataclass(frozen=True)
class FlatMotion:
    """The exact motion of a clip; ``contact_s`` is when two balls meet, or infinity."""

    scene: str
    radius_B: Floats
    position_TB2: Floats
    contact_s: float

    @property
    def inside_T(self) -> NDArray[np.bool_]:
        """Frames in which all balls are wholly within the picture."""
        low_TB2 = self.position_TB2 - self.radius_B[:, None]
        high_TB2 = self.position_TB2 + self.radius_B[:, None]
        inside_TB2: NDArray[np.bool_] = (low_TB2 >= 0) & (high_TB2 <= WORLD_M)
        inside_T: NDArray[np.bool_] = np.all(inside_TB2, axis=(1, 2))
        return inside_T


def move(scene: str, seed: int, frames: int, fps: float, out: bool = False) -> FlatMotion:
    """What happens in a clip.

    Args:
        scene: one of ``SCENES``.
        seed: names the clip, together with the scene.
        frames: number of frames.
        fps: frames per second; theirs is 10.
        out: whether radius, speed or both lie outside the ranges of training.
    """
    rng = np.random.default_rng([VERSION, zlib.crc32(scene.encode()), seed])
    time_T, radii = np.arange(frames) / fps, RADIUS[scene]
    while True:
        kind = int(rng.integers(3)) if out else -1  # radius, speed or both
        balls = 2 if scene == "elastic_collision" else 1
        radius_B = np.array([radii.draw(rng, kind in (0, 2)) for _ in range(balls)])
        speed_B = np.array([SPEED.draw(rng, kind in (1, 2)) for _ in range(balls)])
        if balls == 1:
            return _fly(rng, scene, float(radius_B[0]), float(speed_B[0]), time_T, fps)
        motion = _collide(rng, radius_B, speed_B, time_T, fps)
        if motion is not None:
            return motion


def _fly(rng: np.random.Generator, scene: str, radius: float, speed: float, time_T: Floats, fps: float) -> FlatMotion:
    """One ball to the right, straight on or falling."""
    farthest = WORLD_M - radius - LEAST_SEEN * speed / fps
    start_x = rng.uniform(radius, farthest if farthest > radius else radius + 0.5)
    top = WORLD_M - MARGIN_M - radius
    falls = scene == "parabola"
    start_y = rng.uniform(top - 1.0 if falls else radius + MARGIN_M, top)
    drop_T = GRAVITY_MPS2 / 2 * time_T**2 if falls else np.zeros_like(time_T)
    position_T2 = np.stack([start_x + speed * time_T, start_y - drop_T], axis=1)
    return FlatMotion(scene, np.array([radius]), position_T2[:, None], np.inf)


def _collide(
    rng: np.random.Generator, radius_B: Floats, speed_B: Floats, time_T: Floats, fps: float
) -> FlatMotion | None:
    """Two balls towards each other, without loss, mass = radius²; None if they cannot meet in time and space."""
    closing, touching = float(speed_B.sum()), float(radius_B.sum())
    least_s = LEAST_BEFORE / fps
    last_s = max(len(time_T) - LEAST_SEEN, LEAST_BEFORE + 1) / fps  # a short clip ends before they meet
    most_s = min(last_s, (WORLD_M - 2 * touching) / max(closing, 1e-9))
    if most_s < least_s:
        return None
    contact_s = rng.uniform(least_s, most_s)
    apart = touching + closing * contact_s
    left = rng.uniform(radius_B[0], WORLD_M - radius_B[1] - apart)
    height = rng.uniform(radius_B.max() + MARGIN_M, WORLD_M - MARGIN_M - radius_B.max())
    mass_B, before_B = radius_B**2, np.array([speed_B[0], -speed_B[1]])
    centre = (mass_B @ before_B) / mass_B.sum()
    after_B = 2 * centre - before_B  # in the frame of the common centre velocities turn round
    until_T1, since_T1 = np.minimum(time_T, contact_s)[:, None], np.maximum(time_T - contact_s, 0.0)[:, None]
    x_TB = np.array([left, left + apart]) + before_B * until_T1 + after_B * since_T1
    position_TB2 = np.stack([x_TB, np.full_like(x_TB, height)], axis=2)
    return FlatMotion("elastic_collision", radius_B, position_TB2, float(contact_s))


def draw(motion: FlatMotion, height: int, width: int) -> NDArray[np.uint8]:
    """The pictures (T, H, W, 3); the shorter side shows ten metres, the lower left corner is the origin."""
    metre = min(height, width) / WORLD_M  # pixels
    frames_THW3 = np.full((len(motion.position_TB2), height, width, 3), 255, np.uint8)
    for frame_HW3, position_B2 in zip(frames_THW3, motion.position_TB2, strict=True):
        for (x, y), radius, color in zip(position_B2, motion.radius_B, COLORS, strict=False):
            column, row, reach = x * metre, height - y * metre, radius * metre
            left, right = (int(np.clip(edge, 0, width)) for edge in (column - reach, column + reach + 1))
            top, bottom = (int(np.clip(edge, 0, height)) for edge in (row - reach, row + reach + 1))
            across_W = (left + (np.arange(FINER * (right - left)) + 0.5) / FINER - column) / reach
            down_H = (top + (np.arange(FINER * (bottom - top)) + 0.5) / FINER - row) / reach
            inside_HW = np.clip((1 - across_W**2 - down_H[:, None] ** 2) / EDGE, 0.0, 1.0)
            share_HW = inside_HW.reshape(bottom - top, FINER, right - left, FINER).mean(axis=(1, 3))
            part_HW3 = frame_HW3[top:bottom, left:right]
            part_HW3[:] = np.rint(part_HW3 + share_HW[..., None] * (np.array(color) - part_HW3))
    return frames_THW3


def make(scene: str, seed: int, worlds: WorldsConfig, out: bool = False) -> Clip:
    """One clip for training, with a prompt that says no number; the same arguments give the same bytes."""
    motion = move(scene, seed, worlds.frames, worlds.fps, out)
    caption = Caption(PROMPTS[scene], PROMPTS[scene])
    return Clip(draw(motion, worlds.height, worlds.width), worlds.fps, caption, Source(scene, seed, VERSION))
