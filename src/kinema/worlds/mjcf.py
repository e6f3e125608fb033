"""A scene as MJCF, MuJoCo's own language. Contacts are explicit pairs, so that each has its own bounciness and friction.

A bounce is a damped spring (MuJoCo's direct ``solref``): with natural frequency ω and damping ratio ζ a body leaves a
contact with the share e = exp(−πζ / √(1 − ζ²)) of its speed, so ζ follows from the restitution.
"""

from __future__ import annotations

import math

from kinema.worlds import palette
from kinema.worlds.scene import HALF_DEPTH_M, HALF_WIDTH_M, Body, Prop, Scene, Vec3

GRAVITY_MPS2 = 9.81
CONTACT_FREQUENCY_RADPS = 180.0  # a contact lasts π / ω ≈ 17 ms
_CONE_SIDES = 16


def scene_xml(scene: Scene, step_s: float) -> str:
    """The MJCF document; body ``i`` is named ``body{i}`` and has a geom of the same name."""
    meshes = "".join(_mesh_xml(index, body) for index, body in enumerate(scene.bodies))
    bodies = "".join(_body_xml(index, body) for index, body in enumerate(scene.bodies))
    solid = [prop for prop in scene.props if prop.solid]
    statics = '<geom name="floor" type="plane" size="0 0 1"/>' + "".join(_prop_xml(prop) for prop in solid)
    grounds = {"floor": 1.0} | {prop.name: 1.0 for prop in solid}
    if scene.walled:
        for side, (x, y) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
            place = f"{x * HALF_WIDTH_M} {y * HALF_DEPTH_M} 0"
            statics += f'<geom name="side{side}" type="plane" size="0 0 1" pos="{place}" zaxis="{-x} {-y} 0"/>'
        grounds |= {f"side{side}": 0.5 for side in range(4)}
    pairs = ""
    for index, body in enumerate(scene.bodies):
        own = palette.MATERIALS[body.info.material]
        for name, bounce in grounds.items():
            friction = scene.floor_friction * own.friction
            pairs += _pair_xml(f"body{index}", name, own.restitution * bounce, friction, body)
        for other in range(index + 1, len(scene.bodies)):
            theirs = palette.MATERIALS[scene.bodies[other].info.material]
            pairs += _pair_xml(f"body{index}", f"body{other}", max(own.restitution, theirs.restitution), 0.2, body)
    return f"""<mujoco><option timestep="{step_s!r}" gravity="0 0 {-GRAVITY_MPS2}" integrator="implicitfast"/>
<default><geom contype="0" conaffinity="0"/></default><asset>{meshes}</asset>
<worldbody>{bodies}{statics}</worldbody><contact>{pairs}</contact></mujoco>"""


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(repr(float(value)) for value in values)


def _cone_corners(half_size_m: Vec3) -> list[Vec3]:
    radius, _, half = half_size_m
    turns = [2 * math.pi * side / _CONE_SIDES for side in range(_CONE_SIDES)]
    return [(0.0, 0.0, half), *((radius * math.cos(turn), radius * math.sin(turn), -half) for turn in turns)]


def _mesh_xml(index: int, body: Body) -> str:
    if body.info.shape not in ("cone", "shard"):
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
    joint = "<freejoint/>"
    if body.rod is not None:  # the body's axes are the world's at the start only if it starts upright
        assert body.orientation == (1.0, 0.0, 0.0, 0.0), "a body on a rod starts upright"
        anchor = tuple(a - p for a, p in zip(body.rod.anchor_m, body.position_m, strict=True))
        joint = f'<joint type="hinge" pos="{_numbers(anchor)}" axis="{_numbers(body.rod.axis)}" damping="{body.rod.damping!r}"/>'
    return (
        f'<body name="body{index}" pos="{_numbers(body.position_m)}" quat="{_numbers(body.orientation)}">{joint}'
        f'<geom name="body{index}" {form} mass="{body.info.mass_kg!r}"/></body>'
    )


def _prop_xml(prop: Prop) -> str:
    return (
        f'<geom name="{prop.name}" type="box" size="{_numbers(prop.half_size_m)}" pos="{_numbers(prop.position_m)}" '
        f'quat="{_numbers(prop.orientation)}"/>'
    )


def _pair_xml(first: str, second: str, restitution: float, friction: float, body: Body) -> str:
    log_e = math.log(max(restitution, 0.01))
    damping_ratio = -log_e / math.hypot(math.pi, log_e)
    stiffness, damping = CONTACT_FREQUENCY_RADPS**2, 2 * damping_ratio * CONTACT_FREQUENCY_RADPS
    rolls = body.info.shape == "sphere"
    sliding = max(friction, 0.4) if rolls else friction  # a ball grips and rolls where a cube would slide
    return (
        f'<pair geom1="{first}" geom2="{second}" condim="{6 if rolls else 3}" solref="{-stiffness} {-damping}" '
        f'solimp="0.98 0.98 0.001" friction="{sliding} {sliding} 0.003 0.002 0.002"/>'
    )
