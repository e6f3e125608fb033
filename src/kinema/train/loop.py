"""The training loop of every network: seeded steps, averaged weights, checkpoints, progress; in one process or many.

All randomness of step s comes from (seed, s), as in EDM2 (Karras et al. 2024, NVlabs/edm2), so a checkpoint holds
only weights, optimizer, averages and step, and a resumed run goes on exactly as if it had never stopped.
"""

from __future__ import annotations

import errno
import logging
import math
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor, nn

from kinema.codec.pixels import half_precision
from kinema.config import TrainConfig
from kinema.errors import InputError, KinemaError
from kinema.train.checkpoint import claim_folder, restore_newest, save_checkpoint
from kinema.train.ema import MovingAverage
from kinema.train.metrics import MetricsLog, Records, numbers_of
from kinema.train.optimizer import MuonAdamW, rate_factor
from kinema.train.parallel import (
    ALONE,
    Team,
    compile_blocks,
    is_worth_compiling,
    is_worth_sharding,
    recompute,
    spread,
    whole,
)

logger = logging.getLogger(__name__)

MAX_SKIPPED_IN_A_ROW = 20  # steps with a loss or gradient that is not finite
SPEED_WINDOW = 50  # steps over which the displayed speed is averaged

Number = float | Tensor  # a scalar; a tensor is read when the step has ended, so that the device need not wait
LossFn = Callable[[int], tuple[Tensor, Mapping[str, Number]]]
PerStep = Callable[[int], float] | float


@dataclass(frozen=True)
class FitResult:
    """How a call of :func:`fit` ended."""

    step: int  # steps done, over all calls
    finished: bool  # False when ``stop_after`` came first
    module: nn.Module  # the averaged weights
    skipped: int  # steps left out because the loss or gradient was not finite
    flops: float  # spent by the whole run, 0 when not counted


@dataclass
class _Counters:
    """The numbers of a run that travel in its checkpoints."""

    step: int = 0
    ema_updates: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    flops: float = 0.0


@dataclass
class _Run:
    """Everything that :func:`fit` changes, which is what a checkpoint holds."""

    module: nn.Module
    config: TrainConfig
    optimizer: MuonAdamW
    averages: dict[str, MovingAverage]  # by name, the one to export last
    team: Team
    sharded: bool
    counters: _Counters = field(default_factory=_Counters)

    def tensors(self) -> dict[str, Tensor]:
        """Weights, averages and optimizer by name: the tensors themselves, to be written or read into."""
        groups = {"weights": self.module.state_dict(), "optimizer": self.optimizer.state()}
        groups |= {name: average.module.state_dict() for name, average in self.averages.items()}
        return {f"{group}.{name}": tensor for group, state in groups.items() for name, tensor in state.items()}

    def save(self, out: Path) -> None:
        self.counters.ema_updates = self.averages["ema"].updates
        save_checkpoint(out, self.counters.step, self.tensors(), asdict(self.counters), self.team)

    def restore(self, out: Path) -> bool:
        if (found := restore_newest(out, self.tensors(), self.team)) is None:
            return False
        self.counters = _Counters(**found.facts)
        for average in self.averages.values():
            average.updates = self.counters.ema_updates
        return True


