"""Paint: a wet ball rolls over the floor and leaves a stroke that stays."""

from __future__ import annotations

import math

from kinema.data import CameraInfo
from kinema.worlds import palette
from kinema.worlds.scene import Body, Draw, Kick, Paint, Prop, Scene, resting, yaw

ABOUT = "a ball wet with paint rolls over the floor, bounces first or comes back from a wall, and leaves a stroke"
SPEED_MPS = {"rolls": (0.9, 1.2), "bounces": (0.8, 1.2), "wall": (1.4, 1.8), "hits": (1.4, 1.8)}


def draw(draw: Draw) -> Scene:
    """The ball rolls across, falls in and bounces on, comes back from a wall, or runs into another body."""
    kind = draw.weighted({"rolls": 0.3, "bounces": 0.25, "wall": 0.25, "hits": 0.2})
    sign = draw.sign()  # +1: begins to the right
    materials = ("matte", "wood") if kind == "bounces" else ("matte", "rubber", "wood")
    info = draw.info(("small", "medium"), shapes=("sphere",), materials=materials)
    radius, angle = info.half_size_m[0], draw.uniform(-0.55, 0.55)
    speed = draw.uniform(*SPEED_MPS[kind])
    way = (sign * math.cos(angle), math.sin(angle))
    start = (-sign * (1.7 - radius), -way[1] * 1.3 + draw.uniform(-0.25, 0.25))
    bodies = [
        Body(
            info,
            (*start, radius + (draw.uniform(0.3, 0.8) if kind == "bounces" else 0.0)),
            velocity_mps=(speed * way[0], speed * way[1], 0.0),
            spin_radps=(-speed * way[1] / radius, speed * way[0] / radius, 0.0),
        )
    ]
    props: tuple[Prop, ...] = ()
    if kind == "wall":
        props = (Prop("wall", draw.prop_color(), (0.06, 0.9, 0.3), (sign * 1.3, 0.0, 0.3), yaw(angle / 2)),)
    elif kind == "hits":
        other = draw.info(("small",), materials=("matte", "rubber", "wood"))
        turn, height = resting(other, draw.uniform(0.0, math.pi / 2))
        at = draw.uniform(1.9, 2.3)
        bodies.append(Body(other, (start[0] + way[0] * at, start[1] + way[1] * at, height), turn))
    kicks = []
    for time_s in draw.encores(2.6, 2.4):  # it rolls on, to another place
        speed = draw.uniform(*SPEED_MPS["wall"])
        target = (draw.uniform(-1.3, 1.3), draw.uniform(-1.0, 1.0), 0.0)
        kicks.append(Kick(time_s, 0, (speed, 0.0, 0.0), (0.0, speed / radius, 0.0), towards=target))
    length = draw.uniform(3.5, 5.5) * max(1.0, draw.duration_s / 3)
    floor = draw.weighted(
        {name: weight for name, weight in _FLOORS.items() if name not in _TOO_LIKE.get(info.color, ())}
    )
    return draw.scene(
        bodies,
        floor=floor,
        floor_pattern="plain",
        floor_friction=0.2,
        camera=CameraInfo((draw.uniform(-0.5, 0.5), -7.2, draw.uniform(5.4, 6.4)), (0.0, 0.0, 0.4), 25.0),
        props=props,
        kicks=tuple(kicks),
        paint=Paint(0, info.color, draw.uniform(0.26, 0.4), length),
        facts={"color": info.color, "body": 0, "kind": kind, "towards": "right" if sign > 0 else "left"},
    )


_FLOORS = {"grey": 0.35, "white": 0.35, "dark": 0.1, "beige": 0.2}
_TOO_LIKE = {"white": ("white", "beige"), "black": ("dark",), "brown": ("dark",)}
assert all(name in palette.FLOORS for name in _FLOORS)
