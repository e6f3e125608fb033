"""Stand-ins for models: they answer every prompt with pixels that the test decides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from kinema.card import Card
from kinema.config import nano
from kinema.evaluate.suite import Exam, GeneratedClips
from kinema.sample.pipeline import Pipeline

Pixels = NDArray[np.uint8]
Answer = Callable[..., Pixels]  # of prompt, seed and options


class ExactCodec(torch.nn.Module):
    """A codec whose latents are the pixels: reconstructions are exact."""

    def encode(self, video: torch.Tensor) -> torch.Tensor:
        return video

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents


def grey(prompt: str, seed: int, **options: Any) -> Pixels:
    return np.full((9, 32, 64, 3), 90, np.uint8)


class Painter:
    """Weights that show what ``answer`` says, count how often they are asked, and may be interrupted."""

    def __init__(self, answer: Answer = grey, sha256: str = "a", most: int = 10_000, frames: int = 33) -> None:
        self.answer, self.most, self.calls = answer, most, 0
        self.model = torch.nn.Linear(1, 1)
        self.card, self.config, self.codec, self.sha256 = (
            Card("painter", 64, 64, frames, 12.0),
            nano(),
            ExactCodec(),
            sha256,
        )

    worlds = Pipeline.worlds  # of the card and the configuration above

    def generate(self, prompt: str = "", seed: int = 0, **options: Any) -> Any:
        if self.calls == self.most:
            raise KeyboardInterrupt
        self.calls += 1
        return SimpleNamespace(pixels=self.answer(prompt, seed, **options))


def exam_of(painter: Painter | Pipeline, folder: Path, progress: list[tuple[int, int]] | None = None) -> Exam:
    """A quick exam of a painter."""
    pipeline = cast(Pipeline, painter)
    seen = [] if progress is None else progress
    return Exam(pipeline, True, GeneratedClips(pipeline, folder), lambda done, total: seen.append((done, total)))
