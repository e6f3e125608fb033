"""Where the camera is at every frame.

Legend: T frames.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kinema.data import CameraInfo
from kinema.worlds.scene import CameraMove

PAN_DEG, ORBIT_DEG = 6.0, 30.0  # how far a camera goes before it comes back
PEAK = math.pi / 2  # highest speed of a swing by its mean speed


def path(
    camera: CameraInfo, move: CameraMove, frames: int, fps: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``eye_T3`` and ``target_T3`` in metres of a camera that starts as ``camera`` and moves.

    A panning camera stands and turns about the vertical; an orbiting one goes around its target, which it keeps in the
    middle of the picture at a constant distance. A longer clip goes on where a shorter one ends.
    """
    eye_3, target_3 = np.array(camera.position_m), np.array(camera.target_m)
    eye_T3, target_T3 = np.tile(eye_3, (frames, 1)), np.tile(target_3, (frames, 1))
    angle_T = np.radians(turned_deg(move, np.arange(frames) / fps))
    if move.kind == "orbit":
        eye_T3 = target_3 + _turned(eye_3 - target_3, angle_T)
    elif move.kind == "pan":
        target_T3 = eye_3 + _turned(target_3 - eye_3, -angle_T)
    return eye_T3, target_T3


def turned_deg(move: CameraMove, time_T: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the camera has turned from where it starts: to and fro over ``swing_deg``, slow at both ends.

    Half a cosine each way, so that position and speed are continuous; a swing of ``math.inf`` goes round and round.

    Args:
        move: kind, mean speed and swing.
        time_T: seconds.
    """
    swing_deg = {"fixed": 0.0, "pan": PAN_DEG, "orbit": ORBIT_DEG}[move.kind]
    swing_deg = swing_deg if move.swing_deg is None else move.swing_deg
    if math.isinf(swing_deg):
        return move.rate_degps * time_T
    swings_T = abs(move.rate_degps) * time_T / swing_deg if swing_deg else np.zeros_like(time_T)
    return math.copysign(swing_deg / 2, move.rate_degps) * (1 - np.cos(math.pi * swings_T))


def fit(camera: CameraInfo, height: int, width: int) -> CameraInfo:
    """Keeps the square that families draw for in view; a tall picture sees more above and below, a wide one beside."""
    if height <= width:
        return camera
    half = math.tan(math.radians(camera.vertical_fov_deg) / 2) * height / width
    return replace(camera, vertical_fov_deg=math.degrees(2 * math.atan(half)))


def _turned(vector_3: NDArray[np.float64], angle_T: NDArray[np.float64]) -> NDArray[np.float64]:
    """A vector turned about the vertical, anticlockwise from above, by each angle."""
    x, y, z = vector_3
    cosine_T, sine_T = np.cos(angle_T), np.sin(angle_T)
    return np.stack([cosine_T * x - sine_T * y, sine_T * x + cosine_T * y, np.full_like(angle_T, z)], axis=1)
