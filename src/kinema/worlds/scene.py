"""A scene before anything moves: bodies, scenery, light and camera, and the draws that families share.

Metres, seconds, kilograms. x points right, y away from the viewer, z up; the floor is z = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kinema.data import BodyInfo, CameraInfo
from kinema.worlds import palette
from kinema.worlds.physics.voxels import Game

Vec3 = tuple[float, float, float]
Quat = tuple[float, float, float, float]  # (w, x, y, z)

UPRIGHT: Quat = (1.0, 0.0, 0.0, 0.0)
HALF_WIDTH_M = 1.78  # invisible walls stand here on both sides, so that nothing leaves the view
HALF_DEPTH_M = 1.5


@dataclass(frozen=True)
class Rod:
    """A massless stiff rod from a body to a point about which it swings, around ``axis``."""

    anchor_m: Vec3
    axis: Vec3 = (0.0, 1.0, 0.0)
    damping: float = 0.0  # N·m·s/rad


@dataclass(frozen=True)
class Body:
    """Something that moves: what it is, and its pose and velocity at time zero."""

    info: BodyInfo
    position_m: Vec3
    orientation: Quat = UPRIGHT
    velocity_mps: Vec3 = (0.0, 0.0, 0.0)
    spin_radps: Vec3 = (0.0, 0.0, 0.0)
    rod: Rod | None = None
    vertices_m: tuple[Vec3, ...] = ()  # of a shard (or of what stands for a cylinder), in its axes
    core_m: float = 0.0  # radius of a ball about a shard's centre that lies inside it
    index: float = 0.0  # refractive index of what is in a glass body; 0 for what the material says
    released_s: tuple[float, ...] = ()  # moments at which it is let go from here, and does not exist before; () for 0


@dataclass(frozen=True)
class Prop:
    """A box that never moves: a wall, a ramp, a mirror."""

    name: str
    color: str  # of palette.SCENERY
    half_size_m: Vec3
    position_m: Vec3
    orientation: Quat = UPRIGHT
    pattern: str = "plain"
    mirror: bool = False
    solid: bool = True  # whether bodies touch it
    restitution: float | None = None  # of a springy bumper; None for what the body's material says


@dataclass(frozen=True)
class Kick:
    """A body gets a new velocity at a moment: long scenes keep happening.

    With ``towards``, a point or the index of a body, velocity and spin are given for going to the right and turned
    about the vertical to go there instead; with ``flight_s`` the velocity is what carries the body there in that time.
    """

    time_s: float
    body: int
    velocity_mps: Vec3 = (0.0, 0.0, 0.0)
    spin_radps: Vec3 = (0.0, 0.0, 0.0)
    towards: Vec3 | int | None = None
    flight_s: float = 0.0


@dataclass(frozen=True)
class Weld:
    """Two pieces hold together until the force between them exceeds ``strength_n``.

    Pieces are numbered as in ``Broken.pieces``; −1 is the ground.
    """

    first: int
    second: int
    strength_n: float
    corners_m: tuple[Vec3, ...]  # of the face that they share, in order around it, in the axes of the whole


@dataclass(frozen=True)
class Broken:
    """A whole body and the pieces that take its place when the first weld breaks; all are indices of bodies."""

    whole: int
    pieces: tuple[int, ...]
    welds: tuple[Weld, ...]


@dataclass(frozen=True)
class Water:
    """A basin of water on the floor."""

    x_m: tuple[float, float]
    y_m: tuple[float, float]
    level_m: float
    tint: str  # of palette.WATER
    wall_color: str = "white"  # of palette.SCENERY, or glass
    waves_g: float = 1.0  # gravity that drives the waves, by the true one; bodies fall and are lifted by the true one


@dataclass(frozen=True)
class Paint:
    """A wet body leaves a stroke where it touches the floor."""

    body: int
    color: str
    width_m: float
    length_m: float  # after which it is dry


@dataclass(frozen=True)
class CameraMove:
    """How the camera moves: not at all, turning on the spot, or around its target; slowly to and fro in long clips."""

    kind: str = "fixed"  # fixed, pan, orbit
    rate_degps: float = 0.0  # on average; positive turns the view (pan) or carries the camera (orbit) to the right
    swing_deg: float | None = None  # how far it goes before it comes back; None for what keeps every scene in view


@dataclass(frozen=True)
class Scene:
    """Everything that a clip needs; ``facts`` are what the narrator may want to say beyond the bodies."""

    family: str
    bodies: tuple[Body, ...]
    floor: str
    sky: str
    sun_direction: Vec3
    camera: CameraInfo
    floor_pattern: str = "plain"
    floor_accent: str = "white"
    camera_move: CameraMove = CameraMove()
    floor_friction: float = 0.5
    body_restitution: float | None = None  # of bodies against bodies; None for what their materials say
    walled: bool = True  # whether the invisible walls stand
    props: tuple[Prop, ...] = ()
    kicks: tuple[Kick, ...] = ()
    broken: Broken | None = None
    water: Water | None = None
    paint: Paint | None = None
    game: Game | None = None  # of the blocks family: a voxel game instead of rigid bodies
    facts: dict[str, Any] = field(default_factory=dict)


class Draw:
    """Random choices of one clip, with the held-out combinations kept apart.

    Args:
        family: name of the family, which has its own held-out list.
        rng: the clip's random numbers.
        held_out: whether the first body must be a held-out combination; otherwise none is.
        duration_s: of the clip; long ones need more to happen.
    """

    def __init__(self, family: str, rng: np.random.Generator, held_out: bool, duration_s: float = 2.75) -> None:
        self.family, self.rng, self.duration_s = family, rng, duration_s
        self.held_out = self._held_out_first = held_out
        self._colors_left = list(palette.COLORS)

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def choice(self, options: tuple[str, ...] | list[str], weights: tuple[float, ...] | None = None) -> str:
        return str(options[int(self.rng.choice(len(options), p=weights))])

    def weighted(self, weights: dict[str, float]) -> str:
        """One of the keys, as often as its weight says."""
        total = sum(weights.values())
        return self.choice(list(weights), tuple(weight / total for weight in weights.values()))

    def sign(self) -> int:
        return 1 if self.rng.random() < 0.5 else -1

    def count(self, weights: tuple[float, ...] = (0.45, 0.4, 0.15)) -> int:
        """How many bodies: 1, 2, … with these probabilities."""
        return 1 + int(self.rng.choice(len(weights), p=weights))

    def info(
        self,
        sizes: tuple[str, ...] = ("small", "medium", "large"),
        shapes: tuple[str, ...] = palette.SHAPES,
        materials: tuple[str, ...] = tuple(palette.MATERIAL_WEIGHT),
    ) -> BodyInfo:
        """A body of a colour that the clip does not have yet."""
        held_out = palette.HELD_OUT[self.family]
        if self._held_out_first:
            self._held_out_first = False
            color, shape = held_out[int(self.rng.integers(len(held_out)))]
            assert shape in shapes, "held-out combinations must be ones that the family draws"
        else:
            while True:
                color = self.weighted({name: palette.COLOR_WEIGHT[name] for name in self._colors_left})
                shape = self.choice(shapes)
                if (color, shape) not in held_out:
                    break
        self._colors_left.remove(color)
        material = self.weighted({name: palette.MATERIAL_WEIGHT[name] for name in materials})
        return body_info(shape, color, material, self.choice(sizes), self.uniform(0.95, 1.05))

    def places(self, infos: list[BodyInfo], low: float, high: float) -> list[float]:
        """One x for each body in [low, high], at least a little apart, in random order of bodies."""
        widths = [2 * reach(info) for info in infos]
        slack = (high - low) - sum(widths)
        assert slack > 0, "the family asks for more bodies than fit side by side"
        cuts = np.sort(self.rng.uniform(0, slack, len(infos)))
        places = [0.0] * len(infos)
        used = 0.0
        for cut, index in zip(cuts, self.rng.permutation(len(infos)), strict=True):
            places[index] = low + float(cut) + used + widths[index] / 2
            used += widths[index]
        return places

    def encores(self, first_s: float, every_s: float) -> list[float]:
        """Moments, each with room before the next and before the end, at which a long clip lets things happen again."""
        count = math.floor((self.duration_s - 0.5 - first_s) / every_s)
        return [first_s + every_s * (index + self.uniform(0.0, 0.3)) for index in range(max(0, count))]

    def scene(self, bodies: list[Body], backdrop: float = 0.0, **kwargs: Any) -> Scene:
        """Adds floor, sky, sun and camera to the bodies; ``kwargs`` are fields of the scene that the family decides.

        Args:
            bodies: what moves.
            backdrop: how likely a wall stands behind everything, where it hides nothing.
            kwargs: fields of the scene.
        """
        sky = self.weighted(palette.SKY_WEIGHT)
        azimuth, elevation = self.uniform(-2.6, -0.55), self.uniform(*palette.SKIES[sky].sun_elevation_rad)
        sun = (
            math.cos(elevation) * math.cos(azimuth),
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
        )
        floor = self.weighted({"grey": 0.4, "white": 0.2, "dark": 0.2, "beige": 0.2})
        drawn: dict[str, Any] = {
            "floor": floor,
            "floor_pattern": self.weighted(palette.FLOOR_PATTERNS),
            "floor_accent": self.choice([name for name in palette.FLOORS if name != floor]),
            "sky": sky,
            "sun_direction": sun,
            "camera": CameraInfo((self.uniform(-0.6, 0.6), -8.2, self.uniform(1.5, 2.3)), (0.0, 0.0, 1.15), 25.0),
            "camera_move": self._camera_move(),
        }
        scene = Scene(family=self.family, bodies=tuple(bodies), **(drawn | kwargs))
        if scene.camera_move.kind != "orbit" and self.chance(backdrop):
            used = {prop.color for prop in scene.props}  # what stands in front must show
            color, pattern = (
                self.choice([c for c in palette.SCENERY if c not in used]),
                self.weighted(palette.WALL_PATTERNS),
            )
            wall = Prop("backdrop", color, (4.0, 0.05, 2.0), (0.0, HALF_DEPTH_M + 0.3, 2.0), pattern=pattern)
            scene = replace(scene, props=(*scene.props, wall))
        return scene

    def prop_color(self) -> str:
        return self.choice(tuple(palette.SCENERY))

    def _camera_move(self) -> CameraMove:
        kind = self.weighted({"fixed": 0.8, "pan": 0.1, "orbit": 0.1})
        rate = self.sign() * self.uniform(1.2, 2.5) if kind == "pan" else self.sign() * self.uniform(4.0, 9.0)
        return CameraMove(kind, 0.0 if kind == "fixed" else rate)


def body_info(shape: str, color: str, material: str, size: str, scale: float = 1.0) -> BodyInfo:
    """A body of a palette's size, times ``scale``, with the mass that its volume and material give it."""
    half = palette.SIZES[size] * scale
    extent, volume = {
        "sphere": ((half, half, half), 4 / 3 * math.pi * half**3),
        "cube": ((0.85 * half,) * 3, 8 * (0.85 * half) ** 3),
        "cylinder": ((0.78 * half, 0.78 * half, half), 2 * math.pi * 0.78**2 * half**3),
        "cone": ((0.9 * half, 0.9 * half, half), 2 / 3 * math.pi * 0.9**2 * half**3),
        "capsule": ((0.6 * half, 0.6 * half, 1.1 * half), math.pi * (0.6 * half) ** 2 * (1.0 + 0.8) * half),
        "slab": ((1.1 * half, 0.7 * half, 0.35 * half), 8 * 1.1 * 0.7 * 0.35 * half**3),
    }[shape]
    return BodyInfo(shape, color, material, size, extent, volume * palette.MATERIALS[material].density)


