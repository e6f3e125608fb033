"""Packs: clips of any duration, size and aspect ratio end to end under a budget of tokens, with what a step draws.

The codec is causal, so the first latent frames of a clip are the latents of its beginning: images and short clips to
learn from first come free (see :class:`Plan`). All that is random in a step is drawn for the whole step, in the same
way by every process (:func:`draw_step`); a process then loads only the clips that are its share (:func:`share`).

Suffixes: C channels, T latent frames of a clip, N tokens of the pack, F latent frames of the pack.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from kinema.model.tracks import TRACK_FEATURES, draw_tracks
from kinema.shapes import LatentShape, TokenGrid, latent_time_s
from kinema.train.latents import LatentDataset
from kinema.worlds.make import GOLDEN

SHADOW_FROM = 0.25  # lowest noise level of clips with a shadow: below it, what is there is there
SHADOW_MIRRORED = 0.6  # share of shadows that are the clip's own mirror image
LEVEL_RANGES = 4  # of noise levels, whose training losses are recorded


@dataclass(frozen=True)
class Pack:
    """What a process learns from in a step: clips end to end, with their words, noise and noise levels."""

    latents_NC: Tensor
    noise_NC: Tensor
    noise_level_F: Tensor
    layout: Layout
    text: TextPack
    tracks_NC: Tensor | None = None  # where bodies go, zeros for clips of which it is not told

    def to(self, device: torch.device | str) -> Pack:
        """The same pack on another device."""
        layout = _layout(self.layout.segments, torch.device(device))
        return self._with(lambda tensor: tensor.to(device, non_blocking=True), layout, self.text.to(device))

    def pin_memory(self) -> Pack:
        """The same pack in memory that a GPU reads without waiting."""
        return self._with(Tensor.pin_memory, self.layout, self.text.pin_memory())

    def _with(self, move: Callable[[Tensor], Tensor], layout: Layout, text: TextPack) -> Pack:
        tracks_NC = None if self.tracks_NC is None else move(self.tracks_NC)
        return Pack(move(self.latents_NC), move(self.noise_NC), move(self.noise_level_F), layout, text, tracks_NC)


@dataclass(frozen=True)
class Shadow:
    """What else is to be seen in a noisy clip, and not in its target: its own mirror image or another clip."""

    clip: int  # index in the data
    mirrored: bool
    strength: float  # how much of it is seen, in [0, 1); so much less of the clip itself


@dataclass(frozen=True)
class Drawn:
    """One clip of a step and all that is random about it."""

    clip: int  # index in the data
    grid: TokenGrid  # of the part that is learnt from
    words: TimedText
    noise_level_T: Tensor
    noise_seed: int
    shadow: Shadow | None = None
    told: bool = False  # where bodies go


class Plan:
    """Which clips each step learns from, and how much of them: a pure function of the step.

    Clips come in an order that the seed decides, each once before any comes again; a step takes the next ones as long
    as they fit its budget of tokens. The curriculum shows images first, then the first half of the clips, then whole
    clips, under the same budget; of some clips it shows the image to the end. If latents are still being made, a step
    draws from the clips that must be there by then, each at most once a step.

    Args:
        grids: of the training clips.
        budget: tokens of a step.
        config: steps of each stage, share of the images, and the seed.
    """

    def __init__(self, grids: Sequence[TokenGrid], budget: int, config: TrainConfig) -> None:
        self.grids, self.budget, self.config = grids, budget, config
        self._starts = [0]  # place of each step's first clip in the endless order of clips

    def available(self, step: int) -> int:
        """How many clips a step may learn from, the first ones."""
        first, total = self.config.first_clips, len(self.grids)
        if not first or step >= self.config.grow_steps:
            return total
        return min(total, first + (total - first) * step // self.config.grow_steps)

    def seen(self, step: int) -> list[tuple[int, TokenGrid]]:
        """The clips of a step, at least one, and what it sees of each; equal grids are side by side."""
        if self.config.first_clips:
            order = np.random.default_rng([self.config.seed, step]).permutation(self.available(step))
            seen = self._fill(step, enumerate(order.tolist()))
        else:
            while len(self._starts) <= step:
                last = len(self._starts) - 1
                self._starts.append(self._starts[last] + len(self._fill(last, self._from(self._starts[last]))))
            seen = self._fill(step, self._from(self._starts[step]))
        return sorted(seen, key=lambda one: _sizes(one[1]))

    def clips(self, step: int) -> list[int]:
        """The clips of a step."""
        return [clip for clip, _ in self.seen(step)]

    def parts(self, step: int) -> list[TokenGrid]:
        """What a step sees of its clips, in their order."""
        return [part for _, part in self.seen(step)]

    def tokens(self, step: int) -> int:
        """Tokens of a step, at most the budget unless one clip alone exceeds it."""
        return sum(part.count for part in self.parts(step))

    def _fill(self, step: int, order: Iterable[tuple[int, int]]) -> list[tuple[int, TokenGrid]]:
        """The first clips of an order, given as (place, clip), that fit in the budget."""
        left, taken = self.budget, list[tuple[int, TokenGrid]]()
        for place, clip in order:
            part = self._part(step, place, clip)
            left -= part.count
            if left < 0 and taken:
                break
            taken.append((clip, part))
        return taken

    def _from(self, place: int) -> Iterator[tuple[int, int]]:
        """The endless order of clips, from a place on."""
        for there in itertools.count(place):
            epoch, index = divmod(there, len(self.grids))
            yield there, _order(len(self.grids), epoch, self.config.seed)[index]

    def _part(self, step: int, place: int, clip: int) -> TokenGrid:
        whole, config = self.grids[clip], self.config
        if step < config.image_steps or place * GOLDEN % 1.0 < config.image_share:  # spreads images evenly over places
            return dataclasses.replace(whole, frames=1)
        if step < config.image_steps + config.short_steps:
            return dataclasses.replace(whole, frames=(whole.frames + 1) // 2)
        return whole


def draw_step(
    data: LatentDataset,
    clips: Sequence[int],
    parts: Sequence[TokenGrid],
    train: TrainConfig,
    flow: FlowConfig,
    rng: torch.Generator,
    native_tokens: int | None = None,
) -> list[Drawn]:
    """Everything random about the clips of a step; cheap, so that every process can draw it for all of them.

    Noise levels are shifted as ``flow`` says; if ``native_tokens`` are given, that is the shift of a clip of so many
    tokens, and of a smaller one, like an image, it is less.

    Returns:
        Equal grids side by side, and among them texts of similar length: what attends as one batch.
    """
    last_s = [latent_time_s(part.frames - 1, data.fps[clip]) for clip, part in zip(clips, parts, strict=True)]
    words = draw_words([data.captions[clip] for clip in clips], last_s, train, rng)
    frames = [part.frames for part in parts]
    shifts = [schedule.shift_for_tokens(part.count, native_tokens or part.count, flow.shift) for part in parts]
    levels = torch.split(schedule.draw_levels(frames, shifts, flow, rng), frames)
    seeds = torch.randint(1 << 62, (len(clips),), generator=rng).tolist()
    shadows = draw_shadows(clips, parts, levels, train, rng) if train.shadow_share else [None] * len(clips)
    told = draw_told(data, clips, words, train, rng) if train.tracks_share else [False] * len(clips)
    drawn = [Drawn(*row) for row in zip(clips, parts, words, levels, seeds, shadows, told, strict=True)]
    return sorted(drawn, key=lambda d: (_sizes(d.grid), sum(len(text) for text, _, _ in d.words)))


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
        max_tokens: of a text.
    """
    latents = [patchify(data.latents_CTHW[d.clip][:, : d.grid.frames]).float() for d in drawn]
    noise = [
        torch.randn(x.shape, generator=torch.Generator().manual_seed(d.noise_seed))
        for x, d in zip(latents, drawn, strict=True)
    ]
    for index, d in enumerate(drawn):
        if d.shadow is not None:
            noise[index] += _shadow(data, d, latents[index])
    return Pack(
        torch.cat(latents),
        torch.cat(noise),
        torch.cat([d.noise_level_T for d in drawn]),
        _layout(tuple(Segment(d.grid, data.fps[d.clip]) for d in drawn), torch.device("cpu")),
        tokenizer.pack([d.words for d in drawn], max_tokens),
        told_tracks(data, drawn) if any(d.told for d in drawn) else None,
    )


