"""Fall and bounce: bodies are let go in the air."""

from __future__ import annotations

import math

from kinema.worlds.scene import Body, Draw, Scene, half_height, yaw


def draw(draw: Draw) -> Scene:
    """One to three bodies above the floor, at rest, sometimes turning slowly."""
    count = draw.count()
    infos = [draw.info(("small", "medium", "large")[: 4 - count]) for _ in range(count)]
    bodies = []
    for info, x in zip(infos, draw.places(infos, -1.65, 1.65), strict=True):
        height = half_height(info) + draw.uniform(0.9, 1.75)
        spin = draw.uniform(-1.0, 1.0) if info.shape != "sphere" else 0.0
        bodies.append(
            Body(
                info,
                (x, draw.uniform(-0.3, 0.3), height),
                yaw(draw.uniform(0, math.pi / 2)),
                spin_radps=(0.0, spin, 0.0),
            )
        )
    return draw.scene(bodies)
