"""Every kind of solid against brute force: rays are marched through formulas that only know inside from outside.

Legend: B bodies, N points or rays, K steps, P planes, 3 axis, 4 plane or quaternion.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from kinema.worlds.render.film import _rotations
from kinema.worlds.render.tracer import BOX, CAPSULE, CONE, CONVEX, CYLINDER, SPHERE, Look
from worlds.render.stills import Floats, Still, centre_rays, linear, make_look, seen_from, still, unit

SIDE, STEPS = 56, 300
START_M = 3.0  # no body is nearer to the eye
KINDS = [SPHERE, BOX, CYLINDER, CAPSULE, CONE, CONVEX, CONVEX, CAPSULE, CONE, CYLINDER]


def shard() -> Floats:
    """A lopsided piece of nine planes within a box of half extents 0.4, 0.2, 0.3."""
    rng = np.random.default_rng(8)
    box_P4 = [[*axis, half] for axis, half in zip(np.vstack([np.eye(3), -np.eye(3)]), [0.4, 0.2, 0.3] * 2, strict=True)]
    cut_P4 = [[*(normal := unit(*rng.normal(size=3))), 0.5 * float(abs(normal) @ [0.4, 0.2, 0.3])] for _ in range(3)]
    return np.array(box_P4 + cut_P4)


def outside(kind: int, half_3: Floats, planes_P4: Floats, point_N3: Floats) -> Floats:
    """Negative inside, positive outside, zero on the surface."""
    x, y, z = np.moveaxis(point_N3, -1, 0)
    radius, height = half_3[0], half_3[2]
    if kind == SPHERE:
        return np.asarray(np.sqrt(x * x + y * y + z * z) - radius)
    if kind == BOX:
        return np.asarray((np.abs(point_N3) - half_3).max(axis=-1))
    if kind == CONVEX:
        return np.asarray((point_N3 @ planes_P4[:, :3].T - planes_P4[:, 3]).max(axis=-1))
    across = np.hypot(x, y)
    if kind == CYLINDER:
        return np.maximum(across - radius, np.abs(z) - height)
    if kind == CAPSULE:
        return np.asarray(np.hypot(across, np.maximum(np.abs(z) - (height - radius), 0)) - radius)
    return np.maximum(across - radius * (height - z) / (2 * height), -z - height)


class Scene(NamedTuple):
    look: Look
    centre_B3: Floats
    turn_B4: Floats
    seen: Still

    def local(self, b: int, point_N3: Floats) -> Floats:
        return np.asarray((point_N3 - self.centre_B3[b]) @ _rotations(self.turn_B4[b]))

    def outside(self, b: int, point_N3: Floats) -> Floats:
        look = self.look
        return outside(int(look.kind_B[b]), look.half_size_B3[b], look.planes_P4, self.local(b, point_N3))

    def entered(self, origin_N3: Floats, direction_N3: Floats, far: float) -> tuple[Floats, np.ndarray]:
        """Distance to the first body and its number, ``far`` and −1 without one; marched, then bisected."""
        nearest_N, body_N = np.full(len(direction_N3), far), np.full(len(direction_N3), -1)
        t_K = np.linspace(0.0, far, STEPS)
        for b in range(len(self.centre_B3)):
            point_NK3 = origin_N3[:, None] + t_K[:, None] * direction_N3[:, None]
            inside_NK = self.outside(b, point_NK3) < 0
            step_N = inside_NK.argmax(axis=1)
            low_N, high_N = t_K[np.maximum(step_N - 1, 0)], t_K[step_N]
            for _ in range(30):
                middle_N = (low_N + high_N) / 2
                inside_N = self.outside(b, origin_N3 + middle_N[:, None] * direction_N3) < 0
                low_N, high_N = np.where(inside_N, low_N, middle_N), np.where(inside_N, middle_N, high_N)
            closer_N = inside_NK.any(axis=1) & (high_N < nearest_N)
            nearest_N, body_N = np.where(closer_N, high_N, nearest_N), np.where(closer_N, b, body_N)
        return nearest_N, body_N


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Ten bodies in all positions, sunlit only."""
    rng = np.random.default_rng(4)
    half = {SPHERE: (0.3,) * 3, BOX: (0.35, 0.2, 0.25), CYLINDER: (0.2, 0.2, 0.35), CAPSULE: (0.16, 0.16, 0.4)}
    half |= {CONE: (0.28, 0.28, 0.35), CONVEX: (0.4, 0.2, 0.3)}
    planes_P4, bodies = shard(), len(KINDS)
    look = make_look(
        [(kind, half[kind]) for kind in KINDS],
        planes_P4=planes_P4,
        plane_range_B2=np.tile(np.array([0, len(planes_P4)]), (bodies, 1)),
        albedo_B3=np.ones((bodies, 3)),
        floor_albedo_3=np.ones(3),
        ambient=0.0,
        **seen_from((0.0, -5.0, 2.6), (0.0, 0.0, 0.6), 40.0),
    )
    grid_B2 = np.array([(column, row) for row in (-0.9, 0.5) for column in np.linspace(-1.6, 1.6, 5)])
    centre_B3 = np.column_stack([grid_B2 + rng.uniform(-0.15, 0.15, (bodies, 2)), rng.uniform(0.5, 1.1, bodies)])
    turn_B4 = rng.normal(size=(bodies, 4))
    turn_B4 /= np.linalg.norm(turn_B4, axis=1, keepdims=True)
    seen = still(look, [tuple(centre) for centre in centre_B3.tolist()], SIDE, samples=1, turns=turn_B4)
    return Scene(look, centre_B3, turn_B4, seen)


