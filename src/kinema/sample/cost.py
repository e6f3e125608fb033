"""What a request costs, before it begins: tokens, floating-point operations, memory; and what would fit."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from kinema.config import CodecConfig, Config, ModelConfig
from kinema.errors import InputError
from kinema.shapes import (
    FRAMES_PER_LATENT,
    LATENT_CHANNELS,
    MIN_SIDE,
    PATCH,
    PIXELS_PER_LATENT,
    PIXELS_PER_TOKEN,
    VideoShape,
)

PACK_TOKENS = 8192  # tokens of a pack at most, unless a single clip has more; more would cost memory and gain no time

# Peak resident memory on a CPU, fitted to benchmarks/sampling_memory.py on one with bfloat16 and one without.
BASE_BYTES = 0.29e9  # Python, torch and their code
BYTES_PER_WEIGHT = 4
LOADING_BYTES_PER_WEIGHT = 2  # of the model's file, while it is read
TOKEN_BYTES, TOKEN_BYTES_PER_MLP = 28, 8  # of the denoiser, per token and channel of its width; per unit of mlp_ratio
TRACK_BYTES = 6_000  # of what a model is told of tracks, per token: 609 features, put together and cast
PIXEL_BYTES, PIXEL_BYTES_PER_CHANNEL = 80, 1.3  # of the decoder, per pixel decoded at once; per channel of its width
TILED_BYTES = 100  # of a frame that is decoded in tiles, and of its neighbours, per pixel of the frame
ENCODER_BYTES = 130  # of the video encoder, which looks ahead, per pixel of a frame
KEPT_BYTES = 4  # per pixel of given and finished frames and of their latents
FLOAT32 = 2.0  # times as many bytes where there is no bfloat16
FLOAT32_DECODING = 1.5  # the same of the pixels that are decoded at once

# How the decoder cuts a video; kinema.codec.streaming and tiling say the same, but import torch.
PIXELS_AT_ONCE, LARGEST_WHOLE, TILE_PIXELS = 1 << 19, 512 * 512, 320 * 320


@dataclass(frozen=True)
class Cost:
    """What a request needs.

    Attributes:
        tokens: of all variations.
        calls: of the denoiser.
        model_flops: floating-point operations of the denoiser.
        pixels: that the codec encodes and decodes.
        memory_bytes: peak, about.
    """

    tokens: int = 0
    calls: int = 0
    model_flops: float = 0.0
    pixels: int = 0
    memory_bytes: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        """One after the other."""
        sums = (self.tokens + other.tokens, self.calls + other.calls, self.model_flops + other.model_flops)
        return Cost(*sums, self.pixels + other.pixels, max(self.memory_bytes, other.memory_bytes))


def cost_of(
    shape: VideoShape,
    window: int,
    context: int,
    count: int,
    calls: int,
    passes: int,
    config: Config,
    given: int = 0,
    sampled: int = 0,
) -> Cost:
    """The cost of ``count`` videos of a shape.

    Args:
        shape: of one video.
        window: latent frames that are sampled at once, at most.
        context: latent frames by which windows overlap.
        count: videos.
        calls: of the model, per window.
        passes: 2 with guidance, 1 without.
        config: sizes of the networks.
        given: frames that are encoded, or only held.
        sampled: latent frames that are sampled, if more than the videos have.
    """
    grid, model = shape.tokens, config.model
    frames = max(grid.frames, sampled)
    per_window = min(frames, window) * grid.rows * grid.cols
    windows = 1 + max(0, math.ceil((frames - window) / max(1, window - context)))
    together = pack_size(2 * per_window, count)
    text_tokens = config.text.max_tokens / 4
    flops_per_token = 2 * weights_of(model) + 4 * model.depth * model.width * (per_window + text_tokens)
    detail = detail_of(model)
    of_position = 2 * weights_of(detail) + 4 * detail.depth * detail.width * (min(frames, window) + text_tokens)
    flops_per_token += PATCH**2 * of_position
    frame = shape.height * shape.width
    all_calls = windows * calls * math.ceil(count / together)
    return Cost(
        tokens=frames * grid.rows * grid.cols * count,
        calls=all_calls,
        model_flops=flops_per_token * per_window * windows * calls * passes * count,
        pixels=(shape.frames * count + given) * frame,
        memory_bytes=memory_of(per_window * passes * together, shape, config) + KEPT_BYTES * given * frame,
    )


def memory_of(tokens: int, shape: VideoShape, config: Config) -> float:
    """Peak in bytes while a pack of so many tokens is sampled, or a video of this shape decoded and written."""
    in_model, in_codec = model_weights(config), codec_weights(config.codec)
    frame = shape.height * shape.width
    is_tiled = frame > LARGEST_WHOLE
    at_once = min(shape.frames * frame, max(PIXELS_AT_ONCE, FRAMES_PER_LATENT * (TILE_PIXELS if is_tiled else frame)))
    tiled = TILED_BYTES * frame if is_tiled else 0
    wider, wider_decoding = (1.0, 1.0) if has_bf16() else (FLOAT32, FLOAT32_DECODING)
    widest = max(config.model.width, PATCH**2 * config.model.detail_width)
    denoising = wider * (TOKEN_BYTES + TOKEN_BYTES_PER_MLP * config.model.mlp_ratio) * tokens * widest
    denoising += TRACK_BYTES * tokens * config.model.tracks
    decoding = wider_decoding * (PIXEL_BYTES + PIXEL_BYTES_PER_CHANNEL * config.codec.width) * at_once + wider * tiled
    return (
        BASE_BYTES
        + BYTES_PER_WEIGHT * (in_model + in_codec)
        + max(LOADING_BYTES_PER_WEIGHT * in_model, denoising, decoding)
        + ENCODER_BYTES * frame
        + KEPT_BYTES * shape.frames * frame
    )


def model_weights(config: Config) -> float:
    """Weights of text encoder and denoiser, about."""
    text, model = config.text, config.model
    words = text.width * (text.vocab_size + 12 * text.width * text.depth)
    of_text = 2 * text.width * (model.width * model.depth + model.detail_width * model.detail_depth)
    around = 7 * model.width**2 + 500 * model.width  # embedding and modulation of the noise level, ends
    to_detail = (8 + PATCH**2) * model.width * model.detail_width  # modulation, and what the trunk says of a patch
    return words + of_text + around + weights_of(model) + to_detail + weights_of(detail_of(model))


def codec_weights(codec: CodecConfig) -> float:
    """Weights of encoder and decoder, about: see :mod:`kinema.codec.autoencoder`."""
    wide, fine, thin = codec.latent_width, codec.width, 2 * codec.width // 3
    fold, pixels = (PIXELS_PER_LATENT // codec.unshuffle) ** 2, 3 * codec.unshuffle**2
    latent = wide * (72 * codec.depth * wide + 20 * wide + 28 * LATENT_CHANNELS + 4 * fine * fold)
    return latent + 36 * fine**2 + 36 * thin**2 + 2 * fine * thin + pixels * (27 * fine + 9 * thin)


@cache
def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16, as :func:`kinema.codec.pixels.fast_bf16` says, without torch."""
    try:
        flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return False
    return bool({"avx512_bf16", "amx_tile"} & set(flags.split()))


def pack_size(tokens: int, count: int) -> int:
    """How many of ``count`` clips of this many tokens are sampled as one pack."""
    return max(1, min(count, PACK_TOKENS // tokens))


def weights_of(model: ModelConfig) -> float:
    """Weights that every token meets: four matrices of self-attention, two of the text's, and the MLP."""
    return model.depth * model.width**2 * (6 + 2 * model.mlp_ratio)


def detail_of(model: ModelConfig) -> ModelConfig:
    """The sizes of the blocks on every latent position."""
    return replace(model, width=model.detail_width, depth=model.detail_depth if model.detail_width else 0)


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
