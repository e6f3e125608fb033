"""Packs: clips of any duration, size and aspect ratio end to end under a budget of tokens, with what a step draws.

The codec is causal, so the first latent frames of a clip are the latents of its beginning: images and short clips to
learn from first come free (see :class:`Plan`). All that is random in a step is drawn for the whole step, in the same
way by every process (:func:`draw_step`); a process then loads only the clips that are its share (:func:`share`).

Suffixes: C channels, T latent frames of a clip, N tokens of the pack, F latent frames of the pack.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from kinema.captions.tokenizer import CaptionTokenizer, TextPack, TimedText, timed_text
from kinema.config import FlowConfig, TrainConfig
from kinema.data import Caption
from kinema.flow import schedule
from kinema.model.layout import Layout, Segment
from kinema.model.patches import patchify
from kinema.shapes import LatentShape, TokenGrid, latent_time_s
from kinema.train.latents import LatentDataset

LEVEL_RANGES = 4  # of noise levels, whose training losses are recorded


@dataclass(frozen=True)
class Pack:
    """What a process learns from in a step: clips end to end, with their words, noise and noise levels."""

    latents_NC: Tensor
    noise_NC: Tensor
    noise_level_F: Tensor
    layout: Layout
    text: TextPack

    def to(self, device: torch.device | str) -> Pack:
        """The same pack on another device."""
        layout = _layout(self.layout.segments, torch.device(device))
        return self._with(lambda tensor: tensor.to(device, non_blocking=True), layout, self.text.to(device))

    def pin_memory(self) -> Pack:
        """The same pack in memory that a GPU reads without waiting."""
        return self._with(Tensor.pin_memory, self.layout, self.text.pin_memory())

    def _with(self, move: Callable[[Tensor], Tensor], layout: Layout, text: TextPack) -> Pack:
        return Pack(move(self.latents_NC), move(self.noise_NC), move(self.noise_level_F), layout, text)


@dataclass(frozen=True)
class Drawn:
    """One clip of a step and all that is random about it."""

    clip: int  # index in the data
    grid: TokenGrid  # of the part that is learnt from
    words: TimedText
    noise_level_T: Tensor
    noise_seed: int


class Plan:
    """Which clips each step learns from, and how much of them: a pure function of the step.

    Clips come in an order that the seed decides, each once before any comes again; a step takes the next ones as long
    as they fit its budget of tokens. The curriculum shows images first, then the first half of the clips, then whole
    clips, under the same budget. If latents are still being made, a step draws from the clips that must be there by
    then, each at most once a step.

    Args:
        grids: of the training clips.
        budget: tokens of a step.
        config: steps of each stage, and the seed.
    """

    def __init__(self, grids: Sequence[TokenGrid], budget: int, config: TrainConfig) -> None:
        self.grids, self.budget, self.config = grids, budget, config
        self._starts = [0]  # place of each step's first clip in the endless order of clips

    def part(self, step: int, clip: int) -> TokenGrid:
        """What a step sees of a clip."""
        whole = self.grids[clip]
        if step < self.config.image_steps:
            return dataclasses.replace(whole, frames=1)
        if step < self.config.image_steps + self.config.short_steps:
            return dataclasses.replace(whole, frames=(whole.frames + 1) // 2)
        return whole

    def available(self, step: int) -> int:
        """How many clips a step may learn from, the first ones."""
        first, total = self.config.first_clips, len(self.grids)
        if not first or step >= self.config.grow_steps:
            return total
        return min(total, first + (total - first) * step // self.config.grow_steps)

    def clips(self, step: int) -> list[int]:
        """The clips of a step, at least one, those of equal grids side by side."""
        if self.config.first_clips:
            available = self.available(step)
            count = min(available, max(1, self.budget // self.part(step, 0).count))
            chosen = np.random.default_rng([self.config.seed, step]).choice(available, count, replace=False)
            return [int(clip) for clip in chosen]
        while len(self._starts) <= step + 1:
            self._starts.append(self._end(len(self._starts) - 1))
        places = range(self._starts[step], self._starts[step + 1])
        return sorted(map(self._clip, places), key=lambda clip: _sizes(self.grids[clip]))

    def parts(self, step: int) -> list[TokenGrid]:
        """What a step sees of its clips, in their order."""
        return [self.part(step, clip) for clip in self.clips(step)]

    def tokens(self, step: int) -> int:
        """Tokens of a step, at most the budget unless one clip alone exceeds it."""
        return sum(part.count for part in self.parts(step))

    def _end(self, step: int) -> int:
        place, left = self._starts[step], self.budget
        while True:
            left -= self.part(step, self._clip(place)).count
            if left < 0:
                return max(place, self._starts[step] + 1)
            place += 1

    def _clip(self, place: int) -> int:
        epoch, index = divmod(place, len(self.grids))
        return _order(len(self.grids), epoch, self.config.seed)[index]


def draw_step(
    data: LatentDataset,
    clips: Sequence[int],
    parts: Sequence[TokenGrid],
    train: TrainConfig,
    flow: FlowConfig,
    rng: torch.Generator,
) -> list[Drawn]:
    """Everything random about the clips of a step; cheap, so that every process can draw it for all of them."""
    last_s = [latent_time_s(part.frames - 1, data.fps[clip]) for clip, part in zip(clips, parts, strict=True)]
    words = draw_words([data.captions[clip] for clip in clips], last_s, train, rng)
    frames = [part.frames for part in parts]
    levels = torch.split(schedule.draw_levels(frames, flow, rng), frames)
    seeds = torch.randint(1 << 62, (len(clips),), generator=rng).tolist()
    return [Drawn(*row) for row in zip(clips, parts, words, levels, seeds, strict=True)]


def share(drawn: Sequence[Drawn], process: int, processes: int) -> list[Drawn]:
    """The clips of one of several processes: largest first to the one with the fewest tokens, the same everywhere."""
    loads = [0] * processes
    mine = []
    for index in sorted(range(len(drawn)), key=lambda index: -drawn[index].grid.count):
        least = loads.index(min(loads))
        loads[least] += drawn[index].grid.count
        if least == process:
            mine.append(index)
    return [drawn[index] for index in sorted(mine)]


def noisy_tokens(drawn: Sequence[Drawn]) -> list[int]:
    """How many tokens of these clips have noise, which are those that the loss counts, per range of noise levels."""
    counts = torch.zeros(LEVEL_RANGES, dtype=torch.int64)
    for d in drawn:
        levels = level_range(d.noise_level_T[d.noise_level_T > 0])
        counts += torch.bincount(levels, minlength=LEVEL_RANGES) * (d.grid.rows * d.grid.cols)
    return counts.tolist()


def level_range(noise_level_F: Tensor) -> Tensor:
    """Which of the equal ranges of [0, 1] a noise level belongs to, int64."""
    return (noise_level_F * LEVEL_RANGES).long().clamp(max=LEVEL_RANGES - 1)


def make_pack(data: LatentDataset, drawn: Sequence[Drawn], tokenizer: CaptionTokenizer, max_tokens: int) -> Pack:
    """Loads clips, with the noise that was drawn for them.

    Args:
        data: the latents.
        drawn: the clips, in the order of the pack.
        tokenizer: of the words.
        max_tokens: of a row of text.
    """
    latents = [patchify(data.latents_CTHW[d.clip][:, : d.grid.frames]).float() for d in drawn]
    noise = [
        torch.randn(x.shape, generator=torch.Generator().manual_seed(d.noise_seed))
        for x, d in zip(latents, drawn, strict=True)
    ]
    return Pack(
        torch.cat(latents),
        torch.cat(noise),
        torch.cat([d.noise_level_T for d in drawn]),
        _layout(tuple(Segment(d.grid, data.fps[d.clip]) for d in drawn), torch.device("cpu")),
        tokenizer.pack([d.words for d in drawn], max_tokens),
    )


def draw_words(
    captions: Sequence[Caption], last_s: Sequence[float], config: TrainConfig, rng: torch.Generator
) -> list[TimedText]:
    """Words for the clips of a step: all the short or all the long form, with beats or without.

    One form a step, because the longest row of text is what every row costs. Some clips have no words, some only
    their beats.

    Args:
        captions: all words of each clip.
        last_s: time of each clip's last latent frame; beats that begin later speak of what is not there.
        config: the shares.
        rng: on the CPU.
    """
    form, beats = torch.rand(2, generator=rng).tolist()
    silent, beats_only = (
        (torch.rand(len(captions), generator=rng) < dropped).tolist()
        for dropped in (config.text_dropout, config.summary_dropout)
    )
    words: list[TimedText] = []
    for index, (caption, end_s) in enumerate(zip(captions, last_s, strict=True)):
        present = dataclasses.replace(caption, beats=tuple(b for b in caption.beats if b.start_s <= end_s))
        lines = timed_text(present, short=form < config.short_share, beats=beats >= config.beats_dropout)
        words.append(() if silent[index] else lines[1:] if beats_only[index] else lines)
    return words


def grids_of(data: LatentDataset, clips: Sequence[int]) -> list[TokenGrid]:
    """The grids of these clips."""
    return [LatentShape(*data.latents_CTHW[clip].shape[1:]).tokens for clip in clips]


def _sizes(grid: TokenGrid) -> tuple[int, int, int]:
    return grid.frames, grid.rows, grid.cols


@lru_cache(maxsize=8)
def _layout(segments: tuple[Segment, ...], device: torch.device) -> Layout:
    """Layouts of equal packs are shared, since they remember position tables."""
    return Layout(segments, device)


@lru_cache(maxsize=2)
def _order(clips: int, epoch: int, seed: int) -> list[int]:
    order: list[int] = torch.randperm(clips, generator=torch.Generator().manual_seed(seed + epoch)).tolist()
    return order
