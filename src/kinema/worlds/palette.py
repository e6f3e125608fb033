"""What things look like and how they behave: colours, shapes, sizes, materials, floors, skies, held-out lists.

Colours of bodies are saturated; scenery is neutral, so that a body is always told from what is around it.
Albedos are linear RGB in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

Rgb = tuple[float, float, float]

COLORS: dict[str, Rgb] = {
    "red": (0.80, 0.03, 0.03),
    "orange": (0.95, 0.30, 0.02),
    "yellow": (0.90, 0.75, 0.03),
    "green": (0.05, 0.50, 0.06),
    "cyan": (0.03, 0.65, 0.70),
    "blue": (0.03, 0.08, 0.75),
    "purple": (0.32, 0.04, 0.60),
    "pink": (0.95, 0.25, 0.50),
}

SHAPES = ("sphere", "cube", "cylinder")

SIZES: dict[str, float] = {"small": 0.34, "medium": 0.43, "large": 0.54}
"""Half of a body's height in metres; 12, 15 and 19 pixels across in a 64×64 frame."""


@dataclass(frozen=True)
class Material:
    """How a body behaves and shines."""

    restitution: float  # share of the speed that survives a bounce on the floor
    density: float  # kg/m³
    gloss: float  # mirror reflectance


MATERIALS: dict[str, Material] = {
    "rubber": Material(restitution=0.78, density=300.0, gloss=0.0),
    "metal": Material(restitution=0.30, density=700.0, gloss=0.09),
}

FLOORS: dict[str, Rgb] = {
    "grey": (0.36, 0.36, 0.37),
    "white": (0.78, 0.78, 0.77),
    "dark": (0.10, 0.10, 0.11),
    "beige": (0.56, 0.50, 0.41),
}

SKIES: dict[str, tuple[Rgb, Rgb]] = {
    "pale blue": ((0.52, 0.62, 0.72), (0.74, 0.80, 0.85)),
    "light grey": ((0.60, 0.60, 0.61), (0.75, 0.75, 0.75)),
    "dim": ((0.13, 0.13, 0.15), (0.24, 0.23, 0.24)),
}
"""Colour overhead and at the horizon."""

SCENERY: dict[str, Rgb] = {
    "white": (0.70, 0.70, 0.69),
    "black": (0.05, 0.05, 0.05),
    "brown": (0.30, 0.21, 0.14),
}
"""Walls and ramps."""

HELD_OUT: dict[str, tuple[tuple[str, str], ...]] = {
    "fall": (("red", "cylinder"), ("green", "sphere"), ("purple", "cube"), ("yellow", "cylinder")),
    "throw": (("orange", "cube"), ("blue", "cylinder"), ("pink", "sphere"), ("cyan", "cube")),
    "collide": (("yellow", "sphere"), ("red", "cube"), ("cyan", "cylinder"), ("purple", "sphere")),
    "ramp": (("green", "cylinder"), ("blue", "sphere"), ("orange", "cylinder"), ("pink", "cube")),
    "occlude": (("cyan", "sphere"), ("yellow", "cube"), ("pink", "cylinder"), ("orange", "sphere")),
}
"""Pairs of colour and shape that no training clip of a family contains; every colour and shape is seen elsewhere."""
