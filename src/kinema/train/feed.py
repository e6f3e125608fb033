"""What the steps of a run learn from, made ahead by worker processes where a device would wait for it.

A step's work is a function of the step alone, so a run goes on exactly as it would have, whoever makes the work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from kinema.errors import InputError, KinemaError
from kinema.train.parallel import Team

T = TypeVar("T")
Failure = InputError | KinemaError

AHEAD = 4  # steps that each worker is ahead
MAX_WORKERS = 6


class Feed(Generic[T]):
    """The work of one step after another.

    Args:
        make: the work of a step.
        steps: of the run.
        workers: processes that call ``make``; with none it is called when the work is asked for.
        pin: whether to copy the work into memory that a GPU reads without waiting; it then needs ``pin_memory()``.
    """

    def __init__(self, make: Callable[[int], T], steps: int, workers: int, pin: bool = False) -> None:
        self._make, self._steps, self._workers, self._pin = make, steps, workers, pin
        self._next = -1
        self._stream: Iterator[T | Failure] = iter(())

    def __call__(self, step: int) -> T:
        """The work of a step; it is fastest to ask for one step after another."""
        if not self._workers:
            return self._make(step)
        if step != self._next:
            self._stream = self._start(step)
        self._next = step + 1
        work = next(self._stream)
        if isinstance(work, Failure):
            raise work
        return work

    def _start(self, first: int) -> Iterator[T | Failure]:
        loader: DataLoader[T | Failure] = DataLoader(
            _Steps(self._make),
            batch_size=None,
            sampler=range(first, self._steps),
            num_workers=self._workers,
            prefetch_factor=AHEAD,
            pin_memory=self._pin,
            multiprocessing_context="fork",  # the workers share the clips' memory, and touch no GPU
            worker_init_fn=_begin,
            generator=torch.Generator(),  # else it draws from the global one, which belongs to the step
        )
        return iter(loader)


class _Steps(Dataset[T | Failure]):
    def __init__(self, make: Callable[[int], T]) -> None:
        self._make = make

    def __getitem__(self, step: int) -> T | Failure:
        try:
            return self._make(step)
        except (InputError, KinemaError) as error:
            return error  # raised here, its one line would become the worker's whole trace


def feed_of(make: Callable[[int], T], steps: int, team: Team) -> Feed[T]:
    """The feed of a process of a run: ahead of a GPU, in time for a CPU."""
    return Feed(make, steps, workers_for(team.device, team.processes), pin=team.device.type == "cuda")


def workers_for(device: torch.device, processes: int = 1) -> int:
    """How many workers a run is fed by: none on a CPU, which has better to do; some of the cores for a GPU."""
    if device.type == "cpu":
        return 0
    return max(1, min(MAX_WORKERS, (os.cpu_count() or 1) // (2 * processes)))


def _begin(worker: int) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # else the library warns that it was forked
