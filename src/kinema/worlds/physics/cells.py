"""Convex cells: the geometry of pieces. A body is cut into the Voronoi cells of points inside it.

A cell is an intersection of half-spaces n·p ≤ d, rows (nx, ny, nz, d). Lengths are metres in the axes of the body.

Legend: P planes, C corners, N cells, 4 a plane's row.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_ON_PLANE_M = 1e-7  # a corner this close to a plane lies on it
_SAME_CORNER_M = 1e-6


@dataclass(frozen=True)
class Face:
    """One flat side of a cell: its corners in order around it, and the cell behind it (−1 for the outside)."""

    corners_C3: Array
    normal_3: Array  # outwards
    area_m2: float
    neighbour: int


@dataclass(frozen=True)
class Cell:
    """One piece of a body."""

    corners_C3: Array
    faces: tuple[Face, ...]
    volume_m3: float
    center_3: Array  # of mass


def voronoi(points_N3: Array, outside_P4: Array) -> list[Cell]:
    """The cells of a bounded convex body: all of it that is closer to a point than to the other points.

    Args:
        points_N3: one point inside each cell.
        outside_P4: half-spaces whose intersection is the body; it must be bounded.
    """
    return [_cell(index, points_N3, outside_P4) for index in range(len(points_N3))]


def planes_of(corners_C3: Array) -> Array:
    """``planes_P4`` of the convex hull of a few corners: unit outward normals and distances, one row for each face."""
    triples_N3 = corners_C3[_triples(len(corners_C3))]
    normal_N3 = np.cross(triples_N3[:, 1] - triples_N3[:, 0], triples_N3[:, 2] - triples_N3[:, 0])
    length_N = np.linalg.norm(normal_N3, axis=1)
    solid_N = length_N > 1e-9
    normal_N3 = normal_N3[solid_N] / length_N[solid_N, None]
    distance_N = np.einsum("ni,ni->n", normal_N3, triples_N3[solid_N, 0])
    height_NC = normal_N3 @ corners_C3.T - distance_N[:, None]
    slack = 1e-5 * float(np.ptp(corners_C3, axis=0).max())
    above_N, below_N = (height_NC < slack).all(axis=1), (height_NC > -slack).all(axis=1)
    planes_N4 = np.column_stack([normal_N3, distance_N])
    left_N4 = np.concatenate([planes_N4[above_N], -planes_N4[below_N]])
    planes = []
    while len(left_N4):  # many triples lie on the same face
        planes.append(left_N4[0])
        left_N4 = left_N4[np.abs(left_N4 - left_N4[0]).max(axis=1) > 1e-3]
    return np.array(planes)


def corners_of(planes_P4: Array) -> Array:
    """``corners_C3`` of the body inside some half-spaces: the points where three planes meet and no other cuts."""
    a, b, c = (planes_P4[which] for which in _triples(len(planes_P4)).T)
    bc = np.cross(b[:, :3], c[:, :3])
    volume = np.einsum("ni,ni->n", a[:, :3], bc)
    meets = np.abs(volume) > 1e-9
    a, b, c, bc = a[meets], b[meets], c[meets], bc[meets]
    ca, ab = np.cross(c[:, :3], a[:, :3]), np.cross(a[:, :3], b[:, :3])
    points_N3 = (a[:, 3:] * bc + b[:, 3:] * ca + c[:, 3:] * ab) / volume[meets, None]
    inside_N = (points_N3 @ planes_P4[:, :3].T < planes_P4[:, 3] + _ON_PLANE_M).all(axis=1)
    points_N3 = points_N3[inside_N]
    same_NN = np.abs(points_N3[:, None] - points_N3).max(axis=2) < _SAME_CORNER_M
    corners_C3: Array = points_N3[~np.tril(same_NN, -1).any(axis=1)]
    return corners_C3


def ball_planes(radius_m: float) -> Array:
    """Half-spaces of a round polyhedron with the volume of a sphere."""
    return _round_planes() * (1.0, 1.0, 1.0, radius_m)


def cylinder_planes(radius_m: float, half_m: float, sides: int = 16) -> Array:
    """Half-spaces of an upright prism with the volume of a cylinder."""
    turn_P = 2 * np.pi * np.arange(sides) / sides
    reach = radius_m * np.sqrt(np.pi / sides / np.tan(np.pi / sides))
    side_P4 = np.column_stack([np.cos(turn_P), np.sin(turn_P), np.zeros(sides), np.full(sides, reach)])
    return np.concatenate([side_P4, [[0, 0, 1, half_m], [0, 0, -1, half_m]]])


def box_planes(half_size_3: Array) -> Array:
    """Half-spaces of a box."""
    return np.column_stack([np.concatenate([np.eye(3), -np.eye(3)]), np.tile(half_size_3, 2)])


def _cell(index: int, points_N3: Array, outside_P4: Array) -> Cell:
    """Starts from a box and adds the planes that cut a corner off, until none does."""
    others = np.delete(np.arange(len(points_N3)), index)
    towards_N3 = points_N3[others] - points_N3[index]
    normal_N3 = towards_N3 / np.linalg.norm(towards_N3, axis=1, keepdims=True)
    middle_N3 = (points_N3[others] + points_N3[index]) / 2
    between_N4 = np.column_stack([normal_N3, np.einsum("ni,ni->n", normal_N3, middle_N3)])
    around_P4 = box_planes(np.full(3, 2 * np.abs(outside_P4[:, 3]).max()))
    planes_P4 = np.concatenate([around_P4, outside_P4, between_N4])
    neighbour_P = np.concatenate([np.full(len(around_P4) + len(outside_P4), -1), others])
    cutting = np.arange(len(around_P4))
    while True:
        corners_C3 = corners_of(planes_P4[cutting])
        height_CP = corners_C3 @ planes_P4[:, :3].T - planes_P4[:, 3]
        cut_C = height_CP.max(axis=1) > _ON_PLANE_M
        if not cut_C.any():
            break
        touching = cutting[(np.abs(height_CP[:, cutting]) < 10 * _ON_PLANE_M).any(axis=0)]
        cutting = np.union1d(touching, height_CP.argmax(axis=1)[cut_C])
    faces = []
    volume, moment_3, middle_3 = 0.0, np.zeros(3), corners_C3.mean(axis=0)
    for plane in cutting:
        on_C = np.abs(corners_C3 @ planes_P4[plane, :3] - planes_P4[plane, 3]) < 10 * _ON_PLANE_M
        if on_C.sum() < 3:
            continue
        face_C3 = _around(corners_C3[on_C], planes_P4[plane, :3])
        # the cell is a fan of tetrahedra from its middle over the triangles of its faces
        side_N3, other_N3 = face_C3[1:-1] - face_C3[0], face_C3[2:] - face_C3[0]
        area_N = np.cross(side_N3, other_N3) @ planes_P4[plane, :3] / 2
        volume_N = area_N * (planes_P4[plane, 3] - planes_P4[plane, :3] @ middle_3) / 3
        volume += float(volume_N.sum())
        moment_3 += volume_N @ (middle_3 + face_C3[0] + face_C3[1:-1] + face_C3[2:]) / 4
        faces.append(Face(face_C3, planes_P4[plane, :3], float(area_N.sum()), int(neighbour_P[plane])))
    return Cell(corners_C3, tuple(faces), volume, moment_3 / volume)


def _around(corners_C3: Array, normal_3: Array) -> Array:
    """The corners of a convex face in order, anticlockwise as seen from the tip of the normal."""
    spoke_C3 = corners_C3 - corners_C3.mean(axis=0)
    across_3 = np.cross(normal_3, spoke_C3[0])
    return corners_C3[np.argsort(np.arctan2(spoke_C3 @ across_3, spoke_C3 @ spoke_C3[0] * np.linalg.norm(normal_3)))]


@cache
def _round_planes(count: int = 48) -> Array:
    """Of a polyhedron with the unit sphere's volume; its faces look in even directions (a Fibonacci lattice)."""
    turn_P = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    height_P = 1 - 2 * (np.arange(count) + 0.5) / count
    width_P = np.sqrt(1 - height_P**2)
    planes_P4 = np.column_stack([width_P * np.cos(turn_P), width_P * np.sin(turn_P), height_P, np.ones(count)])
    planes_P4[:, 3] = (4 / 3 * np.pi / voronoi(np.zeros((1, 3)), planes_P4)[0].volume_m3) ** (1 / 3)
    return planes_P4


@cache
def _triples(count: int) -> NDArray[np.int64]:
    return np.array(list(itertools.combinations(range(count), 3)), dtype=np.int64).reshape(-1, 3)
