"""Kinema: text becomes video, on two CPU cores or many GPUs.

``kinema.load("nano").generate("a red ball bounces").save("ball.mp4")``
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kinema.sample.pipeline import Pipeline

__version__ = "0.1.0"


def load(weights: str | Path = "nano") -> Pipeline:
    """A model that is ready to generate. See :func:`kinema.sample.pipeline.load`."""
    from kinema.sample import pipeline  # torch takes seconds to import, and `kinema --help` must not wait for it

    return pipeline.load(weights)
