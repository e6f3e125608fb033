"""The result: frames with a frame rate, that can be saved and shown."""

from __future__ import annotations

import base64
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema.clips.video_io import write_video


@dataclass(frozen=True)
class Video:
    """A generated video.

    Attributes:
        pixels: uint8 RGB of shape (frames, height, width, 3).
        fps: frames per second.
        facts: prompt, seed and settings; they travel in the file.
    """

    pixels: NDArray[np.uint8]
    fps: float
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.pixels) / self.fps

    def save(self, path: str | Path) -> Path:
        """Writes .mp4, .webm, .gif, .webp or .png (several frames: a contact sheet), whole or not at all.

        Raises:
            InputError: unknown extension, or the folder is missing or not writable.
            KinemaError: the disk is full.
        """
        write_video(Path(path), self.pixels, self.fps, self.facts)
        return Path(path)

    def _repr_html_(self) -> str:
        """The preview that notebooks show, at least 256 pixels wide."""
        with tempfile.TemporaryDirectory() as folder:
            data = base64.b64encode(self.save(Path(folder) / "preview.mp4").read_bytes()).decode()
        width = max(256, self.pixels.shape[2])
        source = f"data:video/mp4;base64,{data}"
        return f'<video controls loop autoplay muted width="{width}" src="{source}"></video>'
