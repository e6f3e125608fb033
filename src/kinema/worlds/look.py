"""How a scene looks to the ray tracer: bodies first, then props."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinema.worlds import palette, tracer
from kinema.worlds.scene import Scene
from kinema.worlds.simulate import Motion

_KINDS = {
    "sphere": tracer.SPHERE,
    "cube": tracer.BOX,
    "slab": tracer.BOX,
    "cylinder": tracer.CYLINDER,
    "cone": tracer.CYLINDER,
    "capsule": tracer.CYLINDER,
    "shard": tracer.BOX,
}


def look_of(scene: Scene) -> tracer.Look:
    """Everything that the ray tracer must know of a scene beyond poses."""
    infos = [body.info for body in scene.bodies]
    sky = palette.SKIES[scene.sky]
    return tracer.Look(
        kind_B=np.array([_KINDS[info.shape] for info in infos] + [tracer.BOX] * len(scene.props), np.int32),
        half_size_B3=np.array([info.half_size_m for info in infos] + [prop.half_size_m for prop in scene.props]),
        albedo_B3=np.array(
            [palette.COLORS[info.color] for info in infos] + [palette.SCENERY[prop.color] for prop in scene.props]
        ),
        gloss_B=np.array([palette.MATERIALS[info.material].gloss for info in infos] + [0.0] * len(scene.props)),
        floor_albedo_3=np.array(palette.FLOORS[scene.floor]),
        floor_checker=0.0,
        sky_top_3=np.array(sky.top),
        sky_horizon_3=np.array(sky.horizon),
        sun_direction_3=np.array(scene.sun_direction),
        ambient=sky.ambient,
        camera=scene.camera,
    )


def poses(scene: Scene, motion: Motion) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions and orientations of bodies and of what stands still, for every frame."""
    if not scene.props:
        return motion.position_TB3, motion.orientation_TB4
    frames, count = len(motion.position_TB3), len(scene.props)
    position_P3 = np.array([prop.position_m for prop in scene.props])
    orientation_P4 = np.array([prop.orientation for prop in scene.props])
    return (
        np.concatenate([motion.position_TB3, np.broadcast_to(position_P3, (frames, count, 3))], axis=1),
        np.concatenate([motion.orientation_TB4, np.broadcast_to(orientation_P4, (frames, count, 4))], axis=1),
    )
