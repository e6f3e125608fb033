"""Pieces that still hang together move as one rigid body.

Legend: B bodies, N pieces, P parts, M pieces in parts, part by part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinema.worlds.physics.lattice import Lattice, cross_matrix, rotation

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


class Parts:
    """Pieces off the mount that still hang together, part by part, in the axes of the whole at rest."""

    def __init__(self, lattice: Lattice, member_N: NDArray[np.bool_], inertia_N33: Array, body_N: Ints) -> None:
        order_M = np.flatnonzero(member_N)[np.argsort(lattice.label_N[member_N], kind="stable")]
        label_M = lattice.label_N[order_M]
        self._first_P = np.flatnonzero(np.diff(label_M, prepend=-1))
        self._part_M = np.searchsorted(label_M[self._first_P], label_M)
        self._body_M, self._inertia_M33 = body_N[order_M], inertia_N33[order_M]
        mass_M1 = lattice.mass_N[order_M, None]
        self._share_M1 = mass_M1 / self._sum(mass_M1)[self._part_M]
        self._mass_M1 = mass_M1
        self._arm_M3 = lattice.center_N3[order_M]
        self._arm_M3 = self._arm_M3 - self._sum(self._share_M1 * self._arm_M3)[self._part_M]
        self._cross_M33 = cross_matrix(self._arm_M3)  # arm × …
        about_M33 = self._inertia_M33 - mass_M1[:, :, None] * self._cross_M33 @ self._cross_M33
        self._unturning_P33: Array = np.linalg.inv(self._sum(about_M33)).astype(np.float64)

    def move_as_one(self, pose_B7: Array, velocity_B6: Array) -> None:
        """Replaces the pieces' motion by the rigid one of the same momentum, and their places by those in the part."""
        pose_M7, velocity_M6 = pose_B7[self._body_M], velocity_B6[self._body_M]
        turn_P4 = self._sum(self._share_M1 * pose_M7[:, 3:])  # pieces of one part differ by one step's motion only
        turn_P4 /= np.linalg.norm(turn_P4, axis=1, keepdims=True)
        turn_M33 = rotation(turn_P4)[self._part_M]
        place_P3 = self._sum(self._share_M1 * pose_M7[:, :3])
        pose_M7[:, :3] = place_P3[self._part_M] + times(turn_M33, self._arm_M3)
        pose_M7[:, 3:] = turn_P4[self._part_M]
        drift_P3 = self._sum(self._share_M1 * velocity_M6[:, :3])
        own_M3 = times(turn_M33.transpose(0, 2, 1), velocity_M6[:, :3])
        momentum_M3 = self._mass_M1 * times(self._cross_M33, own_M3) + times(self._inertia_M33, velocity_M6[:, 3:])
        spin_M3 = times(self._unturning_P33, self._sum(momentum_M3))[self._part_M]
        velocity_M6[:, :3] = drift_P3[self._part_M] - times(turn_M33, times(self._cross_M33, spin_M3))
        velocity_M6[:, 3:] = spin_M3
        pose_B7[self._body_M], velocity_B6[self._body_M] = pose_M7, velocity_M6

    def _sum(self, values_M: Array) -> Array:
        total_P: Array = np.add.reduceat(values_M, self._first_P)
        return total_P


def times(matrix_M33: Array, vector_M3: Array) -> Array:
    """A matrix times a vector in every row."""
    product_M3: Array = (matrix_M33 @ vector_M3[:, :, None])[:, :, 0]
    return product_M3
