"""What a run will take, told before it starts: parameters, tokens, operations, memory, disk and time.

Networks are built on the meta device, which has shapes and no memory, so any size can be asked about anywhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kinema.codec.autoencoder import VideoAutoencoder
from kinema.config import Config, TrainConfig
from kinema.model.planner import planner_of
from kinema.shapes import PATCH, TokenGrid, VideoShape
from kinema.train.checkpoint import KEEP
from kinema.train.codec_data import POOL_CLIPS, frames_per_crop
from kinema.train.optimizer import split_parameters
from kinema.train.parallel import Team, is_worth_sharding
from kinema.train.planner import settings_of
from kinema.train.speed import flops_of_clip, meta_model, peak_flops

TEXT_TOKENS = 80.0  # of a clip, about: short forms, summaries and beats of the worlds
USED_SHARE = {"cpu": 0.05, "cuda": 0.35}  # of the peak speed: measured for nano on two CPU cores; assumed on GPUs
SAVED_FLOATS = 38  # kept for the backward pass, a token and channel of a block; a test counts them
BODIES = 3  # of a clip, about
FLOAT32, BFLOAT16 = 4, 2  # bytes
SAVED_CODEC_FLOATS = 1.5  # kept for the backward pass, a pixel and channel of the codec's width; counted too


def estimate_model(config: Config, team: Team) -> dict[str, Any]:
    """What training the text-to-video model takes; memory is that of one process."""
    train, model = config.train_model, config.model
    network = meta_model(config.text, config.model)
    native = VideoShape(config.worlds.frames, config.worlds.height, config.worlds.width)
    budget = train.batch * native.tokens.count
    flops = flops_of_clip(config.text, config.model)

    def work(grid: TokenGrid) -> float:
        """Of a clip, mean over the run: tokens skip blocks until the rate falls."""
        plain, routed = flops(grid, TEXT_TOKENS), flops(grid, TEXT_TOKENS, train.skipped_share)
        return train.decay_share * plain + (1 - train.decay_share) * routed

    shapes = [(VideoShape(frames, height, width), share) for height, width, frames, share in config.worlds.shapes]
    shapes.append((native, 1.0 - sum(share for _, share in shapes)))
    stages = ((train.image_steps, 0), (train.short_steps, 1), (train.steps - train.image_steps - train.short_steps, 2))
    total = 0.0
    for steps, stage in stages:
        parts = []
        for shape, share in shapes:
            grid = shape.tokens
            frames = (1, (grid.frames + 1) // 2, grid.frames)[stage]
            parts.append((share * (1 - train.image_share), replace(grid, frames=frames)))
            parts.append((share * train.image_share, replace(grid, frames=1)))
        of_clip = sum(share * work(part) for share, part in parts)
        total += max(0, steps) * budget / sum(share * part.count for share, part in parts) * of_clip
    stacks = ((model.width, model.depth), (PATCH**2 * model.detail_width, model.detail_depth))
    if train.recompute:
        kept = SAVED_FLOATS * max(width for width, _ in stacks) + 2 * sum(width * depth for width, depth in stacks)
    else:
        kept = SAVED_FLOATS * sum(width * depth for width, depth in stacks)
    activations = budget / team.processes * kept * (BFLOAT16 if train.bf16 else FLOAT32)
    latents = config.worlds.clips * native.latent.tokens.count * 64 * BFLOAT16
    return _told(network, train, team, total, budget, "tokens", activations, latents, is_worth_sharding(network))


def estimate_codec(config: Config, team: Team) -> dict[str, Any]:
    """What training the codec takes."""
    train, worlds = config.train_codec, config.worlds
    frames = frames_per_crop()
    with torch.device("meta"):
        codec = VideoAutoencoder(config.codec)
        crop = torch.empty(1, 3, frames, worlds.height, worlds.width)
    with FlopCounterMode(display=False) as counter:
        codec(crop)
    total = 3.0 * counter.get_total_flops() * train.batch * train.steps  # the backward pass costs twice the forward
    activations = train.batch / team.processes * crop[0, 0].numel() * SAVED_CODEC_FLOATS * config.codec.width
    activations *= BFLOAT16 if train.bf16 else FLOAT32
    clips = min(POOL_CLIPS, worlds.clips)
    pools = 2 * clips * worlds.frames * worlds.height * worlds.width * 3
    units = train.batch * frames
    return _told(codec, train, team, total, units, "frames", activations, pools)


def estimate_planner(config: Config, team: Team) -> dict[str, Any]:
    """What training the planner takes, if clips have as many bodies as those of the worlds."""
    train = settings_of(config)
    with torch.device("meta"):
        planner = planner_of(config, config.text.vocab_size)
    places = 1 + BODIES * (1 + planner.moments)
    readers = sum(p.numel() for p in planner.text_encoder.blocks.parameters())
    drawers = sum(p.numel() for p in planner.blocks.parameters())
    flops = 6.0 * train.steps * train.batch * (readers * TEXT_TOKENS + drawers * places)
    floats = (
        SAVED_FLOATS * config.planner.width * (config.planner.depth * places + config.planner.text_depth * TEXT_TOKENS)
    )
    activations = train.batch / team.processes * floats * (BFLOAT16 if train.bf16 else FLOAT32)
    return _told(planner, train, team, flops, train.batch, "clips", activations, 0.0)


def _told(
    network: nn.Module,
    train: TrainConfig,
    team: Team,
    flops: float,
    units: int,
    unit: str,
    activations: float,
    data: float,
    sharded: bool = False,
) -> dict[str, Any]:
    muon, adamw = (sum(p.numel() for p in group.values()) for group in split_parameters(network))
    if not train.muon:
        muon, adamw = 0, muon + adamw
    averages = 2 if train.ema_long_decay else 1
    stored = FLOAT32 * ((muon + adamw) * (1 + averages) + muon + 2 * adamw)
    held = stored + FLOAT32 * (muon + adamw)  # and gradients
    peak = team.processes * peak_flops(team.device, train.bf16)
    share = USED_SHARE[team.device.type]
    return {
        "parameters": muon + adamw,
        "parameters_by_muon": muon,
        "steps": train.steps,
        f"{unit}_per_step": units,
        f"{unit}": units * train.steps,
        "flops": flops,
        "memory_gb": round((held / (team.processes if sharded else 1) + activations) / 1e9, 3),
        "disk_gb": round(((KEEP + 1) * stored + data) / 1e9, 3),
        "processes": team.processes,
        "device": str(team.device),
        "peak_flops_per_s": round(peak),
        f"hours_at_{share:.0%}_of_peak": round(flops / (share * peak) / 3600, 3),
    }
