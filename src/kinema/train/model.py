"""Trains the text-to-video model on cached latents: captions → tokenizer, clips → packs, packs → steps.

Suffixes: N tokens of the pack, F latent frames of the pack.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kinema.captions.tokenizer import CaptionTokenizer
from kinema.captions.vocabulary import Vocabulary
from kinema.codec.autoencoder import VideoAutoencoder
from kinema.codec.pixels import half_precision
from kinema.config import Config, ModelConfig, PlannerConfig, TextConfig, WorldsConfig, save, to_dict
from kinema.data import Caption
from kinema.errors import InputError
from kinema.files import whole_file
from kinema.flow import path
from kinema.model.detail import HEAD_CHANNELS
from kinema.model.transformer import TextToVideo
from kinema.shapes import TokenGrid, VideoShape
from kinema.train.feed import feed_of
from kinema.train.growing import GrowingLatents
from kinema.train.latents import HELD_OUT_CLIPS, LatentDataset, load_latents
from kinema.train.loop import FitResult, Number, fit, generator_of
from kinema.train.metrics import Records
from kinema.train.packs import (
    Pack,
    Plan,
    draw_step,
    grids_of,
    level_range,
    make_pack,
    noisy_tokens,
    share,
    told_tracks,
)
from kinema.train.parallel import ALONE, Team
from kinema.train.preview import preview
from kinema.train.speed import flops_of_clip, peak_flops, skipped_share
from kinema.train.start import start_from
from kinema.worlds.make import shape_of

logger = logging.getLogger(__name__)

HELD_OUT_LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)  # noise levels of the held-out loss
HELD_OUT_SEED = 1


def train_model(
    config: Config,
    latents_dir: Path,
    out: Path,
    stop_after: float | None = None,
    init: Path | None = None,
    team: Team = ALONE,
    codec: VideoAutoencoder | None = None,
) -> FitResult:
    """Trains tokenizer, vocabulary and model; called again with the same arguments, it resumes.

    Args:
        config: the whole recipe.
        latents_dir: latents of the training clips, of any shapes.
        out: the run folder; also receives ``config.json``, ``tokenizer.json`` and ``vocabulary.json``.
        stop_after: seconds after which to stop at a checkpoint.
        init: exported weights to start from.
        team: the processes; all call with the same arguments, and together they do what one would.
        codec: if given, samples are drawn at every validation, as ``out/samples.png`` and in TensorBoard.

    Raises:
        InputError: too few clips, too many processes, a network that cannot be, weights in ``init`` of another size, or
            ``out`` holds a run with other settings.
        KinemaError: training diverged, or the disk is full.
    """
    train = config.train_model
    check_network(config)
    material = gather(config, latents_dir)
    data, held_out = material.data, material.held_out
    native_tokens = native_grid(config).count
    plan = Plan(material.grids, train.batch * native_tokens, train)
    check_processes(plan, team)
    tokenizer = learn_words([data.captions[clip] for clip in material.first], config.text.vocab_size, out, team)

    torch.manual_seed(train.seed)
    model = TextToVideo(config.text, config.model)
    if init is not None:
        logger.info("starting from %s, with %d of its tokens", init, start_from(model, tokenizer, init))
    text_tokens = _mean_text_tokens(data, material.first[: 10 * train.batch], tokenizer, config)
    flops = flops_of_clip(config.text, config.model)

    def work_of(step: int) -> tuple[Pack, list[int]]:
        """What this process learns from in a step, and the noisy tokens of the whole step."""
        clips, parts = zip(*plan.seen(step), strict=True)
        material.wait_for(plan.available(step))
        drawn = draw_step(data, clips, parts, train, config.flow, generator_of(train.seed, step), native_tokens)
        mine = share(drawn, team.process, team.processes)
        return make_pack(data, mine, tokenizer, config.text.max_tokens), noisy_tokens(drawn)

    feed = feed_of(work_of, train.steps, team)

    def loss_fn(step: int) -> tuple[Tensor, dict[str, Number]]:
        pack, noisy = feed(step)
        return train_step(pack.to(team.device), model, noisy, skipped_share(step, train))

    def on_validation(step: int, averaged: nn.Module) -> Records:
        assert isinstance(averaged, TextToVideo)
        scores = held_out_loss(averaged, material.unseen, held_out, tokenizer, config)
        if codec is None:
            return scores
        picture = preview(
            averaged, codec, material.unseen, held_out, tokenizer, config, out / "samples.png", team.leads
        )
        return scores if picture is None else {**scores, "samples": picture}

    def step_flops(step: int) -> float:
        skipped = skipped_share(step, train)
        return sum(clips * flops(grid, text_tokens, skipped) for grid, clips in Counter(plan.parts(step)).items())

    sections = to_dict(config)
    settings: dict[str, Any] = {key: sections[key] for key in ("worlds", "text", "model", "flow", "train_model")}
    settings["clips"], settings["init"] = data.total, None if init is None else init.name
    if team.leads:
        with whole_file(out / "config.json") as part:
            save(config, part)
    return fit(
        model,
        loss_fn,
        train,
        out,
        units_per_step=lambda step: float(plan.tokens(step)),
        flops_per_step=step_flops,
        peak_flops=team.processes * peak_flops(team.device, train.bf16),
        on_validation=on_validation,
        stop_after=stop_after,
        settings=settings,
        team=team,
        shard=True,
    )


@dataclass(frozen=True)
class Material:
    """What a run learns from and is scored on.

    Attributes:
        data: the clips to train on, perhaps not all of them yet, and others.
        first: indices in ``data`` of the clips to train on that are there from the beginning.
        grids: of all clips to train on, which are the first ones of ``data``.
        unseen: where the held-out clips are.
        held_out: their indices in ``unseen``.
        wait_for: returns when so many of the clips to train on are in ``data``.
    """

    data: LatentDataset
    first: list[int]
    grids: list[TokenGrid]
    unseen: LatentDataset
    held_out: list[int]
    wait_for: Callable[[int], None] = lambda clips: None


def gather(config: Config, folder: Path) -> Material:
    """The clips of a cache, or of one that is still being made (``train_model.first_clips``).

    Raises:
        InputError: there are too few clips, or no more come.
    """
    first = config.train_model.first_clips
    if not first:
        data = load_latents(folder)
        training, held_out = split(data, config.train_model.batch, folder)
        return Material(data, training, grids_of(data, training), data, held_out)
    growing = GrowingLatents(folder, first)
    _, held_out = split(growing.last, 0, folder)
    grids = [grid_of(shape_of(index, config.worlds)) for index in range(growing.data.total - HELD_OUT_CLIPS)]
    return Material(growing.data, list(range(first)), grids, growing.last, held_out, growing.wait_for)


def native_grid(config: Config) -> TokenGrid:
    """The tokens of a clip as the recipe's worlds make most of them."""
    return grid_of(config.worlds)


