"""From noise to latents to pixels: the whole of sampling, as functions of modules.

Suffixes: N tokens of the pack, n tokens of one clip, F latent frames of the pack, C channels, T frames, H height,
W width, B clips.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.captions.tokenizer import CaptionTokenizer, TextPack
from kinema.codec.autoencoder import VideoAutoencoder
from kinema.codec.metrics import psnr, ssim
from kinema.flow.guidance import guide
from kinema.flow.schedule import sampling_levels
from kinema.flow.solvers import SOLVERS, Velocity
from kinema.model.layout import Layout, Segment
from kinema.model.patches import patchify, unpatchify
from kinema.model.transformer import TextToVideo
from kinema.sample.request import Request

OnStep = Callable[[int, int], None]  # steps done, steps in all


@torch.inference_mode()
def sample_latents(
    model: TextToVideo,
    text: TextPack,
    request: Request,
    shift: float,
    on_step: OnStep | None = None,
) -> Tensor:
    """Solves the flow from noise (σ = 1) to latents (σ = 0).

    Args:
        model: text encoder and denoiser.
        text: see :func:`read_text`.
        request: what to make.
        shift: of the noise levels, see :func:`kinema.flow.schedule.shift_levels`.
        on_step: progress.

    Returns:
        latents_CTHW, float32.
    """
    shape = request.shape.latent
    generator = torch.Generator().manual_seed(request.seed)  # on the CPU: the noise is the same on every device
    device = next(model.parameters()).device
    noise_nC = patchify(torch.randn(shape.dims, generator=generator)).to(device)
    levels = sampling_levels(request.steps, shift)

    def report(step: int, _: Tensor) -> None:
        if on_step is not None:
            on_step(step, request.steps)

    velocity = guided_velocity(model, text.to(device), request)
    latents_nC: Tensor = SOLVERS[request.solver](velocity, noise_nC, levels, report)
    return unpatchify(latents_nC, shape).cpu()


def read_text(tokenizer: CaptionTokenizer, request: Request, max_tokens: int) -> TextPack:
    """The prompt as token ids and, for guidance, a second row with the negative prompt (or no text at all)."""
    texts = [request.prompt] if request.guidance == 1 else [request.prompt, request.negative]
    return tokenizer.pack([((text, -math.inf, math.inf),) if text.strip() else () for text in texts], max_tokens)


def guided_velocity(model: TextToVideo, text: TextPack, request: Request) -> Velocity:
    """The velocity at (x, σ) given the text. With guidance, both passes are two segments of one pack."""
    passes, device = len(text.ids_BL), text.ids_BL.device
    layout = Layout([Segment(request.shape.tokens, request.fps)] * passes, device)
    bf16 = fast_bf16(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        features = model.encode_text(text)

    def velocity(x_nC: Tensor, sigma: float) -> Tensor:
        sigma_F = torch.full((layout.frames,), sigma, device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            both_NC: Tensor = model(x_nC.repeat(passes, 1), layout, sigma_F, features)
        if passes == 1:
            return both_NC
        with_text_nC, without_nC = both_NC.chunk(2)
        return guide(with_text_nC[None], without_nC[None], request.guidance)[0]

    return velocity


@torch.inference_mode()
def decode_pixels(codec: VideoAutoencoder, latents_CTHW: Tensor) -> NDArray[np.uint8]:
    """Latents of one clip → uint8 frames (T, H, W, 3)."""
    device = next(codec.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=fast_bf16(device)):
        video_CTHW = codec.decode(latents_CTHW[None].to(device))[0]
    return to_pixels(video_CTHW)


@torch.inference_mode()
def reconstruct(codec: VideoAutoencoder, pixels_THW3: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float, float]:
    """What the codec keeps of a clip: the decoded frames, their PSNR in dB and their SSIM."""
    truth_BCTHW = torch.from_numpy(pixels_THW3.copy()).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    video_BCTHW = codec.decode(codec.encode(truth_BCTHW))
    return to_pixels(video_BCTHW[0]), float(psnr(video_BCTHW, truth_BCTHW)), float(ssim(video_BCTHW, truth_BCTHW))


def to_pixels(video_CTHW: Tensor) -> NDArray[np.uint8]:
    """Values in [-1, 1] → uint8 frames (T, H, W, 3)."""
    pixels_CTHW = ((video_CTHW + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    pixels: NDArray[np.uint8] = pixels_CTHW.permute(1, 2, 3, 0).contiguous().cpu().numpy()
    return pixels


def fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 here: on accelerators, and on CPUs that multiply it in hardware."""
    if device.type != "cpu":
        return True
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
