"""The ray tracer against geometry that can be worked out by hand."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import numpy as np
import pytest

from kinema.worlds.render import compiled, kernel, tracer
from kinema.worlds.render.film import film_of
from kinema.worlds.render.tracer import BOX, CHECKER, CYLINDER, PLANKS, SPHERE, STRIPES, TILES
from worlds.render.stills import (
    CAMERA,
    FOV_DEG,
    UPRIGHT,
    Vec3,
    centre_rays,
    centroid,
    linear,
    make_look,
    redness,
    seen_from,
    still,
)


def test_bytes_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    look = make_look(
        [(SPHERE, (0.5, 0.5, 0.5)), (BOX, (0.4, 0.2, 0.3)), (CYLINDER, (0.3, 0.3, 0.4))],
        gloss_B=np.array([0.2, 0.0, 0.05]),
        index_B=np.array([0.0, 1.5, 0.0]),
        floor_pattern=CHECKER,
    )
    rng = np.random.default_rng(0)
    position_TB3 = rng.uniform(-1, 1, (5, 3, 3)) + np.array([0, 0, 1.2])
    orientation_TB4 = rng.normal(size=(5, 3, 4))
    orientation_TB4 /= np.linalg.norm(orientation_TB4, axis=-1, keepdims=True)
    results = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(kernel, "get_num_threads", lambda threads=threads: threads)
        results.append(tracer.render(look, position_TB3, orientation_TB4, 32, 48, depth=True))
    for other in results[1:]:
        for name in ("pixels_THW3", "ids_THW", "visible_TB", "depth_THW"):
            assert getattr(results[0], name).tobytes() == getattr(other, name).tobytes()


def test_the_cached_kernel_notices_changes_in_every_file_that_it_contains() -> None:
    folder, found, open_ = Path(kernel.__file__).parent, set(), ["kernel"]
    while open_:
        name = open_.pop()
        found.add(name)
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("kinema.worlds.render"):
                parts = node.module.split(".")[3:] or [alias.name for alias in node.names]
                open_ += [part for part in parts if part not in found and part not in open_]
    assert found == set(compiled.SOURCES)


@pytest.mark.parametrize("centre", [(0.0, 0.0, 0.7), (1.2, 0.5, 0.9), (-1.0, -1.5, 0.4)])
def test_sphere_covers_its_pinhole_projection(centre: Vec3) -> None:
    radius, side = 0.5, 128
    seen = still(make_look([(SPHERE, (radius,) * 3)]), [centre], side, samples=9)
    # A sphere whose axis is at angle θ to the view and whose cone has half angle α projects to an ellipse of area
    # π f² s √(1 − s) / (c − s)^(3/2) with s = sin²α, c = cos²θ.
    axis_3 = np.array(centre) - np.array(CAMERA.position_m)
    forward_3 = np.array(CAMERA.target_m) - np.array(CAMERA.position_m)
    distance = float(np.linalg.norm(axis_3))
    cos_square = float(axis_3 @ forward_3 / distance / np.linalg.norm(forward_3)) ** 2
    sin_square = (radius / distance) ** 2
    focal = side / 2 / math.tan(math.radians(FOV_DEG) / 2)
    area = math.pi * focal**2 * sin_square * math.sqrt(1 - sin_square) / (cos_square - sin_square) ** 1.5
    assert seen.visible_B[0] * side * side == pytest.approx(area, rel=0.02)
    assert (seen.ids_HW == 0).sum() == pytest.approx(area, rel=0.03)


def test_ids_lie_on_projected_centres() -> None:
    shapes = [(SPHERE, (0.3, 0.3, 0.3)), (BOX, (0.3, 0.2, 0.25)), (CYLINDER, (0.25, 0.25, 0.3))]
    centres = [(-1.2, 0.0, 0.3), (0.1, 0.5, 0.25), (1.1, -0.5, 0.3)]
    ids_HW = still(make_look(shapes), centres).ids_HW
    for body, (column, row, _) in enumerate(tracer.project(CAMERA, np.array(centres), 96, 96)):
        assert ids_HW[int(row), int(column)] == body
    assert ids_HW[0, 0] == ids_HW[-1, -1] == -1


def test_shadow_lies_opposite_to_the_sun() -> None:
    look, centre = make_look([(SPHERE, (0.3, 0.3, 0.3))]), (0.0, 0.0, 0.9)
    lit, empty = still(look, [centre]), still(make_look([]), [])
    darker_HW = (empty.pixels_HW3.astype(int) - lit.pixels_HW3).max(axis=-1) > 30
    sun_3 = look.sun_direction_3
    shadow_3 = np.array(centre) - sun_3 * (centre[2] / sun_3[2])
    column, row, _ = tracer.project(CAMERA, shadow_3[None], 96, 96)[0]
    assert centroid(darker_HW & (lit.ids_HW < 0)) == pytest.approx((column, row), abs=1.0)


def test_white_sphere_keeps_to_the_light_budget() -> None:
    """Facing the sun a matte white body returns all light; facing away, at most the skylight's share."""
    white = {"albedo_B3": np.ones((1, 3)), "floor_albedo_3": np.ones(3), "ambient": 0.25}
    white |= seen_from((0.0, -60.0, 5.0), (0.0, 0.0, 5.0), 3.0)
    sun_3, ball, centres = np.array([0.0, -1.0, 0.0]), [(SPHERE, (1.0, 1.0, 1.0))], [(0.0, 0.0, 5.0)]
    front = still(make_look(ball, sun_direction_3=sun_3, **white), centres, samples=1)
    light_HW = linear(front.pixels_HW3).mean(axis=-1)
    assert light_HW[48, 48] == pytest.approx(1.0, abs=0.02)
    # Lambert seen from the lamp: the mean of cosine over the disc is 2/3.
    assert light_HW[front.ids_HW == 0].mean() == pytest.approx(0.25 + 0.75 * 2 / 3, rel=0.02)
    back = still(make_look(ball, sun_direction_3=-sun_3, **white), centres)
    assert linear(back.pixels_HW3)[48, 48] == pytest.approx(0.25, abs=0.02)


