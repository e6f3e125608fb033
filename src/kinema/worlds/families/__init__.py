"""One file per family; each draws a scene from random choices. What is drawn is all that differs."""

from __future__ import annotations

from collections.abc import Callable

from kinema.worlds.families import (
    blocks,
    collide,
    dominoes,
    fall,
    float,
    lens,
    mirror,
    occlude,
    orbit,
    paint,
    pendulum,
    ramp,
    ripple,
    shatter,
    throw,
    tower,
)
from kinema.worlds.scene import Draw, Scene

FAMILIES: dict[str, Callable[[Draw], Scene]] = {
    "fall": fall.draw,
    "throw": throw.draw,
    "collide": collide.draw,
    "ramp": ramp.draw,
    "pendulum": pendulum.draw,
    "dominoes": dominoes.draw,
    "tower": tower.draw,
    "occlude": occlude.draw,
    "shatter": shatter.draw,
    "ripple": ripple.draw,
    "float": float.draw,
    "paint": paint.draw,
    "lens": lens.draw,
    "mirror": mirror.draw,
    "orbit": orbit.draw,
    "blocks": blocks.draw,
}

ABOUT: dict[str, str] = {
    "fall": fall.ABOUT,
    "throw": throw.ABOUT,
    "collide": collide.ABOUT,
    "ramp": ramp.ABOUT,
    "pendulum": pendulum.ABOUT,
    "dominoes": dominoes.ABOUT,
    "tower": tower.ABOUT,
    "occlude": occlude.ABOUT,
    "shatter": shatter.ABOUT,
    "ripple": ripple.ABOUT,
    "float": float.ABOUT,
    "paint": paint.ABOUT,
    "lens": lens.ABOUT,
    "mirror": mirror.ABOUT,
    "orbit": orbit.ABOUT,
    "blocks": blocks.ABOUT,
}