def fit(
    module: nn.Module,
    loss_fn: LossFn,
    config: TrainConfig,
    out: Path,
    *,
    units_per_step: PerStep = 1.0,
    unit: str = "tokens",
    flops_per_step: PerStep | None = None,
    peak_flops: float | None = None,
    on_validation: Callable[[int, nn.Module], Records] | None = None,
    stop_after: float | None = None,
    settings: dict[str, Any] | None = None,
    team: Team = ALONE,
    shard: bool = False,
) -> FitResult:
    """Trains ``module`` in place for ``config.steps`` steps; called again with the same arguments, it resumes.

    Args:
        loss_fn: the loss of step s (counted from 0) and further numbers to record. It draws from
            :func:`generator_of`, or from torch's global generator, which is seeded for the step. It runs under
            autocast if ``config.bf16``. Each process gives its part of the loss and of the numbers: they are added.
        out: the run folder: ``run.json``, ``metrics.jsonl``, ``tensorboard/`` and ``checkpoints/``.
        units_per_step: the work of a step for the displayed speed, or a function of the step.
        unit: what is counted, for example tokens or frames.
        flops_per_step: floating-point operations of a step, or a function of the step.
        peak_flops: what all processes could do in a second; the share that was used is recorded as ``mfu``.
        on_validation: receives the steps done and averaged weights, and returns numbers and pictures to record; called
            once for every average, the one to export last.
        stop_after: seconds after which to stop at a checkpoint.
        settings: what must not change between calls, as JSON types; ``config`` unless given.
        team: the processes; all call with the same arguments.
        shard: whether its blocks may be compiled and recomputed, and the weights, if they are many, shared out over the
            team (FSDP2); else every process has them all.

    Raises:
        InputError: ``out`` holds a run with other settings.
        KinemaError: too many steps in a row gave no finite loss, or the disk is full.
        KeyboardInterrupt: interrupted or terminated; the step was finished and saved first, unless it came twice.
    """
    claim_folder(out, asdict(config) if settings is None else settings, team)
    run = _start(module, config, team, shard)
    if run.restore(out):
        logger.info("resuming %s at step %d of %d", out, run.counters.step, config.steps)
    counters, start_s, every = run.counters, time.monotonic(), config.checkpoint_every
    saved = counters.step
    module.train()
    try:
        display = _Display(config, counters.step, unit, team.leads)
        records = MetricsLog(out, counters.step) if team.leads else nullcontext()
        with records as log, _signals() as interrupted, display:
            while counters.step < config.steps:
                step, step_start_s = counters.step, time.monotonic()
                values = _train_step(run, loss_fn)
                flops, units = _value(flops_per_step, step), _value(units_per_step, step)
                counters.flops += flops
                seconds = time.monotonic() - step_start_s
                values |= {f"{unit}_per_s": units / seconds, "seconds": seconds, "flops": counters.flops}
                if peak_flops is not None:
                    values["mfu"] = flops / seconds / peak_flops
                if log is not None:
                    log.write(counters.step, values)
                display.show(counters.step, values["loss"], units)
                overdue = stop_after is not None and time.monotonic() - start_s >= stop_after
                out_of_time, stopped = (count > 0 for count in team.add([overdue, interrupted.is_set()]))
                if _is_due(counters.step, every, config) or out_of_time or stopped:
                    run.save(out)
                    saved = counters.step
                if stopped:
                    raise KeyboardInterrupt
                if on_validation is not None and _is_due(counters.step, config.validate_every or every, config):
                    _validate(run, on_validation, log)
                if out_of_time:
                    break
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise KinemaError(f"no space left for {out}: make room and repeat; step {saved} is saved") from error
    exported = run.averages[next(reversed(run.averages))].module
    return FitResult(counters.step, counters.step >= config.steps, exported, counters.skipped, counters.flops)


def _start(module: nn.Module, config: TrainConfig, team: Team, shard: bool) -> _Run:
    """Puts a network and its averages on the team's devices."""
    module.to(team.device)
    decays = {"ema": config.ema_decay} | ({"ema_long": config.ema_long_decay} if config.ema_long_decay else {})
    exported = exported_average(config)
    decays[exported] = decays.pop(exported)  # last
    averages = {name: MovingAverage(module, decay) for name, decay in decays.items()}
    sharded = shard and team.mesh is not None and is_worth_sharding(module)
    if shard:
        if config.recompute:
            recompute(module)
        if config.compile and is_worth_compiling(team.device, config.steps):
            compile_blocks(module)
    if sharded:
        for network in (module, *(average.module for average in averages.values())):
            spread(network, team)
    return _Run(module, config, MuonAdamW(module, config), averages, team, sharded)


def exported_average(config: TrainConfig) -> str:
    """The group of a checkpoint that holds the weights to export.

    Raises:
        InputError: ``ema_export`` names no average of this recipe.
    """
    names = {"short": "ema"} | ({"long": "ema_long"} if config.ema_long_decay else {})
    if config.ema_export not in names:
        raise InputError(f"no average {config.ema_export!r} for ema_export: this recipe has {' and '.join(names)}")
    return names[config.ema_export]


def _validate(run: _Run, on_validation: Callable[[int, nn.Module], Records], log: MetricsLog | None) -> None:
    """Scores every average; numbers of those that are not exported carry their name."""
    step = run.counters.step
    for index, (name, average) in enumerate(run.averages.items(), 1):
        scores = on_validation(step, average.module)
        if index < len(run.averages):
            scores = {f"{key}_{name}": value for key, value in numbers_of(scores).items()}
        if log is not None:
            log.write(step, scores)
        if run.team.leads:
            told = ", ".join(f"{key} {value:.4g}" for key, value in numbers_of(scores).items())
            logger.info("step %d: %s", step, told)


def generator_of(seed: int, step: int) -> torch.Generator:
    """The generator of all that is drawn on the CPU for a step of a run."""
    return torch.Generator().manual_seed(_step_seeds(seed, step)[0])


