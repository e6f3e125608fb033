"""State from pixels: where each body is at every frame, how fast it goes, whether it is seen, and in how many pieces.

The judge's tracks say where a colour is in the picture. A picture alone does not say how far away that is, so metres
need one more fact: the vertical plane, parallel to the picture, in which the body moves. It is known from the frames
that the model is given; a ray through the centre of the silhouette meets that plane at the body's x and z.

Array suffixes: T frames, H height, W width, 2 (row, column) as shares of the frame or (x, z) in metres, 3 axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinema.data import WorldState
from kinema.evaluate.judge import Track, segment
from kinema.evaluate.silhouette import whole_frames
from kinema.evaluate.suite import Pixels
from kinema.worlds.render.film import views

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEAST_AREA = 0.6  # of a body's largest area in a clip: less is partly hidden or outside, and its centre misleads


@dataclass(frozen=True)
class Sighting:
    """A body of one colour through a clip.

    Attributes:
        track: the pixels.
        whole_T: whether it is seen whole: away from the picture's edge and from other bodies, and not much smaller
            than in other frames. Only then is the centre of its silhouette its place.
    """

    track: Track
    whole_T: Mask

    @property
    def seen_T(self) -> Mask:
        return self.track.seen_T

    @property
    def pieces_T(self) -> NDArray[np.int64]:
        return self.track.pieces_T

    @property
    def place_T2(self) -> Floats:
        """Centre in the picture, (row, column) as shares of it; nan where the body is not seen whole."""
        return np.where(self.whole_T[:, None], self.track.centre_T2, np.nan)


def observe(pixels_THW3: Pixels) -> dict[str, Sighting]:
    """The coloured bodies of a clip, by colour."""
    tracks = segment(pixels_THW3)
    return {track.color: Sighting(track, whole_frames(track, tracks, LEAST_AREA)) for track in tracks}


def places_of(state: WorldState, body: int, aspect: float = 1.0) -> Floats:
    """Where the picture shows the middle of a body in truth, (T, 2): (row, column) as shares of the picture."""
    view_T33 = views(state.camera_eye_T3, state.camera_target_T3)
    across_T, up_T, depth_T = np.einsum("tij,tj->ti", view_T33, state.position_TB3[:, body] - state.camera_eye_T3).T
    reach = math.tan(math.radians(state.camera.vertical_fov_deg) / 2)
    return np.stack([0.5 - up_T / depth_T / reach / 2, 0.5 + across_T / depth_T / reach / 2 / aspect], axis=1)


def metres(place_T2: Floats, state: WorldState, depth_m: float, aspect: float = 1.0) -> Floats:
    """Where rays through the places meet the plane y = ``depth_m``: (x, z) in metres, (T, 2).

    Args:
        place_T2: (row, column) as shares of the picture.
        state: whose camera is taken.
        depth_m: the plane in which the body moves.
        aspect: width of the picture by its height.
    """
    view_T33 = views(state.camera_eye_T3, state.camera_target_T3)[: len(place_T2)]
    reach = math.tan(math.radians(state.camera.vertical_fov_deg) / 2)
    along_T3 = np.stack(
        [
            (place_T2[:, 1] - 0.5) * 2 * reach * aspect,
            (0.5 - place_T2[:, 0]) * 2 * reach,
            np.ones(len(place_T2)),
        ],
        axis=1,
    )
    ray_T3 = np.einsum("tij,ti->tj", view_T33, along_T3)  # axes of the camera → of the world
    eye_T3 = state.camera_eye_T3[: len(place_T2)]
    met_T3 = eye_T3 + ray_T3 * ((depth_m - eye_T3[:, 1]) / ray_T3[:, 1])[:, None]
    met_T2: Floats = met_T3[:, [0, 2]]
    return met_T2


def velocities(position_T2: Floats, fps: float) -> Floats:
    """Finite differences of neighbouring frames, (T − 1, 2) in metres per second; nan beside a missing frame."""
    difference_T2: Floats = np.diff(position_T2, axis=0) * fps
    return difference_T2
