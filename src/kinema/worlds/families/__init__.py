"""One file per family; each draws a scene from random choices. What is drawn is all that differs."""

from __future__ import annotations

from collections.abc import Callable

from kinema.worlds.families import collide, dominoes, fall, occlude, pendulum, ramp, throw, tower
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
}
