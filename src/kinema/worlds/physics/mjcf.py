"""A scene as MJCF, MuJoCo's own language. Contacts are explicit pairs, so that each has its own bounce and friction.

A bounce is a damped spring (MuJoCo's direct ``solref``): with natural frequency ω and damping ratio ζ a body leaves a
contact with the share e = exp(−πζ / √(1 − ζ²)) of its speed, so ζ follows from the restitution.
"""

from __future__ import annotations

import math

import numpy as np

from kinema.worlds import palette
from kinema.worlds.scene import HALF_DEPTH_M, HALF_WIDTH_M, Body, Prop, Scene, Vec3

GRAVITY_MPS2 = 9.81
CONTACT_FREQUENCY_RADPS = 180.0  # a contact lasts π / ω ≈ 17 ms
BODY_FRICTION = 0.3  # between two bodies of friction 1
BALL_FRICTION = 0.06  # between two balls, as in billiards
ROLLING_GRIP = 0.4  # at least; a ball grips and rolls where a cube would slide
SHARD_RESTITUTION = 0.25  # splinters spend their energy on turning and chipping
SIDE_FRICTION = 0.01  # of the invisible walls, so that balls do not climb them
FRICTION_DAMPING_PER_S = 80.0  # less and what friction holds creeps; more and oblique bounces lose their height
_FRICTION_SPRING = f"{-(CONTACT_FREQUENCY_RADPS**2)} {-FRICTION_DAMPING_PER_S}"
_CONE_SIDES = 16
# Cylinders have a floor of their own, because MuJoCo throws one up that stands exactly upright on a plane.
_FLOORS = """<geom name="floor" type="plane" size="0 0 1"/>
<geom name="floor_of_cylinders" type="box" size="40 40 1" pos="0 0 -1" conaffinity="0"/>"""
_SOLVER = 'integrator="implicitfast" cone="elliptic" impratio="10" iterations="12"'


def scene_xml(scene: Scene, step_s: float) -> str:
    """The MJCF document; body ``i`` is named ``body{i}`` and has a geom of the same name."""
    meshes = "".join(_mesh_xml(index, body) for index, body in enumerate(scene.bodies))
    bodies = "".join(_body_xml(index, body) for index, body in enumerate(scene.bodies))
    solid = [prop for prop in scene.props if prop.solid]
    statics = _FLOORS + "".join(_prop_xml(prop) for prop in solid)
    springs = {prop.name: prop.restitution for prop in solid}
    grounds = {"floor": 1.0} | {prop.name: 1.0 for prop in solid}
    if scene.walled:  # or the inner sides of a basin in the middle
        half_width, half_depth = HALF_WIDTH_M, HALF_DEPTH_M
        if scene.water is not None:
            half_width, half_depth = scene.water.x_m[1], scene.water.y_m[1]
        for side, (x, y) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
            place = f"{x * half_width} {y * half_depth} 0"
            statics += f'<geom name="side{side}" type="plane" size="0 0 1" pos="{place}" zaxis="{-x} {-y} 0"/>'
        grounds |= {f"side{side}": 0.5 for side in range(4)}
    pairs = ""
    lasting = [(index, body) for index, body in enumerate(scene.bodies) if body.info.shape != "shard"]
    for at, (index, body) in enumerate(lasting):
        own = palette.MATERIALS[body.info.material]
        for name, bounce in grounds.items():
            rolls, side = body.info.shape == "sphere", name.startswith("side")
            friction = max(scene.floor_friction * own.friction, ROLLING_GRIP if rolls else 0.0)
            spring = springs.get(name)
            restitution = own.restitution * bounce if spring is None else spring
            ground = "floor_of_cylinders" if (name, body.info.shape) == ("floor", "cylinder") else name
            pairs += _pair_xml(f"body{index}", ground, restitution, SIDE_FRICTION if side else friction, rolls)
        for other, _ in lasting[at + 1 :]:
            pairs += _bodies_pair_xml(scene, index, other)
    return f"""<mujoco><option timestep="{step_s!r}" gravity="0 0 {-GRAVITY_MPS2}" {_SOLVER}/>
<default><geom contype="0" conaffinity="1"/></default><asset>{meshes}</asset>
<worldbody>{bodies}{statics}</worldbody><contact>{pairs}</contact></mujoco>"""


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(repr(float(value)) for value in values)


def _cone_corners(half_size_m: Vec3) -> list[Vec3]:
    radius, _, half = half_size_m
    turns = [2 * math.pi * side / _CONE_SIDES for side in range(_CONE_SIDES)]
    return [(0.0, 0.0, half), *((radius * math.cos(turn), radius * math.sin(turn), -half) for turn in turns)]