def test_body_behind_a_wall_is_not_visible() -> None:
    look = make_look([(SPHERE, (0.3, 0.3, 0.3)), (BOX, (1.0, 0.05, 0.8))])
    seen = still(look, [(0.0, 1.0, 0.3), (0.0, 0.0, 0.8)])
    assert seen.visible_B[0] == 0.0 and seen.visible_B[1] > 0.1 and not (seen.ids_HW == 0).any()


def test_rotation_turns_body_axes_to_the_world() -> None:
    """A cylinder laid along x by a quarter turn about y is wide and low."""
    look = make_look([(CYLINDER, (0.2, 0.2, 0.8))], **seen_from((0.0, -8.0, 1.0), (0.0, 0.0, 1.0), 30.0))
    quarter = (math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0)
    for quaternion, wide in [(UPRIGHT, False), (quarter, True)]:
        rows, columns = np.nonzero(still(look, [(0.0, 0.0, 1.0)], 64, turns=np.array([quaternion])).ids_HW == 0)
        aspect = (np.ptp(columns) + 1) / (np.ptp(rows) + 1)
        assert (aspect > 3) if wide else (aspect < 1 / 3)


def test_tiles_of_the_screen_skip_nothing() -> None:
    """Bodies around, behind and on both sides of the eye: all tiles together list what one list of everybody does."""
    rng = np.random.default_rng(3)
    shapes = [(int(kind), (0.4, 0.4 if kind != BOX else 0.2, 0.4)) for kind in rng.integers(0, 3, 8)]
    position_TB3 = rng.uniform(-2, 2, (6, 8, 3)) + np.array([0.0, -5.0, 2.0])
    orientation_TB4 = rng.normal(size=(6, 8, 4))
    orientation_TB4 /= np.linalg.norm(orientation_TB4, axis=-1, keepdims=True)
    look, shown_TB = make_look(shapes), np.ones((6, 8), bool)
    film = film_of(look, position_TB3, orientation_TB4, shown_TB, 32, 32, tracer.sample_offsets(4))
    everybody = film._replace(
        screen_TC=np.arange(0, 6 * 8 * 16 + 1, 8, dtype=np.int32)[np.arange(6)[:, None] * 16 + np.arange(17)],
        screen_N=np.tile(np.arange(8, dtype=np.int32), 6 * 16),
    )
    results = []
    for each in (film, everybody):
        outputs = np.zeros((6, 32, 32, 3), np.uint8), np.zeros((6, 32, 32), np.int16)
        seen_TB = np.zeros((6, 8), np.int32)
        kernel.render_frames(each, *outputs, np.zeros((0, 0, 0), np.float32), seen_TB)
        results.append((*outputs, seen_TB))
    assert (results[0][1] >= 0).any() and len(film.screen_N) < len(everybody.screen_N)
    for one, two in zip(*results, strict=True):
        assert np.array_equal(one, two)


def test_three_hundred_balls_are_told_apart() -> None:
    rng = np.random.default_rng(5)
    radius, side = 0.08, 64
    centres_N3 = rng.uniform((-1.5, -1.5, 0.1), (1.5, 1.5, 1.5), (300, 3))
    look = make_look([(SPHERE, (radius,) * 3)] * 300)
    seen = still(look, [tuple(centre) for centre in centres_N3.tolist()], side, samples=1)
    direction_N3, _ = centre_rays(look, side)
    to_centre_B3 = centres_N3 - look.eye_T3[0]
    along_NB = direction_N3 @ to_centre_B3.T
    off_NB = (to_centre_B3**2).sum(axis=1) - along_NB**2
    enter_NB = np.where(off_NB < radius**2, along_NB - np.sqrt(np.maximum(radius**2 - off_NB, 0)), np.inf)
    expected_N = np.where(np.isfinite(enter_NB).any(axis=1), enter_NB.argmin(axis=1), -1)
    assert np.array_equal(seen.ids_HW.ravel(), expected_N)