def reach(info: BodyInfo) -> float:
    """Half of the widest horizontal extent of an upright body or a lying capsule, whatever its yaw."""
    if info.shape in ("cube", "slab", "shard"):
        return math.hypot(info.half_size_m[0], info.half_size_m[1])
    return max(info.half_size_m) if info.shape == "capsule" else max(info.half_size_m[:2])


def resting(info: BodyInfo, turn_rad: float = 0.0) -> tuple[Quat, float]:
    """Orientation and height of a body that stays as it is put on the floor: capsules lie, all others stand.

    Args:
        info: the body.
        turn_rad: its turn about the vertical; without it a capsule lies along x.
    """
    if info.shape != "capsule":
        return yaw(turn_rad), half_height(info)
    half = math.sqrt(0.5)  # a quarter turn about y, then the turn about z
    cosine, sine = half * math.cos(turn_rad / 2), half * math.sin(turn_rad / 2)
    return (cosine, -sine, cosine, sine), info.half_size_m[0]


def half_height(info: BodyInfo) -> float:
    return info.half_size_m[2]


def axis_angle(axis: Vec3, angle_rad: float) -> Quat:
    """The rotation about a unit axis as a unit quaternion."""
    sine = math.sin(angle_rad / 2)
    return (math.cos(angle_rad / 2), axis[0] * sine, axis[1] * sine, axis[2] * sine)


def yaw(angle_rad: float) -> Quat:
    return axis_angle((0.0, 0.0, 1.0), angle_rad)
