"""The extractor against exact state, on true clips, painted discs and spoilt pixels."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.data import Clip
from kinema.evaluate.bodies import metres, observe, places_of, velocities
from kinema.evaluate.state import errors
from kinema.worlds.render.tracer import project


def moving_clips(judged_clips: tuple[Clip, ...]) -> list[Clip]:
    return [clip for clip in judged_clips if clip.source.family in ("fall", "throw", "pendulum")]


def test_projection_is_that_of_the_ray_tracer_and_rays_lead_back(judged_clips: tuple[Clip, ...]) -> None:
    for clip in judged_clips[::5]:
        state = clip.state
        assert state is not None
        if np.ptp(state.camera_eye_T3, axis=0).any():
            continue
        place_T2 = places_of(state, 0)
        column_row_T3 = project(state.camera, state.position_TB3[:, 0], 64, 64)
        np.testing.assert_allclose(place_T2 * 64, column_row_T3[:, [1, 0]], atol=1e-9)
        depth_m = float(state.position_TB3[0, 0, 1])
        in_plane = np.abs(state.position_TB3[:, 0, 1] - depth_m) < 1e-9
        read_T2 = metres(place_T2, state, depth_m)
        np.testing.assert_allclose(read_T2[in_plane], state.position_TB3[in_plane, 0][:, [0, 2]], atol=1e-9)


def test_true_renderings_give_positions_to_a_pixel_and_velocities(judged_clips: tuple[Clip, ...]) -> None:
    found = [errors(clip, clip.pixels_THW3) for clip in moving_clips(judged_clips)]
    assert np.mean([clip["place_error_px"] for clip in found]) < 1.2
    assert np.mean([clip["position_error_m"] for clip in found]) < 0.08
    assert np.mean([clip["velocity_error_mps"] for clip in found]) < 0.2
    assert np.mean([clip["found_share"] for clip in found]) > 0.95
    assert np.mean([clip["one_piece_share"] for clip in found]) > 0.97


@pytest.mark.parametrize("spoil", ["scrambled", "grey"])
def test_spoilt_pixels_are_far_from_the_floor(judged_clips: tuple[Clip, ...], spoil: str) -> None:
    rng = np.random.default_rng(0)
    for clip in moving_clips(judged_clips)[:4]:
        good = errors(clip, clip.pixels_THW3)
        if spoil == "scrambled":
            bad = errors(clip, rng.permutation(clip.pixels_THW3))
            assert bad["velocity_error_mps"] > 5 * good["velocity_error_mps"]
        else:
            bad = errors(clip, np.full_like(clip.pixels_THW3, 110))
            assert bad["found_share"] < 0.2 and np.isnan(bad["place_error_px"])


def test_a_body_that_is_cut_off_or_touched_has_no_place() -> None:
    clip = np.full((8, 64, 64, 3), 120, np.uint8)
    for frame in range(8):
        clip[frame, 20:32, 6 * frame : 6 * frame + 12] = (220, 20, 20)  # begins at the edge
        clip[frame, 20:32, 52:] = (20, 40, 220)  # at the edge for ever; touched at the end
    seen = observe(clip)
    red, blue = seen["red"], seen["blue"]
    assert red.seen_T.all() and red.whole_T.tolist() == [False] + [True] * 6 + [False]
    assert blue.seen_T.all() and not blue.whole_T.any()
    step_T2 = velocities(red.place_T2, 12.0)
    np.testing.assert_allclose(step_T2[1:6] / 12.0 * 64, [[0.0, 6.0]] * 5, atol=1e-9)
    assert np.isnan(step_T2[[0, 6]]).all()
