"""Collide: a moving body hits resting ones."""

from __future__ import annotations

import math

from kinema.worlds.scene import Body, Draw, Scene, half_height, reach, yaw


def draw(draw: Draw) -> Scene:
    """A body comes in from one side along the floor; one or two others wait in its way."""
    count = 1 + draw.count((0.7, 0.3))
    sign = draw.sign()  # +1: moves to the right
    infos = [draw.info(("small", "medium", "large")[: 4 - count]) for _ in range(count)]
    x = -1.75 + reach(infos[0])
    speed = draw.uniform(2.0, 3.2)
    turn = 0.0 if infos[0].shape == "sphere" else draw.uniform(-0.2, 0.2)
    spin = speed / infos[0].half_size_m[0] if infos[0].shape == "sphere" else 0.0
    bodies = [
        Body(
            infos[0],
            (sign * x, 0.0, half_height(infos[0])),
            yaw(turn),
            (sign * speed, 0.0, 0.0),
            (0.0, sign * spin, 0.0),
        )
    ]
    x += reach(infos[0]) + draw.uniform(0.45, 0.75)
    for info in infos[1:]:
        x += reach(info)
        place = (sign * x, draw.uniform(-0.08, 0.08), half_height(info))
        bodies.append(Body(info, place, yaw(draw.uniform(0, math.pi / 2))))
        x += reach(info) + draw.uniform(0.03, 0.12)
    return draw.scene(bodies, floor_friction=0.1, facts={"towards": "right" if sign > 0 else "left"})
