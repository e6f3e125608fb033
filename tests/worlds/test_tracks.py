"""Boxes hold exactly the pixels that show a body; pieces, crowds and what is never seen have none."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.config import WorldsConfig
from kinema.data import BodyInfo
from kinema.worlds.make import make_image, make_world
from kinema.worlds.tracks import CLEAR, MAX_BODIES, MOMENT, moments, tracks_of

TINY = WorldsConfig(height=32, width=48, frames=9, samples_per_pixel=1)


def body(shape: str = "cube", color: str = "red", material: str = "matte", part_of: int = -1) -> BodyInfo:
    return BodyInfo(shape, color, material, "medium", (0.1, 0.1, 0.1), 1.0, part_of)


def test_a_box_holds_all_visible_pixels_of_its_body_and_no_more() -> None:
    ids_THW = np.full((3, 10, 20), -1, dtype=np.int16)
    ids_THW[0, 2:5, 4:10] = 0
    ids_THW[0, 6, 7] = 0
    ids_THW[1] = 0  # between two moments
    ids_THW[2, 9, 19] = 2  # and the second body is never seen
    tracks = tracks_of([body(), body("cone", "lime"), body("sphere", "blue")], ids_THW)
    assert (tracks.colors, tracks.shapes) == (("red", "blue"), ("cube", "sphere"))
    assert tracks.box_SB4.shape == (moments(3), 2, 4) == (2, 2, 4)
    np.testing.assert_allclose(tracks.box_SB4[0, 0], (4 / 20, 2 / 10, 10 / 20, 7 / 10), rtol=1e-6)
    np.testing.assert_allclose(tracks.box_SB4[1, 1], (19 / 20, 9 / 10, 1, 1), rtol=1e-6)
    assert np.isnan(tracks.box_SB4[0, 1]).all() and np.isnan(tracks.box_SB4[1, 0]).all()


def test_only_whole_bodies_that_are_seen_have_tracks_the_largest_of_a_crowd() -> None:
    crowd = [body(color="lime") for _ in range(MAX_BODIES + 1)]
    infos = [*crowd, body(color="black"), body("shard", part_of=9), body(part_of=9)]
    ids_THW = np.full((1, 40, 40), -1, dtype=np.int16)
    for index in range(len(infos)):
        if infos[index].color != "black":  # that one is hidden
            ids_THW[0, 3 * index : 3 * index + 2, : 5 + index] = index
    tracks = tracks_of(infos, ids_THW)
    assert tracks.colors == ("lime",) * MAX_BODIES
    np.testing.assert_allclose(tracks.box_SB4[0, 0, 2], (5 + 1) / 40)  # the smallest of the crowd is left out


def test_what_light_passes_unchanged_has_no_colour() -> None:
    kinds = [("white", "glass"), ("blue", "water"), ("white", "matte"), ("red", "glass")]
    ids_THW = np.arange(4, dtype=np.int16)[None, :, None].repeat(4, axis=2)
    tracks = tracks_of([body("sphere", *kind) for kind in kinds], ids_THW)
    assert tracks.colors == (CLEAR, CLEAR, "white", "red")


@pytest.mark.parametrize("family", ["fall", "shatter", "lens"])
def test_clips_and_images_of_worlds_have_the_tracks_of_their_pixels(family: str) -> None:
    world = make_world(family, 3, TINY)
    assert world.clip.tracks is not None and world.clip.state is not None
    expected = tracks_of(world.clip.state.bodies, world.ids_THW)
    assert world.clip.tracks.colors == expected.colors and len(expected.colors) > 0
    np.testing.assert_array_equal(world.clip.tracks.box_SB4, expected.box_SB4)
    assert len(expected.box_SB4) == 1 + (TINY.frames - 1) // MOMENT
    image = make_image(family, 3, TINY).tracks
    assert image is not None
    first = tracks_of(world.clip.state.bodies, world.ids_THW[:1])
    assert image.colors == first.colors
    np.testing.assert_array_equal(image.box_SB4, first.box_SB4)
