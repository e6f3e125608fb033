"""Mirror: a body moves before a standing mirror, and its reflection moves with it."""

from __future__ import annotations

import math
from dataclasses import replace

from kinema.data import BodyInfo, CameraInfo
from kinema.worlds.palette import MATERIALS
from kinema.worlds.physics.mjcf import GRAVITY_MPS2
from kinema.worlds.scene import Body, CameraMove, Draw, Kick, Prop, Scene, Vec3, reach, resting, yaw

ABOUT = "a body moves towards a mirror, along it or behind it, and its reflection answers"
TURN_RAD = (0.36, 0.56)  # of the mirror, so that a body does not hide its own reflection
HALF_THICKNESS_M, FRAME_M = 0.03, 0.07
FRICTION = 0.09


class Stand:
    """A mirror on the floor and the plane of its face.

    Args:
        middle: x and y of the middle of its face.
        turn_rad: anticlockwise from above; at 0 it faces the viewer.
        width: metres, like height.
    """

    def __init__(self, middle: tuple[float, float], turn_rad: float, width: float, height: float) -> None:
        self.middle, self.turn_rad, self.half = middle, turn_rad, (width / 2, HALF_THICKNESS_M, height / 2)
        self.along = (math.cos(turn_rad), math.sin(turn_rad))
        self.normal = (math.sin(turn_rad), -math.cos(turn_rad))

    def at(self, along_m: float, before_m: float) -> tuple[float, float]:
        """x and y of a point so far to the right of the middle of the face, and so far before it."""
        (x, y), (ax, ay), (nx, ny) = self.middle, self.along, self.normal
        return x + along_m * ax + before_m * nx, y + along_m * ay + before_m * ny

    def props(self, color: str) -> tuple[Prop, Prop]:
        """The mirror, and a frame that stands out around it and covers its back."""
        width, thick, height = self.half
        base = FRAME_M + height
        return (
            Prop("mirror", "white", self.half, (*self.at(0.0, -thick), base), yaw(self.turn_rad), mirror=True),
            Prop(
                "frame",
                color,
                (width + FRAME_M, thick, height + FRAME_M),
                (*self.at(0.0, -3 * thick), base),
                yaw(self.turn_rad),
            ),
        )


def virtual_image(point: Vec3, mirror: Prop) -> Vec3:
    """Where the reflection of a point seems to be: as far behind the mirror's face as the point is before it."""
    w, _, _, z = mirror.orientation
    turn = 2 * math.atan2(z, w)
    nx, ny = math.sin(turn), -math.cos(turn)
    x, y, _ = mirror.position_m
    before = (point[0] - x) * nx + (point[1] - y) * ny - mirror.half_size_m[1]
    return (point[0] - 2 * before * nx, point[1] - 2 * before * ny, point[2])


def draw(draw: Draw) -> Scene:
    """A turned mirror; the body rolls or slides at it, past it, or behind it while another stands before it."""
    way = draw.weighted({"towards": 0.4, "along": 0.4, "behind": 0.2})
    sign = draw.sign()  # +1: the mirror looks to the right
    turn, height = sign * draw.uniform(*TURN_RAD), draw.uniform(1.35, 1.8)
    behind = way == "behind"
    width = draw.uniform(1.2, 1.5) if behind else draw.uniform(1.8, 2.3)
    stand = Stand((-sign * (0.15 if behind else 0.4), 0.05 if behind else 0.85), turn, width, height)
    bodies = [_mover(draw, draw.info(("small",) if behind else ("small", "medium")), stand, way, sign)]
    if behind or draw.chance(0.35):
        other = draw.info(("small",))
        place = (0.15 * sign, 0.75) if behind else (sign * 0.75, 1.35) if way == "towards" else (-sign * 0.2, 1.75)
        orientation, rise = resting(other, draw.uniform(0, math.pi / 2))
        bodies.append(Body(other, (*stand.at(*place), rise), orientation))
    start = bodies[0].position_m
    ends = {
        "towards": (stand.at(0.0, 0.0),),
        "along": (start[:2], stand.at(_ALONG_M[1] * sign, _BEFORE_M)),
        "behind": ((0.0, start[1]),),
    }[way]
    kicks = []
    for number, time_s in enumerate(draw.encores(2.6, 2.3)):  # once more, and back
        velocity, spin = _speeds(draw, bodies[0].info, 1.8)
        kicks.append(Kick(time_s, 0, velocity, spin, towards=(*ends[number % len(ends)], 0.0)))
    return draw.scene(
        bodies,
        camera=CameraInfo((draw.uniform(-0.5, 0.5), -7.6, draw.uniform(1.6, 2.4)), (0.0, 0.0, 0.9), 24.0),
        camera_move=CameraMove("orbit", draw.sign() * draw.uniform(3.0, 5.0), 10.0)
        if draw.chance(0.15)
        else CameraMove(),
        props=stand.props(draw.prop_color()),
        floor_friction=FRICTION,
        kicks=tuple(kicks),
        facts={"width": width, "way": way},
    )


_ALONG_M, _BEFORE_M = (-0.55, 1.2), 0.85  # the way along the mirror, seen from the side that it looks to


def _mover(draw: Draw, info: BodyInfo, stand: Stand, way: str, sign: int) -> Body:
    """The first body on its way."""
    if way == "behind":
        side = draw.sign()
        place, goal, length = (-side * (1.74 - reach(info)), 0.95), (0.0, 0.95), 2.9
    elif way == "along":
        first, last = _ALONG_M if draw.chance(0.5) else _ALONG_M[::-1]
        place, goal, length = stand.at(sign * first, _BEFORE_M), stand.at(sign * last, _BEFORE_M), 1.75
    else:
        place, goal, length = stand.at(sign * 0.1, 1.75), stand.at(sign * 0.1, 0.0), 2.2
    velocity, spin = _speeds(draw, info, length)
    heading = math.atan2(goal[1] - place[1], goal[0] - place[0])
    cosine, sine = math.cos(heading), math.sin(heading)
    orientation, height = resting(info, heading + (math.pi / 2 if info.shape == "capsule" else 0.0))
    return replace(
        Body(info, (*place, height), orientation),
        velocity_mps=(velocity[0] * cosine, velocity[0] * sine, 0.0),
        spin_radps=(-spin[1] * sine, spin[1] * cosine, 0.0),
    )


def _speeds(draw: Draw, info: BodyInfo, way_m: float) -> tuple[Vec3, Vec3]:
    """Velocity and spin to the right: balls and capsules roll; friction stops the others after v² / (2 μ g)."""
    if info.shape in ("sphere", "capsule"):
        speed = draw.uniform(0.9, 1.3)
        return (speed, 0.0, 0.0), (0.0, speed / info.half_size_m[0], 0.0)
    friction = FRICTION * MATERIALS[info.material].friction
    return (math.sqrt(2 * friction * GRAVITY_MPS2 * way_m), 0.0, 0.0), (0.0, 0.0, 0.0)
