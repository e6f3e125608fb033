"""Camera paths: where the camera is, how fast it goes, and that it comes back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.data import CameraInfo
from kinema.worlds import camera
from kinema.worlds.render import tracer
from kinema.worlds.scene import CameraMove

VIEW = CameraInfo((0.5, -8.2, 1.9), (0.0, 0.0, 1.15), 25.0)
MOVES = st.builds(
    CameraMove,
    st.sampled_from(["pan", "orbit"]),
    st.floats(-40.0, 40.0).filter(lambda rate: abs(rate) > 0.5),
    st.one_of(st.none(), st.floats(2.0, 120.0)),
)


def heading_deg(vector_T3: np.ndarray) -> np.ndarray:
    """Direction from above in degrees, anticlockwise from x, without jumps."""
    heading_T: np.ndarray = np.degrees(np.unwrap(np.arctan2(vector_T3[:, 1], vector_T3[:, 0])))
    return heading_T


def test_a_fixed_camera_stands_still() -> None:
    eye_T3, target_T3 = camera.path(VIEW, CameraMove(), 9, 12.0)
    assert (eye_T3 == VIEW.position_m).all() and (target_T3 == VIEW.target_m).all()


@settings(max_examples=40, deadline=None)
@given(MOVES, st.sampled_from([6.0, 12.0, 30.0]))
def test_distance_and_height_stay_and_the_target_stays_in_the_middle(move: CameraMove, fps: float) -> None:
    eye_T3, target_T3 = camera.path(VIEW, move, 60, fps)
    assert np.linalg.norm(eye_T3 - target_T3, axis=1) == pytest.approx(math.dist(VIEW.position_m, VIEW.target_m))
    assert eye_T3[:, 2] == pytest.approx(VIEW.position_m[2]) and target_T3[:, 2] == pytest.approx(VIEW.target_m[2])
    still_T3 = target_T3 if move.kind == "orbit" else eye_T3
    assert (still_T3 == still_T3[0]).all()
    for eye_3, target_3 in zip(eye_T3[::20], target_T3[::20], strict=True):
        now = CameraInfo(tuple(eye_3), tuple(target_3), VIEW.vertical_fov_deg)
        column, row, _ = tracer.project(now, target_3[None], 48, 80)[0]
        assert (column, row) == pytest.approx((40.0, 24.0))


@settings(max_examples=40, deadline=None)
@given(MOVES)
def test_it_begins_as_drawn_swings_no_further_than_allowed_and_never_jumps(move: CameraMove) -> None:
    fps = 60.0
    eye_T3, target_T3 = camera.path(VIEW, move, 61 * 60, fps)
    assert eye_T3[0] == pytest.approx(VIEW.position_m) and target_T3[0] == pytest.approx(VIEW.target_m)
    turned_T = heading_deg(target_T3 - eye_T3)
    turned_T = (turned_T - turned_T[0]) * (1 if move.kind == "orbit" else -1) * math.copysign(1, move.rate_degps)
    allowed = move.swing_deg or {"pan": camera.PAN_DEG, "orbit": camera.ORBIT_DEG}[move.kind]
    assert turned_T.min() > -1e-6 and turned_T.max() < allowed + 1e-6
    rate_T = np.diff(turned_T) * fps
    assert np.abs(rate_T).max() < camera.PEAK * abs(move.rate_degps) + 1e-6
    # no faster change of speed than a cosine swing has: π² rate² / (2 swing)
    bound = math.pi**2 * move.rate_degps**2 / (2 * allowed)
    assert np.abs(np.diff(rate_T)).max() * fps < 1.01 * bound + 1e-6
    if abs(move.rate_degps) * 60 > 2.2 * allowed:  # there is time to go and come back
        assert turned_T.max() > 0.98 * allowed
        assert turned_T[np.argmax(turned_T > 0.98 * allowed) :].min() < 0.1 * allowed


def test_positive_rates_go_to_the_right_and_a_longer_clip_goes_on_where_a_shorter_one_ends() -> None:
    for kind in ("pan", "orbit"):
        short = camera.path(VIEW, CameraMove(kind, 5.0), 10, 12.0)
        long = camera.path(VIEW, CameraMove(kind, 5.0), 100, 12.0)
        for part, whole in zip(short, long, strict=True):
            assert (whole[:10] == part).all()
        moved_T3 = short[0] if kind == "orbit" else short[1]
        assert (np.diff(moved_T3[:, 0]) > 0).all()


def test_an_endless_orbit_goes_round_evenly() -> None:
    eye_T3, target_T3 = camera.path(VIEW, CameraMove("orbit", 36.0, math.inf), 121, 12.0)
    assert heading_deg(eye_T3 - target_T3)[-1] - heading_deg(eye_T3 - target_T3)[0] == pytest.approx(360.0)
    assert eye_T3[-1] == pytest.approx(eye_T3[0])


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 160), (160, 64), (48, 16)])
def test_the_square_that_families_draw_for_is_in_view_at_any_size(height: int, width: int) -> None:
    fitted = camera.fit(VIEW, height, width)
    side = min(height, width)
    square = tracer.project(VIEW, np.array([[0.9, 0.0, 0.4], [-1.2, 0.3, 2.0]]), side, side)[:, :2] - side / 2
    whole = tracer.project(fitted, np.array([[0.9, 0.0, 0.4], [-1.2, 0.3, 2.0]]), height, width)[:, :2]
    assert whole - (width / 2, height / 2) == pytest.approx(square)  # the same pixels about the middle
