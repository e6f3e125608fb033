"""How a scene looks to the ray tracer: bodies first, then props, then the rods of pendulums.

Legend: T frames, B bodies, P props, R rods, A all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinema.data import PaintState, VoxelState, WaterState
from kinema.worlds import palette
from kinema.worlds.palette import Rgb
from kinema.worlds.physics import voxels
from kinema.worlds.physics.cells import planes_of
from kinema.worlds.physics.simulate import Motion
from kinema.worlds.render import tracer
from kinema.worlds.scene import Body, Prop, Scene, Vec3, Water

Floats = NDArray[np.float64]

ROD_RADIUS_M = 0.025
ROD_COLOR = "black"  # of palette.SCENERY
GRAIN_M = 0.16  # between the rings of wood
FLOOR_M = {"checkered": 1.0, "striped": 0.8, "tiled": 0.6, "planked": 0.4}  # a period of each pattern
WALL_M = 0.8
ACCENT_SHARE = 0.5  # of the way from a floor's colour to its accent: patterns stay quieter than bodies

_KINDS = {
    "sphere": tracer.SPHERE,
    "cube": tracer.BOX,
    "slab": tracer.BOX,
    "cylinder": tracer.CYLINDER,
    "cone": tracer.CONE,
    "capsule": tracer.CAPSULE,
    "shard": tracer.CONVEX,
}
_PATTERNS = {
    "plain": tracer.PLAIN,
    "checkered": tracer.CHECKER,
    "striped": tracer.STRIPES,
    "dotted": tracer.DOTS,
    "tiled": tracer.TILES,
    "planked": tracer.PLANKS,
}


@dataclass(frozen=True)
class _Thing:
    """One row of the ray tracer's tables."""

    kind: int
    half_size_m: Vec3
    albedo: Rgb
    accent: Rgb = (0.0, 0.0, 0.0)
    pattern: int = tracer.PLAIN
    scale_m: float = 1.0
    gloss: float = 0.0
    metallic: bool = False
    index: float = 0.0
    corners_m: tuple[Vec3, ...] = ()


def look_of(scene: Scene, motion: Motion, eye_T3: Floats, target_T3: Floats, fps: float) -> tracer.Look:
    """Everything that the ray tracer must know of a clip beyond poses.

    Args:
        scene: what was drawn.
        motion: what physics made of it.
        eye_T3: where the camera is at every frame, metres.
        target_T3: what it looks at, metres.
        fps: frames per second.
    """
    things = [
        *(_body(body) for body in scene.bodies),
        *(_prop(prop) for prop in scene.props),
        *(_Thing(tracer.CYLINDER, size, palette.SCENERY[ROD_COLOR]) for size in rod_sizes(scene)),
    ]
    planes = [planes_of(np.array(thing.corners_m)) if thing.corners_m else np.zeros((0, 4)) for thing in things]
    ends_A = np.cumsum([len(rows) for rows in planes])
    sky, floor = palette.SKIES[scene.sky], palette.FLOORS[scene.floor]
    return tracer.Look(
        kind_B=np.array([thing.kind for thing in things], dtype=np.int32),
        half_size_B3=np.array([thing.half_size_m for thing in things]).reshape(-1, 3),
        albedo_B3=np.array([thing.albedo for thing in things]).reshape(-1, 3),
        accent_B3=np.array([thing.accent for thing in things]).reshape(-1, 3),
        pattern_B=np.array([thing.pattern for thing in things], dtype=np.int32),
        pattern_scale_B=np.array([thing.scale_m for thing in things]),
        gloss_B=np.array([thing.gloss for thing in things]),
        metallic_B=np.array([thing.metallic for thing in things], dtype=np.bool_),
        index_B=np.array([thing.index for thing in things]),
        planes_P4=np.concatenate([np.zeros((0, 4)), *planes]),
        plane_range_B2=np.stack([ends_A - [len(rows) for rows in planes], ends_A], axis=1).astype(np.int32),
        floor_albedo_3=np.array(floor),
        floor_accent_3=np.array(_mixed(floor, palette.FLOORS[scene.floor_accent], ACCENT_SHARE)),
        floor_pattern=_PATTERNS[scene.floor_pattern],
        floor_scale_m=FLOOR_M.get(scene.floor_pattern, 1.0),
        sky_top_3=np.array(sky.top),
        sky_horizon_3=np.array(sky.horizon),
        sun_direction_3=np.array(scene.sun_direction),
        sun_color_3=np.array(sky.sun),
        ambient=sky.ambient,
        eye_T3=eye_T3,
        target_T3=target_T3,
        vertical_fov_deg=scene.camera.vertical_fov_deg,
        water=None if scene.water is None or motion.water is None else _water(scene.water, motion.water),
        paint=None if motion.paint is None else _paint(motion.paint, fps),
        voxels=None if motion.voxels is None else _voxels(motion.voxels),
    )