def _step_seeds(seed: int, step: int) -> tuple[int, int]:
    """Two independent 64-bit seeds for a step of a run: of its own generator and of torch's global one."""
    first, second = np.random.SeedSequence([seed, step]).generate_state(2, np.uint64)
    return int(first), int(second)


def _train_step(run: _Run, loss_fn: LossFn) -> dict[str, float]:
    """One seeded step: loss, gradients, clipping, update, averages. Steps that are not finite change nothing.

    Every process knows the whole loss and the whole norm, so all of them leave out the same steps.
    """
    config, counters, team = run.config, run.counters, run.team
    torch.manual_seed(_step_seeds(config.seed, counters.step)[1])
    with half_precision(team.device, config.bf16):
        loss, values = loss_fn(counters.step)
    loss.backward()  # type: ignore[no-untyped-call]
    mine, norm, *others = _read([loss, _clip(run), *values.values()])
    loss_value, *sums = team.add([mine, *others])
    rate = rate_factor(counters.step, config)
    if math.isfinite(loss_value) and math.isfinite(norm):
        run.optimizer.step(rate)
        for average in run.averages.values():
            average.update()
        counters.skipped_in_a_row = 0
    else:
        run.optimizer.zero_grad()
        counters.skipped += 1
        counters.skipped_in_a_row += 1
        if counters.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise KinemaError(
                f"step {counters.step}: {MAX_SKIPPED_IN_A_ROW} steps in a row had no finite loss or gradient: "
                "repeat with a lower muon_lr and adamw_lr in another folder"
            )
    counters.step += 1
    told = {"loss": loss_value, "grad_norm": norm, "rate": rate, "skipped": float(counters.skipped)}
    return told | dict(zip(values, sums, strict=True))


def _read(values: Sequence[Number]) -> list[float]:
    """Plain numbers; the tensors among them come from their device together, the one time that a step waits for it."""
    tensors = [value.detach().double() for value in values if isinstance(value, Tensor)]
    read = iter(torch.stack(tensors).tolist())
    return [next(read) if isinstance(value, Tensor) else value for value in values]


def _clip(run: _Run) -> Tensor:
    """Adds the processes' gradients, unless FSDP has, scales them down to ``grad_clip``, and returns their norm."""
    parameters = [p for p in run.optimizer.parameters() if p.grad is not None]
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not run.sharded:
        run.team.add_tensors(gradients)
    norm = whole(nn.utils.get_total_norm(gradients))
    nn.utils.clip_grads_with_norm_(parameters, run.config.grad_clip, norm)
    return norm


def _is_due(step: int, every: int, config: TrainConfig) -> bool:
    return step % every == 0 or step == config.steps


def _value(per_step: PerStep | None, step: int) -> float:
    return per_step(step) if callable(per_step) else per_step or 0.0


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that the step in hand can be finished and saved; a second ends it."""
    stopped = threading.Event()

    def stop(*_: object) -> None:
        if stopped.is_set():  # the step may wait for latents that nobody makes
            raise KeyboardInterrupt
        stopped.set()

    if threading.current_thread() is not threading.main_thread():
        yield stopped  # only the main thread may handle signals
        return
    before = {kind: signal.signal(kind, stop) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


class _Display:
    """A progress bar on a terminal, otherwise a log line every ``log_every`` steps."""

    def __init__(self, config: TrainConfig, step: int, unit: str, visible: bool) -> None:
        self._config, self._unit = config, unit
        self._recent: deque[tuple[float, float]] = deque([(time.monotonic(), 0.0)], maxlen=SPEED_WINDOW)
        self._loss: float | None = None
        self._bar: Progress | None = None
        self._visible = visible
        if visible and sys.stderr.isatty():
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task("", total=config.steps, completed=step)

    def show(self, step: int, loss: float, units: float) -> None:
        if math.isfinite(loss):
            self._loss = loss if self._loss is None else 0.95 * self._loss + 0.05 * loss
        self._recent.append((time.monotonic(), units))
        elapsed_s = max(self._recent[-1][0] - self._recent[0][0], 1e-9)
        steps_per_s = (len(self._recent) - 1) / elapsed_s
        speed = sum(work for _, work in list(self._recent)[1:]) / elapsed_s
        left_min = (self._config.steps - step) / steps_per_s / 60
        shown_loss = math.nan if self._loss is None else self._loss
        text = f"loss {shown_loss:.4f}, {speed:,.4g} {self._unit}/s, {left_min:.1f} min left"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, description=text)
        elif self._visible and step % self._config.log_every == 0:
            logger.info("step %d of %d: %s", step, self._config.steps, text)

    def __enter__(self) -> _Display:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
