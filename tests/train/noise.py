"""Clips of the right shapes with nothing to see: rendering real ones takes longer than what is tested with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from kinema.config import WorldsConfig
from kinema.data import Beat, Caption, Clip, Source, Tracks
from kinema.worlds.make import VERSION, family_of, shape_of
from kinema.worlds.tracks import moments


def noise_clips(
    worlds: WorldsConfig, seeds: Sequence[int], workers: int | None = None, ahead: int = 0
) -> Iterator[Clip]:
    """In place of ``render_clips``."""
    for seed in seeds:
        shape, rng = shape_of(seed, worlds), np.random.default_rng(seed)
        pixels = rng.integers(0, 256, (shape.frames, shape.height, shape.width, 3), np.uint8)
        caption = Caption("a red ball falls onto a grey floor", "a ball", (Beat(0.0, 0.5, "it falls"),))
        low_SB2 = rng.uniform(0, 0.6, (moments(shape.frames), 1, 2))
        tracks = Tracks(("red",), ("sphere",), np.concatenate([low_SB2, low_SB2 + 0.3], axis=2).astype(np.float32))
        yield Clip(pixels, worlds.fps, caption, Source(family_of(seed, worlds), seed, VERSION), tracks=tracks)
