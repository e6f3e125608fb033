"""How much work a step is and how fast a machine is: floating-point operations, memory, peak speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import nn

from kinema.codec.pixels import fast_bf16
from kinema.config import ModelConfig, TextConfig, TrainConfig
from kinema.model.transformer import TextToVideo
from kinema.shapes import PATCH, TokenGrid

# Dense bfloat16 operations a second, from the makers' data sheets; by parts of the names that torch reports.
KNOWN_PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "RTX 4090": 165e12}
MATRIX = 1024  # side of the matrices that are multiplied to measure other devices
TRIALS = 4


def meta_model(text: TextConfig, model: ModelConfig) -> TextToVideo:
    """The network without memory for its weights: shapes only, whatever its size."""
    with torch.device("meta"):
        return TextToVideo(text, model)


def skipped_share(step: int, config: TrainConfig) -> float:
    """Share of a step's tokens that skip the model's middle blocks: none once the learning rate falls.

    The last steps show the model what sampling does: all tokens in all blocks.
    """
    return config.skipped_share if step < (1 - config.decay_share) * config.steps else 0.0


def flops_of_clip(text: TextConfig, model: ModelConfig) -> Callable[..., float]:
    """Floating-point operations of a training step for one clip: 6 · parameters · tokens, and attention.

    As in Kaplan et al. 2020 (arXiv 2001.08361, section 2.1): 2 a parameter forward, 4 backward; scores and mixing cost
    4 · width a pair of tokens and layer forward, twice that backward.

    Returns:
        A function of the clip's grid, its tokens of text and the share of its tokens that skip the middle blocks.
    """
    network = meta_model(text, model)
    trunk, detail = network.transformer, network.transformer.detail
    per_frame = (trunk.noise_embedding, trunk.modulation_proj)  # once a latent frame: little
    ends = _weights(trunk) - _weights(trunk.blocks, detail, *per_frame)
    block, reader = _weights(trunk.blocks[0]), _weights(network.text_encoder.blocks)
    fine_block = fine_entry = fine_ends = 0
    if detail is not None:
        fine_block, fine_entry = _weights(detail.blocks[0]), _weights(detail.trunk_proj)
        fine_ends = _weights(detail) - _weights(detail.blocks, detail.trunk_proj, detail.modulation_proj)

    def of_block(weights: int, width: int, tokens: float, seen: float) -> float:
        return 6.0 * weights * tokens + 12.0 * width * tokens * seen

    def flops(grid: TokenGrid, text_tokens: float, skipped: float = 0.0) -> float:
        tokens, kept, fine = grid.count, (1 - skipped) * grid.count, PATCH**2 * grid.count
        middle = max(0, model.depth - 2) if skipped else 0
        return (
            6.0 * ((ends + fine_entry) * tokens + fine_ends * fine + reader * text_tokens)
            + (model.depth - middle) * of_block(block, model.width, tokens, tokens + text_tokens)
            + middle * of_block(block, model.width, kept, kept + text_tokens)
            + model.detail_depth * of_block(fine_block, model.detail_width, fine, grid.frames + text_tokens)
        )

    return flops


def _weights(*modules: nn.Module | None) -> int:
    return sum(parameter.numel() for module in modules if module is not None for parameter in module.parameters())


@lru_cache(maxsize=4)
def peak_flops(device: torch.device, bf16: bool) -> float:
    """Operations a second that a device can do: from a data sheet, or measured with one product of matrices.

    ``bf16`` is what a run asks for; where that is slow, runs use float32.
    """
    if device.type == "cuda" and bf16:
        name = torch.cuda.get_device_name(device)
        for part, peak in KNOWN_PEAKS.items():
            if part in name:
                return peak
    dtype = torch.bfloat16 if bf16 and fast_bf16(device) else torch.float32
    matrix = torch.ones(MATRIX, MATRIX, dtype=dtype, device=device)
    best_s = float("inf")
    for _ in range(TRIALS):
        start_s = time.perf_counter()
        float((matrix @ matrix)[0, 0])  # waits for the device
        best_s = min(best_s, time.perf_counter() - start_s)
    return 2.0 * MATRIX**3 / best_s