def test_what_is_not_shown_leaves_no_trace() -> None:
    shapes = [(SPHERE, (0.4, 0.4, 0.4)), (BOX, (0.3, 0.3, 0.3))]
    centres = [(-0.6, 0.0, 0.4), (0.6, 0.0, 0.3)]
    alone = still(make_look(shapes[1:]), centres[1:])
    one_hidden = still(make_look(shapes), centres, shown_TB=np.array([[False, True]]))
    assert np.array_equal(alone.pixels_HW3, one_hidden.pixels_HW3)
    assert np.array_equal(np.where(alone.ids_HW == 0, 1, -1), one_hidden.ids_HW)
    assert one_hidden.visible_B.tolist() == [0.0, alone.visible_B[0]]


def test_every_frame_has_its_own_camera() -> None:
    shapes, centre = [(BOX, (0.3, 0.4, 0.5))], np.array([[[0.2, 0.1, 0.5]]] * 2)
    eye_T3, target_T3 = np.array([[0.0, -6.0, 2.0], [4.0, -3.0, 1.0]]), np.array([[0.0, 0.0, 0.7], [0.3, 0.2, 0.4]])
    together = tracer.render(
        make_look(shapes, eye_T3=eye_T3, target_T3=target_T3), centre, np.tile(np.array(UPRIGHT), (2, 1, 1)), 48, 48
    )
    for frame in range(2):
        look = make_look(shapes, eye_T3=eye_T3[frame : frame + 1], target_T3=target_T3[frame : frame + 1])
        alone = still(look, [(0.2, 0.1, 0.5)], 48)
        assert np.array_equal(together.pixels_THW3[frame], alone.pixels_HW3)


@pytest.mark.parametrize("pattern", [CHECKER, STRIPES, TILES, PLANKS])
def test_floor_patterns_keep_their_mean_far_away(pattern: int) -> None:
    """A floor whose pattern is much finer than a pixel looks as it does on average from close by."""
    colors = {"floor_albedo_3": np.ones(3), "floor_accent_3": np.zeros(3), "ambient": 1.0, "floor_pattern": pattern}
    camera = seen_from((0.0, -0.1, 20.0), (0.0, 0.0, 0.0), 20.0)
    coarse = linear(still(make_look([], floor_scale_m=0.5, **colors, **camera), [], 64).pixels_HW3).mean()
    fine = linear(still(make_look([], floor_scale_m=0.005, **colors, **camera), [], 64).pixels_HW3)
    assert fine.mean() == pytest.approx(coarse, abs=0.03) and np.ptp(fine) < 0.1


def test_patterns_turn_with_their_body() -> None:
    look = make_look(
        [(SPHERE, (0.6, 0.6, 0.6))],
        pattern_B=np.array([STRIPES]),
        pattern_scale_B=np.array([0.6]),
        albedo_B3=np.array([[0.9, 0.1, 0.1]]),
        accent_B3=np.array([[0.1, 0.1, 0.9]]),
        **seen_from((0.0, -6.0, 0.6), (0.0, 0.0, 0.6), 15.0),
    )
    quarter = np.array([[math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0]])  # z to x
    upright, lying = (
        np.sign(redness(still(look, [(0.0, 0.0, 0.6)], 64, turns=turn).pixels_HW3))[16:48, 16:48]
        for turn in (np.array([UPRIGHT]), quarter)
    )
    assert (upright == upright[:, 16:17]).mean() > 0.9 and (lying == lying[16:17]).mean() > 0.9
    assert {-1, 1} <= set(upright.ravel().tolist()) and (upright == lying.T).mean() > 0.9


def test_glossy_ball_mirrors_its_neighbour() -> None:
    """Seen in a mirror ball, a red box in front of it (behind the camera's side) reddens the ball."""
    shapes = [(SPHERE, (0.6, 0.6, 0.6)), (BOX, (0.5, 0.1, 0.5))]
    albedo_B3 = np.array([[0.5, 0.5, 0.5], [0.9, 0.0, 0.0]])
    most = []
    for gloss in (0.0, 0.8):
        look = make_look(shapes, albedo_B3=albedo_B3, gloss_B=np.array([gloss, 0.0]))
        seen = still(look, [(0.0, 0.0, 0.6), (1.3, -0.6, 0.5)])
        most.append(int(redness(seen.pixels_HW3)[seen.ids_HW == 0].max()))
    assert most[1] > most[0] + 60


def test_dusk_light_colours_what_it_reaches() -> None:
    look = make_look([], sun_color_3=np.array([1.0, 0.5, 0.2]), sky_light_3=np.array([0.5, 0.7, 1.0]))
    floor_3 = linear(still(look, []).pixels_HW3[-1, 48])
    expected_3 = 0.5 * (0.6 * look.sun_direction_3[2] * look.sun_color_3 + 0.4 * look.sky_light_3)
    assert floor_3 == pytest.approx(expected_3, abs=0.01)
