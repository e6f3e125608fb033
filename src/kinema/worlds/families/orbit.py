"""Orbit: the camera goes around a scene, so that everything is seen from many sides."""

from __future__ import annotations

import math
from dataclasses import replace

from kinema.data import CameraInfo
from kinema.worlds.scene import Body, CameraMove, Draw, Kick, Prop, Scene, Vec3, reach, resting

ABOUT = "the camera goes around two to five bodies that stand, fall or roll"
RADIUS_M = 1.5  # of the disc on which everything stands; all of it is in view from every side
TRIES = 100
PEDESTAL = 1.3  # half of its diagonal by the reach of what stands on it
DISTANCE_M = 8.6  # of the camera, from above
SWING_DEG = (20.0, 120.0)
SHORT_S = 6.0  # clips up to this length see one swing
FLOORS = {"plain": 0.3, "checkered": 0.25, "striped": 0.15, "tiled": 0.15, "planked": 0.15}


def draw(draw: Draw) -> Scene:
    """Bodies stand on a disc; sometimes one or two fall onto it, or a ball rolls at one of the others."""
    happens = draw.weighted({"still": 0.4, "falls": 0.3, "rolls": 0.3})
    count = 1 + draw.count((0.2, 0.35, 0.3, 0.15))
    raised = happens == "still" and draw.chance(0.4)
    sizes = {
        2: ("medium", "large"),
        3: ("medium",) if raised else ("medium", "large"),
        4: ("small", "medium"),
        5: ("small",),
    }
    infos = [draw.info(sizes[count]) for _ in range(count - 1)]
    infos.append(draw.info(sizes[count][:1], ("sphere",)) if happens == "rolls" else draw.info(sizes[count]))
    reaches = [reach(info) for info in infos]
    reaches[-1] *= PEDESTAL if raised else 1.0
    places = _places(draw, reaches)
    bodies = []
    for info, (x, y) in zip(infos, places, strict=True):
        orientation, height = resting(info, draw.uniform(0.0, 2 * math.pi))
        bodies.append(Body(info, (x, y, height), orientation))
    kicks: list[Kick] = []
    props: tuple[Prop, ...] = ()
    if happens == "falls":
        bodies[-1], kicks = _dropped(draw, bodies[-1], len(bodies) - 1)
    elif happens == "rolls":
        bodies[-1], kicks = _rolled(draw, bodies[-1], len(bodies) - 1, bodies[0].position_m)
    elif raised:
        bodies[-1], props = _raised(draw, bodies[-1])
    return draw.scene(
        bodies,
        camera=_camera(draw),
        camera_move=_move(draw),
        floor_pattern=draw.weighted(FLOORS),
        props=props,
        kicks=tuple(kicks),
        walled=happens == "rolls",  # what rolls for a minute would be gone
        facts={"moving": happens != "still"},
    )


def _places(draw: Draw, reaches: list[float]) -> list[tuple[float, float]]:
    """A place on the disc for each body: anywhere apart from the others, or else spread over a ring."""
    count = len(reaches)
    pairs = [(i, j) for i in range(count) for j in range(i)]
    for attempt in range(TRIES):
        gap_m = 0.35 * (1 - attempt / TRIES) + 0.04
        turns = [draw.uniform(0, 2 * math.pi) for _ in reaches]
        radii = [(RADIUS_M - own) * math.sqrt(draw.uniform(0.02, 1.0)) for own in reaches]
        places = [(radius * math.cos(turn), radius * math.sin(turn)) for radius, turn in zip(radii, turns, strict=True)]
        if all(math.dist(places[i], places[j]) > reaches[i] + reaches[j] + gap_m for i, j in pairs):
            return places
    start, radius = draw.uniform(0, 2 * math.pi), RADIUS_M - max(reaches)
    turns = [start + 2 * math.pi * index / count for index in range(count)]
    return [(radius * math.cos(turn), radius * math.sin(turn)) for turn in turns]


def _dropped(draw: Draw, body: Body, index: int) -> tuple[Body, list[Kick]]:
    """The body begins in the air; in long clips it jumps up again and again."""
    x, y, height = body.position_m
    kicks = [
        Kick(time_s, index, towards=(x, y, reach(body.info)), flight_s=draw.uniform(0.8, 1.1))
        for time_s in draw.encores(2.4, 2.0)
    ]
    return replace(body, position_m=(x, y, height + draw.uniform(0.6, 1.3))), kicks


def _rolled(draw: Draw, ball: Body, index: int, goal: Vec3) -> tuple[Body, list[Kick]]:
    """The last body, a ball, rolls at the first; in long clips it comes back to the middle."""
    speed = draw.uniform(0.8, 1.2)
    (x, y, _), spin = ball.position_m, speed / ball.info.half_size_m[0]
    way = math.atan2(goal[1] - y, goal[0] - x)
    cosine, sine = math.cos(way), math.sin(way)
    kicks = [
        Kick(time_s, index, (speed, 0.0, 0.0), (0.0, spin, 0.0), towards=(0.0, 0.0, 0.0))
        for time_s in draw.encores(2.4, 2.0)
    ]
    moving = replace(ball, velocity_mps=(speed * cosine, speed * sine, 0.0))
    return replace(moving, spin_radps=(-spin * sine, spin * cosine, 0.0)), kicks


def _raised(draw: Draw, body: Body) -> tuple[Body, tuple[Prop, ...]]:
    """The body stands on a pedestal."""
    x, y, height = body.position_m
    half, rise = PEDESTAL * reach(body.info) / math.sqrt(2), draw.uniform(0.12, 0.25)
    pedestal = Prop("pedestal", draw.prop_color(), (half, half, rise), (x, y, rise))
    return replace(body, position_m=(x, y, height + 2 * rise)), (pedestal,)


def _camera(draw: Draw) -> CameraInfo:
    """Anywhere in front, from the height of a child's eyes to looking down."""
    turn, height = draw.uniform(-0.5, 0.5), draw.uniform(1.6, 4.6)
    eye = (DISTANCE_M * math.sin(turn), -DISTANCE_M * math.cos(turn), height)
    return CameraInfo(eye, (0.0, 0.0, 0.6), 24.0)


def _move(draw: Draw) -> CameraMove:
    """One swing in a short clip; in a long one slowly to and fro, or round and round."""
    sign, swing = draw.sign(), draw.uniform(*SWING_DEG)
    if draw.duration_s <= SHORT_S:
        return CameraMove("orbit", sign * swing / max(draw.duration_s, 1.5), swing)
    return CameraMove("orbit", sign * draw.uniform(8.0, 20.0), math.inf if draw.chance(0.5) else swing)
