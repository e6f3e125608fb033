"""Geometry: pixels → latents → tokens. The only file that knows 4, 8 and 16.

The codec is causal: 1 + 4k frames become 1 + k latent frames, 8× smaller in space, 16 channels. A patch is
1×2×2 latents, so one token covers 4 frames × 16 × 16 pixels (the first latent frame covers one frame).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from kinema.errors import InputError

FRAMES_PER_LATENT = 4  # temporal stride of the codec
PIXELS_PER_LATENT = 8  # spatial stride of the codec
LATENT_CHANNELS = 16
PATCH = 2  # latents per token along each side
PIXELS_PER_TOKEN = PIXELS_PER_LATENT * PATCH
TOKEN_CHANNELS = LATENT_CHANNELS * PATCH * PATCH

MIN_SIDE, MAX_SIDE = 32, 1024  # pixels
MIN_FPS, MAX_FPS = 6, 30
MAX_SECONDS = 60.0


@dataclass(frozen=True)
class TokenGrid:
    """The grid of one clip's tokens: latent frames × rows × columns."""

    frames: int
    rows: int
    cols: int

    @property
    def count(self) -> int:
        return self.frames * self.rows * self.cols


@dataclass(frozen=True)
class LatentShape:
    """The shape of one clip's latents, ``(LATENT_CHANNELS, frames, height, width)``."""

    frames: int
    height: int
    width: int

    @property
    def dims(self) -> tuple[int, int, int, int]:
        return (LATENT_CHANNELS, self.frames, self.height, self.width)

    @property
    def pixels(self) -> VideoShape:
        """The video that these latents decode to."""
        return VideoShape(
            1 + FRAMES_PER_LATENT * (self.frames - 1), self.height * PIXELS_PER_LATENT, self.width * PIXELS_PER_LATENT
        )

    @property
    def tokens(self) -> TokenGrid:
        assert self.height % PATCH == 0 and self.width % PATCH == 0
        return TokenGrid(self.frames, self.height // PATCH, self.width // PATCH)


@dataclass(frozen=True)
class VideoShape:
    """Frames, height and width of a video in pixels; sides are multiples of 16, frames are 1 + 4k."""

    frames: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.frames < 1 or (self.frames - 1) % FRAMES_PER_LATENT:
            raise InputError(f"{self.frames} frames is not 1 + 4k; the nearest is {nearest_frames(self.frames)}")
        for side in (self.height, self.width):
            if not MIN_SIDE <= side <= MAX_SIDE or side % PIXELS_PER_TOKEN:
                near = f"{nearest_side(self.width)}x{nearest_side(self.height)}"
                raise InputError(
                    f"size {self.width}x{self.height} is not possible: sides are multiples of {PIXELS_PER_TOKEN} from "
                    f"{MIN_SIDE} to {MAX_SIDE} pixels; the nearest is {near}"
                )

    @classmethod
    def from_seconds(cls, seconds: float, height: int, width: int, fps: float) -> VideoShape:
        """The valid shape whose duration is nearest to ``seconds`` (0 is one frame, an image).

        Raises:
            InputError: duration, frame rate or size is outside what the geometry allows.
        """
        if not (math.isfinite(seconds) and 0 < seconds <= MAX_SECONDS):
            raise InputError(f"--seconds {seconds:g} is not possible: give more than 0 and at most {MAX_SECONDS:g}")
        if not (math.isfinite(fps) and MIN_FPS <= fps <= MAX_FPS):
            raise InputError(f"--fps {fps:g} is not possible: give {MIN_FPS} to {MAX_FPS} frames per second")
        return cls(nearest_frames(round(seconds * fps)), height, width)

    @property
    def latent(self) -> LatentShape:
        return LatentShape(
            1 + (self.frames - 1) // FRAMES_PER_LATENT,
            self.height // PIXELS_PER_LATENT,
            self.width // PIXELS_PER_LATENT,
        )

    @property
    def tokens(self) -> TokenGrid:
        return self.latent.tokens


def nearest_frames(frames: int) -> int:
    """The number 1 + 4k nearest to ``frames``, at least 1."""
    return 1 + FRAMES_PER_LATENT * max(0, round((frames - 1) / FRAMES_PER_LATENT))


def nearest_side(side: int) -> int:
    """The multiple of 16 nearest to ``side`` within the allowed range."""
    return PIXELS_PER_TOKEN * round(min(max(side, MIN_SIDE), MAX_SIDE) / PIXELS_PER_TOKEN)


def latent_time_s(latent_frame: int, fps: float) -> float:
    """Time of a latent frame in seconds: the mean time of the pixel frames that it covers."""
    if latent_frame == 0:
        return 0.0
    return (FRAMES_PER_LATENT * latent_frame - (FRAMES_PER_LATENT - 1) / 2) / fps
