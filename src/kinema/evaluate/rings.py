"""How fast do rings on water run? A scene is filmed with waves of several speeds, and a video is held against each.

The front of a ring cannot be read at 64×64 pixels, but what the whole ring does to the picture in time can be compared.

Array suffixes: T frames, H height, W width, 3 colour, C films, one a speed, P pixels and frames taken together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kinema.config import WorldsConfig
from kinema.evaluate.suite import Pixels
from kinema.worlds.make import film, move
from kinema.worlds.scene import Scene

GRAVITIES = (0.25, 0.5, 1.0, 2.0, 4.0)  # by the true one; speeds go with the square root
SEEN = 0.25  # correlation from which a video shows the rings of one of the films
RAYS = 5  # a pixel of the films: other rays than those of true clips, so that no film is a true clip's bytes

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rings:
    """What a stone's rings do to the picture, for every speed of the waves.

    Attributes:
        still_THW3: the stone falls into water that stays flat; smoothed.
        ring_CTHW3: by how much the picture differs from that; smoothed.
        there_THW: the water's pixels from the splash on, without those that show the stone in any film.
    """

    still_THW3: Floats
    ring_CTHW3: Floats
    there_THW: Mask


def rings_of(scene: Scene, mask_HW: Mask, worlds: WorldsConfig) -> Rings:
    """Films a stone that falls into water, whose pixels are given, once for each speed and once without waves."""
    assert scene.water is not None
    worlds, motion = replace(worlds, samples_per_pixel=RAYS), move(scene, worlds)
    waters = [move(replace(scene, water=replace(scene.water, waves_g=g)), worlds).water for g in GRAVITIES]
    assert motion.water is not None
    flat = replace(motion.water, height_TXY=np.full_like(motion.water.height_TXY, scene.water.level_m))
    images = [film(scene, replace(motion, water=water), worlds) for water in (flat, *waters)]
    splash_s = min(event.time_s for event in motion.events if event.kind == "splash")
    there_THW = mask_HW & ~np.any([image.ids_THW == 0 for image in images], axis=0)
    there_THW[: int(splash_s * worlds.fps)] = False
    still_THW3, *moving = (smooth(image.pixels_THW3) for image in images)
    return Rings(still_THW3, np.stack(moving) - still_THW3, there_THW)


def ring_speed(rings: Rings, pixels_THW3: Pixels, body_THW: Mask) -> float:
    """log2 of the speed of the film that a video resembles most, by the true speed; nan if it resembles none.

    Compared are courses in time: every pixel's difference from still water, less its own mean. So neither colours that
    are off nor what all films have in common count, and how high the waves are does not.

    Args:
        rings: the films.
        pixels_THW3: of the video.
        body_THW: its pixels that show coloured bodies, which do not count.
    """
    best = nearest_film(smooth(pixels_THW3) - rings.still_THW3, rings.ring_CTHW3, rings.there_THW & ~body_THW, SEEN)
    return float("nan") if best is None else float(np.log2(GRAVITIES[best]) / 2)


def nearest_film(video_THW3: Floats, film_CTHW3: Floats, there_THW: Mask, seen: float) -> int | None:
    """The film whose courses in time are most like a video's, or None if no cosine exceeds ``seen``."""
    course = _courses(there_THW)
    video_P = course(video_THW3)
    likeness = [_cosine(video_P, course(film_THW3)) for film_THW3 in film_CTHW3]
    best = int(np.argmax(likeness))
    return best if likeness[best] > seen else None


def _courses(there_THW: Mask) -> Callable[[Floats], Floats]:
    """Takes from every pixel its mean over the frames in which it counts, and leaves the others out."""
    count_HW1 = np.maximum(there_THW.sum(axis=0), 1)[..., None]

    def course(value_THW3: Floats) -> Floats:
        mean_HW3 = (value_THW3 * there_THW[..., None]).sum(axis=0) / count_HW1
        course_P: Floats = (value_THW3 - mean_HW3)[there_THW].ravel()
        return course_P

    return course


def _cosine(first_P: Floats, second_P: Floats) -> float:
    return float(first_P @ second_P) / max(float(np.linalg.norm(first_P) * np.linalg.norm(second_P)), 1e-9)


def smooth(pixels_THW3: Pixels) -> Floats:
    """Means over 3×3 pixels: a codec keeps no finer ripples."""
    padded = np.pad(pixels_THW3.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = pixels_THW3.shape[1:3]
    mean_THW3: Floats = np.mean(
        [padded[:, row : row + height, column : column + width] for row in range(3) for column in range(3)], axis=0
    )
    return mean_THW3