def told_tracks(data: LatentDataset, drawn: Sequence[Drawn]) -> Tensor:
    """What the tokens of a pack are told of tracks, (N, TRACK_FEATURES)."""
    rows = []
    for d in drawn:
        tracks = data.tracks[d.clip] if d.told else None
        rows.append(torch.zeros(d.grid.count, TRACK_FEATURES) if tracks is None else draw_tracks(tracks, d.grid))
    return torch.cat(rows)


def draw_words(
    captions: Sequence[Caption], last_s: Sequence[float], config: TrainConfig, rng: torch.Generator
) -> list[TimedText]:
    """Words for the clips of a step: the short or the long form of each, with beats or without.

    Some clips have no words, some only their beats.

    Args:
        captions: all words of each clip.
        last_s: time of each clip's last latent frame; beats that begin later speak of what is not there.
        config: the shares.
        rng: on the CPU.
    """
    words: list[TimedText] = []
    chances = torch.rand(len(captions), 4, generator=rng).tolist()
    for caption, end_s, (form, beats, silent, beats_only) in zip(captions, last_s, chances, strict=True):
        present = dataclasses.replace(caption, beats=tuple(b for b in caption.beats if b.start_s <= end_s))
        lines = timed_text(present, short=form < config.short_share, beats=beats >= config.beats_dropout)
        if silent < config.text_dropout:
            lines = ()
        words.append(lines[1:] if beats_only < config.summary_dropout else lines)
    return words


