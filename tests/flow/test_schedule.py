from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.config import FlowConfig
from kinema.errors import InputError
from kinema.flow.schedule import draw_levels, sampling_levels, shift_for_tokens, shift_levels

PLAIN = FlowConfig(shift=1.0, clean_first_share=0.0, independent_share=0.0)


def draw(frames: list[int], config: FlowConfig, seed: int = 0) -> torch.Tensor:
    return draw_levels(frames, [config.shift] * len(frames), config, torch.Generator().manual_seed(seed))


def test_frames_of_a_clip_share_their_level_and_clips_do_not() -> None:
    first, second, third = draw([4, 1, 7], PLAIN).split([4, 1, 7])
    assert first.unique().numel() == third.unique().numel() == 1
    assert len({first[0].item(), second[0].item(), third[0].item()}) == 3


def test_levels_are_logit_normal() -> None:
    config = dataclasses.replace(PLAIN, logit_mean=0.5, logit_std=1.5)
    logits = torch.logit(draw([1] * 20_000, config).double())
    assert abs(logits.mean() - 0.5) < 0.01 and abs(logits.std() - 1.5) < 0.02


def test_shared_levels_are_stratified() -> None:
    quantile = torch.special.ndtr(torch.logit(draw([3] * 64, PLAIN)[::3].double()))
    assert (quantile * 64).floor().sort().values.tolist() == list(range(64))


def test_given_frames_are_at_the_start_around_a_hole_or_at_the_end_and_never_all() -> None:
    frames = 6
    sigma_SF = draw([frames] * 20_000, dataclasses.replace(PLAIN, clean_first_share=1.0)).view(-1, frames)
    given_SF, hole_SF = sigma_SF == 0, sigma_SF > 0
    assert given_SF.any(1).all() and hole_SF.any(1).all()
    assert (hole_SF.diff(dim=1).sum(1) <= 2).all()  # one hole
    backward_S = ~given_SF[:, 0]
    assert abs(backward_S.float().mean() - 1 / 8) < 0.01
    for end_SF in (given_SF[~backward_S], given_SF[backward_S].flip(1)):
        start_S = end_SF.int().cummin(dim=1).values.sum(1)
        image = (start_S == 1).float().mean()  # a third of the clips, and one of five lengths of the others
        assert abs(image - (1 / 3 + 2 / 15)) < 0.02
    start_SF = given_SF[~backward_S]
    closed = start_SF[start_SF.int().cummin(dim=1).values.sum(1) < frames - 1][:, -1].float().mean()
    assert 0.17 < closed < 0.29  # its end is given, where one can be
    levels_S = sigma_SF.amax(1, keepdim=True)
    assert torch.equal(sigma_SF[hole_SF], levels_S.expand_as(sigma_SF)[hole_SF])  # the others share their level


def test_an_image_is_never_given() -> None:
    sigma_S3 = draw([1, 2] * 100, dataclasses.replace(PLAIN, clean_first_share=1.0)).view(100, 3)
    assert not (sigma_S3[:, 0] == 0).any() and ((sigma_S3[:, 1:] == 0).sum(1) == 1).all()


def test_independent_frames_all_differ() -> None:
    sigma = draw([9, 9], dataclasses.replace(PLAIN, independent_share=1.0))
    assert sigma.unique().numel() == 18


def test_shares_are_kept_and_exclude_each_other() -> None:
    config = dataclasses.replace(PLAIN, clean_first_share=0.2, independent_share=0.1)
    sigma = draw([3] * 10_000, config).view(-1, 3)
    clean = (sigma == 0).any(1)
    independent = (sigma > 0).all(1) & (sigma[:, 1] != sigma[:, 2])
    assert abs(clean.float().mean() - 0.2) < 0.02 and abs(independent.float().mean() - 0.1) < 0.02


def test_the_same_generator_state_gives_the_same_levels() -> None:
    config = FlowConfig()
    assert torch.equal(draw([5] * 8, config, 3), draw([5] * 8, config, 3))
    assert not torch.equal(draw([5] * 8, config, 3), draw([5] * 8, config, 4))


@given(st.floats(0, 1), st.floats(0.2, 8))
@settings(deadline=None)
def test_shift_is_undone_by_its_inverse_and_keeps_the_ends(sigma: float, shift: float) -> None:
    assert shift_levels(shift_levels(sigma, shift), 1 / shift) == pytest.approx(sigma, abs=1e-9)
    assert shift_levels(0.0, shift) == 0 and shift_levels(1.0, shift) == pytest.approx(1)


@given(st.integers(1, 100), st.floats(1, 10))
@settings(deadline=None)
def test_sampling_levels_fall_from_one_to_zero(steps: int, shift: float) -> None:
    levels = sampling_levels(steps, shift)
    assert len(levels) == steps + 1 and levels[0] == pytest.approx(1) and levels[-1] == 0
    assert all(before > after for before, after in zip(levels[:-1], levels[1:], strict=True))


@given(st.integers(1, 100), st.floats(1, 10), st.floats(0, 1))
@settings(deadline=None)
def test_a_later_start_takes_a_share_of_the_steps(steps: int, shift: float, start: float) -> None:
    levels = sampling_levels(steps, shift, start)
    assert levels[0] == pytest.approx(shift_levels(start, shift), abs=1e-6) and levels[-1] == 0
    assert len(levels) - 1 == pytest.approx(steps * start, abs=1)
    assert all(before > after for before, after in zip(levels[:-1], levels[1:], strict=True))


def test_a_start_without_noise_takes_no_step() -> None:
    assert sampling_levels(30, 3.0, 0.0) == [0.0]


def test_no_steps_is_the_users_mistake() -> None:
    with pytest.raises(InputError, match="--steps 0"):
        sampling_levels(0)


def test_four_times_the_tokens_double_the_shift() -> None:
    assert shift_for_tokens(576, 144, 1.5) == pytest.approx(3.0)
