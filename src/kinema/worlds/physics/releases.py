"""Bodies that come into being during a clip: let go when their moment comes, some of them again and again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from kinema.worlds.scene import Scene

if TYPE_CHECKING:
    from kinema.worlds.physics.simulate import Motion

_PARKED_M = 60.0  # above everything; nobody sees or touches what waits there
_APART_M = 3.0


class Releases:
    """Keeps bodies with ``released_s`` away until each of these moments, when they start as the scene drew them."""

    def __init__(self, scene: Scene) -> None:
        self._bodies = scene.bodies
        self._left_s = {index: [*body.released_s] for index, body in enumerate(scene.bodies) if body.released_s}
        self._parked = set(self._left_s)
        self._shown_T: list[list[bool]] = []

    def before_step(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        for index in sorted(self._parked):
            self._hold(index, data)

    def at_frame(self, frame: int, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        if frame == 0:
            self.before_step(model, data)
        self._shown_T.append([index not in self._parked for index in range(len(self._bodies))])

    def take_away(self, index: int, data: mujoco.MjData) -> None:
        """The body is gone until its next moment."""
        self._left_s.setdefault(index, [])
        self._parked.add(index)
        self._park(index, data)

    def finish(self, motion: Motion) -> Motion:
        """A body that is not there has the pose in which it will start, and does not move."""
        shown_TB = motion.shown_TB & np.array(self._shown_T)
        away_TB1 = ~shown_TB[..., None]
        return replace(
            motion,
            position_TB3=np.where(away_TB1, np.array([body.position_m for body in self._bodies]), motion.position_TB3),
            orientation_TB4=np.where(
                away_TB1, np.array([body.orientation for body in self._bodies]), motion.orientation_TB4
            ),
            velocity_TB3=np.where(away_TB1, 0.0, motion.velocity_TB3),
            angular_velocity_TB3=np.where(away_TB1, 0.0, motion.angular_velocity_TB3),
            shown_TB=shown_TB,
        )

    def _hold(self, index: int, data: mujoco.MjData) -> None:
        left_s = self._left_s[index]
        if left_s and data.time >= left_s[0] - 1e-9:
            left_s.pop(0)
            self._parked.discard(index)
            body = self._bodies[index]
            data.qpos[7 * index : 7 * index + 7] = (*body.position_m, *body.orientation)
            data.qvel[6 * index : 6 * index + 6] = (*body.velocity_mps, *body.spin_radps)
        else:
            self._park(index, data)

    def _park(self, index: int, data: mujoco.MjData) -> None:
        data.qpos[7 * index : 7 * index + 3] = (0.0, 0.0, _PARKED_M + _APART_M * index)
        data.qvel[6 * index : 6 * index + 6] = 0.0
