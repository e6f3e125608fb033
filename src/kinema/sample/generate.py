"""From noise to latents: one sampler for every task, as functions of modules.

Suffixes: N tokens of the pack, n tokens of one clip, F latent frames of the pack, B variations, C channels, T frames,
H height, W width, M passes (with the text, and with the negative text or none).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.captions.text_encoder import TextFeatures
from kinema.captions.tokenizer import CaptionTokenizer, TextPack, TimedText
from kinema.codec.autoencoder import VideoAutoencoder
from kinema.codec.metrics import psnr, ssim
from kinema.codec.pixels import from_uint8, half_precision, to_uint8
from kinema.codec.streaming import decode_stream, encode_stream
from kinema.data import Tracks
from kinema.flow.guidance import guide, scale_at
from kinema.flow.path import interpolate, renoise
from kinema.flow.path import velocity as path_velocity
from kinema.flow.schedule import sampling_levels
from kinema.flow.solvers import SOLVERS, Velocity, hold, twice
from kinema.model.layout import Layout, Segment
from kinema.model.patches import patchify, unpatchify
from kinema.model.tracks import draw_tracks, moments_of
from kinema.model.transformer import NoiseFeatures, TextToVideo
from kinema.sample.condition import NOISY, Condition
from kinema.sample.request import Request
from kinema.shapes import LatentShape

OnStep = Callable[[int, int], None]  # steps done, steps in all

FRAMES_AT_ONCE = 32  # that are handed to the codec


@dataclass(frozen=True)
class Words:
    """What the clip should show: its lines of text and the ones to stay away from, ready for the model."""

    lines: TimedText
    negative: TimedText
    tokenizer: CaptionTokenizer
    max_tokens: int
    tracks: tuple[Tracks, ...] = ()  # where bodies go, from the video's first frame on: of each variation, or of none

    def pack(self, count: int, guided: bool, layout: Layout) -> TextPack:
        """The lines that speak of a window, as token ids: a text per clip, then one per clip with the negative text.

        Args:
            count: clips.
            guided: whether there are texts with the negative one.
            layout: of the window; the lines are moved to its clock.
        """
        rows = [_lines_within(self.lines, layout)] * count + [_lines_within(self.negative, layout)] * count * guided
        return self.tokenizer.pack(rows, self.max_tokens)

    def draw(self, segment: Segment, passes: int) -> Tensor | None:
        """What the tokens of all variations are told of tracks, and those of a second pass are not.

        Returns:
            (N, TRACK_FEATURES), or None for a window that the tracks do not reach.
        """
        needed = 1 + max(moments_of(segment.grid.frames))
        if segment.first or not self.tracks or any(len(tracks.box_SB4) < needed for tracks in self.tracks):
            return None
        told_NC = torch.cat([draw_tracks(tracks, segment.grid) for tracks in self.tracks])
        return torch.cat([told_NC, torch.zeros_like(told_NC)]) if passes == 2 else told_NC

    def told(self, segment: Segment) -> set[str]:
        """The lines that speak of a window or of a part of it."""
        return {text for text, _, _ in _lines_within(self.lines, Layout([segment]))}


def _lines_within(lines: TimedText, layout: Layout) -> TimedText:
    times_s, shift_s = layout.time_s_F.tolist(), layout.segments[0].start_s
    moved = ((text, start_s + shift_s, end_s + shift_s) for text, start_s, end_s in lines if text.strip())
    first_s, last_s = min(times_s), max(times_s)
    return tuple(line for line in moved if line[1] <= last_s and line[2] >= first_s)


def always(text: str) -> TimedText:
    """A line that holds from the beginning to the end."""
    return ((text, -math.inf, math.inf),)


@torch.inference_mode()
def denoise(
    model: TextToVideo,
    words: Words,
    request: Request,
    condition: Condition,
    noise_BCTHW: Tensor,
    shift: float,
    segment: Segment,
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Solves the flow from noise to latents for the unknown latent frames of a clip or of a window of one.

    Args:
        model: text encoder and denoiser.
        words: what it shows.
        request: settings of the solver and of guidance.
        condition: what is known.
        noise_BCTHW: the noise of every variation.
        shift: of the noise levels, see :func:`kinema.flow.schedule.shift_levels`.
        segment: where the window lies on the timeline.
        on_step: called after every step with the number of steps done.

    Returns:
        latents_BCTHW, float32; known ones as given.
    """
    device = next(model.parameters()).device
    levels = sampling_levels(request.steps, shift, condition.start)
    data_NC, noise_NC = (_to_tokens(x).to(device) for x in (condition.data_BCTHW, noise_BCTHW))
    free_NC = _to_tokens(_free(condition)).to(device)
    tokens_per_frame = condition.shape.tokens.rows * condition.shape.tokens.cols
    level_N1 = condition.level_T.repeat_interleave(tokens_per_frame).repeat(len(noise_BCTHW))[:, None].to(device)
    frames_known_N1 = level_N1 < NOISY

    begin_NC = interpolate(data_NC, noise_NC, torch.where(frames_known_N1, level_N1, levels[0]))
    straight_NC = torch.where(frames_known_N1, 0.0, path_velocity(data_NC, noise_NC))
    guided = guided_velocity(model, words, request, condition, segment, levels, noise_NC)
    velocity = hold(guided, free_NC, straight_NC)

    def report(step: int, _: Tensor) -> None:
        if on_step is not None:
            on_step(step)

    solver = SOLVERS[request.solver]
    if condition.fixed_HW is not None:
        fresh = _fresh_noise(noise_BCTHW)

        def back(x_NC: Tensor, sigma: float, higher: float) -> Tensor:
            held_NC = x_NC + (higher - sigma) * straight_NC
            return renoise(x_NC, _to_tokens(next(fresh)).to(device), sigma, higher).where(free_NC, held_NC)

        latents_NC = twice(solver, velocity, begin_NC, levels, back, report)
    else:
        latents_NC = solver(velocity, begin_NC, levels, report)
    latents_NC = latents_NC.where(free_NC, data_NC)
    return torch.stack([unpatchify(x_nC, condition.shape) for x_nC in latents_NC.chunk(len(noise_BCTHW))]).cpu()


