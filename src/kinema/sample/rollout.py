"""Long videos from windows of latents: each window is shown the end of the one before, as latents, and goes on.

Latents are handed on, never decoded and encoded again. The model sees them under slight noise, since it once made them
and its small errors would add up if it took them for truth (diffusion forcing, arXiv 2407.01392, section 3.3).

Suffixes: B variations, C channels, T latent frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kinema.flow.schedule import shift_for_tokens
from kinema.model.layout import Segment
from kinema.model.transformer import TextToVideo
from kinema.sample.condition import Condition
from kinema.sample.generate import OnStep, Words, denoise
from kinema.sample.request import Request
from kinema.shapes import latent_time_s

CONTEXT_LEVEL = 0.05  # noise under which a window sees what was generated before it
ONWARD = 0.25  # share of the guidance for windows after the first: each would sharpen what it hands on, and it adds up


@dataclass(frozen=True)
class Native:
    """The clips of training: how many tokens they had, and how their noise levels were shifted."""

    tokens: int
    shift: float

    def shift_of(self, tokens: int) -> float:
        """The shift of a clip: that of training, more if it is larger and less, down to none, if it is smaller."""
        return max(1.0, shift_for_tokens(tokens, self.tokens, self.shift))


def sample(
    model: TextToVideo,
    words: Words,
    request: Request,
    condition: Condition,
    noise_BCTHW: Tensor,
    native: Native,
    on_step: OnStep | None = None,
    first: int = 0,
) -> Tensor:
    """Samples a timeline, at once or window after window.

    Args:
        model: text encoder and denoiser.
        words: what it shows.
        request: settings; its ``windows`` say where each window lies.
        condition: what is known of the timeline.
        noise_BCTHW: the noise of every variation.
        native: what the model was trained on.
        on_step: progress.
        first: latent frames of the video before this timeline.

    Returns:
        latents_BCTHW.
    """
    latents_BCTHW = condition.data_BCTHW.clone()
    plan = windows(condition.shape.frames, request.window, request.context)
    onward = replace(request, guidance=1 + ONWARD * (request.guidance - 1))
    turning = replace(request, history=False)  # where the lines change, what was before must not count more than they
    done, told = 0, set[str]()  # latent frames sampled so far; the lines of what came before
    for place, (start, stop) in enumerate(plan):
        seen = condition.with_known(start, latents_BCTHW[:, :, start:done], CONTEXT_LEVEL) if done else condition
        part = seen.window(start, stop)
        segment = Segment(part.shape.tokens, request.fps, window_clock_s(first + start, request.fps), first + start)
        report = _count_on(on_step, place, len(plan), request.steps_taken)
        noise = noise_BCTHW[:, :, start:stop]
        shift = native.shift_of(part.shape.tokens.count)
        fresh = replace(segment, grid=replace(segment.grid, frames=stop - done), first=first + done)
        before, told = told, words.told(fresh)
        asked = request if not done else onward if told == before else turning
        new_BCTHW = denoise(model, words, asked, part, noise, shift, segment, report)
        latents_BCTHW[:, :, done:stop] = new_BCTHW[:, :, done - start :]
        done = stop
    return latents_BCTHW


def lead_back(latents_BCTHW: Tensor, bridge: int, context: int) -> Condition:
    """The condition of ``bridge`` latent frames from the end of a clip to its start.

    Both ends are the clip's own latents. After the bridge come latent frames 1, 2 …, which hold the frames after the
    first: so the bridge ends on the first frame itself.
    """
    tail = latents_BCTHW[:, :, -context:]
    head = latents_BCTHW[:, :, 1 : 1 + context]
    empty = torch.zeros_like(latents_BCTHW[:, :, :1]).expand(-1, -1, bridge, -1, -1)
    known = [0.0] * tail.shape[2] + [1.0] * bridge + [0.0] * head.shape[2]
    return Condition(torch.cat([tail, empty, head], dim=2), torch.tensor(known))


def windows(total: int, window: int, context: int) -> list[tuple[int, int]]:
    """Where windows begin and end: each overlaps the one before by ``context`` latent frames, the last by as many as
    it takes to keep its length.
    """
    if total <= window:
        return [(0, total)]
    starts = [*range(0, total - window, window - context), total - window]
    return [(start, start + window) for start in starts]


def window_clock_s(start: int, fps: float) -> float:
    """What is added to the times of a window, so that it begins at 0 as every clip of training did."""
    return -latent_time_s(start, fps)


def _count_on(on_step: OnStep | None, place: int, plan: int, steps: int) -> Callable[[int], None] | None:
    return None if on_step is None else lambda step: on_step(place * steps + step, plan * steps)
