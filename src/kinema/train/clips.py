"""Training clips from seeds, rendered by worker processes. Imports no torch, so that workers start fast."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace

from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.worlds.make import family_of, make_clip

CLIPS_PER_TASK = 4
TASKS_AHEAD = 8  # a worker; bounds the memory that rendered clips may take when the consumer is slower


def render_clips(worlds: WorldsConfig, seeds: Sequence[int], workers: int | None = None) -> Iterator[Clip]:
    """The clips of these seeds in order, without state, rendered ahead on all cores.

    A seed's family follows from its distance to ``worlds.first_seed``: the families take turns.
    """
    workers = workers or os.cpu_count() or 1
    tasks = [seeds[start : start + CLIPS_PER_TASK] for start in range(0, len(seeds), CLIPS_PER_TASK)]
    ahead: deque[Future[list[Clip]]] = deque()
    # Spawned, not forked: a fork of a process whose OpenMP threads have run may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, max(len(tasks), 1)), context, _one_thread) as pool:
        try:
            for task in tasks:
                ahead.append(pool.submit(_render, worlds, tuple(task)))
                if len(ahead) >= TASKS_AHEAD * workers:
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _one_thread() -> None:
    import numba

    numba.set_num_threads(1)  # the workers already fill the cores


def _render(worlds: WorldsConfig, seeds: tuple[int, ...]) -> list[Clip]:
    return [replace(make_clip(family_of(seed - worlds.first_seed, worlds), seed, worlds), state=None) for seed in seeds]
