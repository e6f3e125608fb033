"""Hide behind walls: bodies go on existing while nobody sees them."""

from __future__ import annotations

import math

from kinema.data import BodyInfo, CameraInfo
from kinema.worlds import palette
from kinema.worlds.physics.mjcf import GRAVITY_MPS2
from kinema.worlds.scene import Body, CameraMove, Draw, Kick, Prop, Scene, Vec3, half_height, reach, resting

ABOUT = "bodies pass behind walls and come out again, stop there or come back"
WALL_Y_M = -0.96
EDGE_M = 1.74
LANES_M = {1: (0.0,), 2: (-0.3, 0.75), 3: (-0.45, 0.32, 1.09)}
FRICTION = 0.09


def draw(draw: Draw) -> Scene:
    """One to three bodies cross behind one or two walls; the first goes one way, the next the other way."""
    count = draw.count((0.55, 0.3, 0.15))
    two_walls = draw.chance(0.3)
    sign = draw.sign()
    infos = [draw.info(("small", "medium") if count == 1 and not two_walls else ("small",)) for _ in range(count)]
    eye = (draw.uniform(-0.4, 0.4), -8.2, draw.uniform(1.5, 2.3))
    centres = (-0.72, 0.72) if two_walls else (0.0,)
    half_width = draw.uniform(0.37, 0.39) if two_walls else draw.uniform(0.52, 0.68)
    height = max(_hiding_height(info, lane, eye) for info, lane in zip(infos, LANES_M[count], strict=True)) + 0.06
    color, pattern = draw.prop_color(), draw.weighted(palette.WALL_PATTERNS)
    props = [
        Prop(f"wall{index}", color, (half_width, 0.05, height / 2), (x, WALL_Y_M, height / 2), pattern=pattern)
        for index, x in enumerate(centres)
    ]
    bodies, ends = [], []
    for index, (info, lane) in enumerate(zip(infos, LANES_M[count], strict=True)):
        towards = sign if index % 2 == 0 else -sign
        start = -towards * (EDGE_M - reach(info))
        hidden = _behind(draw.sign() * centres[-1], lane, eye)
        end = draw.weighted({"passes": 0.55, "stops": 0.25, "returns": 0.2})
        if end == "stops" and info.shape == "sphere" or end == "returns" and "bumper" in [prop.name for prop in props]:
            end = "passes"
        if end == "returns":
            top = resting(info)[1]  # as high as the body, so that the wall hides it too
            along = info.half_size_m[2 if info.shape == "capsule" else 0]
            place = (hidden + towards * (along + 0.05), lane, top)
            props.append(Prop("bumper", color, (0.05, 0.2, top), place, restitution=0.95))
        velocity, spin = _crossing(draw, info, abs(hidden - start), end)
        orientation, body_height = resting(info)
        bodies.append(
            Body(
                info,
                (start, lane, body_height),
                orientation,
                (towards * velocity[0], 0.0, 0.0),
                (0.0, towards * spin[1], 0.0),
            )
        )
        ends.append(end)
    kicks = []
    for time_s in draw.encores(3.0, 2.6):  # across again, from wherever they are
        for index, lane in enumerate(LANES_M[count]):
            velocity, spin = _crossing(draw, infos[index], EDGE_M, "passes")
            kicks.append(Kick(time_s, index, velocity, spin, towards=(0.0, lane, 0.0)))
    facts = {"towards": "right" if sign > 0 else "left", "ends": ends}
    return draw.scene(
        bodies,
        backdrop=0.15,
        floor_friction=FRICTION,
        camera=CameraInfo(eye, (0.0, 0.0, 1.15), 25.0),
        camera_move=CameraMove("pan", draw.sign() * draw.uniform(1.2, 2.5)) if draw.chance(0.12) else CameraMove(),
        props=tuple(props),
        kicks=tuple(kicks),
        facts=facts,
    )


def _behind(wall_x_m: float, lane_m: float, eye_m: Vec3) -> float:
    """Where on a lane a body is behind the middle of a wall, as the camera sees it."""
    return eye_m[0] + (wall_x_m - eye_m[0]) * (lane_m - eye_m[1]) / (WALL_Y_M - eye_m[1])


def _hiding_height(info: BodyInfo, lane_m: float, eye_m: Vec3) -> float:
    """How high a wall must be so that a camera looking over it does not see the body's top."""
    _, eye_y, eye_z = eye_m
    return eye_z - (eye_z - 2 * half_height(info)) * (WALL_Y_M - eye_y) / (lane_m + reach(info) - eye_y)


def _crossing(draw: Draw, info: BodyInfo, way_m: float, end: str) -> tuple[Vec3, Vec3]:
    """Velocity and spin of a body that goes to the right: friction stops what slides after v² / (2 μ g)."""
    if info.shape == "sphere":
        speed = draw.uniform(1.9, 2.3) if end == "returns" else draw.uniform(1.2, 1.7)
        return (speed, 0.0, 0.0), (0.0, speed / info.half_size_m[0], 0.0)
    lost = 2 * FRICTION * palette.MATERIALS[info.material].friction * GRAVITY_MPS2
    if end == "stops":
        return (math.sqrt(lost * way_m), 0.0, 0.0), (0.0, 0.0, 0.0)
    way = 2.4 * way_m if end == "returns" else 2 * EDGE_M
    return (math.sqrt(lost * way + draw.uniform(0.6, 1.0) ** 2), 0.0, 0.0), (0.0, 0.0, 0.0)
