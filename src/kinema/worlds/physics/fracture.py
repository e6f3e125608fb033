"""Brittle bodies: cut into pieces that hold together until a hit is too hard, and then never again.

Until it breaks, the whole is one rigid body. At every new touch the hit's peak force, closing speed × reduced mass ×
contact frequency, is put on the lattice of welds (``lattice.py``). When that sets a piece free, the pieces take the
place of the whole with its velocity. Pieces that still hang together move as one: each step their velocities become
those of the one rigid motion that has the same momentum and angular momentum, which can only lose energy. Parts that
still hold to the ground stand still. Later hits break more.

State: pieces are shown from the break on and the whole before it. While it is not shown, a piece lies where it
belongs in the whole; a broken whole is at its pieces' centre of mass, turned as it broke. The visible share of a broken
whole is the sum of its pieces' shares.

Legend: T frames, B bodies, N pieces, P parts that move as one, M pieces in such parts, K contacts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kinema.data import BodyInfo, Event
from kinema.worlds.physics.cells import Cell, planes_of
from kinema.worlds.physics.lattice import Lattice, rotation
from kinema.worlds.physics.mjcf import CONTACT_FREQUENCY_RADPS
from kinema.worlds.physics.parts import Parts, times
from kinema.worlds.scene import Body, Scene, Vec3, Weld

if TYPE_CHECKING:  # MuJoCo is heavy, and simulate imports this module
    import mujoco

    from kinema.worlds.physics.simulate import Motion

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
GAP = 0.004  # share by which a piece is smaller than its cell
MARGIN = 1.45  # by which a body is stronger than what it is said to survive needs
SLIGHT_MPS = 0.4  # slower touches strain nothing
SETTLE_S = 0.1  # between looks for pieces that have come to rest
REST_MPS, REST_RADPS = 0.05, 0.5
WAKE_M = 0.4  # from where a body touches resting pieces
_FIXED_KG = 1e9  # inertia that nothing moves
_PARKED_M = 1e4  # height at which a broken whole is out of the way

__all__ = ["GAP", "Fracture", "Hit", "pieces_of", "planes_of", "visible_with_pieces", "with_strength"]


@dataclass(frozen=True)
class Hit:
    """A body strikes the whole, in the axes of the whole."""

    point_m: Vec3
    direction: Vec3  # of the force, a unit vector
    mass_kg: float  # of the striker
    speed_mps: float


def pieces_of(
    whole: Body, index: int, cells: Sequence[Cell], flaws: Sequence[float], mounts: Sequence[Vec3] = ()
) -> tuple[list[Body], list[Weld]]:
    """The pieces of a body, in place, and welds of about 1 Pa between them.

    Args:
        whole: the body to be cut, in its pose.
        index: its index in the scene.
        cells: which fill it, in its axes.
        flaws: of every cell, a factor on the strength of its welds.
        mounts: outward normals, in the axes of the whole, of the sides that are fixed to the ground.
    """
    turn_33 = rotation(np.array(whole.orientation))
    volume_m3 = sum(cell.volume_m3 for cell in cells)
    pieces, welds = [], []
    for number, cell in enumerate(cells):
        corners_C3 = (1 - GAP) * (cell.corners_C3 - cell.center_3)
        mass_kg = whole.info.mass_kg * cell.volume_m3 / volume_m3
        half = _vector(np.abs(corners_C3).max(axis=0))
        info = BodyInfo("shard", whole.info.color, whole.info.material, "small", half, mass_kg, part_of=index)
        place = _vector(np.array(whole.position_m) + turn_33 @ cell.center_3)
        corners = tuple(_vector(corner_3) for corner_3 in corners_C3)
        core_m = (1 - GAP) * min(float(face.normal_3 @ (face.corners_C3[0] - cell.center_3)) for face in cell.faces)
        pieces.append(Body(info, place, whole.orientation, vertices_m=corners, core_m=core_m))
        for face in cell.faces:
            held = face.neighbour < 0 and any(face.normal_3 @ np.array(mount) > 0.99 for mount in mounts)
            if held or face.neighbour > number:
                strength_n = face.area_m2 * (flaws[number] if held else min(flaws[number], flaws[face.neighbour]))
                face_corners = tuple(_vector(corner_3) for corner_3 in face.corners_C3)
                welds.append(Weld(number, face.neighbour, strength_n, face_corners))
    return pieces, welds


def with_strength(
    whole: Body, pieces: Sequence[Body], welds: Sequence[Weld], survives: Hit, breaks: Hit
) -> tuple[Weld, ...]:
    """The welds at such a strength that they survive one hit by a margin and not another, harder one.

    Glass has no strength of its own: flaws of its surface decide, over more than a factor of ten. So a scene may say
    what its body survives; the harder hit then breaks the same body.
    """
    lattice = Lattice(whole, pieces, welds)
    softer, harder = (
        float(lattice.strain(_load(lattice, whole.info.mass_kg, hit)).max()) for hit in (survives, breaks)
    )
    strength_pa = MARGIN * softer
    assert harder > strength_pa, "a hit that must break the body has to be clearly harder than one that must not"
    return tuple(replace(weld, strength_n=weld.strength_n * strength_pa) for weld in welds)


def visible_with_pieces(scene: Scene, visible_TB: Array) -> Array:
    """Adds the visible shares of the pieces to that of their whole."""
    if scene.broken is None:
        return visible_TB
    visible_TB = visible_TB.copy()
    visible_TB[:, scene.broken.whole] += visible_TB[:, list(scene.broken.pieces)].sum(axis=1)
    return visible_TB


class Fracture:
    """Breaks ``scene.broken`` (see the module; an ``Effect`` of ``simulate``). All bodies of the scene move freely."""

    def __init__(self, scene: Scene) -> None:
        assert scene.broken is not None and not any(body.rod for body in scene.bodies)
        self._whole, self._piece_N = scene.broken.whole, np.array(scene.broken.pieces)
        pieces = [scene.bodies[index] for index in scene.broken.pieces]
        self._lattice = Lattice(scene.bodies[self._whole], pieces, scene.broken.welds)
        self._mounted = bool(self._lattice.mounted_N.any())
        self._mass_B = np.array([body.info.mass_kg for body in scene.bodies])
        self._shown: list[bool] = []
        self._broke_s = np.inf
        self._hitter = -1
        self._velocity_B6: Array | None = None
        self._parts: Parts | None = None
        self._touching: set[int] = set()
        self._resting_N = np.zeros(len(pieces), dtype=np.bool_)
        self._slow_N = np.zeros(len(pieces), dtype=np.bool_)
        self._look_s = np.inf

    def before_step(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Looks at the touches of the last step, breaks what they break and holds together what still is."""
        if self._velocity_B6 is None:
            self._begin(model)
        else:
            self._strike(model, data)
        if data.time > self._look_s:
            self._settle(model, data)
        if self._parts is not None:
            self._parts.move_as_one(data.qpos.reshape(-1, 7), data.qvel.reshape(-1, 6))
        self._velocity_B6 = data.qvel.reshape(-1, 6).copy()

    def at_frame(self, frame: int, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Remembers whether the whole is broken by now."""
        self._shown.append(np.isfinite(self._broke_s))

    def finish(self, motion: Motion) -> Motion:
        """Puts bodies that are not shown where they belong and adds the event."""
        position_TB3, orientation_TB4 = motion.position_TB3.copy(), motion.orientation_TB4.copy()
        velocity_TB3, spin_TB3, shown_TB = (
            motion.velocity_TB3.copy(),
            motion.angular_velocity_TB3.copy(),
            motion.shown_TB.copy(),
        )
        piece_N, whole, broken_T = self._piece_N, self._whole, np.array(self._shown)
        shown_TB[:, whole], shown_TB[:, piece_N] = ~broken_T, broken_T[:, None]
        for frame in range(len(broken_T)):
            if not broken_T[frame]:
                turn_33 = rotation(orientation_TB4[frame, whole])
                arm_N3 = self._lattice.center_N3 @ turn_33.T
                position_TB3[frame, piece_N] = position_TB3[frame, whole] + arm_N3
                orientation_TB4[frame, piece_N] = orientation_TB4[frame, whole]
                velocity_TB3[frame, piece_N] = velocity_TB3[frame, whole] + np.cross(spin_TB3[frame, whole], arm_N3)
                spin_TB3[frame, piece_N] = spin_TB3[frame, whole]
            else:
                share_N = self._lattice.mass_N / self._lattice.mass_N.sum()
                position_TB3[frame, whole] = share_N @ position_TB3[frame, piece_N]
                velocity_TB3[frame, whole] = share_N @ velocity_TB3[frame, piece_N]
                orientation_TB4[frame, whole] = self._turned_as
                spin_TB3[frame, whole] = 0.0
        events = motion.events
        if np.isfinite(self._broke_s):
            loose = self._count_loose()
            events = (*events, Event(self._broke_s, "shatters", (whole, self._hitter), float(loose)))
        return replace(
            motion,
            position_TB3=position_TB3,
            orientation_TB4=orientation_TB4,
            velocity_TB3=velocity_TB3,
            angular_velocity_TB3=spin_TB3,
            shown_TB=shown_TB,
            events=events,
        )

    def _begin(self, model: mujoco.MjModel) -> None:
        """Learns what belongs to what; pieces wait, held still and touched by nothing."""
        names = [model.geom(geom).name for geom in range(model.ngeom)]
        self._body_of_geom = np.array([int(name[4:]) if name.startswith("body") else -1 for name in names])
        self._is_side = np.array([name.startswith("side") for name in names])  # the invisible walls are soft
        self._piece_of_body = np.full(len(self._mass_B) + 1, -1)  # the last for −1, the scenery
        self._piece_of_body[self._piece_N] = np.arange(len(self._piece_N))
        self._geom_N2 = np.array(
            [[names.index(f"{part}{body}") for part in ("body", "core")] for body in self._piece_N]
        )
        self._own = model.dof_M0.copy(), model.body_invweight0.copy()
        self._fix(model, self._piece_N, True)
        model.geom_contype[:] = 0
        if self._mounted:
            self._fix(model, np.array([self._whole]), True)
        turn_N33 = rotation(model.body_iquat[1 + self._piece_N])
        self._inertia_N33 = turn_N33 * model.body_inertia[1 + self._piece_N][:, None] @ turn_N33.transpose(0, 2, 1)

    def _fix(self, model: mujoco.MjModel, body_N: Ints, fixed: bool) -> None:
        """Gives bodies an inertia that nothing moves, or their own again."""
        dof_N6 = 6 * body_N[:, None] + np.arange(6)
        model.dof_armature[dof_N6] = _FIXED_KG if fixed else 0.0
        model.dof_M0[dof_N6] = self._own[0][dof_N6] + model.dof_armature[dof_N6]
        model.body_invweight0[1 + body_N] = 0.0 if fixed else self._own[1][1 + body_N]

    def _strike(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Puts the hits of the last step on the lattice, and lets go what they break off."""
        broken = np.isfinite(self._broke_s)
        body_K2 = self._body_of_geom[data.contact.geom]
        if self._resting_N.any():
            self._wake(model, data, body_K2)
        piece_K2 = self._piece_of_body[body_K2]
        struck_K2 = (piece_K2 >= 0) & self._bonded_N[piece_K2] if broken else body_K2 == self._whole
        struck_K2 &= ~self._is_side[data.contact.geom].any(axis=1, keepdims=True)
        pairs = (body_K2.min(axis=1) + len(self._mass_B) * body_K2.max(axis=1)).tolist()
        new_K = np.array([pair not in self._touching for pair in pairs], dtype=np.bool_)
        self._touching = set(pairs)
        struck_K = np.flatnonzero(struck_K2.any(axis=1) & new_K)  # a touch is hardest when it begins
        if not len(struck_K):
            return
        end_K = struck_K2[struck_K].argmax(axis=1)
        mine_K, other_K = body_K2[struck_K, end_K], body_K2[struck_K, 1 - end_K]
        point_K3 = data.contact.pos[struck_K]
        inwards_K3 = data.contact.frame[struck_K, :3] * np.where(end_K, 1, -1)[:, None]  # normals go from end 0 to 1
        speed_K3 = self._velocity_at(data, other_K, point_K3) - self._velocity_at(data, mine_K, point_K3)
        closing_K = np.einsum("ki,ki->k", speed_K3, inwards_K3)
        load_N6 = np.zeros((len(self._piece_N), 6))
        hardest_n, hitter = 0.0, -1
        for hit in np.flatnonzero(closing_K > SLIGHT_MPS):
            mine, other = int(mine_K[hit]), int(other_K[hit])
            turn_33 = data.xmat[1 + mine].reshape(3, 3)
            arm_3, piece = (point_K3[hit] - data.xpos[1 + mine]) @ turn_33, int(self._piece_of_body[mine])
            if piece < 0:
                piece = _nearest(self._lattice, arm_3)
                arm_3 = arm_3 - self._lattice.center_N3[piece]
            points = int(((mine_K == mine) & (other_K == other)).sum())  # of one blow share its force
            force_n = (
                _peak_n(self._part_kg(piece), self._mass_B[other] if other >= 0 else np.inf, closing_K[hit]) / points
            )
            force_3 = force_n * inwards_K3[hit] @ turn_33
            load_N6[piece] += np.concatenate([force_3, np.cross(arm_3, force_3)])
            if force_n > hardest_n:
                hardest_n, hitter = force_n, other
        if hardest_n == 0.0 or not self._lattice.crack(load_N6):
            return
        if not broken:
            in_one_N = self._lattice.mounted_N if self._mounted else self._lattice.label_N == 0
            if in_one_N.all():
                return  # cracked, but nothing has come off
            self._swap(model, data)
            self._hitter = hitter
        self._let_go(model)

    def _part_kg(self, piece: int) -> float:
        """Mass of the part that a piece belongs to; what holds to the ground cannot be moved."""
        lattice = self._lattice
        if lattice.mounted_N[piece]:
            return np.inf
        return float(lattice.mass_N[lattice.label_N == lattice.label_N[piece]].sum())

    def _velocity_at(self, data: mujoco.MjData, body_K: Ints, point_K3: Array) -> Array:
        """Of points of bodies in world axes, before the last step; the scenery stands still."""
        assert self._velocity_B6 is not None
        spin_K3 = times(data.xmat[1 + body_K].reshape(-1, 3, 3), self._velocity_B6[body_K, 3:])
        velocity_K3 = self._velocity_B6[body_K, :3] + np.cross(spin_K3, point_K3 - data.xpos[1 + body_K])
        return np.where(body_K[:, None] >= 0, velocity_K3, 0.0)

    def _swap(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """The pieces take the place and the motion of the whole, which goes out of the way."""
        pose_B7, velocity_B6 = data.qpos.reshape(-1, 7), data.qvel.reshape(-1, 6)
        turn_33, spin_3 = rotation(pose_B7[self._whole, 3:]), velocity_B6[self._whole, 3:].copy()
        self._turned_as = pose_B7[self._whole, 3:].copy()
        center_N3 = self._lattice.center_N3
        pose_B7[self._piece_N, :3] = pose_B7[self._whole, :3] + center_N3 @ turn_33.T
        pose_B7[self._piece_N, 3:] = self._turned_as
        velocity_B6[self._piece_N, :3] = velocity_B6[self._whole, :3] + np.cross(spin_3, center_N3) @ turn_33.T
        velocity_B6[self._piece_N, 3:] = spin_3
        pose_B7[self._whole, 2], velocity_B6[self._whole] = _PARKED_M, 0.0
        self._fix(model, np.array([self._whole]), True)
        self._broke_s = self._look_s = float(data.time)

    def _let_go(self, model: mujoco.MjModel) -> None:
        """Frees the pieces that have lost the ground, and finds the parts that move as one."""
        label_N, mounted_N = self._lattice.label_N, self._lattice.mounted_N
        self._several_N = np.bincount(label_N, minlength=len(label_N))[label_N] > 1
        self._bonded_N = mounted_N | self._several_N
        self._rest(model, np.zeros_like(mounted_N))

    def _rest(self, model: mujoco.MjModel, resting_N: NDArray[np.bool_]) -> None:
        """Says which loose pieces lie still; they touch nothing but bodies and moving cores, which saves time."""
        self._resting_N = resting_N
        still_N = resting_N | self._lattice.mounted_N
        self._fix(model, self._piece_N[still_N], True)
        self._fix(model, self._piece_N[~still_N], False)
        model.geom_contype[self._geom_N2] = np.where(resting_N[:, None], (4, 0), (1, 2))
        moves_N = self._several_N & ~still_N
        self._parts = Parts(self._lattice, moves_N, self._inertia_N33, self._piece_N) if moves_N.any() else None

    def _settle(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Lets parts lie that have been slow twice in a row."""
        self._look_s += SETTLE_S
        velocity_N6 = data.qvel.reshape(-1, 6)[self._piece_N]
        slow_N = (np.abs(velocity_N6[:, :3]).max(axis=1) < REST_MPS) & (
            np.abs(velocity_N6[:, 3:]).max(axis=1) < REST_RADPS
        )
        label_N = self._lattice.label_N
        all_slow_N = np.ones(len(slow_N), dtype=np.bool_)
        np.logical_and.at(all_slow_N, label_N, slow_N)
        slow_N = all_slow_N[label_N] & ~self._lattice.mounted_N
        resting_N = self._resting_N | (slow_N & self._slow_N)
        self._slow_N = slow_N
        if (resting_N != self._resting_N).any():
            data.qvel.reshape(-1, 6)[self._piece_N[resting_N]] = 0.0
            self._rest(model, resting_N)

    def _wake(self, model: mujoco.MjModel, data: mujoco.MjData, body_K2: Ints) -> None:
        """Lets what lies near a body that moves against a resting piece move again."""
        assert self._velocity_B6 is not None
        piece_K2 = self._piece_of_body[body_K2]
        touched_K2 = (piece_K2 >= 0) & self._resting_N[piece_K2]
        speed_K2 = np.abs(self._velocity_B6[body_K2]).max(axis=2)
        woken_K = touched_K2.any(axis=1) & (np.where(touched_K2, 0.0, speed_K2).max(axis=1) > SLIGHT_MPS / 2)
        if woken_K.any():
            from_N = data.xpos[1 + self._piece_N]
            near_NK = np.linalg.norm(from_N[:, None] - data.contact.pos[woken_K], axis=2) < WAKE_M
            awake = np.unique(self._lattice.label_N[near_NK.any(axis=1)])
            self._slow_N &= False
            self._rest(model, self._resting_N & ~np.isin(self._lattice.label_N, awake))

    def _count_loose(self) -> int:
        """Pieces that have come off: off the ground, or off the largest part of a body that was free."""
        lattice = self._lattice
        if self._mounted:
            return int((~lattice.mounted_N).sum())
        return len(lattice.label_N) - int(np.bincount(lattice.label_N).max())


def _load(lattice: Lattice, mass_kg: float, hit: Hit) -> Array:
    """``load_N6`` of a hit on the unbroken whole."""
    load_N6 = np.zeros((len(lattice.mass_N), 6))
    piece = _nearest(lattice, np.array(hit.point_m))
    held_kg = np.inf if lattice.mounted_N.any() else mass_kg
    force_3 = np.array(hit.direction) * _peak_n(held_kg, hit.mass_kg, hit.speed_mps)
    arm_3 = np.array(hit.point_m) - lattice.center_N3[piece]
    load_N6[piece] = np.concatenate([force_3, np.cross(arm_3, force_3)])
    return load_N6


def _nearest(lattice: Lattice, point_3: Array) -> int:
    return int(np.linalg.norm(lattice.center_N3 - point_3, axis=1).argmin())


def _peak_n(mass_kg: float, other_kg: float, closing_mps: float) -> float:
    """Peak force of a contact spring between two masses, undamped."""
    return closing_mps * CONTACT_FREQUENCY_RADPS / (1 / mass_kg + 1 / other_kg)


def _vector(values_3: Array) -> Vec3:
    x, y, z = values_3.tolist()
    return (x, y, z)
