"""A scene before anything moves: bodies, scenery, light and camera, and the draws that families share.

Metres, seconds, kilograms. x points right, y away from the viewer, z up; the floor is z = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kinema.data import BodyInfo, CameraInfo
from kinema.worlds import palette

Vec3 = tuple[float, float, float]
Quat = tuple[float, float, float, float]  # (w, x, y, z)

UPRIGHT: Quat = (1.0, 0.0, 0.0, 0.0)
HALF_WIDTH_M = 1.78  # invisible walls stand here on both sides, so that nothing leaves the view
HALF_DEPTH_M = 1.5


@dataclass(frozen=True)
class Body:
    """Something that moves: what it is, and its pose and velocity at time zero."""

    info: BodyInfo
    position_m: Vec3
    orientation: Quat = UPRIGHT
    velocity_mps: Vec3 = (0.0, 0.0, 0.0)
    spin_radps: Vec3 = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Prop:
    """A box that never moves: a wall or a ramp."""

    name: str
    color: str
    half_size_m: Vec3
    position_m: Vec3
    orientation: Quat = UPRIGHT


@dataclass(frozen=True)
class Scene:
    """Everything that a clip needs; ``facts`` are what the narrator may want to say beyond the bodies."""

    family: str
    bodies: tuple[Body, ...]
    floor: str
    sky: str
    sun_direction: Vec3
    camera: CameraInfo
    floor_friction: float = 0.5
    props: tuple[Prop, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


class Draw:
    """Random choices of one clip, with the held-out combinations kept apart.

    Args:
        family: name of the family, which has its own held-out list.
        rng: the clip's random numbers.
        held_out: whether the first body must be a held-out combination; otherwise none is.
    """

    def __init__(self, family: str, rng: np.random.Generator, held_out: bool) -> None:
        self.family, self.rng = family, rng
        self._held_out_first = held_out
        self._colors_left = list(palette.COLORS)

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def choice(self, options: tuple[str, ...] | list[str], weights: tuple[float, ...] | None = None) -> str:
        return str(options[int(self.rng.choice(len(options), p=weights))])

    def sign(self) -> int:
        return 1 if self.rng.random() < 0.5 else -1

    def count(self, weights: tuple[float, ...] = (0.45, 0.4, 0.15)) -> int:
        """How many bodies: 1, 2, … with these probabilities."""
        return 1 + int(self.rng.choice(len(weights), p=weights))

    def info(self, sizes: tuple[str, ...] = ("small", "medium", "large")) -> BodyInfo:
        """A body of a colour that the clip does not have yet."""
        held_out = palette.HELD_OUT[self.family]
        if self._held_out_first:
            self._held_out_first = False
            color, shape = held_out[int(self.rng.integers(len(held_out)))]
        else:
            while True:
                color, shape = self.choice(self._colors_left), self.choice(palette.SHAPES)
                if (color, shape) not in held_out:
                    break
        self._colors_left.remove(color)
        size, material = self.choice(sizes), self.choice(tuple(palette.MATERIALS))
        half = palette.SIZES[size] * self.uniform(0.95, 1.05)
        extent, volume = {
            "sphere": ((half, half, half), 4 / 3 * math.pi * half**3),
            "cube": ((0.85 * half,) * 3, 8 * (0.85 * half) ** 3),
            "cylinder": ((0.78 * half, 0.78 * half, half), 2 * math.pi * 0.78**2 * half**3),
        }[shape]
        return BodyInfo(shape, color, material, size, extent, volume * palette.MATERIALS[material].density)

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

    def scene(self, bodies: list[Body], **kwargs: Any) -> Scene:
        """Adds floor, sky, sun and camera to the bodies."""
        azimuth, elevation = self.uniform(-2.6, -0.55), self.uniform(0.75, 1.15)
        sun = (
            math.cos(elevation) * math.cos(azimuth),
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
        )
        camera = CameraInfo((self.uniform(-0.6, 0.6), -8.2, self.uniform(1.5, 2.3)), (0.0, 0.0, 1.15), 25.0)
        return Scene(
            self.family,
            tuple(bodies),
            self.choice(tuple(palette.FLOORS), (0.4, 0.2, 0.2, 0.2)),
            self.choice(tuple(palette.SKIES), (0.4, 0.4, 0.2)),
            sun,
            camera,
            **kwargs,
        )

    def prop_color(self) -> str:
        return self.choice(tuple(palette.SCENERY))


def reach(info: BodyInfo) -> float:
    """Half of the widest horizontal extent of an upright body, whatever its yaw."""
    return info.half_size_m[0] * (math.sqrt(2) if info.shape == "cube" else 1.0)


def half_height(info: BodyInfo) -> float:
    return info.half_size_m[2]


def axis_angle(axis: Vec3, angle_rad: float) -> Quat:
    """The rotation about a unit axis as a unit quaternion."""
    sine = math.sin(angle_rad / 2)
    return (math.cos(angle_rad / 2), axis[0] * sine, axis[1] * sine, axis[2] * sine)


def yaw(angle_rad: float) -> Quat:
    return axis_angle((0.0, 0.0, 1.0), angle_rad)
