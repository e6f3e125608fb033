"""Shatter: a hard hit breaks glass, a soft one does not. One seed gives both; nothing but the speed differs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema.data import BodyInfo
from kinema.worlds import palette
from kinema.worlds.physics.cells import ball_planes, box_planes, corners_of, cylinder_planes, voronoi
from kinema.worlds.physics.fracture import Hit, pieces_of, with_strength
from kinema.worlds.physics.mjcf import GRAVITY_MPS2
from kinema.worlds.scene import Body, Broken, Draw, Kick, Prop, Scene, Vec3, yaw

ABOUT = "a pane, a ball or a vase of glass breaks under a hard hit and survives a soft one"
THINGS = {"pane": 0.5, "ball": 0.3, "vase": 0.2}
STRIKERS = ("matte", "rubber", "wood", "metal")
HARD_SHARE = 0.65  # of the clips break
WHOLE = 1  # index of what may break; the striker is body 0


@dataclass(frozen=True)
class _Setup:
    """A scene but for its speed: what is struck, how it is cut, and how the striker meets it."""

    striker: Body
    whole: Body
    cuts: tuple[NDArray[np.float64], NDArray[np.float64]]  # points of the cells, planes around the whole
    mounts: tuple[Vec3, ...]
    moving: int  # the body that brings the speed: the striker, or the whole that falls
    way: Vec3  # of the motion at first, a unit vector
    speeds_mps: dict[str, float]  # at first, soft and hard
    hits: dict[str, Hit]  # what they come to
    props: tuple[Prop, ...]


def draw(draw: Draw, hit: str | None = None) -> Scene:
    """A ball strikes a pane, a glass ball or a vase, or a glass ball falls.

    Args:
        draw: the clip's random choices.
        hit: "hard" or "soft"; by default the seed decides. Everything else is the same for both.
    """
    drawn = "hard" if draw.chance(HARD_SHARE) else "soft"
    hit = hit or drawn
    thing = draw.weighted(THINGS)
    striker = draw.info(("small",), ("sphere",), STRIKERS)
    setup = _pane(draw, striker) if thing == "pane" else _loose(draw, striker, thing)
    starts_s = draw.uniform(0.15, 0.4) if setup.way[2] == 0 and draw.chance(0.6) else 0.0

    points_N3, outside_P4 = setup.cuts
    flaws = draw.rng.uniform(0.75, 1.25, len(points_N3)).tolist()
    pieces, welds = pieces_of(setup.whole, WHOLE, voronoi(points_N3, outside_P4), flaws, setup.mounts)
    strong = with_strength(setup.whole, pieces, welds, setup.hits["soft"], setup.hits["hard"])
    broken = Broken(WHOLE, tuple(range(2, 2 + len(pieces))), strong)

    speed = setup.speeds_mps[hit]
    velocity = (speed * setup.way[0], speed * setup.way[1], speed * setup.way[2])
    spin = _rolling(velocity, setup.striker.info) if setup.way[2] == 0 else (0.0, 0.0, 0.0)
    bodies, kicks = [setup.striker, setup.whole], []
    if starts_s:
        kicks.append(Kick(starts_s, setup.moving, velocity, spin))
    else:
        bodies[setup.moving] = replace(bodies[setup.moving], velocity_mps=velocity, spin_radps=spin)
    gentle = draw.uniform(1.2, 1.5)  # through the debris, or against what still stands
    radius = striker.half_size_m[0]
    for time_s in draw.encores(2.2, draw.uniform(2.2, 2.8)):
        kicks.append(Kick(time_s, 0, (gentle, 0.0, 0.0), (0.0, gentle / radius, 0.0), towards=WHOLE))
    facts: dict[str, Any] = {"thing": thing, "hit": hit, "speed_mps": round(setup.hits[hit].speed_mps, 3)}
    return draw.scene([*bodies, *pieces], props=setup.props, kicks=tuple(kicks), broken=broken, facts=facts)


def _pane(draw: Draw, striker: BodyInfo) -> _Setup:
    """A pane in a frame or in a slot of the floor, and a ball that flies off a plinth or rolls into it."""
    side, towards_back, turn = draw.sign(), draw.sign(), draw.uniform(0.65, 1.15)
    way = (side * math.cos(turn), towards_back * math.sin(turn), 0.0)
    across = (way[1], -way[0])  # to the right as the ball sees it: the pane's own x
    half = (draw.uniform(0.62, 0.76), 0.022, draw.uniform(0.5, 0.64))
    framed = draw.chance(0.5)
    sill = 0.1 if framed else 0.03
    info = _of_glass(draw.info(("large",), ("slab",), ("glass",)), half, 8 * half[0] * half[1] * half[2])
    middle = (side * draw.uniform(0.0, 0.3), towards_back * draw.uniform(0.0, 0.2), sill + 0.01 + half[2])
    turned = yaw(math.atan2(across[1], across[0]))
    whole = Body(info, middle, turned)

    radius, plinth_m = striker.half_size_m[0], draw.uniform(0.3, 0.5) if framed or draw.chance(0.4) else 0.0
    aside, gap = draw.uniform(-0.15, 0.15), draw.uniform(0.45, 0.65)
    back = half[1] + gap + radius
    start = (
        middle[0] + aside * across[0] - back * way[0],
        middle[1] + aside * across[1] - back * way[1],
        plinth_m + radius,
    )
    speeds = {"soft": draw.uniform(1.8, 2.3), "hard": draw.uniform(5.5, 7.5)}
    ledge = 0.26  # of the plinth before the ball's middle
    hits = {}
    for name, speed in speeds.items():
        airborne_s = max(gap - ledge, 0.0) / speed if plinth_m else 0.0
        height = start[2] - GRAVITY_MPS2 * airborne_s**2 / 2 - middle[2]
        hits[name] = Hit((aside, -half[1], height), (0.0, 1.0, 0.0), striker.mass_kg, speed)

    def beside(x: float, z: float) -> Vec3:
        return (middle[0] + x * across[0], middle[1] + x * across[1], z)

    color = draw.prop_color()
    props = [Prop("sill", color, (half[0] + 0.1, 0.06, sill / 2), beside(0.0, sill / 2), turned, solid=framed)]
    if framed:
        post = half[2] + 0.01
        for name, x in (("left post", -half[0] - 0.05), ("right post", half[0] + 0.05)):
            props.append(Prop(name, color, (0.04, 0.06, post), beside(x, sill + post), turned))
        top = sill + 2 * post
        props.append(Prop("lintel", color, (half[0] + 0.09, 0.06, 0.04), beside(0.0, top + 0.04), turned))
    if plinth_m:
        place = (start[0], start[1], plinth_m / 2)
        props.append(Prop("plinth", draw.prop_color(), (0.26, ledge, plinth_m / 2), place, turned))
    points_N3 = _web(draw, half, (aside, hits["hard"].point_m[2]))
    mounts: tuple[Vec3, ...] = ((0.0, 0.0, -1.0),)
    if framed:
        mounts = ((0.0, 0.0, -1.0), (0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    cuts = points_N3, box_planes(np.array(half))
    return _Setup(Body(striker, start), whole, cuts, mounts, 0, way, speeds, hits, tuple(props))


def _loose(draw: Draw, striker: BodyInfo, thing: str) -> _Setup:
    """A glass ball or a vase on the floor that a ball rolls into or drops on, or a glass ball that drops itself."""
    corners: tuple[Vec3, ...] = ()
    if thing == "ball":
        info = draw.info(("small", "medium"), ("sphere",), ("glass",))
        half = info.half_size_m
        outside_P4 = ball_planes(half[0])
    else:
        radius, height = draw.uniform(0.27, 0.33), draw.uniform(0.36, 0.44)
        half = (radius, radius, height)
        info = _of_glass(draw.info(("medium",), ("cylinder",), ("glass",)), half, 2 * math.pi * radius**2 * height)
        outside_P4 = cylinder_planes(radius, height)
        # a prism stands on its corners; MuJoCo's own cylinder may jump when it stands exactly upright
        corners = tuple((x, y, z) for x, y, z in corners_of(outside_P4).tolist())
    side = draw.sign()
    how = draw.weighted({"rolls": 0.5, "drops": 0.25, "falls": 0.25 if thing == "ball" else 0.0})
    x, y = side * draw.uniform(-0.1, 0.35), draw.uniform(-0.2, 0.2)
    whole = Body(info, (x, y, half[2]), yaw(draw.uniform(0.0, 2 * math.pi)), vertices_m=corners)
    own = striker.half_size_m[0]
    if how == "rolls":
        turn, gap = draw.uniform(-0.5, 0.5), draw.uniform(0.5, 0.7)
        way = (side * math.cos(turn), math.sin(turn), 0.0)
        back = gap + half[0] + own
        start = (x - back * way[0], y - back * way[1], own)
        speeds = {"soft": draw.uniform(1.6, 2.0), "hard": draw.uniform(5.5, 7.5)}
        # two balls meet where the line between their middles crosses the surface
        upwards = (half[2] - own) / (half[2] + own) if thing == "ball" else 0.0
        level = math.sqrt(1 - upwards**2)
        inwards = (level * way[0], level * way[1], upwards)
        height = -half[2] * upwards if thing == "ball" else own - half[2]
        point = (-half[0] * inwards[0], -half[0] * inwards[1], height)
        impact = {name: speed * level for name, speed in speeds.items()}
        mass_kg, moving = striker.mass_kg, 0
    else:
        way, inwards = (0.0, 0.0, -1.0), (0.0, 0.0, -1.0 if how == "drops" else 1.0)
        gap = draw.uniform(0.3, 0.5) if how == "drops" else draw.uniform(0.6, 0.9)
        speeds = {"soft": 0.0, "hard": draw.uniform(6.0, 7.5)}
        impact = {name: math.sqrt(speed**2 + 2 * GRAVITY_MPS2 * gap) for name, speed in speeds.items()}
        point = (0.0, 0.0, half[2] if how == "drops" else -half[2])
        start = (x, y, 2 * half[2] + gap + own) if how == "drops" else (x - side * draw.uniform(1.1, 1.3), y, own)
        mass_kg, moving = (striker.mass_kg, 0) if how == "drops" else (math.inf, WHOLE)
        if how == "falls":
            whole = replace(whole, position_m=(x, y, half[2] + gap))
    turn_back = -2 * math.atan2(whole.orientation[3], whole.orientation[0])
    hits = {
        name: Hit(_about_z(point, turn_back), _about_z(inwards, turn_back), mass_kg, speed)
        for name, speed in impact.items()
    }
    points_N3 = _scattered(draw, outside_P4, np.array(hits["hard"].point_m))
    return _Setup(Body(striker, start), whole, (points_N3, outside_P4), (), moving, way, speeds, hits, ())


def _web(draw: Draw, half: Vec3, hit: tuple[float, float]) -> NDArray[np.float64]:
    """Points on rings about the hit, as cracks in a pane run: rays outwards and circles around."""
    points = []
    radius, spread = draw.uniform(0.07, 0.09), draw.uniform(1.55, 1.75)
    for ring in range(7):
        count = 5 + 2 * ring
        turn = draw.uniform(0.0, 2 * math.pi)
        for index in range(count):
            angle = turn + 2 * math.pi * (index + draw.uniform(-0.28, 0.28)) / count
            far = radius * draw.uniform(0.85, 1.15)
            x, z = hit[0] + far * math.cos(angle), hit[1] + far * math.sin(angle)
            if abs(x) < 0.95 * half[0] and abs(z) < 0.95 * half[2]:
                points.append((x, 0.0, z))
        radius *= spread
    return np.array(points)


def _scattered(draw: Draw, outside_P4: NDArray[np.float64], hit_3: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points within a body, apart from one another and closer together near the hit (best of several candidates)."""
    reach = float(outside_P4[:, 3].max())
    points_N3 = np.zeros((0, 3))
    for _ in range(int(draw.uniform(24, 32))):
        trial_N3 = draw.rng.uniform(-reach, reach, (60, 3))
        trial_N3 = trial_N3[(trial_N3 @ outside_P4[:, :3].T < 0.95 * outside_P4[:, 3]).all(axis=1)]
        apart_N = np.linalg.norm(trial_N3[:, None] - points_N3, axis=2).min(axis=1, initial=reach)
        near_N = np.linalg.norm(trial_N3 - hit_3, axis=1)
        best = int((apart_N / (0.3 * reach + near_N)).argmax())
        points_N3 = np.concatenate([points_N3, trial_N3[best : best + 1]])
    return points_N3


def _of_glass(info: BodyInfo, half_size_m: Vec3, volume_m3: float) -> BodyInfo:
    mass_kg = volume_m3 * palette.MATERIALS["glass"].density
    return replace(info, half_size_m=half_size_m, mass_kg=mass_kg)


def _rolling(velocity: Vec3, info: BodyInfo) -> Vec3:
    """The spin of a ball that rolls on the floor."""
    return (-velocity[1] / info.half_size_m[0], velocity[0] / info.half_size_m[0], 0.0)


def _about_z(vector: Vec3, turn_rad: float) -> Vec3:
    cosine, sine = math.cos(turn_rad), math.sin(turn_rad)
    return (cosine * vector[0] - sine * vector[1], sine * vector[0] + cosine * vector[1], vector[2])
