"""Trains the codec: random crops of worlds and of real videos, and a loss that sees small coloured bodies.

Shapes: N clips of a pool, B clips of a batch, C channels, T frames, H height, W width.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kinema.clips.contact_sheet import sheet_of, write_png
from kinema.codec.autoencoder import VideoAutoencoder, load_codec, save_codec, to_BTHWC
from kinema.codec.metrics import psnr, ssim
from kinema.codec.pixels import from_uint8, half_precision, to_uint8
from kinema.config import Config, TrainConfig, save
from kinema.errors import InputError
from kinema.files import whole_text
from kinema.train.checkpoint import claim_folder
from kinema.train.codec_data import CodecData, HeldOut, Pool, draw_crops, frames_per_crop, load_data
from kinema.train.critic import Critic, adversarial_losses
from kinema.train.feed import feed_of
from kinema.train.loop import Number, fit, generator_of
from kinema.train.metrics import Records, numbers_of
from kinema.train.parallel import ALONE, Team

SHOWN_CLIPS = 10  # on the contact sheet, each original above its reconstruction
CALIBRATION_CLIPS = 200  # for the exact statistics of the latents
EVALUATION_BATCH = 4  # clips encoded at once

EXTRA_WEIGHT = 4.0  # of a pixel that moves or has colour, over the weight 1 of every pixel
MOVING = 0.15  # change between frames, in pixels of [-1, 1], that counts as motion in full
GREY, COLORFUL = 0.2, 0.5  # max − min of RGB, in pixels of [-1, 1], that counts as colour not at all and in full
SQUARE_WEIGHT = 4.0  # of L2 beside L1: they are equal for an error of an eighth of the range, as at a blurred edge
GRADIENT_WEIGHT, GRADIENT_SCALES = 0.5, 3


@dataclass(frozen=True)
class CodecLoss:
    """The terms of the training loss, all scalars; ``total`` is what is minimised."""

    pixels: Tensor
    gradients: Tensor

    @property
    def total(self) -> Tensor:
        return self.pixels + GRADIENT_WEIGHT * self.gradients


class Pupil(nn.Module):
    """What one run trains: the codec and, for an adversarial term, its critic."""

    def __init__(self, codec: VideoAutoencoder, critic: Critic | None) -> None:
        super().__init__()
        self.codec = codec
        self.critic = critic


def train_codec(
    config: Config,
    out: Path,
    stop_after: float | None = None,
    footage: Path | None = None,
    init: Path | None = None,
    team: Team = ALONE,
) -> Path:
    """Makes the clips, trains the codec and scores it on held-out ones; repeating the call resumes it.

    Args:
        config: the whole recipe.
        out: the run folder.
        stop_after: seconds after which to stop at a checkpoint.
        footage: a folder of real videos to train on as well (``train_codec.data_share`` of the crops).
        init: a folder whose ``codec.safetensors`` is the beginning.
        team: the processes; every one has the whole network and takes its share of the crops. The statistics that
            normalise latents in training are those of the share.

    Returns:
        The weights, ``out/codec.safetensors``, beside ``config.json``, ``scores.json`` and ``reconstructions.png``.

    Raises:
        InputError: ``out`` holds a run with other settings, ``init`` holds no codec of this configuration or is
            missing where its latents shall be kept, or no file in ``footage`` is of use.
        KinemaError: training diverged, or the disk is full.
    """
    train, bf16 = config.train_codec, config.train_codec.bf16
    torch.manual_seed(train.seed)
    pupil, anchor = _beginning(config, init)
    if anchor is not None:
        anchor.to(team.device)
    settings: dict[str, Any] = {key: asdict(getattr(config, key)) for key in ("worlds", "codec", "train_codec")}
    if init is not None:
        settings["init"] = hashlib.sha256((init / "codec.safetensors").read_bytes()).hexdigest()
    if footage is not None:
        settings["data"] = str(footage.resolve())
    claim_folder(out, settings, team)
    if team.leads:
        save(config, out / "config.json")
        load_data(config, out, footage)  # makes what is missing
    team.wait()
    data = load_data(config, out, footage)
    size = (config.worlds.height, config.worlds.width)

    def crops_of(step: int) -> Tensor:
        return draw_crops(data.pools, size, train.batch, generator_of(train.seed, step))

    feed = feed_of(crops_of, train.steps, team)

    def loss_fn(step: int) -> tuple[Tensor, dict[str, Number]]:
        crops_BTHW3 = feed(step)
        mine_BTHW3 = crops_BTHW3[team.process :: team.processes]
        part = len(mine_BTHW3) / len(crops_BTHW3)
        mine_BTHW3 = mine_BTHW3 if part else crops_BTHW3[:1]  # of a step with fewer crops than processes: counts 0
        truth_BCTHW = from_uint8(mine_BTHW3.to(team.device, non_blocking=True))
        loss, values = codec_step(pupil, truth_BCTHW, step, train, anchor)
        return part * loss, {name: part * value for name, value in values.items()}

    validated: dict[int, Records] = {}  # the latest, by its step

    def on_validation(step: int, averaged: nn.Module) -> Records:
        assert isinstance(averaged, Pupil)
        validated.clear()
        if team.leads:
            if not keeps_statistics(train):
                calibrate(averaged.codec, data.pools, bf16)
            validated[step] = validate(averaged.codec, data, out / "reconstructions.png", bf16)
        return validated.setdefault(step, {})

    torch.backends.cudnn.benchmark = True  # crops have few sizes

    result = fit(
        pupil,
        loss_fn,
        train,
        out,
        units_per_step=train.batch * frames_per_crop(),
        unit="frames",
        on_validation=on_validation,
        stop_after=stop_after,
        settings=settings,
        team=team,
    )
    scores = numbers_of(validated.get(result.step) or on_validation(result.step, result.module))
    assert isinstance(result.module, Pupil)
    if team.leads:
        whole_text(out / "scores.json", json.dumps(scores, indent=2) + "\n")
        save_codec(result.module.codec.cpu(), out)
    team.wait()
    return out / "codec.safetensors"


def _beginning(config: Config, init: Path | None) -> tuple[Pupil, VideoAutoencoder | None]:
    """What a run trains, before its first step, and the codec whose latents it stays near, if any.

    Raises:
        InputError: ``init`` holds no codec of this configuration, or is missing where its latents shall be kept.
    """
    train = config.train_codec
    if train.decoder_only and init is None:
        raise InputError("train_codec.decoder_only keeps an encoder that has learnt: say which with --init")
    if train.anchor_weight and (init is None or train.decoder_only):
        raise InputError("train_codec.anchor_weight holds an encoder near --init: give one, and no decoder_only")
    codec = VideoAutoencoder(config.codec) if init is None else load_codec(config.codec, init, deeper=True)
    codec.requires_grad_(True)
    codec.encoder.requires_grad_(not train.decoder_only)
    anchor = load_codec(config.codec, init, deeper=True) if init is not None and train.anchor_weight else None
    return Pupil(codec, Critic() if train.adversarial_weight else None), anchor


def keeps_statistics(config: TrainConfig) -> bool:
    """Whether latents go on to be normalised as those of the codec that a run began with."""
    return config.decoder_only or config.anchor_weight > 0


def codec_step(
    pupil: Pupil, truth_BCTHW: Tensor, step: int, config: TrainConfig, anchor: VideoAutoencoder | None = None
) -> tuple[Tensor, dict[str, Number]]:
    """The loss of a step and its parts: reconstruction, and from ``adversarial_from`` on the critic's verdict.

    With an ``anchor``, also the squared distance of the latents from its own, so that a model that knows those needs
    to learn little anew. The latents' noise comes from torch's global generator.
    """
    with half_precision(truth_BCTHW.device, config.bf16):
        made = pupil.codec(truth_BCTHW, frozen_statistics=keeps_statistics(config))
    video_BCTHW = made.video_BCTHW
    loss = reconstruction_loss(video_BCTHW, truth_BCTHW)
    total, parts = loss.total, {"pixels": loss.pixels, "gradients": loss.gradients}
    if anchor is not None:
        with torch.no_grad(), half_precision(truth_BCTHW.device, config.bf16):
            anchored_BCTHW = anchor.encode(truth_BCTHW)
        parts["moved"] = (made.latents_BCTHW - anchored_BCTHW).square().mean()
        total = total + config.anchor_weight * parts["moved"]
    if pupil.critic is not None and step >= config.adversarial_from:
        fooled, caught = adversarial_losses(pupil.critic, video_BCTHW, truth_BCTHW)
        total = total + config.adversarial_weight * fooled + caught
        parts |= {"adversarial": fooled, "critic": caught}
    values: dict[str, Number] = {name: part.detach() for name, part in parts.items()}
    values["psnr"] = psnr(video_BCTHW.detach().clamp(-1, 1), truth_BCTHW).mean()
    return total, values


def reconstruction_loss(video_BCTHW: Tensor, truth_BCTHW: Tensor) -> CodecLoss:
    """L1 + L2 on pixels, weighted to motion and colour, and L1 on gradients in space and time at several scales.

    A body may fill one pixel in two hundred; unweighted, its colour is cheap to get wrong, and the error hides in
    the PSNR of the background. Gradients in time are what moves: an error that changes from frame to frame is a body
    that trembles.
    """
    video, truth = to_BTHWC(video_BCTHW).contiguous(), to_BTHWC(truth_BCTHW).contiguous()
    weight = pixel_weight(truth)
    error = video - truth
    pixels = (weight * (error.abs() + SQUARE_WEIGHT * error.square())).mean()
    gradients = video.new_zeros(())
    for scale in range(GRADIENT_SCALES):
        if scale:
            error, weight = _half(error), _half(weight)
        # Gradients are linear: the gradient of the error is the error of the gradient.
        for axis in (1, 2, 3) if error.shape[1] > 1 else (2, 3):
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
def validate(codec: VideoAutoencoder, data: CodecData, picture: Path, bf16: bool) -> Records:
    """Scores the codec on all held-out clips and draws some of the first kind.

    Returns:
        Scores, and the picture (each original above its reconstruction) that was also written to ``picture``.
    """
    records: dict[str, float | NDArray[np.uint8]] = {}
    for index, (name, held_out) in enumerate(data.held_out.items()):
        decoded_NTHW3 = reconstruct(codec, held_out.clips_NTHW3, bf16)
        records |= score(held_out, decoded_NTHW3, name)
        if index == 0:
            pairs = zip(held_out.clips_NTHW3[:SHOWN_CLIPS], decoded_NTHW3[:SHOWN_CLIPS], strict=True)
            sheet_HW3 = sheet_of([clip for pair in pairs for clip in pair], columns=9)
            write_png(picture, sheet_HW3)
            records["reconstructions"] = sheet_HW3
    return records


@torch.no_grad()
def calibrate(codec: VideoAutoencoder, pools: list[Pool], bf16: bool) -> None:
    """Gives the codec the exact statistics of its latents on whole clips of the first pool."""
    clips_NTHW3, raw = pools[0].clips_NTHW3, []
    clips_NTHW3 = clips_NTHW3[:: max(1, len(clips_NTHW3) // CALIBRATION_CLIPS)]
    device = next(codec.parameters()).device
    with half_precision(device, bf16):
        for start in range(0, len(clips_NTHW3), EVALUATION_BATCH):
            video_BCTHW = from_uint8(clips_NTHW3[start : start + EVALUATION_BATCH]).to(device)
            raw.append(codec.encoder(to_BTHWC(video_BCTHW)))
    codec.normalizer.set_statistics(torch.cat(raw))


@torch.no_grad()
def reconstruct(codec: VideoAutoencoder, clips_NTHW3: NDArray[np.uint8], bf16: bool) -> NDArray[np.uint8]:
    """Encodes and decodes whole clips."""
    decoded, device = [], next(codec.parameters()).device
    with half_precision(device, bf16):
        for start in range(0, len(clips_NTHW3), EVALUATION_BATCH):
            video_BCTHW = from_uint8(clips_NTHW3[start : start + EVALUATION_BATCH]).to(device)
            decoded.append(to_uint8(codec.decode(codec.encode(video_BCTHW)).cpu()))
    return np.concatenate(decoded)


def score(held_out: HeldOut, decoded_NTHW3: NDArray[np.uint8], name: str = "") -> dict[str, float]:
    """Mean PSNR in dB (all pixels; colourful pixels; each family) and SSIM of held-out clips."""
    rows = []
    for clip_THW3, decoded_THW3 in zip(held_out.clips_NTHW3, decoded_NTHW3, strict=True):
        truth, decoded = from_uint8(clip_THW3[None]), from_uint8(decoded_THW3[None])
        colorful = _saturation(to_BTHWC(truth)) > COLORFUL
        rows.append([float(x) for x in (psnr(decoded, truth), ssim(decoded, truth), psnr(decoded, truth, colorful))])
    psnr_N, ssim_N, color_N = np.array(rows).T
    suffix = f"_{name}" if name else ""
    scores = {f"held_out_psnr{suffix}": float(psnr_N.mean()), f"held_out_ssim{suffix}": float(ssim_N.mean())}
    if held_out.families:
        scores["held_out_psnr_color"] = float(np.nanmean(color_N))
    for family in dict.fromkeys(held_out.families):
        scores[f"held_out_psnr_{family}"] = float(psnr_N[[f == family for f in held_out.families]].mean())
    return scores


def _saturation(video_BTHWC: Tensor) -> Tensor:
    return video_BTHWC.amax(-1) - video_BTHWC.amin(-1)


def _half(x_BTHWC: Tensor) -> Tensor:
    batch, frames, height, width, channels = x_BTHWC.shape
    return x_BTHWC.reshape(batch, frames, height // 2, 2, width // 2, 2, channels).mean(dim=(3, 5))
