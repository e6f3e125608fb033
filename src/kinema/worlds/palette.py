"""What things look like and how they behave: colours, shapes, sizes, materials, floors, skies, held-out lists.

Bodies are colourful and scenery is neutral, so that a body is told from what is around it; white and black bodies are
the exceptions. Albedos are linear RGB in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

Rgb = tuple[float, float, float]

COLORS: dict[str, Rgb] = {
    "red": (0.80, 0.03, 0.03),
    "orange": (0.95, 0.30, 0.02),
    "yellow": (0.90, 0.75, 0.03),
    "lime": (0.42, 0.80, 0.03),
    "green": (0.03, 0.36, 0.06),
    "cyan": (0.03, 0.65, 0.70),
    "blue": (0.03, 0.08, 0.75),
    "purple": (0.32, 0.04, 0.60),
    "pink": (0.95, 0.25, 0.50),
    "brown": (0.24, 0.09, 0.03),
    "white": (0.86, 0.86, 0.86),
    "black": (0.025, 0.025, 0.027),
}
NEUTRAL_COLORS = ("white", "black")
COLOR_WEIGHT = {color: 0.4 if color in NEUTRAL_COLORS else 1.0 for color in COLORS}
"""How often a colour is drawn, relative to the others."""

SHAPES = ("sphere", "cube", "cylinder", "cone", "capsule", "slab")

SIZES: dict[str, float] = {"small": 0.34, "medium": 0.43, "large": 0.54}
"""Half of a sphere's height in metres; 12, 15 and 19 pixels across in a 64×64 frame."""


@dataclass(frozen=True)
class Material:
    """How a body behaves and shines."""

    restitution: float  # share of the speed that survives a bounce on the floor
    density: float  # kg/m³
    friction: float  # times the floor's
    gloss: float  # mirror reflectance at normal incidence
    metallic: bool = False  # the reflection takes the body's colour
    index: float = 0.0  # refractive index of what light passes, 0 for opaque bodies
    grain: bool = False  # rings of wood over the colour


MATERIALS: dict[str, Material] = {
    "matte": Material(restitution=0.55, density=950.0, friction=1.0, gloss=0.0),
    "rubber": Material(restitution=0.80, density=1100.0, friction=1.5, gloss=0.02),
    "metal": Material(restitution=0.30, density=7800.0, friction=0.8, gloss=0.35, metallic=True),
    "glass": Material(restitution=0.65, density=2500.0, friction=0.6, gloss=0.04, index=1.5),
    "wood": Material(restitution=0.42, density=600.0, friction=1.2, gloss=0.0, grain=True),
    "water": Material(restitution=0.05, density=1000.0, friction=0.3, gloss=0.02, index=1.33),  # of drops only
}
MATERIAL_WEIGHT = {"matte": 0.3, "rubber": 0.25, "metal": 0.2, "glass": 0.1, "wood": 0.15}

FLOORS: dict[str, Rgb] = {
    "grey": (0.36, 0.36, 0.37),
    "white": (0.78, 0.78, 0.77),
    "dark": (0.10, 0.10, 0.11),
    "beige": (0.56, 0.50, 0.41),
}
FLOOR_PATTERNS = {"plain": 0.6, "checkered": 0.15, "striped": 0.08, "tiled": 0.09, "planked": 0.08}
"""Share of the scenes with each pattern."""
WALL_PATTERNS = {"plain": 0.6, "checkered": 0.15, "striped": 0.15, "dotted": 0.1}


@dataclass(frozen=True)
class Sky:
    """Light from above: colours overhead and at the horizon, the sun and how much light is not the sun's."""

    top: Rgb
    horizon: Rgb
    sun: Rgb
    ambient: float
    sun_elevation_rad: tuple[float, float]  # the range that scenes draw from


SKIES: dict[str, Sky] = {
    "pale blue": Sky((0.52, 0.62, 0.72), (0.74, 0.80, 0.85), (1.0, 1.0, 1.0), 0.45, (0.75, 1.15)),
    "light grey": Sky((0.60, 0.60, 0.61), (0.75, 0.75, 0.75), (0.8, 0.8, 0.8), 0.6, (0.9, 1.25)),
    "dim": Sky((0.13, 0.13, 0.15), (0.24, 0.23, 0.24), (1.0, 1.0, 1.0), 0.45, (0.75, 1.15)),
    "dusk": Sky((0.12, 0.13, 0.24), (0.62, 0.38, 0.24), (1.0, 0.80, 0.60), 0.45, (0.32, 0.55)),
}
SKY_WEIGHT = {"pale blue": 0.35, "light grey": 0.3, "dim": 0.15, "dusk": 0.2}

SCENERY: dict[str, Rgb] = {
    "white": (0.70, 0.70, 0.69),
    "black": (0.05, 0.05, 0.05),
    "brown": (0.30, 0.21, 0.14),
    "grey": (0.30, 0.30, 0.31),
}
"""Walls, ramps, frames."""
MIRROR_GLOSS = 0.92

WATER: dict[str, Rgb] = {
    "clear": (0.85, 0.95, 0.97),
    "blue": (0.45, 0.72, 0.90),
    "green": (0.50, 0.84, 0.66),
}
"""What is left of white light after half a metre of water."""

HELD_OUT: dict[str, tuple[tuple[str, str], ...]] = {
    "fall": (("red", "cylinder"), ("green", "sphere"), ("purple", "cube"), ("yellow", "cylinder")),
    "throw": (("orange", "cube"), ("blue", "cylinder"), ("pink", "sphere"), ("cyan", "cube")),
    "collide": (("yellow", "sphere"), ("red", "cube"), ("cyan", "cylinder"), ("purple", "sphere")),
    "ramp": (("green", "cylinder"), ("blue", "sphere"), ("orange", "cylinder"), ("pink", "cube")),
    "pendulum": (("red", "sphere"), ("cyan", "cube"), ("lime", "sphere"), ("purple", "cylinder")),
    "dominoes": (("blue", "slab"), ("orange", "slab")),
    "tower": (("green", "cube"), ("yellow", "cube"), ("pink", "slab"), ("brown", "cylinder")),
    "occlude": (("cyan", "sphere"), ("yellow", "cube"), ("pink", "cylinder"), ("orange", "sphere")),
    "shatter": (("blue", "sphere"), ("lime", "sphere"), ("red", "sphere")),
    "ripple": (("yellow", "sphere"), ("purple", "sphere"), ("green", "cube")),
    "float": (("red", "cube"), ("cyan", "sphere"), ("orange", "cylinder"), ("blue", "cube")),
    "lens": (("green", "cube"), ("pink", "sphere"), ("orange", "cone"), ("blue", "cylinder")),
    "mirror": (("cyan", "cone"), ("red", "sphere"), ("lime", "cube"), ("purple", "capsule")),
    "orbit": (("blue", "cone"), ("yellow", "sphere"), ("pink", "capsule"), ("green", "cylinder")),
    "paint": (("orange", "sphere"), ("cyan", "sphere")),
    "blocks": (("red", "cube"), ("lime", "cube")),
}
"""Pairs of colour and shape that no training clip of a family contains; every colour and shape is seen elsewhere."""
