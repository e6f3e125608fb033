"""What a request costs, before it begins: tokens, floating-point operations, memory; and what would fit."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass

from kinema.config import ModelConfig, TextConfig
from kinema.errors import InputError
from kinema.shapes import MIN_SIDE, PIXELS_PER_TOKEN, VideoShape

PACK_TOKENS = 8192  # tokens of a pack at most, unless a single clip has more; more would cost memory and gain no time

BASE_BYTES = 0.45e9  # Python, torch and the networks of the built-in model; 0.38 measured
BYTES_PER_WEIGHT = 4
BYTES_PER_TOKEN_CHANNEL = 60  # peak of the denoiser per token and channel of its width; nano measured 41 to 51
BYTES_PER_PIXEL = 100  # peak of the codec per pixel of the frames that it decodes at once; nano measured 66
DECODED_FRAMES = 9  # that the decoder holds at once
BYTES_PER_KEPT_PIXEL = 3  # of the finished frames


@dataclass(frozen=True)
class Cost:
    """What a request needs.

    Attributes:
        tokens: of all variations.
        model_flops: floating-point operations of the denoiser.
        pixels: that the codec decodes.
        memory_bytes: peak, about.
    """

    tokens: int
    model_flops: float
    pixels: int
    memory_bytes: float


def cost_of(
    shape: VideoShape,
    window: int,
    context: int,
    count: int,
    calls: int,
    passes: int,
    model: ModelConfig,
    text: TextConfig,
) -> Cost:
    """The cost of ``count`` videos of a shape.

    Args:
        shape: of one video.
        window: latent frames that are sampled at once, at most.
        context: latent frames by which windows overlap.
        count: videos.
        calls: of the model, per window.
        passes: 2 with guidance, 1 without.
        model: size of the denoiser.
        text: size of its text.
    """
    grid = shape.tokens
    per_window = min(grid.frames, window) * grid.rows * grid.cols
    windows = 1 + max(0, math.ceil((grid.frames - window) / max(1, window - context)))
    packed = per_window * passes * pack_size(per_window * passes, count)
    weights = weights_of(model)
    flops_per_window = per_window * (2 * weights + 4 * model.depth * model.width * (per_window + text.max_tokens / 4))
    pixels = shape.frames * shape.height * shape.width
    decoded = min(shape.frames, DECODED_FRAMES) * shape.height * shape.width
    denoising = BYTES_PER_TOKEN_CHANNEL * packed * model.width
    return Cost(
        tokens=grid.count * count,
        model_flops=flops_per_window * windows * calls * passes * count,
        pixels=pixels * count,
        memory_bytes=BASE_BYTES
        + BYTES_PER_WEIGHT * weights
        + max(denoising, BYTES_PER_PIXEL * decoded)
        + BYTES_PER_KEPT_PIXEL * pixels,
    )


def pack_size(tokens: int, count: int) -> int:
    """How many of ``count`` clips of this many tokens are sampled as one pack."""
    return max(1, min(count, PACK_TOKENS // tokens))


def weights_of(model: ModelConfig) -> float:
    """Weights that every token meets, about: four matrices of self-attention, two of the text's, and the MLP."""
    return model.depth * model.width**2 * (6 + 2 * model.mlp_ratio)


def check_memory(shape: VideoShape, memory_of: Callable[[VideoShape], float], available: float) -> None:
    """Refuses a video that cannot fit.

    Args:
        shape: of the video.
        memory_of: peak in bytes of a video of another shape.
        available: bytes.

    Raises:
        InputError: names the largest size of the same duration and about the same proportions that fits.
    """
    if memory_of(shape) <= available:
        return
    remedy = "ask for less"
    for width in range(shape.width - PIXELS_PER_TOKEN, MIN_SIDE - 1, -PIXELS_PER_TOKEN):
        height = max(MIN_SIDE, PIXELS_PER_TOKEN * round(shape.height * width / shape.width / PIXELS_PER_TOKEN))
        if memory_of(VideoShape(shape.frames, height, width)) <= available:
            remedy = f"the largest that fits is --size {width}x{height}"
            break
    raise InputError(
        f"{shape.frames} frames of {shape.width}x{shape.height} need about {memory_of(shape) / 1e9:.1f} GB of "
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
