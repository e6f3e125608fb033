"""The model card of a weights folder: what it was made for, how to sample it, how it was trained and scored.

``card.json`` is for programs (:class:`Card`), ``card.md`` beside it is for people.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinema.config import from_dict, to_dict


@dataclass(frozen=True)
class SamplingDefaults:
    """How to sample when the user does not say."""

    steps: int = 24  # this and the solver: see the table in docs/flow.md
    guidance: float = 2.0  # 1 is none
    solver: str = "dpmpp"
    shift: float = 1.0  # of the noise levels at the native shape; longer and larger clips get more


@dataclass(frozen=True)
class Card:
    """The facts of a weights folder. The native shape is the default shape of a generated video."""

    name: str
    height: int  # pixels
    width: int  # pixels
    frames: int  # 1 + 4k
    fps: float
    sampling: SamplingDefaults = field(default_factory=SamplingDefaults)
    about: str = ""  # one or two sentences: what the model can and cannot do
    training: dict[str, Any] = field(default_factory=dict)  # clips, steps, hours, machine …
    scores: dict[str, Any] = field(default_factory=dict)  # metric name → value, from a committed report

    @property
    def seconds(self) -> float:
        """Native duration."""
        return self.frames / self.fps

    def text(self) -> str:
        """The card for people, as Markdown."""
        sampling = self.sampling
        lines = [
            f"# {self.name}",
            "",
            *([self.about, ""] if self.about else []),
            f"- native: {self.width}x{self.height}, {self.frames} frames at {self.fps:g} fps ({self.seconds:.2f} s)",
            f"- sampling: {sampling.steps} steps of {sampling.solver}, guidance {sampling.guidance:g}",
        ]
        for title, facts in (("Training", self.training), ("Scores", self.scores)):
            if facts:
                lines += ["", f"## {title}", "", *(f"- {key}: {value}" for key, value in facts.items())]
        return "\n".join(lines) + "\n"


def load_card(path: Path) -> Card:
    """Reads what :func:`save_card` wrote.

    Raises:
        InputError: unknown keys or values of the wrong type.
        OSError, json.JSONDecodeError, TypeError: missing file, not JSON, missing keys.
    """
    return from_dict(Card, json.loads(path.read_text(encoding="utf-8")))


def save_card(card: Card, path: Path) -> None:
    """Writes a card as JSON."""
    path.write_text(json.dumps(to_dict(card), indent=2) + "\n", encoding="utf-8")


def save_text(card: Card, path: Path) -> None:
    """Writes a card for people."""
    path.write_text(card.text(), encoding="utf-8")
