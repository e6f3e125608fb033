"""Matched clips, the error that compares them, and preferences whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kinema.config import WorldsConfig
from kinema.evaluate import preference
from kinema.evaluate.matched import Matched, matched_clips, motion_energy
from kinema.evaluate.preference import (
    LEGAL,
    VALID,
    VIOLATED,
    cells_that_differ,
    clips_of,
    encode,
    first_latent,
    is_wrong,
    leak_before,
    preferences,
    untrained,
    velocity_errors,
)
from kinema.evaluate.suite import Exam, GeneratedClips
from kinema.evaluate.violations import VIOLATIONS, Take
from kinema.model.patches import patchify
from kinema.sample.pipeline import Pipeline, load
from kinema.shapes import TOKEN_CHANNELS
from kinema.worlds.make import HELD_OUT_SEED, draw_scene, move

WORLDS = WorldsConfig(samples_per_pixel=1)


@pytest.fixture(scope="module")
def sets() -> tuple[Matched, ...]:
    """One matched set of every violation."""
    return tuple(next(matched_clips(violation, WORLDS, 1, 1000)) for violation in VIOLATIONS)


@pytest.fixture(scope="module")
def tiny(weights_folder: Path) -> Pipeline:
    return load(weights_folder)


def test_all_clips_of_a_set_are_the_same_bytes_until_something_happens(sets: tuple[Matched, ...]) -> None:
    for matched in sets:
        valid_THW3, *others = clips_of(matched)
        assert 3 < matched.start < 25, matched.violation
        for other_THW3 in others:
            assert (other_THW3[: matched.start] == valid_THW3[: matched.start]).all(), matched.violation
            change = np.abs(other_THW3[matched.start :].astype(int) - valid_THW3[matched.start :]).max()
            assert change > 40, matched.violation
        assert (matched.violated_THW3[matched.start] != valid_THW3[matched.start]).any()
        assert (matched.shaken[0] != matched.shaken[1])[matched.start :].any()


def test_the_lawful_change_moves_about_as_much_as_the_violation(sets: tuple[Matched, ...]) -> None:
    shares = [matched.energy[LEGAL] / matched.energy[VIOLATED] for matched in sets]
    assert min(shares) > 0.4 and 0.8 < np.median(shares) < 3, np.round(shares, 2)
    still_THW3 = np.zeros((5, 4, 4, 3), np.uint8)
    still_THW3[3:] = 51
    assert motion_energy(still_THW3, 1) == pytest.approx(0.04 / 4)
    assert motion_energy(still_THW3, 4) == 0


class Recorder(Take):
    """A take that films nothing and remembers which motion it was asked to film."""

    def film(self, cameras: Any = None, motion: Any = None, scene: Any = None) -> Any:
        self.__dict__["asked"] = motion


def edited(name: str, seeds: int = 30) -> tuple[Take, Any]:
    """The first take that a violation fits, and the motion that it films instead."""
    violation = next(violation for violation in VIOLATIONS if violation.name == name)
    for seed in range(seeds):
        scene, _ = draw_scene(violation.family, HELD_OUT_SEED + seed, WORLDS)
        take = Recorder(scene, move(scene, WORLDS), WORLDS)
        show = violation.edit(take, np.random.default_rng(0))
        if show is not None:
            show(None)
            return take, take.__dict__["asked"]
    raise AssertionError(f"no scene for {name}")


def test_violations_break_the_law_that_they_name() -> None:
    take, motion = edited("gravity turns round")
    start = int((motion.position_TB3 != take.motion.position_TB3).any(axis=(1, 2)).argmax())
    rise_T = np.diff(motion.position_TB3[start - 1 :, 0, 2], n=2) * WORLDS.fps**2
    assert rise_T == pytest.approx(9.81)
    take, motion = edited("falls through the floor")
    assert motion.position_TB3[-1, 0, 2] < -1 < take.motion.position_TB3[..., 2].min()
    take, motion = edited("bounces too high")
    start = int((motion.position_TB3 != take.motion.position_TB3).any(axis=(1, 2)).argmax())
    assert motion.position_TB3[start:, 0, 2].max() > take.motion.position_TB3[0, 0, 2]
    take, motion = edited("broken glass mends")
    assert motion.shown_TB[-1, 1] and not take.motion.shown_TB[-1, 1]
    take, motion = edited("passes through a body")
    sides = [
        np.sign(m.position_TB3[[0, -1], 0, 0] - m.position_TB3[[0, -1], 1, 0]).tolist() for m in (motion, take.motion)
    ]
    assert sides[0][0] == -sides[0][1] and sides[1][0] == sides[1][1]


def test_cells_and_latent_frames_lie_where_pixels_differ() -> None:
    one = np.zeros((9, 16, 24, 3), np.uint8)
    other = one.copy()
    other[2, 9, 3], other[6, 0, 23] = 200, 200
    cells_THW = cells_that_differ(one, other, 1)
    assert cells_THW.shape == (3, 2, 3) and set(map(tuple, np.argwhere(cells_THW).tolist())) == {(1, 1, 0), (2, 0, 2)}
    assert np.argwhere(cells_that_differ(one, other, 3)).tolist() == [[2, 0, 2]]
    assert [first_latent(start) for start in (0, 1, 4, 5, 8)] == [0, 1, 1, 2, 2]


def test_latents_before_the_violation_are_equal_and_a_codec_that_looks_ahead_is_found_out(
    sets: tuple[Matched, ...], tiny: Pipeline
) -> None:
    matched = max(sets, key=lambda matched: matched.start)
    clips = clips_of(matched)[:2]
    assert leak_before(encode(tiny, clips), matched.start) == 0
    backwards = leak_before(encode(tiny, [clip[::-1] for clip in clips]), matched.start)
    assert backwards > 0.01


class Oracle(torch.nn.Module):
    """Knows one clip by heart and takes everything for it."""

    def __init__(self, latents_CTHW: Tensor) -> None:
        super().__init__()
        self.data_nC = torch.nn.Parameter(patchify(latents_CTHW))

    def encode_text(self, text: Any) -> None:
        return None

    def forward(self, noisy_NC: Tensor, layout: Any, noise_level_F: Tensor, features: None) -> Tensor:
        sigma_N1 = noise_level_F[layout.frame_N, None].clamp_min(1e-6)
        return (noisy_NC - self.data_nC.repeat(len(layout.segments), 1)) / sigma_N1


def test_whoever_knows_the_valid_clip_prefers_it_and_whoever_knows_the_violated_one_does_not(
    sets: tuple[Matched, ...], tiny: Pipeline
) -> None:
    for matched in sets[:3]:
        latents_KCTHW = encode(tiny, clips_of(matched))
        for known, wrong in ((VALID, 0.0), (VIOLATED, 1.0)):
            oracle: Any = Oracle(latents_KCTHW[known])
            error_KSTHW = velocity_errors(tiny, oracle, latents_KCTHW, (0.3, 0.7), seed=1)
            assert error_KSTHW[known].max() < 1e-6 < error_KSTHW[VALID if known else VIOLATED].max()
            found = preferences(error_KSTHW + 1e-9, matched)
            assert is_wrong(found.violated_S) == wrong and not np.isnan(found.shaken_S).any()
            assert is_wrong(preferences(error_KSTHW[:3] + 1e-9, matched).legal_S) == wrong * 0.0 or known == VIOLATED
    same = np.ones_like(error_KSTHW)
    assert is_wrong(preferences(same, matched).violated_S) == 1  # who sees no difference has no preference
    assert np.isnan(is_wrong(preferences(same[:3], matched).shaken_S))
    halved = preferences(error_KSTHW + 1e-9, matched, error_KSTHW + 1e-9)
    assert halved.violated_S == pytest.approx(0)


def test_noise_is_the_same_for_all_clips_and_the_past_can_be_shown_or_hidden(tiny: Pipeline) -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    class Witness(Oracle):
        def forward(self, noisy_NC: Tensor, layout: Any, noise_level_F: Tensor, features: None) -> Tensor:
            seen.append((noisy_NC, noise_level_F))
            return torch.zeros_like(noisy_NC)

    latents_KCTHW = torch.randn(2, 16, 3, 4, 4)
    witness: Any = Witness(latents_KCTHW[0])
    velocity_errors(tiny, witness, latents_KCTHW, (0.4,), seed=3)
    velocity_errors(tiny, witness, latents_KCTHW, (0.4,), seed=3, past=(1, 0.0))
    velocity_errors(tiny, witness, latents_KCTHW, (0.4,), seed=3, past=(1, 1.0))
    data_NC = torch.cat([patchify(latents) for latents in latents_KCTHW])
    (plain_NC, level_F), (shown_NC, shown_F), (hidden_NC, hidden_F) = seen
    noise_KnC = ((plain_NC - 0.6 * data_NC) / 0.4).view(2, -1, TOKEN_CHANNELS)
    assert torch.allclose(noise_KnC[0], noise_KnC[1], atol=1e-5) and level_F.tolist() == pytest.approx([0.4] * 6)
    assert shown_F.tolist() == pytest.approx([0, 0.4, 0.4] * 2) and hidden_F[0] == 1
    assert torch.allclose(shown_NC[:4], data_NC[:4]) and torch.allclose(shown_NC[4:12], plain_NC[4:12])
    assert torch.allclose(hidden_NC[:4], noise_KnC[0, :4], atol=1e-5)


def test_an_untrained_network_answers_something_and_is_the_same_every_time(tiny: Pipeline) -> None:
    first, second = untrained(tiny), untrained(tiny)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert first.transformer.out_proj.weight.std() > 0
    assert not torch.equal(first.transformer.in_proj.weight, tiny.model.transformer.in_proj.weight)


def test_the_suite_reports_every_control_and_repeats_itself(
    tiny: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preference, "VIOLATIONS", VIOLATIONS[:2])
    monkeypatch.setattr(preference, "QUICK_PAIRS", 1)
    progress: list[tuple[int, int]] = []
    exam = Exam(tiny, True, GeneratedClips(tiny, tmp_path), lambda done, total: progress.append((done, total)))
    result = preference.run(exam)
    assert progress == [(done, 2) for done in range(3)]
    by_name = {score.name: score for score in result.scores}
    assert set(by_name["ppe"].floors) == {"chance", "untrained", "lawful change"}
    assert all(score.n == 2 and 0 <= score.low <= score.value <= score.high <= 1 for score in result.scores)
    assert {row[0] for row in result.tables[0].rows} == {"teleports", "vanishes"}
    assert result.notes[0].endswith(": 0.")
    assert result.strips[0].pixels_THW3.shape == (33, 128, 64, 3)
    again = preference.run(exam)
    assert again.scores == result.scores and again.tables == result.tables and again.curves == result.curves


def test_a_network_that_knows_nothing_is_far_from_one_that_knows_the_truth(
    sets: tuple[Matched, ...], tiny: Pipeline
) -> None:
    wrong = {"oracle": [], "untrained": []}
    for matched in sets:
        latents_KCTHW = encode(tiny, clips_of(matched)[:3])
        oracle: Any = Oracle(latents_KCTHW[VALID])
        for name, model in (("oracle", oracle), ("untrained", untrained(tiny))):
            error_KSTHW = velocity_errors(tiny, model, latents_KCTHW, (0.5,), seed=matched.seed)
            wrong[name].append(is_wrong(preferences(error_KSTHW + 1e-9, matched).violated_S))
    assert np.mean(wrong["oracle"]) == 0 and np.mean(wrong["untrained"]) > 0.25, wrong
