"""Throw: bodies leave one side in an arc."""

from __future__ import annotations

import math

from kinema.worlds.scene import Body, Draw, Kick, Scene, half_height, reach, yaw

ABOUT = "one to three bodies are thrown from the sides and fly in an arc"
LANES_M = {1: (0.0,), 2: (-0.65, 0.65), 3: (-0.95, 0.0, 0.95)}


def draw(draw: Draw) -> Scene:
    """Bodies start near the sides and fly inwards, one in front of the other."""
    count = draw.count((0.5, 0.35, 0.15))
    side = draw.sign()
    bodies = []
    for index, depth in enumerate(LANES_M[count]):
        info = draw.info(("small", "medium")[: 4 - count])
        sign = side if index % 2 == 0 else -side
        velocity = (-sign * draw.uniform(0.9, 1.9), 0.0, draw.uniform(2.6, 4.2))
        extent = math.hypot(*info.half_size_m)
        edge = 1.72 + 0.2 * min(depth, 0.0)  # the view is narrower in front
        place = (sign * (edge - reach(info)), depth, max(half_height(info) + draw.uniform(0.15, 0.7), extent))
        spin = (0.0, draw.uniform(-2.5, 2.5), 0.0)
        bodies.append(Body(info, place, yaw(draw.uniform(0, math.pi / 2)), velocity, spin))
    kicks = []
    for turn, time_s in enumerate(draw.encores(2.5, 2.0)):  # thrown back, and back again
        for index, (body, depth) in enumerate(zip(bodies, LANES_M[count], strict=True)):
            sign = side if (index + turn) % 2 == 0 else -side
            goal = (-sign * draw.uniform(0.7, 1.2), depth, reach(body.info))
            spin = (0.0, draw.uniform(-2.5, 2.5), 0.0)
            kicks.append(Kick(time_s, index, spin_radps=spin, towards=goal, flight_s=draw.uniform(0.8, 1.1)))
    return draw.scene(bodies, backdrop=0.15, kicks=tuple(kicks))