def draw_told(
    data: LatentDataset, clips: Sequence[int], words: Sequence[TimedText], config: TrainConfig, rng: torch.Generator
) -> list[bool]:
    """Whether the model is told where the bodies of each clip go: ``tracks_share`` of those that have words and tracks.

    A clip without words has no tracks either: that is what guidance moves away from.
    """
    chances = torch.rand(len(clips), generator=rng).tolist()
    return [
        chance < config.tracks_share and bool(lines) and data.tracks[clip] is not None
        for clip, lines, chance in zip(clips, words, chances, strict=True)
    ]


def draw_shadows(
    clips: Sequence[int],
    parts: Sequence[TokenGrid],
    levels: Sequence[Tensor],
    config: TrainConfig,
    rng: torch.Generator,
) -> list[Shadow | None]:
    """Shadows for ``shadow_share`` of the clips that have one noise level throughout, ``SHADOW_FROM`` or more.

    A model that samples meets states that no noise on a clip has: where the words leave open from which side a body
    comes, its first steps draw it on both. Here it learns from such states that one of the two goes (exposure bias;
    noise against it: arXiv 2301.11706).

    Args:
        clips: of the step.
        parts: what is seen of each; images have no shadow, and a shadow has the size of its clip.
        levels: of each clip's latent frames.
        config: share and strength.
        rng: on the CPU.
    """
    shadows: list[Shadow | None] = []
    for clip, part, level_T, chances in zip(
        clips, parts, levels, torch.rand(len(clips), 4, generator=rng), strict=True
    ):
        happens, mirrored, which, strength = chances.tolist()
        fits = part.frames > 1 and level_T[0] >= SHADOW_FROM and bool((level_T == level_T[0]).all())
        shadows.append(None)
        if not fits or happens >= config.shadow_share:
            continue
        is_mirrored = mirrored < SHADOW_MIRRORED
        alike = [other for other, grid in zip(clips, parts, strict=True) if grid == part and other != clip]
        sources = [clip] if is_mirrored else alike
        if sources:
            source = sources[int(which * len(sources))]
            shadows[-1] = Shadow(source, is_mirrored, strength * config.shadow_strength)
    return shadows


def _shadow(data: LatentDataset, drawn: Drawn, latents_NC: Tensor) -> Tensor:
    """What to add to the noise, so that the noisy clip lies ``strength`` of the way to the shadow; the target stays."""
    assert drawn.shadow is not None
    source_CTHW = data.latents_CTHW[drawn.shadow.clip][:, : drawn.grid.frames]
    other_NC = patchify(source_CTHW.flip(-1) if drawn.shadow.mirrored else source_CTHW).float()
    level = drawn.noise_level_T[0]
    return (1 - level) / level * drawn.shadow.strength * (other_NC - latents_NC)


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
