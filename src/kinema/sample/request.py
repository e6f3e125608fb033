"""What a user asks for, checked before anything slow is even imported (so: no torch here)."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from typing import Any

from kinema.card import Card
from kinema.errors import InputError
from kinema.shapes import MIN_SIDE, PIXELS_PER_TOKEN, VideoShape

SOLVER_NAMES = ("euler", "heun", "dpmpp")
MAX_SEED = 2**63 - 1
MAX_STEPS = 1000
MAX_GUIDANCE = 50.0

BASE_BYTES = 0.6e9
BYTES_PER_PIXEL = 200  # peak of the codec's decoder per pixel of the video, with room; nano measured 80 to 140


@dataclass(frozen=True)
class Request:
    """One video to make; everything that its bytes depend on besides the weights."""

    prompt: str
    shape: VideoShape
    fps: float
    seed: int
    steps: int
    guidance: float
    negative: str
    solver: str

    def facts(self) -> dict[str, Any]:
        """What is kept in the video's file, as plain JSON types."""
        return {
            "prompt": self.prompt,
            "seed": self.seed,
            "size": f"{self.shape.width}x{self.shape.height}",
            "frames": self.shape.frames,
            "fps": self.fps,
            "steps": self.steps,
            "guidance": self.guidance,
            "negative": self.negative,
            "solver": self.solver,
        }


def make_request(
    card: Card,
    prompt: str,
    *,
    seconds: float | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    negative: str = "",
    solver: str | None = None,
) -> Request:
    """Fills in what the user left out from the weights' card, and checks everything.

    Args:
        card: of the weights; gives the native shape and the usual settings.
        prompt: any text with at least one letter or digit.
        seconds: duration; the nearest possible one is taken.
        size: (width, height) in pixels.
        fps: frames per second.
        seed: same seed, same machine, same bytes.
        steps: solver steps.
        guidance: how strongly to follow the text; 1 is none.
        negative: what to stay away from.
        solver: one of :data:`SOLVER_NAMES`.

    Raises:
        InputError: a value that is not possible, or a video that does not fit into this machine's memory.
    """
    if not any(character.isalnum() for character in prompt):
        raise InputError('the prompt is empty: describe the video, for example "a red ball falls on a grey floor"')
    width, height = size or (card.width, card.height)
    fps = card.fps if fps is None else float(fps)
    shape = VideoShape.from_seconds(card.seconds if seconds is None else float(seconds), height, width, fps)
    steps = card.sampling.steps if steps is None else steps
    guidance = card.sampling.guidance if guidance is None else float(guidance)
    solver = solver or card.sampling.solver
    if not 1 <= steps <= MAX_STEPS:
        raise InputError(f"--steps {steps} is not possible: give 1 to {MAX_STEPS}")
    if not 0 <= guidance <= MAX_GUIDANCE:
        raise InputError(f"--guidance {guidance:g} is not possible: give 0 to {MAX_GUIDANCE:g} (1 is none)")
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"--seed {seed} is not possible: give 0 to {MAX_SEED}")
    if solver not in SOLVER_NAMES:
        raise InputError(f"no solver {solver!r}: choose {', '.join(SOLVER_NAMES)}")
    check_memory(shape, available_bytes())
    return Request(prompt, shape, fps, seed, steps, guidance, negative, solver)


def parse_size(text: str) -> tuple[int, int]:
    """``"128x96"`` → (width, height).

    Raises:
        InputError: anything else.
    """
    match = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", text.strip().lower())
    if match is None:
        raise InputError(f"--size {text!r} is not possible: give WIDTHxHEIGHT in pixels, for example 64x64")
    return int(match[1]), int(match[2])


def memory_bytes(shape: VideoShape) -> float:
    """About how much memory sampling and decoding take at their peak."""
    return BASE_BYTES + BYTES_PER_PIXEL * shape.frames * shape.height * shape.width


def check_memory(shape: VideoShape, available: float) -> None:
    """Refuses a video that cannot fit.

    Raises:
        InputError: names the largest size of the same duration and proportions that fits.
    """
    if memory_bytes(shape) <= available:
        return
    scale = math.sqrt(max(0.0, available - BASE_BYTES) / (memory_bytes(shape) - BASE_BYTES))
    width, height = (PIXELS_PER_TOKEN * int(side * scale / PIXELS_PER_TOKEN) for side in (shape.width, shape.height))
    remedy = f"the largest that fits is --size {width}x{height}" if min(width, height) >= MIN_SIDE else "ask for less"
    raise InputError(
        f"{shape.frames} frames of {shape.width}x{shape.height} need about {memory_bytes(shape) / 1e9:.0f} GB of "
        f"memory and {available / 1e9:.1f} GB are free: {remedy}, or fewer --seconds"
    )


def available_bytes() -> float:
    """Memory that a process can still get, without swapping; infinite where the system does not say."""
    try:
        with open("/proc/meminfo") as lines:
            return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        pages = os.sysconf_names.get("SC_PHYS_PAGES")
        return math.inf if pages is None else float(os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE"))
