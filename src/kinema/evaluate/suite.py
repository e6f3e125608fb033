"""What a suite of the exam gets, and what it hands back. A suite is a module with ``NAME``, ``ABOUT`` and ``run``.

Suites do not look at a model's inside (``preference`` alone asks for its error): they ask for videos
(:class:`GeneratedClips`) and score pixels, so that true clips, codec reconstructions and spoilt clips go through the
same code.

Array suffixes: T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

import kinema
from kinema.config import WorldsConfig
from kinema.files import whole_file
from kinema.sample.generate import reconstruct
from kinema.sample.pipeline import Pipeline

Pixels = NDArray[np.uint8]
Progress = Callable[[int, int], None]  # parts of the suite's work done, parts in all
Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Score:
    """One number with its interval and what the same measure says elsewhere; :mod:`.statistics` makes them.

    Attributes:
        name: snake_case, unique in its suite, with its unit: ``velocity_error_mps``.
        about: one line for the report.
        value: of the evaluated model; nan if nothing could be measured.
        low: lower end of the 95% bootstrap interval.
        high: upper end.
        n: units that were measured: clips, pairs, or the things in them.
        better: which way is better.
        floors: the same measure of ``truth``, ``codec``, ``chance`` …
        per_unit: what the interval resamples, in an order that depends on the suite and its size alone, so that two
            models can be paired; nan for a unit that could not be measured.
        weight: of every unit in the mean; empty for equal weights.
    """

    name: str
    about: str
    value: float
    low: float
    high: float
    n: int
    better: Better
    floors: Mapping[str, float]
    per_unit: tuple[float, ...]
    weight: tuple[float, ...] = ()


@dataclass(frozen=True)
class Table:
    """Rows of numbers for the report: per family, per violation. Cells are texts or numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]


@dataclass(frozen=True)
class Curve:
    """A plot: named series of (x, y) points."""

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, tuple[tuple[float, float], ...]]


@dataclass(frozen=True)
class Strip:
    """A film strip for the report; what failed comes first in a suite's list."""

    title: str
    pixels_THW3: Pixels


@dataclass(frozen=True)
class SuiteResult:
    """Everything that a suite has to say."""

    name: str
    about: str
    scores: tuple[Score, ...]
    tables: tuple[Table, ...] = ()
    curves: tuple[Curve, ...] = ()
    strips: tuple[Strip, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class GeneratedClips:
    """Videos of a model, kept on the disk so that an interrupted exam goes on where it stopped.

    A file's name is a hash of the weights, the version of this package and everything that was asked.

    Attributes:
        pipeline: makes them.
        folder: where they are kept.
        steps: of the solver, if not as many as the weights' card says.
    """

    pipeline: Pipeline
    folder: Path
    steps: int | None = None

    def make(self, prompt: str, seed: int = 0, **options: Any) -> Pixels:
        """The frames (T, H, W, 3) of :meth:`Pipeline.generate` for these arguments, arrays among them."""
        card = self.pipeline.card
        native = (card.frames, card.height, card.width, card.fps)
        if self.steps is not None:
            options = {"steps": self.steps, **options}
        asked = {key: _hashed(value) for key, value in sorted(options.items())}
        made_of = [
            *(kinema.__version__, self.pipeline.sha256, dataclasses.asdict(card.sampling), native),
            *(prompt, seed, asked),
        ]
        return self._kept(made_of, lambda: self.pipeline.generate(prompt, seed=seed, **options).pixels)

    def coded(self, pixels_THW3: Pixels) -> Pixels:
        """What the model's codec keeps of a clip; several suites ask for the same ones."""
        made_of = [kinema.__version__, self.pipeline.sha256, "codec", _hashed(pixels_THW3)]
        return self._kept(made_of, lambda: reconstruct(self.pipeline.codec, pixels_THW3)[0])

    def _kept(self, made_of: list[Any], make: Callable[[], Pixels]) -> Pixels:
        """The frames in the file of that name, which is made if it is not there."""
        path = self.folder / f"{hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:20]}.npz"
        if not path.is_file():
            made_THW3 = make()
            self.folder.mkdir(parents=True, exist_ok=True)
            mine = path.with_suffix(f".{os.getpid()}.npz")  # another worker may make the same
            with whole_file(mine) as part, part.open("wb") as file:
                np.savez_compressed(file, pixels_THW3=made_THW3)
            mine.replace(path)
        with np.load(path) as stored:
            kept_THW3: Pixels = stored["pixels_THW3"]
        return kept_THW3


@dataclass(frozen=True)
class Exam:
    """What a suite gets.

    Attributes:
        pipeline: the model under evaluation.
        quick: whether only a few minutes are there for all suites together.
        cache: makes and keeps its videos.
        on_progress: to be called at the start and after every part of the work.
    """

    pipeline: Pipeline
    quick: bool
    cache: GeneratedClips
    on_progress: Progress = field(default=lambda done, total: None)

    @property
    def worlds(self) -> WorldsConfig:
        """How to make true clips of the model's native shape."""
        return self.pipeline.worlds


class Suite(Protocol):
    """A module of this folder that is listed in :mod:`.suites`."""

    NAME: str
    ABOUT: str

    def run(self, exam: Exam) -> SuiteResult:
        """Asks for videos, scores them beside their floors."""


def _hashed(value: Any) -> Any:
    """A JSON value that stands for an option: arrays become checksums."""
    if isinstance(value, np.ndarray):
        return [list(value.shape), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    if isinstance(value, (tuple, list)):
        return [_hashed(item) for item in value]
    return value
