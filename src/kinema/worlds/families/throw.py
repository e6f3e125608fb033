"""Throw: bodies leave one side in an arc."""

from __future__ import annotations

import math

from kinema.worlds.scene import Body, Draw, Scene, half_height, yaw


def draw(draw: Draw) -> Scene:
    """One or two bodies start near the sides and fly inwards, one in front of the other."""
    count = draw.count((0.6, 0.4))
    side = draw.sign()
    bodies = []
    for index in range(count):
        info = draw.info(("small", "medium"))
        sign = side if index == 0 else -side
        depth = 0.0 if count == 1 else (-0.65 if index == 0 else 0.65)
        velocity = (-sign * draw.uniform(0.9, 1.7), 0.0, draw.uniform(2.6, 4.2))
        bodies.append(
            Body(
                info,
                (sign * 1.25, depth, half_height(info) + draw.uniform(0.15, 0.7)),
                yaw(draw.uniform(0, math.pi / 2)),
                velocity,
                (0.0, draw.uniform(-2.5, 2.5), 0.0),
            )
        )
    return draw.scene(bodies)
