"""How strongly does a clear ball bend light? Its scene is filmed with several indices, and a video held against each.

Array suffixes: T frames, H height, W width, 3 colour, C films, one an index.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kinema.config import WorldsConfig
from kinema.evaluate.rings import RAYS, Floats, Mask, nearest_film, smooth
from kinema.evaluate.suite import Pixels
from kinema.worlds.make import film, move
from kinema.worlds.scene import Scene

INDICES = (1.0, 1.15, 1.33, 1.5, 1.7, 1.9)  # of refraction; 1 is no ball at all
SEEN = 0.5  # likeness from which a video shows the view of one of the films


@dataclass(frozen=True)
class Views:
    """What is seen where the ball is, for every index.

    Attributes:
        film_CTHW3: smoothed.
        there_THW: the ball's pixels, in the frames that are not given.
    """

    film_CTHW3: Floats
    there_THW: Mask


def views_of(scene: Scene, ball: int, mask_HW: Mask, worlds: WorldsConfig, given: int) -> Views:
    """Films a scene with balls of every index, moving as they do in truth.

    Args:
        scene: the true one.
        ball: which of its bodies.
        mask_HW: the ball's pixels.
        worlds: size and length of the films.
        given: frames that a model was given.
    """
    worlds, motion = replace(worlds, samples_per_pixel=RAYS), move(scene, worlds)
    films = []
    for index in INDICES:
        bodies = list(scene.bodies)
        bodies[ball] = replace(bodies[ball], index=index)
        films.append(smooth(film(replace(scene, bodies=tuple(bodies)), motion, worlds).pixels_THW3))
    there_THW = np.repeat(mask_HW[None], len(films[0]), axis=0)
    there_THW[:given] = False
    return Views(np.stack(films), there_THW)


def seen_index(views: Views, pixels_THW3: Pixels) -> float:
    """The index of the film that a video resembles most; nan if it resembles none.

    Compared are courses in time: every pixel less its own mean, so that what stands still does not count.
    """
    best = nearest_film(smooth(pixels_THW3), views.film_CTHW3, views.there_THW, SEEN)
    return float("nan") if best is None else INDICES[best]