def grid_of(worlds: WorldsConfig) -> TokenGrid:
    """The tokens of a clip of this size and duration."""
    return VideoShape(worlds.frames, worlds.height, worlds.width).tokens


def split(data: LatentDataset, batch: int, folder: Path) -> tuple[list[int], list[int]]:
    """The clips to train on and the held-out ones: the last of the cache, whatever shards are damaged.

    Raises:
        InputError: there are too few clips.
    """
    first_unseen = data.total - HELD_OUT_CLIPS
    training = [clip for clip, place in enumerate(data.places) if place < first_unseen]
    held_out = [clip for clip, place in enumerate(data.places) if place >= first_unseen]
    if len(training) < batch or not held_out:
        raise InputError(f"{folder} holds {len(data)} clips: make at least {HELD_OUT_CLIPS + batch}")
    return training, held_out


def check_network(config: Config) -> None:
    """Refuses sizes that do not fit together, and shares that cannot be: of images, of tokens that skip middle blocks.

    Raises:
        InputError: says what can.
    """
    model, skipped = config.model, config.train_model.skipped_share
    check_heads("text", config.text)
    check_heads("model", model)
    if model.depth < 1 or (model.detail_width and model.detail_depth < 1):
        raise InputError("blocks are needed: set model.depth and model.detail_depth to at least 1")
    if model.detail_width < 0 or model.detail_width % HEAD_CHANNELS:
        wanted = f"give a multiple of {HEAD_CHANNELS}, or 0 for no blocks on every latent position"
        raise InputError(f"model.detail_width {model.detail_width} is not possible: {wanted}")
    if not 0 <= skipped < 1:
        raise InputError(f"train_model.skipped_share {skipped:g} is not possible: give at least 0 and less than 1")
    check_share("train_model.image_share", config.train_model.image_share)
    check_share("train_model.tracks_share", config.train_model.tracks_share)
    if config.train_model.tracks_share and not model.tracks:
        raise InputError("train_model.tracks_share needs a model that takes tracks in: set model.tracks=true")
    if skipped and model.depth < 3:
        wanted = "set train_model.skipped_share=0"
        raise InputError(f"a model of {model.depth} blocks has none in the middle to skip: {wanted}")


