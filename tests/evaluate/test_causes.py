"""Cause and effect: true clips pass; motion without touch, wrong order, and panes of a broken simulator do not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.evaluate import dominoes, laws, panes
from kinema.evaluate.causes import contact, topple
from kinema.evaluate.examples import frozen, unseen
from kinema.evaluate.judge import segment

WORLDS = WorldsConfig()


def test_what_rests_waits_for_a_touch_and_then_moves() -> None:
    clip = laws.examples("collide", WORLDS, 1)[0]
    assert contact(clip, clip.pixels_THW3) == {"waits_share": 1.0, "reacts_share": 1.0}
    assert clip.state is not None
    by_color = {track.color: track.mask_THW for track in segment(clip.pixels_THW3)}
    mover_THW = by_color[clip.state.bodies[0].color]
    alone = clip.pixels_THW3.copy()
    alone[mover_THW] = 110  # nothing hits it, and it goes all the same
    assert contact(clip, alone)["waits_share"] == 0.0
    target_THW = by_color[clip.state.bodies[1].color]
    rooted = np.where(target_THW[..., None], 110, clip.pixels_THW3)  # it stays where it was, whatever hits it
    rooted = np.where(target_THW[:1, ..., None], clip.pixels_THW3[:1], rooted).astype(np.uint8)
    assert contact(clip, rooted)["reacts_share"] == 0.0


@pytest.fixture(scope="module")
def rows() -> tuple[Clip, ...]:
    return (*unseen("dominoes", WORLDS, 2, dominoes.has_gap), *unseen("dominoes", WORLDS, 1, dominoes.has_no_gap))


def test_true_dominoes_fall_in_order_up_to_the_gap(rows: tuple[Clip, ...]) -> None:
    for clip in rows:
        found = topple(clip, clip.pixels_THW3)
        assert found["falls_share"] == 1.0 and found["order_share"] == 1.0 and found["fall_time_error_s"] == 0.0
    assert [topple(clip, clip.pixels_THW3)["gap_stops_share"] for clip in rows[:2]] == [1.0, 1.0]


def test_dominoes_that_do_not_fall_or_fall_in_disorder_are_found_out(rows: tuple[Clip, ...]) -> None:
    for clip in rows:
        assert topple(clip, frozen(clip.pixels_THW3, dominoes.GIVEN))["falls_share"] < 0.5
    whole = rows[2]
    mirrored = whole.pixels_THW3.copy()
    mirrored[dominoes.GIVEN :] = mirrored[dominoes.GIVEN :, :, ::-1]  # begins at the wrong end
    assert topple(whole, mirrored)["order_share"] < 0.5
    gap, other = rows[:2]
    swept = gap.pixels_THW3.copy()
    swept[20:] = 110  # all are gone, those beyond the gap too
    assert topple(gap, swept)["gap_stops_share"] == 0.0


def test_pixels_tell_broken_panes_from_whole_ones_and_the_curve_needs_the_glass() -> None:
    clip = unseen("shatter", WORLDS, 1, panes.has_pane)[0]
    slow, fast = (panes.strike(clip, speed, WORLDS) for speed in (1.5, 6.0))
    assert not slow.breaks and fast.breaks
    assert (slow.pixels_THW3[0] == fast.pixels_THW3[0]).all()
    changes = [panes.change(hit.pixels_THW3, hit) for hit in (slow, fast)]
    assert [panes.breaks(change_T) for change_T in changes] == [False, True]
    assert np.isnan(panes.mends(changes[0])) and panes.mends(changes[1]) == 0.0
    before_T = panes.change(fast.pixels_THW3[: panes.GIVEN], fast)
    assert np.nanmax(before_T) < panes.BROKEN  # the given frames do not tell
    healed = fast.pixels_THW3.copy()
    healed[20:] = healed[0]
    healed_T = panes.change(healed, fast)
    assert not panes.breaks(healed_T) and panes.mends(healed_T) > 0.3
    swapped = dataclasses.replace(fast, pixels_THW3=slow.pixels_THW3)  # unbreakable glass
    assert panes.breaks(panes.change(swapped.pixels_THW3, swapped)) != fast.breaks
