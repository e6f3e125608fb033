"""Ramp: a body goes down a slope; balls roll, cubes and cylinders slide."""

from __future__ import annotations

import math

from kinema.worlds.scene import Body, Draw, Prop, Scene, Vec3, axis_angle, half_height, reach, yaw


def draw(draw: Draw) -> Scene:
    """A ramp on one side with a body on its upper end, sometimes a second body waiting on the floor."""
    count = draw.count((0.65, 0.35))
    sign = draw.sign()  # +1: down to the right
    angle = draw.uniform(0.32, 0.52)
    length, thickness = 2.1, 0.12
    info = draw.info(("small", "medium"))
    # the lower end of the ramp's upper face touches the floor at x = 0.15
    along = (math.cos(angle), 0.0, -math.sin(angle))  # downhill, for a ramp that goes down to the right
    normal = (math.sin(angle), 0.0, math.cos(angle))
    foot = 0.15

    def at(uphill: float, above: float) -> Vec3:
        x = foot - uphill * along[0] + above * normal[0]
        return (sign * x, 0.0, -uphill * along[2] + above * normal[2])

    tilt = axis_angle((0.0, 1.0, 0.0), sign * angle)
    ramp = Prop("ramp", draw.prop_color(), (length / 2, 0.62, thickness / 2), at(length / 2, -thickness / 2), tilt)
    bodies = [Body(info, at(length - reach(info) - 0.05, half_height(info) + 0.005), tilt)]
    if count == 2:
        waiting = draw.info(("small", "medium"))
        place = (sign * (foot + draw.uniform(0.65, 1.0)), 0.0, half_height(waiting))
        bodies.append(Body(waiting, place, yaw(draw.uniform(0, math.pi / 2))))
    facts = {"towards": "right" if sign > 0 else "left", "angle_deg": math.degrees(angle)}
    return draw.scene(bodies, floor_friction=0.12, props=(ramp,), facts=facts)