def check_heads(name: str, part: TextConfig | ModelConfig | PlannerConfig) -> None:
    """Refuses channels of a network that its heads cannot share.

    Raises:
        InputError: says what can.
    """
    if part.heads < 1 or part.width < 1 or part.width % (2 * part.heads):
        wanted = f"give a multiple of {2 * part.heads}" if part.heads > 0 else f"set {name}.heads to at least 1"
        raise InputError(f"{name}.width {part.width} with {part.heads} heads is not possible: {wanted}")


def check_share(name: str, share: float) -> None:
    """Refuses what is no share.

    Raises:
        InputError: says what is.
    """
    if not 0 <= share <= 1:
        raise InputError(f"{name} {share:g} is not possible: give 0 to 1")


def check_processes(plan: Plan, team: Team) -> None:
    """Fails now if a step may have fewer clips than there are processes.

    Raises:
        InputError: says how many processes are possible.
    """
    largest = max(grid.count for grid in plan.grids)
    possible = max(1, plan.budget // largest)
    if team.processes > possible:
        raise InputError(
            f"{team.processes} processes for steps of {possible} clips or more: "
            f"start at most {possible} (torchrun --nproc-per-node), or raise train_model.batch"
        )


def train_step(
    pack: Pack, model: TextToVideo, noisy: Sequence[int], skipped: float = 0.0
) -> tuple[Tensor, dict[str, Number]]:
    """The loss of a pack: squared error of the velocity over its noisy tokens (arXiv 2403.03206, equation 3).

    Args:
        pack: the clips of this process.
        model: on the device of the pack.
        noisy: noisy tokens of the whole step, per range of noise levels. Sums over the pack are divided by them, so
            that the parts of all processes add up to means.
        skipped: share of the tokens that skip the model's middle blocks.

    Returns:
        The loss and numbers to record, the loss per range of noise levels among them.
    """
    is_noisy_F = pack.noise_level_F > 0
    error_N = velocity_error(pack, model, skipped) * is_noisy_F[pack.layout.frame_N]
    loss: Tensor = error_N.sum() / sum(noisy)
    range_N = level_range(pack.noise_level_F)[pack.layout.frame_N]
    sums = torch.zeros(len(noisy), device=error_N.device).index_add_(0, range_N, error_N.detach())
    values: dict[str, Number] = {"text_tokens": sum(pack.text.lengths)}
    values |= {f"loss_{index / len(noisy):g}": sums[index] / count for index, count in enumerate(noisy) if count}
    return loss, values


def velocity_error(pack: Pack, model: TextToVideo, skipped: float = 0.0) -> Tensor:
    """The squared error of the predicted velocity, mean over the channels of each token."""
    layout = pack.layout
    noisy_NC = path.interpolate(pack.latents_NC, pack.noise_NC, pack.noise_level_F[layout.frame_N, None])
    # The reader itself, not encode_text: sharded weights may be used inside a module's forward only.
    features = model.text_encoder(pack.text)
    velocity_NC = model(noisy_NC, layout, pack.noise_level_F, features, skipped, pack.tracks_NC)
    error_NC: Tensor = velocity_NC - path.velocity(pack.latents_NC, pack.noise_NC)
    return error_NC.square().mean(-1)


def learn_words(captions: Sequence[Caption], vocab_size: int, out: Path, team: Team = ALONE) -> CaptionTokenizer:
    """The run's tokenizer, from ``out/tokenizer.json`` or learnt from the captions and written there.

    Writes the words that the captions contain to ``out/vocabulary.json`` as well.
    """
    file = out / "tokenizer.json"
    if team.leads and not file.exists():
        out.mkdir(parents=True, exist_ok=True)
        lines = [line for caption in captions for line in _lines(caption)]
        with whole_file(out / "vocabulary.json") as part:
            Vocabulary.from_captions(lines).save(part)
        with whole_file(file) as part:
            CaptionTokenizer.train(lines, vocab_size).save(part)
    team.wait()
    return CaptionTokenizer.load(file)


@torch.no_grad()
def held_out_loss(
    model: TextToVideo, data: LatentDataset, clips: Sequence[int], tokenizer: CaptionTokenizer, config: Config
) -> dict[str, float]:
    """The loss on clips never trained on, at fixed noise levels, with the same words and noise at every call.

    Returns:
        ``held_out`` (mean), ``held_out_S`` per noise level S, and ``text_gain``: by what share the words lower the
        loss at the highest level, where they matter most; 0 means that they are ignored. All without tracks;
        ``tracks_gain``, if the run tells any, is by what share they lower it further.
    """
    rng = torch.Generator().manual_seed(HELD_OUT_SEED)
    train = dataclasses.replace(config.train_model, shadow_share=0.0, tracks_share=0.0)
    device, tells = next(model.parameters()).device, config.train_model.tracks_share > 0
    error: dict[float, list[Tensor]] = {level: [] for level in HELD_OUT_LEVELS}
    without: list[Tensor] = []
    told: list[Tensor] = []
    for start in range(0, len(clips), train.batch):
        batch = clips[start : start + train.batch]
        drawn = draw_step(data, batch, grids_of(data, batch), train, config.flow, rng)
        pack = make_pack(data, drawn, tokenizer, config.text.max_tokens).to(device)
        for level in HELD_OUT_LEVELS:
            pack = dataclasses.replace(pack, noise_level_F=torch.full_like(pack.noise_level_F, level))
            with half_precision(device, train.bf16):
                error[level].append(velocity_error(pack, model))
        silent = dataclasses.replace(pack, text=tokenizer.pack([()] * len(batch)).to(device))
        with half_precision(device, train.bf16):
            without.append(velocity_error(silent, model))
        if tells:
            known = [dataclasses.replace(d, told=True) for d in drawn]
            with half_precision(device, train.bf16):
                tracks_NC = told_tracks(data, known).to(device)
                told.append(velocity_error(dataclasses.replace(pack, tracks_NC=tracks_NC), model))
    with_words, no_words = float(torch.cat(error[max(HELD_OUT_LEVELS)]).mean()), float(torch.cat(without).mean())
    by_level = {f"held_out_{level:g}": float(torch.cat(errors).mean()) for level, errors in error.items()}
    mean = sum(by_level.values()) / len(by_level)
    gains = {"text_gain": 1 - with_words / no_words}
    if told:
        gains["tracks_gain"] = 1 - float(torch.cat(told).mean()) / with_words
    return {"held_out": mean, **gains, **by_level}


def _lines(caption: Caption) -> list[str]:
    return [caption.summary, caption.short, *(beat.text for beat in caption.beats)]


def _mean_text_tokens(data: LatentDataset, clips: Sequence[int], tokenizer: CaptionTokenizer, config: Config) -> float:
    """Mean length of the words drawn for whole clips."""
    rng = torch.Generator().manual_seed(config.train_model.seed)
    drawn = draw_step(data, clips, grids_of(data, clips), config.train_model, config.flow, rng)
    text = tokenizer.pack([d.words for d in drawn], config.text.max_tokens)
    return sum(text.lengths) / len(clips)