def _mesh_xml(index: int, body: Body) -> str:
    if body.info.shape != "cone" and not body.vertices_m:
        return ""
    corners = body.vertices_m or _cone_corners(body.info.half_size_m)
    return f'<mesh name="mesh{index}" vertex="{"  ".join(_numbers(corner) for corner in corners)}"/>'


def _body_xml(index: int, body: Body) -> str:
    half = body.info.half_size_m
    form = {
        "sphere": f'type="sphere" size="{_numbers(half[:1])}"',
        "cube": f'type="box" size="{_numbers(half)}"',
        "slab": f'type="box" size="{_numbers(half)}"',
        "cylinder": f'type="cylinder" size="{_numbers((half[0], half[2]))}"',
        "capsule": f'type="capsule" size="{_numbers((half[0], half[2] - half[0]))}"',
        "cone": f'type="mesh" mesh="mesh{index}"',
        "shard": f'type="mesh" mesh="mesh{index}"',
    }[body.info.shape]
    if body.vertices_m:
        form = f'type="mesh" mesh="mesh{index}"'
    joint = "<freejoint/>"
    if body.rod is not None:
        back = (body.orientation[0], *(-part for part in body.orientation[1:]))  # from the world's axes to the body's
        anchor = _turned(back, tuple(a - p for a, p in zip(body.rod.anchor_m, body.position_m, strict=True)))
        axis, damping = _turned(back, body.rod.axis), body.rod.damping
        joint = f'<joint type="hinge" pos="{_numbers(anchor)}" axis="{_numbers(axis)}" damping="{damping!r}"/>'
    geom = f'<geom name="body{index}" {form} mass="{body.info.mass_kg!r}"'
    geoms = f"{geom} {_shard_xml(index, body)}" if body.info.shape == "shard" else f'{geom} conaffinity="5"/>'
    return (
        f'<body name="body{index}" pos="{_numbers(body.position_m)}" quat="{_numbers(body.orientation)}">{joint}'
        f"{geoms}</body>"
    )


def _shard_xml(index: int, body: Body) -> str:
    """The rest of a shard's geom, and its core: shards touch all else with their corners, one another with a ball.

    Classes of touch (``contype``): 1 all but shards, 2 cores, 4 bodies only, for shards that have come to rest.
    """
    material = palette.MATERIALS[body.info.material]
    spring = _spring(SHARD_RESTITUTION)
    touch = (
        f'condim="3" priority="1" solref="{spring}" solimp="0.98 0.98 0.001" friction="{material.friction} 0.003 0.002"'
    )
    core = (
        f'<geom name="core{index}" type="sphere" size="{body.core_m!r}" mass="0" contype="2" conaffinity="2" {touch}/>'
    )
    return f'contype="1" conaffinity="0" {touch}/>{core}'


def _prop_xml(prop: Prop) -> str:
    return (
        f'<geom name="{prop.name}" type="box" size="{_numbers(prop.half_size_m)}" pos="{_numbers(prop.position_m)}" '
        f'quat="{_numbers(prop.orientation)}"/>'
    )


def _bodies_pair_xml(scene: Scene, first: int, second: int) -> str:
    infos = scene.bodies[first].info, scene.bodies[second].info
    one, two = (palette.MATERIALS[info.material] for info in infos)
    restitution = max(one.restitution, two.restitution) if scene.body_restitution is None else scene.body_restitution
    balls = infos[0].shape == infos[1].shape == "sphere"
    friction = BALL_FRICTION if balls else BODY_FRICTION * math.sqrt(one.friction * two.friction)
    return _pair_xml(f"body{first}", f"body{second}", restitution, friction)


def _pair_xml(first: str, second: str, restitution: float, friction: float, rolls: bool = False) -> str:
    return (
        f'<pair geom1="{first}" geom2="{second}" condim="{6 if rolls else 3}" solref="{_spring(restitution)}" '
        f'solreffriction="{_FRICTION_SPRING}" solimp="0.98 0.98 0.001" '
        f'friction="{friction} {friction} 0.003 0.002 0.002"/>'
    )


def _spring(restitution: float) -> str:
    """The contact spring that gives this bounce, as MuJoCo's direct ``solref``."""
    log_e = math.log(max(restitution, 0.01))
    damping_ratio = -log_e / math.hypot(math.pi, log_e)
    stiffness, damping = CONTACT_FREQUENCY_RADPS**2, 2 * damping_ratio * CONTACT_FREQUENCY_RADPS
    return f"{-stiffness} {-damping}"


def _turned(rotation: tuple[float, ...], vector: tuple[float, ...]) -> tuple[float, ...]:
    """A vector turned by a unit quaternion: v + 2 u × (u × v + w v), with u its imaginary part."""
    w, *imaginary = rotation
    inner = np.cross(imaginary, vector) + w * np.array(vector)
    return tuple(np.array(vector) + 2 * np.cross(imaginary, inner))
