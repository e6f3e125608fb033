"""Lens: a clear ball, block or glass of water bends the view of what moves behind it."""

from __future__ import annotations

import math
from dataclasses import replace

from kinema.data import BodyInfo, CameraInfo
from kinema.worlds.palette import MATERIALS
from kinema.worlds.physics.mjcf import GRAVITY_MPS2
from kinema.worlds.scene import Body, CameraMove, Draw, Kick, Prop, Quat, Scene, Vec3, reach, resting, yaw

ABOUT = (
    "something moves behind a clear glass ball, a thick glass slab or a glass of water, or the glass moves before it"
)
GLASS_Y_M, LANE_Y_M, WALL_Y_M = -0.85, 0.9, 1.8
EDGE_M, NEAR_EDGE_M = 1.7, 1.4  # half of what is seen at the lane and at the glass
FRICTION = 0.09
WATER_INDEX = 1.33
PATTERNS = {"striped": 0.4, "checkered": 0.35, "dotted": 0.25}  # of the wall behind; a plain one shows no bending


def draw(draw: Draw) -> Scene:
    """A body behind clear glass, in front of a patterned wall; one of them moves, or the camera does."""
    thing = draw.weighted({"sphere": 0.5, "slab": 0.25, "water": 0.25})
    moves = draw.weighted({"body": 0.55, "glass": 0.25, "camera": 0.2})
    behind = _opaque(draw, ("small", "medium"))
    sign = draw.sign()  # +1: what moves goes to the right
    glass, orientation = _glass(draw, thing)
    x = -sign * (NEAR_EDGE_M - reach(glass)) if moves == "glass" else draw.uniform(-0.35, 0.35)
    lens = Body(
        glass, (x, GLASS_Y_M, glass.half_size_m[2]), orientation, index=WATER_INDEX if thing == "water" else 0.0
    )
    start = -sign * (EDGE_M - reach(behind)) if moves == "body" else draw.uniform(-0.3, 0.3)
    turn, height = resting(behind, math.pi / 2 if moves == "body" else draw.uniform(0.0, math.pi / 2))
    bodies = [Body(behind, (start, LANE_Y_M, height), turn), lens]
    if draw.chance(0.4):
        bodies.append(_beside(draw, moves, start))
    kicks = []
    if moves != "camera":
        mover = 0 if moves == "body" else 1
        velocity, spin = _crossing(draw, bodies[mover].info, EDGE_M if mover == 0 else NEAR_EDGE_M)
        going = replace(bodies[mover], velocity_mps=_scaled(velocity, sign), spin_radps=_scaled(spin, sign))
        bodies[mover] = going
        for time_s in draw.encores(3.0, 2.6):  # across again, from wherever it is
            kicks.append(Kick(time_s, mover, velocity, spin, towards=(0.0, going.position_m[1], 0.0)))
    wall = Prop(
        "backdrop",
        draw.prop_color(),
        (4.0, 0.05, 2.0),
        (0.0, WALL_Y_M, 2.0),
        pattern=draw.weighted(PATTERNS),
        solid=False,
    )
    eye = (draw.uniform(-0.5, 0.5), -7.3, draw.uniform(1.3, 2.0))
    swing = draw.uniform(12.0, 24.0)
    rate = draw.sign() * swing / min(max(draw.duration_s, 1.5), 6.0)
    return draw.scene(
        bodies,
        camera=CameraInfo(eye, (0.0, 0.0, 0.85), 24.0),
        camera_move=CameraMove("orbit", rate, swing) if moves == "camera" else CameraMove(),
        props=(wall,),
        floor_friction=FRICTION,
        kicks=tuple(kicks),
        facts={"thing": thing, "behind": 0, "moves": moves},
    )


def _glass(draw: Draw, thing: str) -> tuple[BodyInfo, Quat]:
    """A clear ball; a slab that stands on its edge, turned so that it shifts what is behind it; a full glass."""
    if thing == "sphere":
        radius = draw.uniform(0.54, 0.64)
        return _clear("sphere", (radius,) * 3, 4 / 3 * math.pi * radius**3), yaw(0.0)
    if thing == "slab":
        half = (draw.uniform(0.6, 0.7), draw.uniform(0.2, 0.28), draw.uniform(0.6, 0.7))
        return _clear("slab", half, 8 * math.prod(half)), yaw(draw.sign() * draw.uniform(0.55, 0.8))
    radius, half_height = draw.uniform(0.42, 0.5), draw.uniform(0.55, 0.65)
    info = _clear("cylinder", (radius, radius, half_height), 2 * math.pi * radius**2 * half_height)
    return replace(info, mass_kg=info.mass_kg * MATERIALS["water"].density / MATERIALS["glass"].density), yaw(0.0)


def _clear(shape: str, half_size_m: Vec3, volume: float) -> BodyInfo:
    return BodyInfo(shape, "white", "glass", "large", half_size_m, volume * MATERIALS["glass"].density)


def _opaque(draw: Draw, sizes: tuple[str, ...]) -> BodyInfo:
    """A body that is neither glass nor white, so that the glass is the only one that is."""
    info = draw.info(sizes, materials=("matte", "rubber", "metal", "wood"))
    return _opaque(draw, sizes) if info.color == "white" else info


def _beside(draw: Draw, moves: str, x: float) -> Body:
    """A further body that stands where nothing passes: beside the glass, or beside the body behind it."""
    info = _opaque(draw, ("small",))
    turn, height = resting(info, draw.uniform(0.0, math.pi / 2))
    side = draw.sign() * draw.uniform(1.0, 1.1)
    y = GLASS_Y_M if moves == "body" else LANE_Y_M
    return Body(info, (side, y, height) if moves == "body" else (x + side, y, height), turn)


def _crossing(draw: Draw, info: BodyInfo, edge_m: float) -> tuple[Vec3, Vec3]:
    """Velocity and spin to the right: balls and capsules roll; what slides is fast enough to stop at the other side."""
    if info.shape in ("sphere", "capsule"):
        speed = draw.uniform(1.0, 1.35)
        return (speed, 0.0, 0.0), (0.0, speed / info.half_size_m[0], 0.0)
    friction = FRICTION * MATERIALS[info.material].friction
    way = 2 * (edge_m - reach(info))
    return (math.sqrt(2 * friction * GRAVITY_MPS2 * way), 0.0, 0.0), (0.0, 0.0, 0.0)


def _scaled(vector: Vec3, factor: float) -> Vec3:
    x, y, z = vector
    return (factor * x, factor * y, factor * z)
