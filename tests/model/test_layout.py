from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.model.layout import Layout, Segment
from kinema.shapes import TokenGrid, latent_time_s

GRIDS = st.builds(TokenGrid, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
SEGMENTS = st.lists(st.builds(Segment, GRIDS, st.sampled_from([8.0, 12.0]), st.sampled_from([0.0, 2.5])), min_size=1)


@given(SEGMENTS)
@settings(deadline=None)
def test_every_token_knows_its_place(segments: list[Segment]) -> None:
    layout = Layout(segments)
    places = [
        (index, segment.start_s + latent_time_s(frame, segment.fps), row, col)
        for index, segment in enumerate(segments)
        for frame in range(segment.grid.frames)
        for row in range(segment.grid.rows)
        for col in range(segment.grid.cols)
    ]
    time_s_N = layout.time_s_F[layout.frame_N]
    found = zip(layout.segment_N.tolist(), time_s_N.tolist(), layout.row_N.tolist(), layout.col_N.tolist(), strict=True)
    for (segment, time_s, row, col), place in zip(found, places, strict=True):
        assert (segment, row, col) == (place[0], place[2], place[3])
        assert abs(time_s - place[1]) < 1e-6
    assert layout.tokens == len(places)


@given(SEGMENTS)
@settings(deadline=None)
def test_groups_cover_the_pack_in_order(segments: list[Segment]) -> None:
    layout = Layout(segments)
    for axis, total in (("segments", len(segments)), ("tokens", layout.tokens), ("frames", layout.frames)):
        slices = [getattr(group, axis) for group in layout.groups]
        assert [s.start for s in slices] == [0, *(s.stop for s in slices[:-1])] and slices[-1].stop == total
    for group in layout.groups:
        assert {segment.grid for segment in segments[group.segments]} == {group.grid}
        assert group.tokens.stop - group.tokens.start == group.count * group.grid.count
    assert layout.uniform == (len({segment.grid for segment in segments}) == 1)


@given(SEGMENTS)
@settings(deadline=None)
def test_values_of_frames_reach_their_tokens(segments: list[Segment]) -> None:
    layout = Layout(segments)
    values_FC = torch.randn(layout.frames, 2)
    spread = layout.by_frame(torch.zeros(layout.tokens, 2)) + layout.for_tokens(values_FC)
    assert torch.equal(spread.flatten(0, 1), values_FC[layout.frame_N])


def test_tables_are_computed_once() -> None:
    layout, calls = Layout([Segment(TokenGrid(1, 1, 1), 12.0)]), []
    assert [layout.remember("key", lambda: calls.append(1) or 7) for _ in range(3)] == [7, 7, 7]
    assert calls == [1]


def test_a_window_has_the_times_of_its_place_in_the_video() -> None:
    whole = Layout([Segment(TokenGrid(6, 2, 2), 12.0)])
    window = Layout([Segment(TokenGrid(3, 2, 2), 12.0, first=2)])
    moved = Layout([Segment(TokenGrid(3, 2, 2), 12.0, start_s=-0.5, first=2)])
    torch.testing.assert_close(window.time_s_F, whole.time_s_F[2:5])
    torch.testing.assert_close(moved.time_s_F, whole.time_s_F[2:5] - 0.5)
