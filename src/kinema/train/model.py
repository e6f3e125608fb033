"""Trains the text-to-video model on cached latents: captions → tokenizer, clips → packs, packs → steps.

The codec is causal, so the first latent frames of a clip are the latents of its beginning: images and short clips to
learn from first come free (see :class:`Stages`).

Suffixes: B clips of a pack, C channels, T latent frames of a clip, H height, W width, N tokens of the pack, F latent
frames of the pack.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kinema.captions.tokenizer import CaptionTokenizer, TextPack, TimedText, timed_text
from kinema.captions.vocabulary import Vocabulary
from kinema.config import Config, FlowConfig, TrainConfig, save, to_dict
from kinema.data import Caption
from kinema.errors import InputError
from kinema.files import whole_file
from kinema.flow import path, schedule
from kinema.model.layout import Layout, Segment
from kinema.model.patches import patchify
from kinema.model.transformer import TextToVideo
from kinema.shapes import LatentShape, latent_time_s
from kinema.train.latents import LatentDataset, load_latents
from kinema.train.loop import FitResult, fit
from kinema.train.start import start_from

logger = logging.getLogger(__name__)

HELD_OUT_CLIPS = 48  # the last clips of the data, never trained on
HELD_OUT_LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)  # noise levels of the held-out loss
HELD_OUT_SEED = 1


@dataclass(frozen=True)
class Pack:
    """What a step learns from: clips end to end, with their words."""

    latents_NC: Tensor
    layout: Layout
    text: TextPack


@dataclass(frozen=True)
class Stages:
    """The curriculum: images, then the first half of the clips, then whole clips, at equal tokens a step.

    Args:
        frames: latent frames of a whole clip.
        clips: number of training clips.
        config: steps of each stage and clips of a step of the last one.
    """

    frames: int
    clips: int
    config: TrainConfig

    @property
    def table(self) -> tuple[tuple[int, int, int], ...]:
        """Per stage: its first step, latent frames of a clip, clips of a step."""
        images, short = self.config.image_steps, self.config.short_steps
        stages = ((0, 1), (images, (self.frames + 1) // 2), (images + short, self.frames))
        return tuple((start, frames, max(1, self.config.batch * self.frames // frames)) for start, frames in stages)

    def shape(self, step: int) -> tuple[int, int]:
        """Latent frames of a clip and clips of a step."""
        _, frames, clips = max(stage for stage in self.table if stage[0] <= step)
        return frames, clips

    def indices(self, step: int) -> list[int]:
        """The clips of a step. Every clip comes once before any comes again, in an order that the seed decides."""
        ends = [start for start, _, _ in self.table[1:]] + [self.config.steps]
        before = sum(
            clips * max(0, min(step, end) - start) for (start, _, clips), end in zip(self.table, ends, strict=True)
        )
        places = range(before, before + self.shape(step)[1])
        return [_order(self.clips, place // self.clips, self.config.seed)[place % self.clips] for place in places]


def train_model(
    config: Config, latents_dir: Path, out: Path, stop_after: float | None = None, init: Path | None = None
) -> FitResult:
    """Trains tokenizer, vocabulary and model; called again with the same arguments, it resumes.

    Args:
        config: the whole recipe.
        latents_dir: latents of the training clips, of one shape.
        out: the run folder; also receives ``config.json``, ``tokenizer.json`` and ``vocabulary.json``.
        stop_after: seconds after which to stop at a checkpoint.
        init: exported weights to start from.

    Raises:
        InputError: too few clips, weights in ``init`` of another size, or ``out`` holds a run with other settings.
        KinemaError: training diverged, or the disk is full.
    """
    train = config.train_model
    data = load_latents(latents_dir)
    if len(data) < HELD_OUT_CLIPS + train.batch:
        raise InputError(f"{latents_dir} holds {len(data)} clips: make at least {HELD_OUT_CLIPS + train.batch}")
    training, held_out = range(len(data) - HELD_OUT_CLIPS), range(len(data) - HELD_OUT_CLIPS, len(data))
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = learn_words(data.captions[: len(training)], config.text.vocab_size, out)

    torch.manual_seed(train.seed)
    model = TextToVideo(config.text, config.model)
    if init is not None:
        logger.info("starting from %s, with %d of its tokens", init, start_from(model, tokenizer, init))
    shape = LatentShape(*data.latents_CTHW[0].shape[1:])
    stages = Stages(shape.frames, len(training), train)
    tokens_per_frame = shape.tokens.count // shape.frames

    def loss_fn(step: int, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        frames, _ = stages.shape(step)
        pack = make_pack(data, stages.indices(step), frames, tokenizer, config, rng)
        shift = config.flow.shift if step >= config.flow.shift_from else 1.0
        loss = train_step(pack, model, dataclasses.replace(config.flow, shift=shift), rng)
        return loss, {"text_tokens": float(pack.text.mask_BL.sum())}

    def on_checkpoint(step: int, averaged: nn.Module) -> dict[str, float]:
        assert isinstance(averaged, TextToVideo)
        return held_out_loss(averaged, data, held_out, tokenizer, config)

    def tokens(step: int) -> float:
        frames, clips = stages.shape(step)
        return float(frames * clips * tokens_per_frame)

    def flops(step: int) -> float:
        frames, clips = stages.shape(step)
        return clips * flops_of_clip(model, frames * tokens_per_frame, text_tokens)

    text_tokens = _mean_text_tokens(data, training[: 10 * train.batch], tokenizer, config)
    sections = to_dict(config)
    settings: dict[str, Any] = {key: sections[key] for key in ("worlds", "text", "model", "flow", "train_model")}
    settings["clips"], settings["init"] = len(data), None if init is None else init.name
    with whole_file(out / "config.json") as part:
        save(config, part)
    return fit(
        model,
        loss_fn,
        train,
        out,
        units_per_step=tokens,
        flops_per_step=flops,
        on_validation=on_checkpoint,
        stop_after=stop_after,
        settings=settings,
    )


def train_step(pack: Pack, model: TextToVideo, config: FlowConfig, rng: torch.Generator) -> Tensor:
    """The loss of a pack: mean squared error of the velocity over the noisy tokens (arXiv 2403.03206, equation 3)."""
    frames_B = [segment.grid.frames for segment in pack.layout.segments]
    noise_level_F = schedule.draw_levels(frames_B, config, rng)
    noise_NC = torch.randn(pack.latents_NC.shape, generator=rng)
    error_N = velocity_error(pack, model, noise_level_F, noise_NC)
    loss: Tensor = error_N[noise_level_F[pack.layout.frame_N] > 0].mean()
    return loss


def velocity_error(pack: Pack, model: TextToVideo, noise_level_F: Tensor, noise_NC: Tensor) -> Tensor:
    """The squared error of the predicted velocity, mean over the channels of each token."""
    layout = pack.layout
    noisy_NC = path.interpolate(pack.latents_NC, noise_NC, noise_level_F[layout.frame_N, None])
    velocity_NC = model(noisy_NC, layout, noise_level_F, model.encode_text(pack.text))
    error_NC: Tensor = velocity_NC - path.velocity(pack.latents_NC, noise_NC)
    return error_NC.square().mean(-1)


def make_pack(
    data: LatentDataset,
    clips: Sequence[int],
    frames: int,
    tokenizer: CaptionTokenizer,
    config: Config,
    rng: torch.Generator,
) -> Pack:
    """The first ``frames`` latent frames of the clips with these indices, with words drawn for training."""
    latents = [data.latents_CTHW[clip][:, :frames] for clip in clips]
    fps = [data.fps[clip] for clip in clips]
    segments = tuple(Segment(LatentShape(*x.shape[1:]).tokens, rate) for x, rate in zip(latents, fps, strict=True))
    last_s = [latent_time_s(frames - 1, rate) for rate in fps]
    words = draw_words([data.captions[clip] for clip in clips], last_s, config.train_model, rng)
    latents_NC = torch.cat([patchify(latents_CTHW) for latents_CTHW in latents]).float()
    return Pack(latents_NC, _layout(segments), tokenizer.pack(words, config.text.max_tokens))


def draw_words(
    captions: Sequence[Caption], last_s: Sequence[float], config: TrainConfig, rng: torch.Generator
) -> list[TimedText]:
    """Words for the clips of a pack: all the short or all the long form, with beats or without; some have no words.

    One form a pack, because the longest row of text is what every row costs.

    Args:
        captions: all words of each clip.
        last_s: time of each clip's last latent frame; beats that begin later speak of what is not there.
        config: the shares.
        rng: on the CPU.
    """
    form, beats = torch.rand(2, generator=rng).tolist()
    silent = torch.rand(len(captions), generator=rng) < config.text_dropout
    words: list[TimedText] = []
    for caption, end_s, no_words in zip(captions, last_s, silent.tolist(), strict=True):
        present = dataclasses.replace(caption, beats=tuple(b for b in caption.beats if b.start_s <= end_s))
        lines = timed_text(present, short=form < config.short_share, beats=beats >= config.beats_dropout)
        words.append(() if no_words else lines)
    return words


def learn_words(captions: Sequence[Caption], vocab_size: int, out: Path) -> CaptionTokenizer:
    """The run's tokenizer, from ``out/tokenizer.json`` or learnt from the captions and written there.

    Writes the words that the captions contain to ``out/vocabulary.json`` as well.
    """
    file = out / "tokenizer.json"
    if not file.exists():
        lines = [line for caption in captions for line in _lines(caption)]
        with whole_file(out / "vocabulary.json") as part:
            Vocabulary.from_captions(lines).save(part)
        with whole_file(file) as part:
            CaptionTokenizer.train(lines, vocab_size).save(part)
    return CaptionTokenizer.load(file)


@torch.no_grad()
def held_out_loss(
    model: TextToVideo, data: LatentDataset, clips: Sequence[int], tokenizer: CaptionTokenizer, config: Config
) -> dict[str, float]:
    """The loss on clips never trained on, at fixed noise levels, with the same words and noise at every call.

    Returns:
        ``held_out`` (mean), ``held_out_S`` per noise level S, and ``text_gain``: by what share the words lower the
        loss at the highest level, where they matter most; 0 means that they are ignored.
    """
    rng = torch.Generator().manual_seed(HELD_OUT_SEED)
    error: dict[float, list[Tensor]] = {level: [] for level in HELD_OUT_LEVELS}
    without: list[Tensor] = []
    for start in range(0, len(clips), config.train_model.batch):
        batch = clips[start : start + config.train_model.batch]
        pack = make_pack(data, batch, data.latents_CTHW[batch[0]].shape[1], tokenizer, config, rng)
        silent = dataclasses.replace(pack, text=tokenizer.pack([()] * len(batch)))
        noise_NC = torch.randn(pack.latents_NC.shape, generator=rng)
        for level in HELD_OUT_LEVELS:
            noise_level_F = torch.full((pack.layout.frames,), level)
            with torch.autocast("cpu", torch.bfloat16, enabled=config.train_model.bf16):
                error[level].append(velocity_error(pack, model, noise_level_F, noise_NC))
                if level == max(HELD_OUT_LEVELS):
                    without.append(velocity_error(silent, model, noise_level_F, noise_NC))
    with_words, no_words = float(torch.cat(error[max(HELD_OUT_LEVELS)]).mean()), float(torch.cat(without).mean())
    by_level = {f"held_out_{level:g}": float(torch.cat(errors).mean()) for level, errors in error.items()}
    mean = sum(by_level.values()) / len(by_level)
    return {"held_out": mean, "text_gain": 1 - with_words / no_words, **by_level}


def flops_of_clip(model: TextToVideo, tokens: int, text_tokens: float) -> float:
    """Floating-point operations of a training step for one clip: 6 · parameters · tokens, and attention.

    As in Kaplan et al. 2020 (arXiv 2001.08361, section 2.1): 2 a parameter forward, 4 backward; scores and mixing cost
    4 · width a pair of tokens and layer forward, twice that backward.
    """
    transformer = sum(p.numel() for p in model.transformer.parameters())
    reader = sum(p.numel() for p in model.text_encoder.blocks.parameters())
    pairs = tokens * (tokens + text_tokens)
    depth, width = model.transformer.config.depth, model.transformer.config.width
    return 6.0 * (transformer * tokens + reader * text_tokens) + 12.0 * depth * width * pairs


def _lines(caption: Caption) -> list[str]:
    return [caption.summary, caption.short, *(beat.text for beat in caption.beats)]


def _mean_text_tokens(data: LatentDataset, clips: Sequence[int], tokenizer: CaptionTokenizer, config: Config) -> float:
    """Mean length of the words drawn for whole clips."""
    rng = torch.Generator().manual_seed(config.train_model.seed)
    pack = make_pack(data, clips, data.latents_CTHW[0].shape[1], tokenizer, config, rng)
    return float(pack.text.mask_BL.sum()) / len(clips)


@lru_cache(maxsize=8)
def _layout(segments: tuple[Segment, ...]) -> Layout:
    """Layouts of equal packs are shared, since they remember position tables."""
    return Layout(segments)


@lru_cache(maxsize=2)
def _order(clips: int, epoch: int, seed: int) -> list[int]:
    order: list[int] = torch.randperm(clips, generator=torch.Generator().manual_seed(seed + epoch)).tolist()
    return order
