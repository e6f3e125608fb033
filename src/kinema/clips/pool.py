"""Work on all cores: a function over many seeds, its results in order. Imports no torch, so that workers start fast."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from kinema.config import WorldsConfig
from kinema.errors import KinemaError

R = TypeVar("R")

SEEDS_PER_TASK = 4
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
TASKS_AHEAD = 8  # a worker; bounds the memory that results may take when the consumer is slower


def ordered_map(
    function: Callable[[WorldsConfig, Sequence[int]], list[R]],
    worlds: WorldsConfig,
    seeds: Sequence[int],
    workers: int | None = None,
    results_ahead: int = 0,
) -> Iterator[R]:
    """Applies a function to groups of seeds in worker processes, ahead of the consumer.

    Args:
        function: a module's own function that makes one result a seed.
        worlds: its first argument.
        seeds: in the order of the results.
        workers: processes; all cores if None.
        results_ahead: how many results may wait in memory for the consumer, if more than a few a worker.

    Raises:
        KinemaError: a worker was killed, most likely for want of memory.
    """
    workers = workers or os.cpu_count() or 1
    tasks = [tuple(seeds[start : start + SEEDS_PER_TASK]) for start in range(0, len(seeds), SEEDS_PER_TASK)]
    ahead: deque[Future[list[R]]] = deque()
    tasks_ahead = max(TASKS_AHEAD * workers, results_ahead // SEEDS_PER_TASK)
    # Spawned, not forked: a fork of a process whose OpenMP threads have run may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(min(workers, len(tasks)), 1), context, leave_with_leader) as pool, none_killed():
        try:
            for task in tasks:
                with one_thread_each():  # the first task starts all workers
                    ahead.append(pool.submit(function, worlds, task))
                if len(ahead) >= tasks_ahead:
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def none_killed() -> Iterator[None]:
    """Turns the end of a worker process by another hand, most likely for want of memory, into a KinemaError."""
    try:
        yield
    except BrokenProcessPool as error:
        raise KinemaError("a worker process was killed: repeat the command with fewer --workers") from error


def leave_with_leader() -> None:
    """Lets a new worker end when the process that started it was killed, instead of waiting for work forever."""
    leader = multiprocessing.parent_process()
    assert leader is not None

    def leave() -> None:
        leader.join()
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes that are started here compute with one thread each: together they already fill the cores.

    The libraries read these variables when they are loaded. 16 workers on 16 cores, with 16 threads of linear algebra
    each, made 4.6 clips a second together, fewer than one such core makes alone.
    """
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ |= dict.fromkeys(THREADS, "1")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
