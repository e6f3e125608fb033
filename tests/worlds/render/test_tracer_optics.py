"""Glass, mirrors and metal against the laws of optics."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kinema.worlds.render import optics, tracer
from kinema.worlds.render.tracer import BOX, SPHERE
from worlds.render.stills import CAMERA, Vec3, centroid, linear, make_look, redness, seen_from, still

RED, BLUE, CLEAR = (0.9, 0.02, 0.02), (0.02, 0.02, 0.9), (1.0, 1.0, 1.0)
fresnel = optics.fresnel.py_func  # type: ignore[attr-defined]


def turned_about_z(angle: float) -> tuple[float, float, float, float]:
    return (math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2))


def test_fresnel_and_snell() -> None:
    assert fresnel(1.0, 1 / 1.5)[0] == pytest.approx(0.04)
    assert fresnel(1.0, 1.5)[0] == pytest.approx(0.04)
    for degrees in (10, 35, 60, 80):
        cosine = math.cos(math.radians(degrees))
        reflected, through = fresnel(cosine, 1 / 1.5)
        assert math.sqrt(1 - through**2) * 1.5 == pytest.approx(math.sin(math.radians(degrees)))  # Snell
        assert fresnel(through, 1.5)[0] == pytest.approx(reflected)  # the same from both sides
    critical = math.asin(1 / 1.5)
    assert fresnel(math.cos(critical + 1e-3), 1.5)[0] == 1.0 > fresnel(math.cos(critical - 1e-3), 1.5)[0]
    brewster = math.atan(1.5)  # all reflected light is polarised across: half of ((n² − 1) / (n² + 1))²
    assert fresnel(math.cos(brewster), 1 / 1.5)[0] == pytest.approx(0.5 * (1.25 / 3.25) ** 2)


@pytest.mark.parametrize("degrees", [20.0, 45.0])
def test_a_slab_shifts_what_is_behind_it(degrees: float) -> None:
    """By t sin θ (1 − cos θ / √(n² − sin² θ)), seen from far away."""
    thick, angle, side = 0.5, math.radians(degrees), 400
    camera = seen_from((0.0, -200.0, 3.0), (0.0, 0.0, 3.0), math.degrees(2 * math.atan(1.0 / 200)))  # 2 m across
    columns = []
    for index in (0.0, 1.5):
        look = make_look(
            [(BOX, (0.03, 0.03, 1.0)), (BOX, (1.5, thick / 2, 1.5))],
            albedo_B3=np.array([RED, CLEAR]),
            index_B=np.array([0.0, index]),
            **camera,
        )
        shown = np.array([[True, index > 0]])
        turns = np.array([(1.0, 0.0, 0.0, 0.0), turned_about_z(angle)])
        seen = still(look, [(0.0, 2.0, 3.0), (0.0, 0.0, 3.0)], side, turns=turns, shown_TB=shown)
        columns.append(centroid(redness(seen.pixels_HW3) > 60)[0])
    shift_m = thick * math.sin(angle) * (1 - math.cos(angle) / math.sqrt(1.5**2 - math.sin(angle) ** 2))
    assert abs(columns[1] - columns[0]) * 2.0 / side == pytest.approx(shift_m, rel=0.05)


def test_a_glass_ball_turns_the_picture_upside_down() -> None:
    """Red on one side of the axis behind the ball, blue on the other; the other way round in the ball."""
    walls: list[tuple[int, Vec3]] = [(BOX, (3.0, 0.1, 3.0))] * 2
    for axis in (0, 2):
        low, high = [0.0, 6.0, 8.0], [0.0, 6.0, 8.0]
        low[axis] -= 3.0
        high[axis] += 3.0
        look = make_look(
            [(SPHERE, (0.8, 0.8, 0.8)), *walls],
            albedo_B3=np.array([CLEAR, RED, BLUE]),
            index_B=np.array([1.5, 0.0, 0.0]),
            **seen_from((0.0, -5.0, 8.0), (0.0, 0.0, 8.0), 40.0),
        )
        seen = still(look, [(0.0, 0.0, 8.0), (low[0], low[1], low[2]), (high[0], high[1], high[2])], 64)
        red_HW = redness(seen.pixels_HW3)
        line_N = red_HW[32] if axis == 0 else -red_HW[:, 32]  # from red to blue past the ball
        ball_N = seen.ids_HW[32] == 0 if axis == 0 else seen.ids_HW[:, 32] == 0
        assert ball_N[20:44].all() and not ball_N[:12].any() and not ball_N[52:].any()
        assert (line_N[:12] > 0).all() and (line_N[52:] < 0).all()
        assert (line_N[25:31] < 0).all() and (line_N[34:40] > 0).all()


@pytest.mark.parametrize("thick", [0.1, 0.6])
def test_glass_keeps_the_books_of_light(thick: float) -> None:
    """Under a sky of one colour: what passes, tinted by its path, and what is reflected add up."""
    sky_3, tint_3 = np.array([0.6, 0.5, 0.4]), np.array([0.3, 0.7, 1.0])
    look = make_look(
        [(BOX, (1.0, thick / 2, 1.0))],
        albedo_B3=tint_3[None],
        index_B=np.array([1.5]),
        sky_top_3=sky_3,
        sky_horizon_3=sky_3,
        sun_direction_3=np.array([0.0, 1.0, 0.0]),
        **seen_from((0.0, -8.0, 50.0), (0.0, 0.0, 50.0), 10.0),
    )
    middle_3 = linear(still(look, [(0.0, 0.0, 50.0)], 33).pixels_HW3[16, 16])
    assert middle_3 == pytest.approx(sky_3 * (0.04 + 0.96 * tint_3 ** (thick / optics.ABSORPTION_M)), abs=0.01)


def test_glass_casts_a_light_coloured_shadow() -> None:
    floor_N3 = []
    for index, albedo in ((0.0, CLEAR), (1.5, CLEAR), (1.5, (1.0, 0.2, 0.2))):
        look = make_look(
            [(BOX, (0.5, 0.5, 0.05))],
            albedo_B3=np.array([albedo]),
            index_B=np.array([index]),
            sun_direction_3=np.array([0.0, 0.0, 1.0]),
            **seen_from((0.0, -4.0, 0.5), (0.0, 0.0, 0.0), 30.0),
        )
        floor_N3.append(linear(still(look, [(0.0, 0.0, 1.5)], 32).pixels_HW3[16, 16]))
    open_3 = np.full(3, 0.5)
    opaque_3, clear_3, red_3 = floor_N3
    assert opaque_3 == pytest.approx(0.4 * open_3, abs=0.02)
    assert clear_3 == pytest.approx((0.4 + 0.6 * 0.96**2) * open_3, abs=0.02)
    assert red_3[0] == pytest.approx(clear_3[0], abs=0.01) and red_3[2] < clear_3[2] - 0.05


def test_what_is_behind_a_pane_counts_as_visible_but_the_pane_keeps_its_pixels() -> None:
    shapes = [(BOX, (1.0, 0.02, 1.0)), (SPHERE, (0.3, 0.3, 0.3))]
    centres = [(0.0, -1.0, 1.0), (0.0, 0.5, 0.8)]
    seen = still(make_look(shapes, index_B=np.array([1.5, 0.0])), centres)
    alone = still(make_look(shapes[1:]), centres[1:])
    assert not (seen.ids_HW == 1).any() and (seen.ids_HW == 0).mean() == pytest.approx(seen.visible_B[0], abs=0.01)
    assert seen.visible_B[1] == pytest.approx(alone.visible_B[0], rel=0.05)


def test_a_mirror_shows_what_stands_before_it_as_far_behind_it() -> None:
    ball = (-0.4, 0.0, 0.5)
    look = make_look(
        [(BOX, (3.0, 0.1, 2.0)), (SPHERE, (0.2, 0.2, 0.2))],
        albedo_B3=np.array([(0.9, 0.9, 0.9), RED]),
        gloss_B=np.array([0.92, 0.0]),
    )
    seen = still(look, [(0.0, 1.6, 2.0), ball], 128)
    column, row, _ = tracer.project(CAMERA, np.array([[ball[0], 2 * 1.5 - ball[1], ball[2]]]), 128, 128)[0]
    image_HW = (redness(seen.pixels_HW3) > 70) & (seen.ids_HW == 0)
    assert centroid(image_HW) == pytest.approx((column, row), abs=0.7)


def test_two_mirrors_pass_light_back_and_forth() -> None:
    """Between facing mirrors the ball is seen again and again, each image darker."""
    look = make_look(
        [(BOX, (2.0, 0.1, 1.5)), (BOX, (2.0, 0.1, 0.9)), (SPHERE, (0.25, 0.25, 0.25))],
        albedo_B3=np.array([(0.9, 0.9, 0.9), (0.9, 0.9, 0.9), RED]),
        gloss_B=np.array([0.92, 0.92, 0.0]),
        **seen_from((0.0, -1.0, 2.4), (0.0, 1.4, 0.8), 70.0),
    )
    centres = [(0.0, 1.6, 1.5), (0.0, -0.6, 0.9), (0.0, 0.6, 0.25)]
    seen = still(look, centres, 128)
    in_mirror_HW = (redness(seen.pixels_HW3) > 25) & (seen.ids_HW == 0)
    runs = np.diff(np.concatenate([[0], in_mirror_HW.any(axis=1).astype(int)])).clip(0).sum()
    assert runs >= 2


def test_metal_mirrors_in_its_own_colour() -> None:
    """In the dark, straight on: reflectance times the sky, scaled by the albedo's channels."""
    light = {"ambient": 0.0, "sun_direction_3": np.array([0.0, 1.0, 0.0]), "sky_top_3": np.full(3, 0.8)}
    albedo_3 = np.array([0.8, 0.4, 0.1])
    for metallic, expected_3 in ((True, albedo_3 / 0.8), (False, np.ones(3))):
        look = make_look(
            [(BOX, (1.0, 1.0, 1.0))],
            albedo_B3=albedo_3[None],
            gloss_B=np.array([0.5]),
            metallic_B=np.array([metallic]),
            sky_horizon_3=np.full(3, 0.8),
            **light,
            **seen_from((0.0, -9.0, 50.0), (0.0, 0.0, 50.0), 4.0),
        )
        assert linear(still(look, [(0.0, 0.0, 50.0)], 17).pixels_HW3[8, 8]) == pytest.approx(0.4 * expected_3, abs=0.01)
