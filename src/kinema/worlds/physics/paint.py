"""Paint: a wet ball leaves a stroke where it touches the floor, which stays.

Legend: X, Y cells of the floor, S steps of the ball's path.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from kinema.data import Event, PaintState
from kinema.worlds.physics.waves import Floats, serial
from kinema.worlds.scene import HALF_DEPTH_M, HALF_WIDTH_M, Scene

if TYPE_CHECKING:
    from kinema.worlds.physics.simulate import Motion

CELL_M = 0.02
TOUCHING_M = 0.004  # closer to the floor than this is on it
MOVED_M = 0.005  # a new piece of the stroke is drawn after so much way
PAUSE_S = 0.7  # without a new piece for so long, a stroke has ended


class PaintEffect:
    """Follows the painted ball from step to step.

    The path is straight between pieces of half a centimetre. The stroke is as wide as the scene says where it begins
    and narrows with the square root of the paint that is left: a ball that has come ``length_m`` on the floor is dry.
    """

    def __init__(self, scene: Scene) -> None:
        assert scene.paint is not None
        self._paint = scene.paint
        self._radius_m = scene.bodies[scene.paint.body].info.half_size_m[2]
        shape = (round(2 * HALF_WIDTH_M / CELL_M), round(2 * HALF_DEPTH_M / CELL_M))
        self._time_XY = np.full(shape, np.inf)
        self._last_2: Floats | None = None  # where it was painted last; None while the ball is in the air
        self._way_m = 0.0
        self._painted_s: list[float] = []

    def before_step(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        start = 7 * self._paint.body
        place_2, height_m = data.qpos[start : start + 2].copy(), data.qpos[start + 2] - self._radius_m
        if height_m > TOUCHING_M or self._way_m >= self._paint.length_m:
            self._last_2 = None
            return
        from_2 = place_2 if self._last_2 is None else self._last_2
        moved_m = math.dist(place_2, from_2)
        if self._last_2 is not None and moved_m < MOVED_M:
            return
        width_m = self._paint.width_m * math.sqrt(1 - self._way_m / self._paint.length_m)
        (x0, y0), (x1, y1) = from_2, place_2
        _stroke(self._time_XY, x0, y0, x1, y1, width_m / 2, data.time)
        self._way_m += moved_m
        self._last_2 = place_2
        self._painted_s.append(float(data.time))

    def at_frame(self, frame: int, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self._now_s = float(data.time)

    def finish(self, motion: Motion) -> Motion:
        """Adds the stroke and the moments at which it begins and ends."""
        extent = (-HALF_WIDTH_M, HALF_WIDTH_M), (-HALF_DEPTH_M, HALF_DEPTH_M)
        state = PaintState(*extent, self._paint.color, self._time_XY.astype(np.float32))
        events, dry = [], self._way_m >= self._paint.length_m
        times_s = [-math.inf, *self._painted_s, math.inf]
        for before_s, time_s, after_s in zip(times_s, times_s[1:], times_s[2:], strict=False):
            if time_s - before_s > PAUSE_S:
                events.append(Event(time_s, "stroke_begins", (self._paint.body,)))
            if after_s - time_s > PAUSE_S and (min(after_s, self._now_s) - time_s > PAUSE_S or dry):
                events.append(Event(time_s, "stroke_ends", (self._paint.body,)))
        return replace(motion, paint=state, events=(*motion.events, *events))


@serial
def _stroke(time_XY: Floats, x0: float, y0: float, x1: float, y1: float, radius: float, time_s: float) -> None:
    """Paints the cells whose middles are within ``radius`` of a straight piece of way, unless they are painted."""
    columns, rows = time_XY.shape
    left, front = -HALF_WIDTH_M, -HALF_DEPTH_M
    dx, dy = x1 - x0, y1 - y0
    square = max(dx * dx + dy * dy, 1e-12)
    first_i = max(int((min(x0, x1) - radius - left) / CELL_M) - 1, 0)
    first_j = max(int((min(y0, y1) - radius - front) / CELL_M) - 1, 0)
    for i in range(first_i, min(int((max(x0, x1) + radius - left) / CELL_M) + 2, columns)):
        for j in range(first_j, min(int((max(y0, y1) + radius - front) / CELL_M) + 2, rows)):
            x, y = left + (i + 0.5) * CELL_M, front + (j + 0.5) * CELL_M
            along = min(max(((x - x0) * dx + (y - y0) * dy) / square, 0.0), 1.0)
            if math.hypot(x - x0 - along * dx, y - y0 - along * dy) <= radius:
                time_XY[i, j] = min(time_XY[i, j], time_s)