def poses(scene: Scene, motion: Motion) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """``position_TA3``, ``orientation_TA4`` and ``shown_TA`` of bodies, of what stands still and of rods."""
    frames, count = len(motion.position_TB3), len(scene.props)
    position_P3 = np.array([prop.position_m for prop in scene.props]).reshape(count, 3)
    orientation_P4 = np.array([prop.orientation for prop in scene.props]).reshape(count, 4)
    position_TR3, orientation_TR4 = rod_poses(scene, motion)
    always_TA = np.ones((frames, count + position_TR3.shape[1]), dtype=np.bool_)
    return (
        np.concatenate([motion.position_TB3, np.tile(position_P3, (frames, 1, 1)), position_TR3], axis=1),
        np.concatenate([motion.orientation_TB4, np.tile(orientation_P4, (frames, 1, 1)), orientation_TR4], axis=1),
        np.concatenate([motion.shown_TB, always_TA], axis=1),
    )


def rod_sizes(scene: Scene) -> list[Vec3]:
    """Half sizes of the cylinders from anchors to the middles of bobs, in order of bodies."""
    return [
        (ROD_RADIUS_M, ROD_RADIUS_M, math.dist(body.rod.anchor_m, body.position_m) / 2)
        for body in scene.bodies
        if body.rod is not None
    ]


def rod_poses(scene: Scene, motion: Motion) -> tuple[Floats, Floats]:
    """``position_TR3`` and ``orientation_TR4`` of the same cylinders: body z turned into the rod's direction."""
    hung = [(index, body.rod.anchor_m) for index, body in enumerate(scene.bodies) if body.rod is not None]
    bob_TR3 = motion.position_TB3[:, [index for index, _ in hung]]
    way_TR3 = np.array([anchor for _, anchor in hung]).reshape(len(hung), 3) - bob_TR3
    direction_TR3 = way_TR3 / np.linalg.norm(way_TR3, axis=-1, keepdims=True)
    x_TR, y_TR, z_TR = np.moveaxis(direction_TR3, -1, 0)
    # half way between no turn and half a turn: (1 + z·d, z × d), normalised
    turn_TR4 = np.stack([1 + z_TR + 1e-9, -y_TR, x_TR, np.zeros_like(x_TR)], axis=-1)
    return bob_TR3 + way_TR3 / 2, turn_TR4 / np.linalg.norm(turn_TR4, axis=-1, keepdims=True)


def _body(body: Body) -> _Thing:
    info, material = body.info, palette.MATERIALS[body.info.material]
    color = palette.COLORS[info.color]
    return _Thing(
        kind=_KINDS[info.shape],
        half_size_m=info.half_size_m,
        albedo=color,
        accent=_mixed(color, (0.0, 0.0, 0.0), 0.45),
        pattern=tracer.GRAIN if material.grain else tracer.PLAIN,
        scale_m=GRAIN_M,
        gloss=material.gloss,
        metallic=material.metallic,
        index=body.index or material.index,
        corners_m=body.vertices_m if info.shape == "shard" else (),
    )


def _prop(prop: Prop) -> _Thing:
    color = palette.SCENERY[prop.color]
    return _Thing(
        kind=tracer.BOX,
        half_size_m=prop.half_size_m,
        albedo=color,
        accent=_mixed(color, palette.SCENERY["grey"] if prop.color != "grey" else palette.SCENERY["white"], 0.6),
        pattern=_PATTERNS[prop.pattern],
        scale_m=WALL_M,
        gloss=palette.MIRROR_GLOSS if prop.mirror else 0.0,
    )


def _water(drawn: Water, state: WaterState) -> tracer.WaterLook:
    return tracer.WaterLook(
        *state.x_m,
        *state.y_m,
        level_m=state.level_m,
        height_TXY=state.height_TXY.astype(np.float64),
        tint_3=np.array(palette.WATER[drawn.tint]) ** 2,  # of a whole metre
        wall_albedo_3=np.array((0.9, 0.95, 0.93) if drawn.wall_color == "glass" else palette.SCENERY[drawn.wall_color]),
        wall_index=palette.MATERIALS["glass"].index if drawn.wall_color == "glass" else 0.0,
    )


def _paint(state: PaintState, fps: float) -> tracer.PaintLook:
    time_XY = state.time_XY.astype(np.float64) * fps
    return tracer.PaintLook(*state.x_m, *state.y_m, time_XY=time_XY, color_3=np.array(palette.COLORS[state.color]))


def _voxels(state: VoxelState) -> tracer.VoxelLook:
    colors_K3 = np.array([(0.0, 0.0, 0.0), *(voxels.COLORS[name] for name in state.names)])
    return tracer.VoxelLook(np.array(state.origin_m), state.cell_m, state.grid_TXYZ, colors_K3)


def _mixed(first: Sequence[float], second: Sequence[float], share: float) -> Rgb:
    red, green, blue = ((1 - share) * a + share * b for a, b in zip(first, second, strict=True))
    return red, green, blue
