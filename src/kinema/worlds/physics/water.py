"""Bodies in water: buoyancy, drag and added mass act on them, and they act on the waves.

A body is some hundred points that share its volume. A point below the surface is lifted by its share of ρgV and
dragged back, at its place, so torque comes for free: tilted bodies right themselves. The body feels the waves as a
tangent plane above the middle of its wet part; what it displaces and the drag on it drive them (``waves.exchange``).
The water that a body must take along (half of what it displaces, as for a ball) is added to its inertia; when a body
plunges in, it shares its momentum with that water.

Legend: T frames, B bodies, P points of a body, M, N modes, X, Y grid points of the surface.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import mujoco
import numpy as np
from numpy.typing import NDArray

from kinema.data import BodyInfo, Event, WaterState
from kinema.worlds.physics.releases import Releases
from kinema.worlds.physics.waves import DENSITY, GRAVITY_MPS2, Floats, Surface, Turn, basin, exchange, serial, turn
from kinema.worlds.scene import Scene

if TYPE_CHECKING:
    from kinema.worlds.physics.simulate import Motion

GRID = (64, 48)  # points of the surface along x and y
STEPS_PER_EXCHANGE = 5  # the waves move on every fifth step of the bodies: 10 ms
ADDED_MASS = 0.5  # of the displaced water, as for a ball in open water (Lamb, art. 92)
DRAG = 0.6  # coefficient of the quadratic drag
FRICTION_PER_S = 1.5  # linear drag per mass of displaced water
SPLASH_AFTER_S = 0.12  # out of the water for this long, a body splashes when it enters again
WET = 0.01  # share of the volume from which a body is in the water
BOTTOM_M = 0.03  # closer to the floor is on the bottom
AFLOAT_MPS = 0.4  # slower than this for good, a body has found its level
AFLOAT_S = 0.3
ABOVE_M = 0.2  # bodies further above the water do not feel the waves

# What bodies and waves tell each other, one row a body: the tangent plane (its height above the level of rest and its
# slopes at the middle of the wet part), the water's rise in m/s; the wet part's middle and volume, the body's lowest
# point, the downward impulse on the water since the last exchange.
PLANE, SLOPE, RISE, MIDDLE, VOLUME, LOWEST, IMPULSE = 0, 1, 3, 4, 7, 8, 9
COLUMNS = 10


def points_in(info: BodyInfo) -> tuple[Floats, Floats, Floats]:
    """Points that stand for a body's volume.

    Boxes are cut into equal cells; round bodies into eight slices with sixteen points each, spread by the golden angle.

    Returns:
        ``point_P3`` in the body's axes (m), ``volume_P`` (m³), and the half extents of a point's cell (m).
    """
    half_x, half_y, half_z = info.half_size_m
    if info.shape in ("cube", "slab"):
        counts = (5, 4, 5)
        axes = [
            half * (2 * (np.arange(count) + 0.5) / count - 1)
            for half, count in zip(info.half_size_m, counts, strict=True)
        ]
        point_P3 = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        volume_P = np.full(len(point_P3), 8 * half_x * half_y * half_z / len(point_P3))
        return point_P3, volume_P, np.array(info.half_size_m) / counts
    slices, spread = 8, 16
    fine_S20 = half_z * (2 * (np.arange(slices * 20).reshape(slices, 20) + 0.5) / (slices * 20) - 1)
    square_S20 = _radius(info, fine_S20) ** 2
    square_S = square_S20.mean(axis=1)
    height_S = (square_S20 * fine_S20).mean(axis=1) / square_S  # the middle of each slice's mass
    index = np.arange(slices * spread)
    radius_P = np.sqrt(square_S.repeat(spread) * (index % spread + 0.5) / spread)
    angle_P = index * math.pi * (3 - math.sqrt(5))
    point_P3 = np.stack([radius_P * np.cos(angle_P), radius_P * np.sin(angle_P), height_S.repeat(spread)], axis=1)
    volume_P = (math.pi * square_S * 2 * half_z / slices).repeat(spread) / spread
    return point_P3, volume_P, np.array([half_x / 5, half_x / 5, half_z / slices])


def _radius(info: BodyInfo, z: Floats) -> Floats:
    """Radius of a round body at each height."""
    radius, _, half = info.half_size_m
    if info.shape == "cone":
        return radius * (1 - z / half) / 2
    straight = {"sphere": 0.0, "capsule": half - radius, "cylinder": half}[info.shape]
    beyond = np.maximum(np.abs(z) - straight, 0.0)
    return np.sqrt(np.maximum(radius**2 - beyond**2, 0.0))


class WaterEffect:
    """The water of a scene.

    Args:
        scene: with ``water``; its bodies are free.
        releases: takes drops away that have fallen into the water.
    """

    def __init__(self, scene: Scene, releases: Releases) -> None:
        assert scene.water is not None
        self._water, self._bodies, self._releases = scene.water, scene.bodies, releases
        (x0, x1), (y0, y1), level = self._water.x_m, self._water.y_m, self._water.level_m
        self.surface = Surface(basin(x1 - x0, y1 - y0, level, gravity_mps2=GRAVITY_MPS2 * self._water.waves_g))
        self._size_3, self._corner_2 = np.array([x1 - x0, y1 - y0, level]), np.array([x0, y0])
        sampled = [points_in(body.info) for body in scene.bodies]
        self._first_B = np.cumsum([0, *(len(points) for points, _, _ in sampled)])
        self._points_P3 = np.concatenate([points for points, _, _ in sampled] or [np.zeros((0, 3))])
        self._volume_P = np.concatenate([volumes for _, volumes, _ in sampled] or [np.zeros(0)])
        self._cell_B3 = np.array([cell for _, _, cell in sampled]).reshape(-1, 3)
        self._volume_B = np.array([volumes.sum() for _, volumes, _ in sampled])
        self._radius_B = np.cbrt(3 / (4 * math.pi) * self._volume_B)  # of a ball of the same volume
        self._mass_B = np.array([body.info.mass_kg for body in scene.bodies])
        self._share_BMN = np.zeros((len(scene.bodies), *self.surface.height_MN.shape))
        self._near_BK = np.zeros((len(scene.bodies), COLUMNS))
        self._dry_since_s: list[float | None] = [-math.inf] * len(scene.bodies)  # None while in the water
        self._speed_mps = [0.0] * len(scene.bodies)  # when it was last out of the water
        self._turns: dict[int, Turn] = {}
        self._steps = 0  # since the last exchange
        self._time_T: list[float] = []
        self._height_T: list[NDArray[np.float32]] = []
        self._near_T: list[Floats] = []
        self._splashes: list[Event] = []

    def before_step(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        if self._steps == STEPS_PER_EXCHANGE:
            self._exchange(model, data)
        self._steps += 1
        self._act(model, data)

    def at_frame(self, frame: int, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        if frame == 0:
            self._act(model, data)
            self._near_BK[:, IMPULSE] = 0.0
            for body, volume in enumerate(self._near_BK[:, VOLUME]):
                if volume > WET * self._volume_B[body]:  # what begins in the water does not splash
                    self._dry_since_s[body] = None
            self._exchange(model, data)
            self.surface.height_MN[:] = 0.0  # the level of rest counts what lies in the water already
        self._exchange(model, data)
        self._time_T.append(float(data.time))
        self._height_T.append((self._water.level_m + self.surface.on_grid(*GRID)).astype(np.float32))
        self._near_T.append(self._near_BK.copy())

    def finish(self, motion: Motion) -> Motion:
        """Adds the surface, splashes, and which bodies found their level or reached the bottom."""
        state = WaterState(self._water.x_m, self._water.y_m, self._water.level_m, np.stack(self._height_T))
        fates = [event for body in range(len(self._bodies)) for event in self._fates(body, motion)]
        return replace(motion, water=state, events=(*motion.events, *self._splashes, *fates))

    def _act(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        _act(
            *(data.qpos, data.qvel, data.qfrc_applied, model.dof_armature, model.dof_M0),
            *(self._points_P3, self._volume_P, self._first_B, self._cell_B3, self._volume_B, self._mass_B),
            *(self._near_BK, self._water.level_m, model.opt.timestep),
        )

    def _exchange(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """The waves run on to the present moment; then bodies and waves act on each other."""
        if self._steps not in self._turns:
            self._turns[self._steps] = turn(self.surface.basin, self._steps * model.opt.timestep)
        self.surface.advance(self._turns[self._steps])
        self._steps = 0
        for body, near_K in enumerate(self._near_BK):
            if near_K[LOWEST] > self._water.level_m + ABOVE_M and not self._share_BMN[body, 0, 0]:
                near_K[PLANE:MIDDLE] = 0.0  # far above the water
                continue
            velocity_3 = data.qvel[6 * body : 6 * body + 3]
            self._watch(body, float(data.time), float(np.linalg.norm(velocity_3)))
            if self._bodies[body].info.material == "water" and near_K[VOLUME] > 0:
                self._swallow(body, data, velocity_3)
                continue
            depth_m = max(self._water.level_m - near_K[MIDDLE + 2], self._radius_B[body])
            near_K[PLANE:MIDDLE] = self._trade(
                self._share_BMN[body], near_K[MIDDLE : MIDDLE + 2], depth_m, near_K[VOLUME], near_K[IMPULSE]
            )
            near_K[IMPULSE] = 0.0

    def _trade(
        self, share_MN: Floats, place_2: Floats, depth_m: float, volume: float, impulse: float
    ) -> tuple[float, float, float, float]:
        x, y = place_2 - self._corner_2
        height_m = max(self._water.level_m - depth_m, 0.0)
        state = (self.surface.height_MN, self.surface.rate_MN, share_MN)
        impulse /= self._water.waves_g  # a rate is η' / ω, and ω² goes with gravity
        return exchange(*state, self.surface.basin.modes_3MN, self._size_3, x, y, height_m, volume, impulse)

    def _swallow(self, body: int, data: mujoco.MjData, velocity_3: Floats) -> None:
        """A drop becomes part of the water: its volume and its momentum stay there, the drop is gone."""
        place_3 = data.qpos[7 * body : 7 * body + 3]
        impulse = -self._mass_B[body] * velocity_3[2]
        nothing_MN = np.zeros_like(self._share_BMN[body])
        self._trade(nothing_MN, place_3[:2], self._radius_B[body], self._volume_B[body], impulse)
        self._releases.take_away(body, data)
        self._near_BK[body] = 0.0
        self._near_BK[body, LOWEST] = math.inf
        self._dry_since_s[body] = -math.inf

    def _watch(self, body: int, time_s: float, speed_mps: float) -> None:
        """Notices splashes."""
        wet = self._near_BK[body, VOLUME] > WET * self._volume_B[body]
        since_s = self._dry_since_s[body]
        if since_s is None and not wet:
            self._dry_since_s[body] = time_s
        elif since_s is not None and wet:
            self._dry_since_s[body] = None
            if time_s - since_s > SPLASH_AFTER_S:
                self._splashes.append(Event(time_s, "splash", (body,), self._speed_mps[body]))
        if not wet:
            self._speed_mps[body] = speed_mps

    def _fates(self, body: int, motion: Motion) -> list[Event]:
        """After each splash a body that is heavier than water reaches the bottom, a lighter one finds its level."""
        if self._bodies[body].info.material == "water":
            return []
        time_T = np.array(self._time_T)
        share_T = np.array([near_BK[body, VOLUME] for near_BK in self._near_T]) / self._volume_B[body]
        lowest_T = np.array([near_BK[body, LOWEST] for near_BK in self._near_T])
        slow_T = np.linalg.norm(motion.velocity_TB3[:, body], axis=-1) < AFLOAT_MPS
        heavy = self._mass_B[body] > DENSITY * self._volume_B[body]
        starts_s = [0.0, *(event.time_s for event in self._splashes if event.bodies == (body,))]
        fates = []
        for start_s, end_s in zip(starts_s, [*starts_s[1:], math.inf], strict=True):
            frames = np.flatnonzero((time_T >= start_s) & (time_T < end_s) & (share_T > WET))
            if heavy:
                there = frames[(lowest_T[frames] < BOTTOM_M) & (share_T[frames] > 1 - WET)]
                fates += [Event(float(time_T[frame]), "sinks", (body,)) for frame in there[:1] if start_s or frame]
            elif len(frames):
                restless = frames[~slow_T[frames]]
                first = int(restless[-1]) + 1 if len(restless) else int(frames[0])
                if (start_s or first) and time_T[frames[-1]] - time_T[min(first, len(time_T) - 1)] > AFLOAT_S:
                    fates.append(Event(float(time_T[first]), "floats", (body,)))
        return fates


@serial
def _act(
    qpos: Floats,
    qvel: Floats,
    force: Floats,
    armature: Floats,
    inertia: Floats,
    point_P3: Floats,
    volume_P: Floats,
    first_B: NDArray[np.int64],
    cell_B3: Floats,
    volume_B: Floats,
    mass_B: Floats,
    near_BK: Floats,
    level: float,
    step_s: float,
) -> None:
    """Forces of the water on all bodies for one step, in MuJoCo's coordinates of free joints; see the module's top."""
    for b in range(len(mass_B)):
        place, speed, near = qpos[7 * b :], qvel[6 * b :], near_BK[b]
        w, i, j, k = place[3], place[4], place[5], place[6]
        r00, r01, r02 = 1 - 2 * (j * j + k * k), 2 * (i * j - w * k), 2 * (i * k + w * j)
        r10, r11, r12 = 2 * (i * j + w * k), 1 - 2 * (i * i + k * k), 2 * (j * k - w * i)
        r20, r21, r22 = 2 * (i * k - w * j), 2 * (j * k + w * i), 1 - 2 * (i * i + j * j)
        # free joints spin in the body's own axes
        wx = r00 * speed[3] + r01 * speed[4] + r02 * speed[5]
        wy = r10 * speed[3] + r11 * speed[4] + r12 * speed[5]
        wz = r20 * speed[3] + r21 * speed[4] + r22 * speed[5]
        half = abs(r20) * cell_B3[b, 0] + abs(r21) * cell_B3[b, 1] + abs(r22) * cell_B3[b, 2]  # a cell's half height
        radius = (volume_B[b] * 3 / (4 * math.pi)) ** (1 / 3)
        quadratic = DENSITY * DRAG * 0.375 / radius  # ½ρ·C·πr² over the volume 4/3πr³
        plane, middle_x, middle_y = level + near[PLANE], near[MIDDLE], near[MIDDLE + 1]
        if near[VOLUME] == 0.0:
            middle_x, middle_y = place[0], place[1]
        fx, fy, fz, tx, ty, tz, pull = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        wet, sum_x, sum_y, sum_z, lowest = 0.0, 0.0, 0.0, 0.0, 1e9
        for p in range(first_B[b], first_B[b + 1]):
            px, py, pz = point_P3[p, 0], point_P3[p, 1], point_P3[p, 2]
            ax, ay, az = (
                r00 * px + r01 * py + r02 * pz,
                r10 * px + r11 * py + r12 * pz,
                r20 * px + r21 * py + r22 * pz,
            )
            x, y, z = place[0] + ax, place[1] + ay, place[2] + az
            lowest = min(lowest, z - half)
            surface = plane + near[SLOPE] * (x - middle_x) + near[SLOPE + 1] * (y - middle_y)
            volume = volume_P[p] * min(max((surface - z) / (2 * half) + 0.5, 0.0), 1.0)
            if volume == 0.0:
                continue
            ux, uy = speed[0] + wy * az - wz * ay, speed[1] + wz * ax - wx * az
            uz = speed[2] + wx * ay - wy * ax - near[RISE]
            drag = volume * (DENSITY * FRICTION_PER_S + quadratic * math.sqrt(ux * ux + uy * uy + uz * uz))
            lift = DENSITY * GRAVITY_MPS2 * volume - drag * uz
            fx, fy, fz, pull = fx - drag * ux, fy - drag * uy, fz + lift, pull - drag * uz
            tx, ty, tz = (
                tx + ay * lift + az * drag * uy,
                ty - az * drag * ux - ax * lift,
                tz - ax * drag * uy + ay * drag * ux,
            )
            wet, sum_x, sum_y, sum_z = wet + volume, sum_x + volume * x, sum_y + volume * y, sum_z + volume * z
        force[6 * b], force[6 * b + 1], force[6 * b + 2] = fx, fy, fz
        force[6 * b + 3] = r00 * tx + r10 * ty + r20 * tz
        force[6 * b + 4] = r01 * tx + r11 * ty + r21 * tz
        force[6 * b + 5] = r02 * tx + r12 * ty + r22 * tz
        added = ADDED_MASS * DENSITY * wet
        if added > armature[6 * b]:
            share = (mass_B[b] + armature[6 * b]) / (mass_B[b] + added)
            speed[0], speed[1], speed[2] = speed[0] * share, speed[1] * share, speed[2] * share
        for axis in range(6 * b, 6 * b + 3):
            armature[axis], inertia[axis] = added, mass_B[b] + added  # MuJoCo reads the one or the other
        near[VOLUME], near[LOWEST] = wet, lowest
        near[IMPULSE] += pull * step_s
        near[MIDDLE], near[MIDDLE + 1], near[MIDDLE + 2] = place[0], place[1], lowest
        if wet > 0.0:
            near[MIDDLE], near[MIDDLE + 1], near[MIDDLE + 2] = sum_x / wet, sum_y / wet, sum_z / wet