def guided_velocity(
    model: TextToVideo,
    words: Words,
    request: Request,
    condition: Condition,
    segment: Segment,
    levels: Sequence[float],
    noise_NC: Tensor,
) -> Velocity:
    """The velocity at (x, σ) given the text and the known latent frames.

    Guidance moves it away from a second pass that has neither: it has the negative text, and noise in place of the
    known latent frames (history guidance, arXiv 2502.06764), so that what is generated follows what is given as
    strongly as the text; without ``request.history`` it has them, and only the text counts more. Nor is it told any
    tracks. Both passes of all variations are segments of one pack. Text keys and values, rotary tables and the
    modulation of every noise level are computed here or at the first call, and never again.
    """
    count, device = len(condition.data_BCTHW), next(model.parameters()).device
    index, table = _noise_table(model, levels, condition)
    known_T = condition.known_T.to(device)
    shown_T = torch.tensor([index.get(level, 0) for level in condition.level_T.tolist()], device=device)
    free_n = (~known_T).repeat_interleave(segment.grid.rows * segment.grid.cols)
    free_N1 = free_n.repeat(count)[:, None]
    prepared = {passes: _prepare(model, words, count, passes, segment) for passes in _passes(request, levels)}

    def velocity(x_NC: Tensor, sigma: float) -> Tensor:
        scale = scale_at(sigma, request.guidance, request.interval)
        passes = 1 if scale == 1 else 2
        layout, features, tracks_NC = prepared[passes]
        second_NC = x_NC.where(free_N1, noise_NC) if request.history else x_NC
        packed_NC = x_NC if passes == 1 else torch.cat([x_NC, second_NC])
        second_T = index[NOISY] if request.history else shown_T
        level_PT = [torch.where(known_T, known, index[sigma]) for known in (shown_T, second_T)[:passes]]
        noise = table.at(torch.cat([level_T.repeat(count) for level_T in level_PT]))
        with half_precision(device):
            both_NC: Tensor = model(packed_NC, layout, noise, features, tracks_NC=tracks_NC)
        if passes == 1:
            return both_NC
        with_text_BnC, without_BnC = both_NC.view(2, count, -1, both_NC.shape[-1])
        guided_BnC: Tensor = with_text_BnC.clone()
        guided_BnC[:, free_n] = guide(with_text_BnC[:, free_n], without_BnC[:, free_n], scale, request.rescale)
        return guided_BnC.flatten(0, 1)

    return velocity


