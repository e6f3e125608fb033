"""Noise levels: how they are drawn in training, and the steps of sampling.

Suffixes: S segments (clips of a pack), F latent frames of the pack.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from kinema.config import FlowConfig
from kinema.errors import InputError

Level = TypeVar("Level", float, Tensor)


def shift_levels(sigma: Level, shift: Level | float) -> Level:
    """Moves noise levels towards 1 (arXiv 2403.03206, equation 23); 0 and 1 stay, ``shift`` 1 changes nothing."""
    return shift * sigma / (1 + (shift - 1) * sigma)


def shift_for_tokens(tokens: int, native_tokens: int, native_shift: float = 1.0) -> float:
    """The shift that keeps the uncertainty of a larger or longer clip: √(m/n) (arXiv 2403.03206, section 5.3.2).

    Args:
        tokens: tokens of the clip.
        native_tokens: tokens of the clips of training.
        native_shift: shift of training.
    """
    return native_shift * math.sqrt(tokens / native_tokens)


def draw_levels(frames_S: Sequence[int], shift_S: Sequence[float], config: FlowConfig, rng: torch.Generator) -> Tensor:
    """Noise levels of training, one per latent frame.

    A clip shares one logit-normal level among its frames (arXiv 2403.03206, section 3.1). In ``independent_share`` of
    the clips every frame has its own (diffusion forcing, arXiv 2407.01392); in ``clean_first_share`` some frames are
    given, at level 0, as sampling gives them (:func:`_given_frames`). Shared levels are stratified over the pack, which
    lowers the variance of the loss (arXiv 2107.00630, appendix I.1).

    Args:
        frames_S: latent frames of each clip.
        shift_S: of each clip's levels, see :func:`shift_for_tokens`.
        config: shares and shape of the distribution.
        rng: on the CPU.

    Returns:
        sigma_F in [0, 1), float32, on the CPU.
    """
    clips, total = len(frames_S), sum(frames_S)
    stratum_S = torch.randperm(clips, generator=rng)
    shared_S = (stratum_S + torch.rand(clips, generator=rng, dtype=torch.float64)) / clips
    own_F = torch.rand(total, generator=rng, dtype=torch.float64)
    kind_S = torch.rand(clips, generator=rng)

    count_S = torch.tensor(frames_S)
    segment_F = torch.repeat_interleave(torch.arange(clips), count_S)
    first_S = count_S.cumsum(0) - count_S
    independent_F = (kind_S < config.independent_share)[segment_F]
    shift_F = torch.tensor(shift_S, dtype=torch.float64)[segment_F]
    normal_F = torch.special.ndtri(torch.where(independent_F, own_F, shared_S[segment_F]).clamp(1e-9, 1 - 1e-9))
    sigma_F = shift_levels(torch.sigmoid(config.logit_mean + config.logit_std * normal_F), shift_F)

    given_S = (kind_S >= config.independent_share) & (kind_S < config.independent_share + config.clean_first_share)
    place_F = torch.arange(total) - first_S[segment_F]
    sigma_F[given_S[segment_F] & _given_frames(place_F, segment_F, count_S, rng)] = 0.0
    return sigma_F.float()


def _given_frames(place_F: Tensor, segment_F: Tensor, count_S: Tensor, rng: torch.Generator) -> Tensor:
    """Which frames are given if a clip's are: at its start, around a hole, or at its end.

    From the start it is one frame in a third of the clips (an image to animate), else any number. The end is given as
    well in a quarter of the clips (two clips to connect), and instead, as many frames, in an eighth (a clip to extend
    backwards). One frame at least is not given, so the only frame of an image never is.
    """
    alone_S, ends_S, start_S, stop_S = torch.rand(4, len(count_S), generator=rng)
    start_S = torch.where(alone_S < 1 / 3, 1, 1 + (start_S * (count_S - 1)).long()).minimum(count_S - 1)
    hole_S, backward_S = ends_S < 1 / 4, ends_S >= 7 / 8
    stop_S = torch.where(hole_S, start_S + 1 + (stop_S * (count_S - start_S)).long(), count_S)
    stop_S, start_S = torch.where(backward_S, count_S - start_S, stop_S), torch.where(backward_S, 0, start_S)
    return (place_F < start_S[segment_F]) | (place_F >= stop_S[segment_F])


def sampling_levels(steps: int, shift: float = 1.0, start: float = 1.0) -> list[float]:
    """The noise levels of sampling, falling to 0, denser near 1 for a larger shift.

    Args:
        steps: of the whole way from pure noise.
        shift: see :func:`shift_levels`.
        start: share of the way to go, as in SDEdit (arXiv 2108.01073): 1 begins at pure noise, 0.5 takes half of the
            steps, 0 none.

    Returns:
        One level more than steps to take; [0] if there are none.

    Raises:
        InputError: fewer than one step.
    """
    if steps < 1:
        raise InputError(f"--steps {steps} is not possible: give at least 1")
    count = math.ceil(steps * start - 1e-9)
    return [shift_levels(start * (1 - i / count), shift) for i in range(count)] + [0.0]
