"""Clips from seeds: draw → simulate → ray trace → narrate. A clip is fully named by (family, seed, version)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kinema.config import WorldsConfig, nearest
from kinema.data import CameraInfo, Clip, Source
from kinema.errors import InputError
from kinema.shapes import VideoShape
from kinema.worlds import palette, tracer
from kinema.worlds.families import FAMILIES
from kinema.worlds.narrate import narrate
from kinema.worlds.scene import Draw, Scene
from kinema.worlds.simulate import simulate, state_of

VERSION = 1
HELD_OUT_SEED = 1 << 40
"""Seeds from here on begin with a combination of ``palette.HELD_OUT``; smaller ones never contain any."""

_KINDS = {"sphere": tracer.SPHERE, "cube": tracer.BOX, "cylinder": tracer.CYLINDER}


def make_clip(family: str, seed: int, worlds: WorldsConfig) -> Clip:
    """Makes one clip with its caption and state; the same arguments give the same bytes.

    Args:
        family: one of ``FAMILIES``.
        seed: 0 ≤ seed < 2**63; from ``HELD_OUT_SEED`` on, held-out clips.
        worlds: size, frames, frame rate and samples a pixel.

    Raises:
        InputError: unknown family (names the nearest), a seed or size outside what is possible.
    """
    clip, _ = make_clip_with_ids(family, seed, worlds)
    return clip


def make_clip_with_ids(family: str, seed: int, worlds: WorldsConfig) -> tuple[Clip, NDArray[np.int8]]:
    """Like :func:`make_clip`, and the object-id buffer ``ids_THW`` (index of the body, −1 for scenery)."""
    if family not in FAMILIES:
        raise InputError(f"no family {family!r}: did you mean {nearest(family, list(FAMILIES))}?")
    if not 0 <= seed < 1 << 63:
        raise InputError(f"seed {seed} is not possible: give 0 to 2**63 - 1")
    VideoShape(worlds.frames, worlds.height, worlds.width)  # raises for impossible shapes
    rng = np.random.default_rng([VERSION, list(FAMILIES).index(family), seed])
    scene = FAMILIES[family](Draw(family, rng, seed >= HELD_OUT_SEED))
    scene = replace(scene, camera=_fit(scene.camera, worlds.height, worlds.width))
    motion = simulate(scene, worlds.frames, worlds.fps)
    pixels_THW3, ids_THW, visible_TS = tracer.render(
        look_of(scene),
        *_with_props(scene, motion.position_TB3, motion.orientation_TB4),
        worlds.height,
        worlds.width,
        worlds.samples_per_pixel,
    )
    bodies = len(scene.bodies)
    state = state_of(scene, motion, visible_TS[:, :bodies], worlds.fps)
    caption = narrate(family, state, worlds.fps, rng)
    ids_THW[ids_THW >= bodies] = -1  # props are scenery
    return Clip(pixels_THW3, worlds.fps, caption, Source(family, seed, VERSION), state), ids_THW


def family_of(index: int, worlds: WorldsConfig) -> str:
    """The family of the ``index``-th training clip: all families take turns."""
    return worlds.families[index % len(worlds.families)]


def look_of(scene: Scene) -> tracer.Look:
    """What the ray tracer must know of a scene beyond poses: bodies first, then props."""
    infos = [body.info for body in scene.bodies]
    zenith, horizon = palette.SKIES[scene.sky]
    return tracer.Look(
        kind_B=np.array([_KINDS[info.shape] for info in infos] + [tracer.BOX] * len(scene.props), np.int32),
        half_size_B3=np.array([info.half_size_m for info in infos] + [prop.half_size_m for prop in scene.props]),
        albedo_B3=np.array(
            [palette.COLORS[info.color] for info in infos] + [palette.SCENERY[prop.color] for prop in scene.props]
        ),
        gloss_B=np.array([palette.MATERIALS[info.material].gloss for info in infos] + [0.0] * len(scene.props)),
        floor_albedo_3=np.array(palette.FLOORS[scene.floor]),
        floor_checker=0.0,
        sky_top_3=np.array(zenith),
        sky_horizon_3=np.array(horizon),
        sun_direction_3=np.array(scene.sun_direction),
        ambient=0.45,
        camera=scene.camera,
    )


def _with_props(
    scene: Scene, position_TB3: NDArray[np.float64], orientation_TB4: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Adds the poses of what stands still."""
    if not scene.props:
        return position_TB3, orientation_TB4
    frames, count = len(position_TB3), len(scene.props)
    position_P3 = np.array([prop.position_m for prop in scene.props])
    orientation_P4 = np.array([prop.orientation for prop in scene.props])
    return (
        np.concatenate([position_TB3, np.broadcast_to(position_P3, (frames, count, 3))], axis=1),
        np.concatenate([orientation_TB4, np.broadcast_to(orientation_P4, (frames, count, 4))], axis=1),
    )


def _fit(camera: CameraInfo, height: int, width: int) -> CameraInfo:
    """Keeps the square that families draw for in view; a tall picture sees more above and below, a wide one beside."""
    if height <= width:
        return camera
    half = math.tan(math.radians(camera.vertical_fov_deg) / 2) * height / width
    return replace(camera, vertical_fov_deg=math.degrees(2 * math.atan(half)))