def draw_noise(seed: int, shape: LatentShape) -> Tensor:
    """The noise of a seed, (C, T, H, W): on the CPU, so that it is the same on every device."""
    return torch.randn(shape.dims, generator=torch.Generator().manual_seed(seed))


def _fresh_noise(noise_BCTHW: Tensor) -> Iterator[Tensor]:
    """More noise of the same shape. The noise's own bits are the seed, so no variation depends on its pack."""
    bits_B = noise_BCTHW.contiguous().view(torch.int32).flatten(1).sum(1)
    generators = [torch.Generator().manual_seed(int(bits)) for bits in bits_B]
    while True:
        yield torch.stack([torch.randn(noise_BCTHW.shape[1:], generator=generator) for generator in generators])


def _free(condition: Condition) -> Tensor:
    """Which latents are sampled, (B, C, T, H, W)."""
    free_BCTHW = (~condition.known_T)[:, None, None].expand_as(condition.data_BCTHW)
    return free_BCTHW if condition.fixed_HW is None else free_BCTHW & ~condition.fixed_HW


def _to_tokens(values_BCTHW: Tensor) -> Tensor:
    return torch.cat([patchify(values_CTHW) for values_CTHW in values_BCTHW])


def _passes(request: Request, levels: Sequence[float]) -> set[int]:
    """The numbers of passes that some step needs: with and without guidance."""
    return {1 if scale_at(level, request.guidance, request.interval) == 1 else 2 for level in levels[:-1]}


def _prepare(
    model: TextToVideo, words: Words, count: int, passes: int, segment: Segment
) -> tuple[Layout, TextFeatures, Tensor | None]:
    device = next(model.parameters()).device
    layout = Layout([segment] * (count * passes), device)
    text = words.pack(count, passes == 2, layout)
    tracks_NC = words.draw(segment, passes)
    with half_precision(device):
        features = model.encode_text(text.to(device))
    return layout, features, None if tracks_NC is None else tracks_NC.to(device)


def _noise_table(
    model: TextToVideo, levels: Sequence[float], condition: Condition
) -> tuple[dict[float, int], NoiseFeatures]:
    """What the model reads of every noise level of a run, and the place of each."""
    index = {level: place for place, level in enumerate(dict.fromkeys([*levels, *condition.level_T.tolist(), NOISY]))}
    device = next(model.parameters()).device
    with half_precision(device):
        return index, model.transformer.read_noise(torch.tensor(list(index), device=device))


@torch.inference_mode()
def encode_pixels(codec: VideoAutoencoder, pixels_THW3: NDArray[np.uint8]) -> Tensor:
    """1 + 4k uint8 frames (T, H, W, 3) → latents of shape (C, 1 + k, H/8, W/8), on the CPU."""
    device = next(codec.parameters()).device
    pieces = np.split(pixels_THW3, range(1, len(pixels_THW3), FRAMES_AT_ONCE))  # few are floats at a time
    chunks = encode_stream(codec, (from_uint8(piece[None]).to(device) for piece in pieces))
    return torch.cat([latents_BCTHW[0].cpu() for latents_BCTHW in chunks], dim=1)


def decode_frames(codec: VideoAutoencoder, latents_CTHW: Tensor) -> Iterator[NDArray[np.uint8]]:
    """Latents of one clip → uint8 frames (H, W, 3), one by one as they are decoded, in constant memory."""
    device = next(codec.parameters()).device
    chunks = decode_stream(codec, [latents_CTHW[None].to(device)])
    while True:
        with half_precision(device):
            video_BCTHW = next(chunks, None)
        if video_BCTHW is None:
            return
        yield from to_uint8(video_BCTHW)[0]


@torch.inference_mode()
def reconstruct(codec: VideoAutoencoder, pixels_THW3: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float, float]:
    """What the codec keeps of a clip: the decoded frames, their PSNR in dB and their SSIM."""
    truth_BCTHW = from_uint8(pixels_THW3[None])
    video_BCTHW = codec.decode(codec.encode(truth_BCTHW))
    return to_uint8(video_BCTHW)[0], float(psnr(video_BCTHW, truth_BCTHW)), float(ssim(video_BCTHW, truth_BCTHW))
