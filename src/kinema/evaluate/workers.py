"""Suites in processes of their own, each with one thread: what they do besides sampling uses one core only."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.clips.pool import leave_with_leader, none_killed, one_thread_each
from kinema.evaluate import suites
from kinema.evaluate.suites import OnSuite

if TYPE_CHECKING:
    from kinema.evaluate.suite import SuiteResult
    from kinema.sample.pipeline import Pipeline

LOOK_EVERY_S = 0.2  # at how far the workers are
MEMORY_GB = 1.5  # that a worker may take; 0.8 was seen

Progress = SimpleQueue[tuple[int, float]]  # which task, and how much of it is done

_progress: Progress  # of a worker
_stop: Event  # of a worker


def run(
    weights: Sequence[Path], names: Sequence[str], quick: bool, folder: Path, workers: int, on_suite: OnSuite
) -> list[list[SuiteResult]]:
    """Does what :func:`suites.run` does in several processes, with the same results whatever their number.

    One process has all threads, which add in another order: some of its videos differ a little.

    Args:
        weights: folders of the model, and of the one that it is compared with.
        names: of the suites.
        quick: see there.
        folder: where generated clips are kept.
        workers: processes.
        on_suite: progress; the name is that of a suite at work.

    Raises:
        KinemaError: a worker was killed, most likely for want of memory.
    """
    tasks = [(path, name) for name in names for path in weights]
    if min(workers, len(tasks)) == 1:
        return suites.run([_load(path) for path in weights], suites.find(names), quick, folder, on_suite)
    # Spawned, not forked: a fork of a process whose OpenMP threads have run may hang.
    context = multiprocessing.get_context("spawn")
    progress: Progress = context.SimpleQueue()
    stop, shares = context.Event(), [0.0] * len(tasks)
    with ProcessPoolExecutor(min(workers, len(tasks)), context, _begin, (progress, stop)) as pool, none_killed():
        try:
            with one_thread_each():
                futures = [
                    pool.submit(_examine, path, name, quick, folder, place) for place, (path, name) in enumerate(tasks)
                ]
            waiting: set[Future[SuiteResult]] = set(futures)
            while waiting:
                done, waiting = wait(waiting, LOOK_EVERY_S, FIRST_COMPLETED)
                for future in done:
                    future.result()  # raises what the worker did
                while not progress.empty():
                    place, shares[place] = progress.get()
                    on_suite(tasks[place][1], sum(shares) / len(tasks))
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    results = [future.result() for future in futures]
    return [results[index :: len(weights)] for index in range(len(weights))]


def as_many_as_fit() -> int:
    """How many workers this machine has cores and memory for."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return max(1, min(os.cpu_count() or 1, int(memory_gb / MEMORY_GB)))


def _begin(progress: Progress, stop: Event) -> None:
    """Remembers in a new worker how to tell of its progress and where to look whether to go on."""
    global _progress, _stop
    leave_with_leader()
    _progress, _stop = progress, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the leader, who tells the workers


def _examine(weights: Path, name: str, quick: bool, folder: Path, place: int) -> SuiteResult:
    def on_suite(_: str, share: float) -> None:
        if _stop.is_set():
            raise KeyboardInterrupt
        _progress.put((place, share))

    return suites.run([_loaded(weights)], suites.find([name]), quick, folder, on_suite)[0][0]


def _load(weights: Path) -> Pipeline:
    from kinema.sample.pipeline import load

    return load(weights)


_loaded = functools.lru_cache(maxsize=2)(_load)  # a worker's next suite asks the same model
