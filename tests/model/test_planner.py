"""Plans: tracks on a grid, drawn one thing after another, each from what came before and from the words."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from kinema.captions.tokenizer import CaptionTokenizer, TextPack
from kinema.config import PlannerConfig
from kinema.data import Tracks
from kinema.model.planner import END, GRID, Planner, Plans, plan
from kinema.worlds.tracks import MAX_BODIES

MOMENTS = 4
WORDS = ("a red ball falls", "two blue cubes collide and a green cone stands beside them")


def tracks(*colors: str) -> Tracks:
    """A few spheres; the second one is hidden at first, the last one at the end."""
    rng = np.random.default_rng(len(colors))
    low_SB2 = rng.uniform(0, 0.6, (MOMENTS, len(colors), 2))
    box_SB4 = np.concatenate([low_SB2, low_SB2 + 0.3], axis=2).astype(np.float32)
    box_SB4[:2, 1:2] = np.nan
    box_SB4[-1, -1:] = np.nan
    return Tracks(colors, ("sphere",) * len(colors), box_SB4)


@pytest.fixture(scope="module")
def tokenizer() -> CaptionTokenizer:
    return CaptionTokenizer.train(WORDS, 280)


@pytest.fixture(scope="module")
def planner(tokenizer: CaptionTokenizer) -> Planner:
    torch.manual_seed(0)
    planner = Planner(280, 64, MOMENTS, PlannerConfig(width=16, depth=2, text_depth=1, heads=2)).eval()
    for parameter in planner.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return planner


def text(tokenizer: CaptionTokenizer, *lines: str) -> TextPack:
    return tokenizer.pack([((line, 0.0, 1.0),) for line in lines], 64)


def test_plans_are_tracks_on_a_grid() -> None:
    clips = [tracks("red", "blue", "clear"), tracks("green"), tracks()]
    plans = Plans.of(clips)
    assert plans.count_B.tolist() == [3, 1, 0]
    for row, clip in enumerate(clips):
        again = plans.tracks(row)
        assert (again.colors, again.shapes) == (clip.colors, clip.shapes)
        np.testing.assert_array_equal(np.isnan(again.box_SB4), np.isnan(clip.box_SB4))
        np.testing.assert_allclose(again.box_SB4, clip.box_SB4, atol=0.5 / GRID + 1e-6)


def test_where_a_body_was_last_seen_and_how_it_moved() -> None:
    plans = Plans.empty(1, 5, 1)
    for moment, left in ((1, 10), (2, 13), (4, 20)):
        plans.seen_BSK[0, moment, 0] = True
        plans.box_BSK4[0, moment, 0] = left
    last, moved = (values[0, :, 0, 0].tolist() for values in plans.before())
    assert last == [0, 0, 10, 13, 13]
    assert moved == [0, 0, 10, 3, 0]


def test_a_place_knows_what_came_before_it_and_nothing_else(planner: Planner, tokenizer: CaptionTokenizer) -> None:
    """Things are changed one by one; every place up to the thing's own must stay as it was, and later ones must not."""
    words = planner.read(text(tokenizer, WORDS[0]))
    plans = Plans.of([tracks("red", "blue", "lime")])
    body_BPC, box_BSKC = planner(plans, *words)
    for moment in range(MOMENTS):
        for body in range(3):
            seen_BSK, box_BSK4 = plans.seen_BSK.clone(), plans.box_BSK4.clone()
            seen_BSK[0, moment, body] = True
            box_BSK4[0, moment, body] += 5
            changed = dataclasses.replace(plans, seen_BSK=seen_BSK, box_BSK4=box_BSK4)
            body_now, box_now = planner(changed, *words)
            torch.testing.assert_close(body_now, body_BPC)
            differs_P = ((box_now - box_BSKC).abs().amax(-1) > 1e-5).flatten()
            own = 3 * moment + body
            assert not differs_P[: own + 1].any() and differs_P[own + 1 :].all()
    color_BK = plans.color_BK.clone()
    color_BK[0, 1] += 1
    body_now, box_now = planner(dataclasses.replace(plans, color_BK=color_BK), *words)
    assert torch.equal(((body_now - body_BPC).abs().amax(-1) > 1e-5)[0], torch.tensor([False, False, True, True]))
    assert ((box_now - box_BSKC).abs().amax(-1) > 1e-5).all()


def test_a_plan_is_read_the_same_beside_larger_ones(planner: Planner, tokenizer: CaptionTokenizer) -> None:
    together = Plans.of([tracks("red"), tracks("red", "blue", "lime", "cyan")])
    body_BPC, box_BSKC = planner(together, *planner.read(text(tokenizer, *WORDS)))
    for row, (clip, line) in enumerate(zip((tracks("red"), tracks("red", "blue", "lime", "cyan")), WORDS, strict=True)):
        count = len(clip.colors)
        body_alone, box_alone = planner(Plans.of([clip]), *planner.read(text(tokenizer, line)))
        torch.testing.assert_close(body_BPC[row, : count + 1], body_alone[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(box_BSKC[row, :, :count], box_alone[0], atol=1e-5, rtol=1e-4)


def test_drawn_boxes_are_boxes_and_follow_the_seed(planner: Planner, tokenizer: CaptionTokenizer) -> None:
    drawn = [plan(planner, text(tokenizer, WORDS[0]), seed, 2.0, 2.0) for seed in (0, 0, 1, 2, 3)]
    np.testing.assert_array_equal(drawn[0].box_SB4, drawn[1].box_SB4)
    assert len({(one.colors, one.box_SB4.tobytes()) for one in drawn[1:]}) == 4
    for one in drawn:
        assert len(one.colors) <= MAX_BODIES and one.box_SB4.shape == (MOMENTS, len(one.colors), 4)
        seen = one.box_SB4[~np.isnan(one.box_SB4[..., 0])]
        assert ((seen >= 0) & (seen <= 1)).all() and (seen[:, :2] < seen[:, 2:]).all()


def test_no_body_is_a_plan(planner: Planner, tokenizer: CaptionTokenizer) -> None:
    never = copy.deepcopy(planner)
    never.color_proj.bias.data[END] = 100
    assert plan(never, text(tokenizer, WORDS[0]), 0).box_SB4.shape == (MOMENTS, 0, 4)
