"""One file per family; each draws a scene from random choices. What is drawn is all that differs."""

from __future__ import annotations

from collections.abc import Callable

from kinema.worlds.families import collide, fall, occlude, ramp, throw
from kinema.worlds.scene import Draw, Scene

FAMILIES: dict[str, Callable[[Draw], Scene]] = {
    "fall": fall.draw,
    "throw": throw.draw,
    "collide": collide.draw,
    "ramp": ramp.draw,
    "occlude": occlude.draw,
}

ABOUT: dict[str, str] = {
    "fall": "one to three bodies fall onto the floor and bounce as their material lets them",
    "throw": "one or two bodies are thrown and fly in an arc",
    "collide": "a moving body hits one or two resting ones",
    "ramp": "a ball rolls, a cube or cylinder slides down a ramp",
    "occlude": "bodies pass behind a wall and come out again, or stop there",
}
