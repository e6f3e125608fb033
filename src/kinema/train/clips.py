"""Training clips from seeds, rendered by worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from kinema.clips.pool import ordered_map
from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.worlds.make import numbered_clip


def render_clips(
    worlds: WorldsConfig, seeds: Sequence[int], workers: int | None = None, ahead: int = 0
) -> Iterator[Clip]:
    """The clips of these seeds in order, without state, rendered on all cores from the first ``next`` on.

    A seed's family and shape follow from its distance to ``worlds.first_seed``. Up to ``ahead`` clips may wait in
    memory, if that is more than keeps the cores busy.
    """
    return ordered_map(_render, worlds, seeds, workers, ahead)


def _render(worlds: WorldsConfig, seeds: Sequence[int]) -> list[Clip]:
    return [replace(numbered_clip(seed, worlds), state=None) for seed in seeds]
