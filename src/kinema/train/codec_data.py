"""What the codec trains on and is scored on: arrays of clips on the disk, rendered or cut once.

Shapes: N clips, T frames, H height, W width, 3 RGB, B clips of a batch, C channels.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.clips.footage import find_footage, load_crops
from kinema.config import Config, WorldsConfig
from kinema.data import Clip
from kinema.files import whole_file
from kinema.shapes import FRAMES_PER_LATENT, MAX_SIDE, nearest_frames
from kinema.train.clips import render_clips
from kinema.worlds.make import family_of, numbered_clip

logger = logging.getLogger(__name__)

POOL_CLIPS = 2500  # of the training seeds; more clips change little, since a crop may start at any frame
LARGE = 2  # times the side: a pool of larger clips, of as many pixels, from which crops are cut in space too
LARGE_SHARE = 0.3  # of the crops from worlds
HELD_OUT_CLIPS = 20  # at least, and at least two a family; seeds right after those of the training clips
OTHER_HELD_OUT_CLIPS = 6  # of every other size or duration
FEW = 8  # clips rendered in this process, because starting others takes longer
LONG_SECONDS = 5.0
FOOTAGE_HELD_OUT_CLIPS = 24

CROP_LATENTS = (0, 2, 2, 2, 4, 8)  # a step's crops have 1 + 4k frames for one of these k
STEP_LATENTS = 2  # ``batch`` counts crops of this length; of longer ones there are fewer, of shorter ones more

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Pool:
    """Clips of one size, and the share of the crops that come from it."""

    clips_NTHW3: Pixels
    share: float


@dataclass(frozen=True)
class HeldOut:
    """Clips that are never trained on."""

    clips_NTHW3: Pixels
    families: tuple[str, ...] = ()  # of each clip, where they are told apart


@dataclass(frozen=True)
class CodecData:
    """All that a run reads. ``held_out`` goes by what the score is called after, "" for the worlds as configured."""

    pools: list[Pool]
    held_out: dict[str, HeldOut]


def load_data(config: Config, out: Path, footage: Path | None) -> CodecData:
    """Renders or cuts on the first call, into ``out``.

    Args:
        config: the recipe; ``train_codec.data_share`` of the crops come from ``footage`` if it is given.
        out: folder of the arrays.
        footage: folder of videos.

    Raises:
        InputError: no file in ``footage`` is of use.
    """
    share = config.train_codec.data_share if footage is not None else 0.0
    data = CodecData([], {})
    if footage is not None:
        _add_footage(data, config, out, footage, share)
    if share < 1:
        _add_worlds(data, config.worlds, out, 1 - share)
    return data


def _add_footage(data: CodecData, config: Config, out: Path, footage: Path, share: float) -> None:
    worlds, seed = config.worlds, config.train_codec.seed
    shape = (worlds.frames, worlds.height, worlds.width)
    train, held_out = find_footage(footage)
    data.pools.append(Pool(load_crops(train, POOL_CLIPS, shape, seed, out / "footage.npy"), share))
    unseen_NTHW3 = load_crops(held_out, FOOTAGE_HELD_OUT_CLIPS, shape, seed, out / "footage_held_out.npy")
    data.held_out["footage"] = HeldOut(unseen_NTHW3)


def _add_worlds(data: CodecData, worlds: WorldsConfig, out: Path, share: float) -> None:
    worlds = replace(worlds, shapes=())  # crops are of one shape
    clips = min(POOL_CLIPS, worlds.clips)
    first, unseen = worlds.first_seed, worlds.first_seed + worlds.clips
    large = replace(worlds, height=LARGE * worlds.height, width=LARGE * worlds.width)
    has_large = max(large.height, large.width) <= MAX_SIDE
    native_NTHW3 = load_pool(worlds, range(first, first + clips), out / "pool.npy")
    data.pools.append(Pool(native_NTHW3, share * (1 - LARGE_SHARE) if has_large else share))
    if has_large:
        fewer = range(first, first + max(1, clips // LARGE**2))
        data.pools.append(Pool(load_pool(large, fewer, out / "pool_large.npy"), share * LARGE_SHARE))

    count = max(HELD_OUT_CLIPS, 2 * len(worlds.families))
    held_out_NTHW3 = load_pool(worlds, range(unseen, unseen + count), out / "held_out.npy")
    families = tuple(family_of(worlds.clips + index, worlds) for index in range(count))
    data.held_out[""] = HeldOut(held_out_NTHW3, families)
    data.held_out["image"] = HeldOut(held_out_NTHW3[:, worlds.frames // 2 :][:, :1])
    others = {
        "wide": replace(worlds, width=LARGE * worlds.width),
        "large": large,
        "long": replace(worlds, frames=nearest_frames(round(LONG_SECONDS * worlds.fps))),
    }
    for name, other in others.items():
        if max(other.height, other.width) <= MAX_SIDE:
            few = range(unseen + count, unseen + count + OTHER_HELD_OUT_CLIPS)
            data.held_out[name] = HeldOut(load_pool(other, few, out / f"held_out_{name}.npy"))


def load_pool(worlds: WorldsConfig, seeds: range, path: Path) -> Pixels:
    """The clips of these seeds as one memory-mapped array ``(N, T, H, W, 3)``, rendered on the first call."""
    if not path.exists():
        shape = (len(seeds), worlds.frames, worlds.height, worlds.width, 3)
        logger.info("rendering %d clips of %dx%d to %s", len(seeds), worlds.width, worlds.height, path)
        with whole_file(path) as part:
            pool = np.lib.format.open_memmap(part, "w+", np.uint8, shape)
            clips = _rendered_here(worlds, seeds) if len(seeds) <= FEW else render_clips(worlds, seeds)
            for index, clip in enumerate(clips):
                pool[index] = clip.pixels_THW3
                if (index + 1) % 250 == 0:
                    logger.info("rendered %d of %d clips", index + 1, len(seeds))
            pool.flush()
    loaded: Pixels = np.load(path, mmap_mode="r")
    return loaded


def _rendered_here(worlds: WorldsConfig, seeds: range) -> Iterator[Clip]:
    return (numbered_clip(seed, worlds) for seed in seeds)


def draw_crops(pools: list[Pool], size: tuple[int, int], batch: int, generator: torch.Generator) -> Tensor:
    """A batch of random crops in time and space, uint8 BTHW3.

    Crops start at any frame, which then is coded like an image; some are single images. Of longer crops there are
    fewer, so that every step costs about the same.

    Args:
        pools: where to cut.
        size: height and width of the crops.
        batch: crops of ``STEP_LATENTS`` latents after the first.
        generator: of all choices.
    """
    choice = CROP_LATENTS[_draw(len(CROP_LATENTS), generator)]
    shortest_clip = min(pool.clips_NTHW3.shape[1] for pool in pools)
    frames = 1 + FRAMES_PER_LATENT * min(choice, (shortest_clip - 1) // FRAMES_PER_LATENT)
    shares = torch.tensor([pool.share for pool in pools])
    crops = []
    for _ in range(max(1, batch * frames_per_crop() // frames)):
        clips_NTHW3 = pools[int(torch.multinomial(shares, 1, generator=generator))].clips_NTHW3
        clip_THW3 = clips_NTHW3[_draw(len(clips_NTHW3), generator)]
        place = [
            _draw(have - want + 1, generator) for have, want in zip(clip_THW3.shape, (frames, *size), strict=False)
        ]
        inside = tuple(slice(start, start + want) for start, want in zip(place, (frames, *size), strict=True))
        crops.append(clip_THW3[inside])
    return torch.from_numpy(np.stack(crops))


def frames_per_crop() -> int:
    """Frames of the crops that ``batch`` counts."""
    return 1 + FRAMES_PER_LATENT * STEP_LATENTS


def _draw(bound: int, generator: torch.Generator) -> int:
    return int(torch.randint(bound, (), generator=generator))