@pytest.fixture(scope="module")
def hits(scene: Scene) -> tuple[Floats, np.ndarray, Floats, Floats]:
    """Distance, body (−1 is the floor or nothing) and point of what every pixel's middle shows, and its cosine."""
    direction_N3, cosine_N = centre_rays(scene.look, SIDE)
    eye_N3 = np.broadcast_to(scene.look.eye_T3[0], direction_N3.shape)
    distance_N, body_N = scene.entered(eye_N3 + START_M * direction_N3, direction_N3, 5.0)
    distance_N = distance_N + START_M
    with np.errstate(divide="ignore"):
        floor_N = np.where(direction_N3[:, 2] < 0, -eye_N3[:, 2] / direction_N3[:, 2], np.inf)
    distance_N = np.where(body_N >= 0, distance_N, floor_N)
    return distance_N, body_N, eye_N3 + np.minimum(distance_N, 1e3)[:, None] * direction_N3, cosine_N


def test_outlines(scene: Scene, hits: tuple[Floats, np.ndarray, Floats, Floats]) -> None:
    assert (scene.seen.ids_HW.ravel() != hits[1]).mean() < 0.002  # the march may step over a corner
    assert set(range(len(KINDS))) <= set(hits[1].tolist())
    for b, share in enumerate(scene.seen.visible_B):
        assert share == pytest.approx((hits[1] == b).mean(), abs=0.002)


def test_depth(scene: Scene, hits: tuple[Floats, np.ndarray, Floats, Floats]) -> None:
    distance_N, body_N, _, cosine_N = hits
    same_N = scene.seen.ids_HW.ravel() == body_N
    assert scene.seen.depth_HW.ravel()[same_N] == pytest.approx((distance_N * cosine_N)[same_N], rel=1e-6)


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_normals_and_shadows(scene: Scene, hits: tuple[Floats, np.ndarray, Floats, Floats], kind: int) -> None:
    """A white body without skylight shines with the cosine between its normal and the sun, or is in shadow."""
    _, body_N, point_N3, _ = hits
    light_N, sun_3 = linear(scene.seen.pixels_HW3).mean(axis=-1).ravel(), scene.look.sun_direction_3
    wrong = total = 0
    for b in (b for b in range(len(KINDS)) if KINDS[b] == kind):
        mine_N = (body_N == b) & (scene.seen.ids_HW.ravel() == b)
        at_N3 = point_N3[mine_N]
        around = [(scene.outside(b, at_N3 + 1e-6 * axis), scene.outside(b, at_N3 - 1e-6 * axis)) for axis in np.eye(3)]
        slope_N3 = np.stack([after - before for after, before in around], axis=-1)
        normal_N3 = slope_N3 / np.linalg.norm(slope_N3, axis=1, keepdims=True)
        _, blocker_N = scene.entered(at_N3 + 1e-3 * normal_N3, np.broadcast_to(sun_3, at_N3.shape), 5.0)
        expected_N = np.where(blocker_N < 0, np.maximum(normal_N3 @ sun_3, 0), 0)
        wrong += int((np.abs(light_N[mine_N] - expected_N) > 0.02).sum())
        total += int(mine_N.sum())
        assert mine_N.sum() >= 10 and expected_N.max() > 0.1
    assert wrong <= 0.05 * total  # edges, where the numerical slope is off


def test_shadows_on_the_floor(scene: Scene, hits: tuple[Floats, np.ndarray, Floats, Floats]) -> None:
    distance_N, body_N, point_N3, _ = hits
    floor_N = (body_N < 0) & (scene.seen.ids_HW.ravel() < 0) & (distance_N < 8.0)
    sun_N3 = np.broadcast_to(scene.look.sun_direction_3, point_N3.shape)
    _, blocker_N = scene.entered(point_N3[floor_N], sun_N3[floor_N], 5.0)
    dark_N = linear(scene.seen.pixels_HW3).mean(axis=-1).ravel()[floor_N] < 0.1
    assert (dark_N != (blocker_N >= 0)).mean() < 0.004 and dark_N.sum() > 100
