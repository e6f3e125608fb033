"""Clips from seeds: draw → simulate → ray trace → narrate. A clip is fully named by (family, seed, version)."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kinema.config import WorldsConfig, nearest
from kinema.data import Caption, Clip, Source, WorldState
from kinema.errors import InputError
from kinema.shapes import VideoShape
from kinema.worlds import camera, flat
from kinema.worlds.families import FAMILIES
from kinema.worlds.look import look_of, poses
from kinema.worlds.narration.narrate import narrate
from kinema.worlds.physics.events import state_of
from kinema.worlds.physics.playing import play
from kinema.worlds.physics.simulate import Motion, simulate
from kinema.worlds.render import tracer
from kinema.worlds.scene import Draw, Scene
from kinema.worlds.tracks import tracks_of

VERSION = 2
GOLDEN = (5**0.5 - 1) / 2
HELD_OUT_SEED = 1 << 40
"""Seeds from here on begin with a combination of ``palette.HELD_OUT``; smaller ones never contain any."""


Cameras = tuple[NDArray[np.float64], NDArray[np.float64]]  # eye_T3 and target_T3, metres


class World(NamedTuple):
    """A clip and what the renderer knows besides."""

    clip: Clip
    ids_THW: NDArray[np.int16]  # index of the body that a pixel shows, −1 for scenery
    depth_THW: NDArray[np.float32] | None  # metres along the view axis


def make_clip(family: str, seed: int, worlds: WorldsConfig) -> Clip:
    """Makes one clip with its caption and state; the same arguments give the same bytes.

    Args:
        family: one of ``FAMILIES``, or of ``flat.SCENES``, of which nothing but the words is told besides.
        seed: 0 ≤ seed < 2**63; from ``HELD_OUT_SEED`` on, held-out clips.
        worlds: size, frames, frame rate and samples a pixel.

    Raises:
        InputError: unknown family (names the nearest), a seed or size outside what is possible.
    """
    if family in flat.SCENES:
        VideoShape(worlds.frames, worlds.height, worlds.width)
        return flat.make(family, seed, worlds, out=seed >= HELD_OUT_SEED)
    return make_world(family, seed, worlds).clip


def make_world(family: str, seed: int, worlds: WorldsConfig, depth: bool = False) -> World:
    """Like :func:`make_clip`, with the object-id buffer and, on request, depth."""
    return world_of(*draw_scene(family, seed, worlds), seed, worlds, depth)


def world_of(scene: Scene, rng: np.random.Generator, seed: int, worlds: WorldsConfig, depth: bool = False) -> World:
    """What :func:`make_world` makes of a scene and generator that :func:`draw_scene` has drawn from the seed."""
    motion = move(scene, worlds)
    image = film(scene, motion, worlds, depth)
    bodies = len(scene.bodies)
    state, caption = _truth(scene, motion, image.visible_TB, rng, seed, worlds)
    image.ids_THW[image.ids_THW >= bodies] = -1  # props are scenery
    tracks = tracks_of(state.bodies, image.ids_THW)
    return World(
        Clip(image.pixels_THW3, worlds.fps, caption, Source(scene.family, seed, VERSION), state, tracks),
        image.ids_THW,
        image.depth_THW,
    )


def make_image(family: str, seed: int, worlds: WorldsConfig) -> Clip:
    """The first frame of :func:`make_clip`'s clip with the words for all of it, in a fraction of the time.

    What is hidden when is seen on a small film, so words may differ in what is only just hidden. There is no state.
    """
    if family in flat.SCENES:
        clip = make_clip(family, seed, worlds)
        return replace(clip, pixels_THW3=clip.pixels_THW3[:1])
    scene, rng = draw_scene(family, seed, worlds)
    motion = move(scene, worlds)
    small = replace(worlds, height=worlds.height // 2, width=worlds.width // 2, samples_per_pixel=1)
    state, caption = _truth(scene, motion, film(scene, motion, small).visible_TB, rng, seed, worlds)
    eye_T3, target_T3 = camera.path(scene.camera, scene.camera_move, worlds.frames, worlds.fps)
    image = film(scene, motion.beginning, worlds, cameras=(eye_T3[:1], target_T3[:1]))
    bodies = state.bodies
    image.ids_THW[image.ids_THW >= len(bodies)] = -1
    return Clip(
        image.pixels_THW3,
        worlds.fps,
        caption,
        Source(family, seed, VERSION),
        tracks=tracks_of(bodies, image.ids_THW),
    )


def _truth(
    scene: Scene,
    motion: Motion,
    visible_TA: NDArray[np.float64],
    rng: np.random.Generator,
    seed: int,
    worlds: WorldsConfig,
) -> tuple[WorldState, Caption]:
    """The state of a clip, and its words."""
    eye_T3, target_T3 = camera.path(scene.camera, scene.camera_move, worlds.frames, worlds.fps)
    visible_TB = visible_TA[:, : len(scene.bodies)]
    state = state_of(scene, motion, visible_TB, eye_T3, target_T3, worlds.fps, worlds.width / worlds.height)
    held_out = "held-out" if seed >= HELD_OUT_SEED else "training"
    return state, narrate(scene.family, state, worlds.fps, rng, held_out)


def draw_scene(family: str, seed: int, worlds: WorldsConfig) -> tuple[Scene, np.random.Generator]:
    """The scene of a clip before anything moves, and the generator that its narration goes on with."""
    if family not in FAMILIES:
        raise InputError(f"no family {family!r}: did you mean {nearest(family, list(FAMILIES))}?")
    if not 0 <= seed < 1 << 63:
        raise InputError(f"seed {seed} is not possible: give 0 to 2**63 - 1")
    VideoShape(worlds.frames, worlds.height, worlds.width)  # raises for impossible shapes
    rng = np.random.default_rng([VERSION, zlib.crc32(family.encode()), seed])
    scene = FAMILIES[family](Draw(family, rng, seed >= HELD_OUT_SEED, worlds.frames / worlds.fps))
    return replace(scene, camera=camera.fit(scene.camera, worlds.height, worlds.width)), rng


def move(scene: Scene, worlds: WorldsConfig) -> Motion:
    """What physics, or the game, makes of a scene."""
    return (simulate if scene.game is None else play)(scene, worlds.frames, worlds.fps)


def film(
    scene: Scene,
    motion: Motion,
    worlds: WorldsConfig,
    depth: bool = False,
    cameras: Cameras | None = None,
    device: str = "cpu",
) -> tracer.Image:
    """The pictures of a scene in motion; the motion need not be one that physics would make.

    Args:
        scene: what is there. In the picture's ids, bodies are followed by props.
        motion: where the bodies are at every frame.
        worlds: size, frames, frame rate and samples a pixel.
        depth: whether to measure depth as well.
        cameras: where the camera is and what it looks at, at every frame; left out, as the scene says.
        device: ``cpu`` (all threads of numba) or ``cuda``.
    """
    eye_T3, target_T3 = cameras or camera.path(scene.camera, scene.camera_move, worlds.frames, worlds.fps)
    position_TA3, orientation_TA4, shown_TA = poses(scene, motion)
    return tracer.render(
        look_of(scene, motion, eye_T3, target_T3, worlds.fps),
        position_TA3,
        orientation_TA4,
        worlds.height,
        worlds.width,
        worlds.samples_per_pixel,
        shown_TB=shown_TA,
        depth=depth,
        device=device,
    )


def family_of(index: int, worlds: WorldsConfig) -> str:
    """The family of the ``index``-th training clip: all families take turns."""
    return worlds.families[index % len(worlds.families)]


def shape_of(index: int, worlds: WorldsConfig) -> WorldsConfig:
    """The ``index``-th training clip's own shape: of every family the shares of ``worlds.shapes``, the rest native."""
    turn = index // len(worlds.families)
    place = (0.5 + turn * GOLDEN) % 1.0  # spreads evenly over [0, 1), however many turns there are
    plain = replace(worlds, shapes=())
    for height, width, frames, share in worlds.shapes:
        if place < share:
            return replace(plain, height=height, width=width, frames=frames)
        place -= share
    return plain


def numbered_clip(seed: int, worlds: WorldsConfig) -> Clip:
    """The training clip with this seed: its family and shape follow from its distance to ``worlds.first_seed``.

    A shape of one frame is an image: the first frame of a clip as long as ``worlds`` says, with all of its words.
    """
    index = seed - worlds.first_seed
    family, shape = family_of(index, worlds), shape_of(index, worlds)
    if shape.frames == 1:
        return make_image(family, seed, replace(shape, frames=worlds.frames))
    return make_clip(family, seed, shape)
