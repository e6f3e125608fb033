"""Trains the codec: a pool of rendered clips, random crops in time, and a loss that sees small coloured bodies.

Shapes: N clips of the pool, B clips of a batch, C channels, T frames, H height, W width.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kinema.clips.contact_sheet import contact_sheet
from kinema.codec.autoencoder import VideoAutoencoder, save_codec, to_BTHWC
from kinema.codec.metrics import psnr, ssim
from kinema.config import Config, WorldsConfig, save
from kinema.files import whole_file
from kinema.shapes import FRAMES_PER_LATENT
from kinema.train.checkpoint import claim_folder, write_whole
from kinema.train.clips import render_clips
from kinema.train.loop import fit
from kinema.worlds.make import family_of

logger = logging.getLogger(__name__)

POOL_CLIPS = 2500  # of the training seeds; more clips change little, since a crop may start at any frame
SHOWN_CLIPS = 10  # on the contact sheet, each original above its reconstruction
HELD_OUT_CLIPS = 20  # seeds right after those of the training clips
CALIBRATION_CLIPS = 200  # for the exact statistics of the latents
EVALUATION_BATCH = 4  # whole clips encoded at once

CROP_LATENTS = (2, 2, 4)  # a step's crop has 1 + 4k frames for one of these k
EXTRA_WEIGHT = 4.0  # of a pixel that moves or has colour, over the weight 1 of every pixel
MOVING = 0.15  # change between frames, in pixels of [-1, 1], that counts as motion in full
GREY, COLORFUL = 0.2, 0.5  # max − min of RGB, in pixels of [-1, 1], that counts as colour not at all and in full
GRADIENT_WEIGHT, GRADIENT_SCALES = 0.5, 3


@dataclass(frozen=True)
class CodecLoss:
    """The terms of the training loss, all scalars; ``total`` is what is minimised."""

    pixels: Tensor
    gradients: Tensor

    @property
    def total(self) -> Tensor:
        return self.pixels + GRADIENT_WEIGHT * self.gradients


def train_codec(config: Config, out: Path, stop_after: float | None = None) -> Path:
    """Renders the pool, trains the codec and scores it on held-out clips; repeating the call resumes it.

    Args:
        config: the whole recipe.
        out: the run folder.
        stop_after: seconds after which to stop at a checkpoint.

    Returns:
        The weights, ``out/codec.safetensors``, beside ``config.json``, ``scores.json`` and ``reconstructions.png``.

    Raises:
        InputError: ``out`` holds a run with other settings.
    """
    settings: dict[str, Any] = {key: asdict(getattr(config, key)) for key in ("worlds", "codec", "train_codec")}
    claim_folder(out, settings)
    save(config, out / "config.json")
    worlds = config.worlds
    clips = min(POOL_CLIPS, worlds.clips)
    pool_NTHW3 = load_pool(worlds, range(worlds.first_seed, worlds.first_seed + clips), out / "pool.npy")
    unseen = worlds.first_seed + worlds.clips
    held_out_NTHW3 = load_pool(worlds, range(unseen, unseen + HELD_OUT_CLIPS), out / "held_out.npy")
    families = [family_of(worlds.clips + index, worlds) for index in range(HELD_OUT_CLIPS)]
    train, bf16 = config.train_codec, config.train_codec.bf16

    torch.manual_seed(train.seed)
    codec = VideoAutoencoder(config.codec)

    def loss_fn(step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        video_BCTHW = draw_crops(pool_NTHW3, train.batch, generator)
        with torch.autocast(video_BCTHW.device.type, torch.bfloat16, enabled=bf16):
            decoded_BCTHW = codec(video_BCTHW, generator).video_BCTHW
        loss = reconstruction_loss(decoded_BCTHW, video_BCTHW)
        return loss.total, {"pixels": float(loss.pixels.detach()), "gradients": float(loss.gradients.detach())}

    def on_checkpoint(step: int, averaged: nn.Module) -> dict[str, float]:
        assert isinstance(averaged, VideoAutoencoder)
        calibrate(averaged, pool_NTHW3[:: max(1, clips // CALIBRATION_CLIPS)], bf16)
        decoded_NTHW3 = reconstruct(averaged, held_out_NTHW3, bf16)
        pairs = zip(held_out_NTHW3[:SHOWN_CLIPS], decoded_NTHW3[:SHOWN_CLIPS], strict=True)
        contact_sheet([clip for pair in pairs for clip in pair], out / "reconstructions.png", columns=9)
        return score(held_out_NTHW3, decoded_NTHW3, families)

    frames = 1 + FRAMES_PER_LATENT * CROP_LATENTS[0]
    result = fit(
        codec,
        loss_fn,
        train,
        out,
        units_per_step=train.batch * frames,
        unit="frames",
        on_checkpoint=on_checkpoint,
        stop_after=stop_after,
        settings=settings,
    )
    assert isinstance(result.module, VideoAutoencoder)
    scores = on_checkpoint(result.step, result.module)
    write_whole(out / "scores.json", json.dumps(scores, indent=2) + "\n")
    return save_codec(result.module, out)


def load_pool(worlds: WorldsConfig, seeds: range, path: Path) -> NDArray[np.uint8]:
    """The clips of these seeds as one memory-mapped array ``(N, T, H, W, 3)``, rendered on the first call."""
    if not path.exists():
        shape = (len(seeds), worlds.frames, worlds.height, worlds.width, 3)
        logger.info("rendering %d clips to %s", len(seeds), path)
        with whole_file(path) as part:
            pool = np.lib.format.open_memmap(part, "w+", np.uint8, shape)
            for index, clip in enumerate(render_clips(worlds, seeds)):
                pool[index] = clip.pixels_THW3
                if (index + 1) % 250 == 0:
                    logger.info("rendered %d of %d clips", index + 1, len(seeds))
            pool.flush()
    loaded: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return loaded


def draw_crops(pool_NTHW3: NDArray[np.uint8], batch: int, generator: torch.Generator) -> Tensor:
    """A batch of random crops in time, as pixels BCTHW in [-1, 1].

    Crops start at any frame, which then is coded like an image. ``batch`` counts the shortest crops; of longer ones
    there are fewer, so that every step costs the same. Single images need no steps of their own: by causality the
    first frame of every crop is one.
    """
    choice = CROP_LATENTS[_draw(len(CROP_LATENTS), generator)]
    latents = min(choice, (pool_NTHW3.shape[1] - 1) // FRAMES_PER_LATENT)
    frames, shortest = 1 + FRAMES_PER_LATENT * latents, 1 + FRAMES_PER_LATENT * min(CROP_LATENTS)
    crops = []
    for _ in range(max(1, batch * shortest // frames)):
        clip = pool_NTHW3[_draw(len(pool_NTHW3), generator)]
        start = _draw(len(clip) - frames + 1, generator)
        crops.append(clip[start : start + frames])
    return to_pixels(np.stack(crops))


def reconstruction_loss(video_BCTHW: Tensor, truth_BCTHW: Tensor) -> CodecLoss:
    """L1 + L2 on pixels, weighted to motion and colour, and L1 on image gradients at several scales.

    A body may fill one pixel in two hundred; unweighted, its colour is cheap to get wrong, and the error hides in
    the PSNR of the background.
    """
    video, truth = to_BTHWC(video_BCTHW).contiguous(), to_BTHWC(truth_BCTHW).contiguous()
    weight = pixel_weight(truth)
    error = video - truth
    pixels = (weight * (error.abs() + error.square())).mean()
    gradients = video.new_zeros(())
    for scale in range(GRADIENT_SCALES):
        if scale:
            error, weight = _half(error), _half(weight)
        # Gradients are linear: the gradient of the error is the error of the gradient.
        for axis in (2, 3):
            size = error.shape[axis] - 1
            change = error.diff(dim=axis).abs() * weight.narrow(axis, 1, size)
            gradients = gradients + change.mean() / (2 * GRADIENT_SCALES)
    return CodecLoss(pixels, gradients)


@torch.no_grad()
def pixel_weight(truth_BTHWC: Tensor) -> Tensor:
    """How much each pixel counts, shape (B, T, H, W, 1) with mean 1: five times as much if it moves or has colour."""
    moving = torch.zeros_like(truth_BTHWC[..., :1])
    if truth_BTHWC.shape[1] > 1:
        change = (truth_BTHWC.diff(dim=1).abs().amax(-1, keepdim=True) / MOVING).clamp(max=1)
        moving[:, 1:] = change  # arrivals
        moving[:, :-1] = torch.maximum(moving[:, :-1], change)  # departures
    color = ((_saturation(truth_BTHWC) - GREY) / (COLORFUL - GREY)).clamp(0, 1).unsqueeze(-1)
    weight = 1 + EXTRA_WEIGHT * torch.maximum(moving, color)
    return weight / weight.mean()


@torch.no_grad()
def calibrate(codec: VideoAutoencoder, clips_NTHW3: NDArray[np.uint8], bf16: bool) -> None:
    """Gives the codec the exact statistics of its latents on whole clips."""
    raw = []
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        for start in range(0, len(clips_NTHW3), EVALUATION_BATCH):
            raw.append(codec.encoder(to_BTHWC(to_pixels(clips_NTHW3[start : start + EVALUATION_BATCH]))))
    codec.normalizer.set_statistics(torch.cat(raw))


@torch.no_grad()
def reconstruct(codec: VideoAutoencoder, clips_NTHW3: NDArray[np.uint8], bf16: bool) -> NDArray[np.uint8]:
    """Encodes and decodes whole clips."""
    decoded = []
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        for start in range(0, len(clips_NTHW3), EVALUATION_BATCH):
            decoded.append(codec.decode(codec.encode(to_pixels(clips_NTHW3[start : start + EVALUATION_BATCH]))))
    pixels = ((torch.cat(decoded) + 1) * 127.5).round().to(torch.uint8)
    return to_BTHWC(pixels).numpy()


def score(truth_NTHW3: NDArray[np.uint8], decoded_NTHW3: NDArray[np.uint8], families: list[str]) -> dict[str, float]:
    """Mean PSNR in dB (all pixels; colourful pixels; each family) and SSIM of held-out clips."""
    truth, decoded = to_pixels(truth_NTHW3), to_pixels(decoded_NTHW3)
    psnr_N = psnr(decoded, truth)
    color_N = psnr(decoded, truth, _saturation(to_BTHWC(truth)) > COLORFUL)
    scores = {
        "held_out_psnr": float(psnr_N.mean()),
        "held_out_psnr_color": float(color_N.nanmean()),
        "held_out_ssim": float(ssim(decoded, truth).mean()),
    }
    for family in dict.fromkeys(families):
        scores[f"held_out_psnr_{family}"] = float(psnr_N[[f == family for f in families]].mean())
    return scores


def to_pixels(clips_BTHW3: NDArray[np.uint8]) -> Tensor:
    """uint8 clips as network pixels: BCTHW in [-1, 1]."""
    return (torch.from_numpy(np.array(clips_BTHW3)).float() / 127.5 - 1).permute(0, 4, 1, 2, 3)


def _saturation(video_BTHWC: Tensor) -> Tensor:
    return video_BTHWC.amax(-1) - video_BTHWC.amin(-1)


def _half(x_BTHWC: Tensor) -> Tensor:
    batch, frames, height, width, channels = x_BTHWC.shape
    return x_BTHWC.reshape(batch, frames, height // 2, 2, width // 2, 2, channels).mean(dim=(3, 5))


def _draw(bound: int, generator: torch.Generator) -> int:
    return int(torch.randint(bound, (), generator=generator))
