"""Where a brittle body breaks: rigid pieces joined by springs over the faces that they share.

This is Kawai's rigid-body-spring network on Voronoi cells (Kawai 1978; Bolander and Saito 1998): every corner of a
shared face carries a spring of the face's stiffness, so a weld takes tension, shear and bending. A load is put on, the
springs' forces follow from balance, and welds whose most strained corner exceeds their strength break, together with
what they were holding up: cracks run on until nothing more breaks.

Legend: N pieces, W welds, S springs, 6 a displacement and a small turn (or a force and a torque).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kinema.worlds.scene import Body, Weld

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
NOTCH = 0.3  # share of its strength that a weld keeps beside a fresh crack
_RIDGE = 1e-8  # of the mean stiffness: keeps free pieces solvable


class Lattice:
    """Pieces and welds in the axes of the whole, as at rest.

    Attributes:
        intact_W: welds that hold; they only ever become fewer.
        label_N: pieces of one connected part share a number, the smallest index among them.
        mounted_N: whether the piece's part holds to the ground.

    Args:
        whole: the body before it breaks.
        pieces: where they lie in the whole.
        welds: between indices of ``pieces``; −1 is the ground.
    """

    def __init__(self, whole: Body, pieces: Sequence[Body], welds: Sequence[Weld]) -> None:
        count = len(pieces)
        from_middle_N3 = np.array([piece.position_m for piece in pieces]) - np.array(whole.position_m)
        self.center_N3 = from_middle_N3 @ rotation(np.array(whole.orientation))
        self.mass_N = np.array([piece.info.mass_kg for piece in pieces])
        half_N3 = np.array([piece.info.half_size_m for piece in pieces])
        square_N = np.sum(half_N3**2, axis=1)
        # of a box: only how a turning part shares the load among its pieces depends on it
        self._inertia_N33 = (self.mass_N[:, None] / 3 * (square_N[:, None] - half_N3**2))[:, :, None] * np.eye(3)
        self.first_W = np.array([weld.first for weld in welds], dtype=np.int64)
        self.second_W = np.array([weld.second % (count + 1) for weld in welds], dtype=np.int64)  # count is the ground
        self.strength_W = np.array([weld.strength_n for weld in welds])
        self.intact_W = np.ones(len(welds), dtype=np.bool_)
        self._notched_W = np.zeros(len(welds), dtype=np.bool_)
        self._springs(welds)
        self._relabel()

    def strain(self, load_N6: Array) -> Array:
        """``share_W``: the force on every weld's most strained corner, as if all of its face, by the weld's strength.

        Args:
            load_N6: force (N) and torque (N·m) about each piece's centre. Parts that hang on nothing are weighed
                against their own inertia (inertia relief).
        """
        moved_N6 = np.zeros((len(self.mass_N) + 1, 6))  # the ground last
        for label in np.unique(self.label_N[(load_N6 != 0).any(axis=1)]):
            if label not in self._solved:
                self._solved[label] = self._solve(label)
            part, compliance = self._solved[label]
            moved_N6[part] = (compliance @ self._balanced(part, load_N6[part]).ravel()).reshape(-1, 6)
        ends_S26 = np.stack([moved_N6[self.first_W[self._weld_S]], moved_N6[self.second_W[self._weld_S]]], axis=1)
        force_S = self._spring_S * np.linalg.norm(np.einsum("seij,sej->si", self._shift_S236, ends_S26), axis=1)
        share_W = np.zeros(len(self.strength_W))
        np.maximum.at(share_W, self._weld_S, force_S * self._corners_W[self._weld_S] / self.strength_W[self._weld_S])
        return np.where(self.intact_W, share_W, 0.0)

    def crack(self, load_N6: Array) -> bool:
        """Breaks what the load breaks; returns whether anything did."""
        before = int(self.intact_W.sum())
        while True:
            breaks_W = self.strain(load_N6) > 1.0
            if not breaks_W.any():
                return int(self.intact_W.sum()) < before
            self.intact_W &= ~breaks_W
            torn = np.union1d(self.first_W[breaks_W], self.second_W[breaks_W])
            torn = torn[torn < len(self.mass_N)]
            beside_W = np.isin(self.first_W, torn) | np.isin(self.second_W, torn)
            notched_W = beside_W & self.intact_W & ~self._notched_W
            self.strength_W = np.where(notched_W, NOTCH * self.strength_W, self.strength_W)
            self._notched_W |= notched_W
            self._relabel()

    def _springs(self, welds: Sequence[Weld]) -> None:
        """One spring at every corner of a weld; together they are as stiff as the material between the two centres."""
        count = len(self.mass_N)
        self._corners_W = np.array([len(weld.corners_m) for weld in welds])
        self._weld_S = np.repeat(np.arange(len(welds)), self._corners_W)
        point_S3 = np.array([corner for weld in welds for corner in weld.corners_m])
        middle_W3 = np.array([np.mean(weld.corners_m, axis=0) for weld in welds])
        first_W3, near_W = self.center_N3[self.first_W], self.second_W < count
        second_W3 = np.where(near_W[:, None], self.center_N3[self.second_W % count], 2 * middle_W3 - first_W3)
        area_W = np.array([polygon_area(np.array(weld.corners_m)) for weld in welds])
        spring_W = area_W / np.linalg.norm(second_W3 - first_W3, axis=1) / self._corners_W  # times Young's modulus
        self._spring_S = spring_W[self._weld_S]
        self._shift_S236 = np.zeros((len(point_S3), 2, 3, 6))  # from the ends' motion to how far the spring opens
        for end, (sign, center_W3) in enumerate(((-1.0, first_W3), (1.0, second_W3))):
            arm_S3 = point_S3 - center_W3[self._weld_S]
            self._shift_S236[:, end, :, :3] = sign * np.eye(3)
            self._shift_S236[:, end, :, 3:] = -sign * cross_matrix(arm_S3)
        spring_S = np.einsum("s,seki,sfkj->sefij", self._spring_S, self._shift_S236, self._shift_S236)
        self._stiffness_W22 = np.add.reduceat(spring_S, np.cumsum(self._corners_W) - self._corners_W)

    def _solve(self, label: int) -> tuple[Ints, Array]:
        """The pieces of a part, and how far each moves for each load on another: the inverse of the stiffness."""
        part: Ints = np.flatnonzero(self.label_N == label).astype(np.int64)
        place_N = np.full(len(self.mass_N) + 1, len(part))
        place_N[part] = np.arange(len(part))
        held_W = self.intact_W & (self.label_N[self.first_W] == label)
        stiffness = np.zeros((len(part) + 1, len(part) + 1, 6, 6))
        for row, ends_W in enumerate((self.first_W, self.second_W)):
            for column, others_W in enumerate((self.first_W, self.second_W)):
                places = place_N[ends_W[held_W]], place_N[others_W[held_W]]
                np.add.at(stiffness, places, self._stiffness_W22[held_W, row, column])
        size = 6 * len(part)
        matrix = stiffness[:-1, :-1].transpose(0, 2, 1, 3).reshape(size, size)
        matrix[np.diag_indices(size)] += _RIDGE * np.trace(matrix) / size + 1e-12
        compliance: Array = np.linalg.inv(matrix).astype(np.float64)
        return part, compliance

    def _balanced(self, part: Ints, load_N6: Array) -> Array:
        """The load on a part, less what accelerates it if it hangs on nothing."""
        if self.mounted_N[part[0]]:
            return load_N6
        mass_N, force_N3 = self.mass_N[part], load_N6[:, :3]
        arm_N3 = self.center_N3[part] - mass_N @ self.center_N3[part] / mass_N.sum()
        matrix_N33 = cross_matrix(arm_N3)
        inertia_33 = np.sum(self._inertia_N33[part] - mass_N[:, None, None] * matrix_N33 @ matrix_N33, axis=0)
        torque_3 = np.sum(load_N6[:, 3:] + np.cross(arm_N3, force_N3), axis=0)
        turning_3 = np.linalg.solve(inertia_33, torque_3)
        push_N3 = mass_N[:, None] * (force_N3.sum(axis=0) / mass_N.sum() + np.cross(turning_3, arm_N3))
        inertial_N6: Array = np.concatenate([push_N3, self._inertia_N33[part] @ turning_3], axis=1)
        return load_N6 - inertial_N6

    def _relabel(self) -> None:
        """Finds the connected parts: the smallest index spreads over the intact welds. The ground joins nothing."""
        self._solved: dict[int, tuple[Ints, Array]] = {}
        count = len(self.mass_N)
        held_W = self.intact_W & (self.second_W < count)
        first_W, second_W = self.first_W[held_W], self.second_W[held_W]
        label_N = np.arange(count)
        while True:
            least_W = np.minimum(label_N[first_W], label_N[second_W])
            spread_N = label_N.copy()
            np.minimum.at(spread_N, first_W, least_W)
            np.minimum.at(spread_N, second_W, least_W)
            if (spread_N == label_N).all():
                break
            label_N = spread_N[spread_N]
        self.label_N: Ints = label_N
        self.mounted_N = np.isin(label_N, label_N[self.first_W[self.intact_W & (self.second_W == count)]])


def polygon_area(corners_C3: Array) -> float:
    """Area of a flat convex polygon whose corners are in order."""
    spoke_C3 = corners_C3[1:] - corners_C3[0]
    return float(np.linalg.norm(np.cross(spoke_C3[:-1], spoke_C3[1:]).sum(axis=0))) / 2


def rotation(quaternion_N4: Array) -> Array:
    """``matrix_N33`` of unit quaternions (w, x, y, z), of one or of many."""
    w, x, y, z = np.moveaxis(quaternion_N4, -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def cross_matrix(vectors_N3: Array) -> Array:
    """``matrix_N33`` with matrix @ p = vector × p."""
    matrix_N33 = np.zeros((*vectors_N3.shape, 3))
    x_N, y_N, z_N = vectors_N3.T
    matrix_N33[:, 2, 1], matrix_N33[:, 1, 2] = x_N, -x_N
    matrix_N33[:, 0, 2], matrix_N33[:, 2, 0] = y_N, -y_N
    matrix_N33[:, 1, 0], matrix_N33[:, 0, 1] = z_N, -z_N
    return matrix_N33
