"""A clip follows from its name alone: golden hashes, all shapes and rates, one line for what is not possible."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.errors import InputError
from kinema.worlds import flat, make, palette
from kinema.worlds.families import ABOUT, FAMILIES
from kinema.worlds.make import HELD_OUT_SEED, make_clip, make_world
from kinema.worlds.render import kernel

GOLDEN = Path(__file__).with_name("golden.json")
TINY = WorldsConfig(height=32, width=48, frames=9, samples_per_pixel=2)
"""Short, so that the last bit of a sine on another processor has no time to grow into another pixel."""


def digest(clip: Clip) -> str:
    words = json.dumps([clip.caption.summary, clip.caption.short, [beat.text for beat in clip.caption.beats]])
    return hashlib.sha256(clip.pixels_THW3.tobytes() + words.encode()).hexdigest()[:16]


def test_the_default_recipe_trains_on_all_families() -> None:
    assert set(WorldsConfig().families) == set(FAMILIES) == set(ABOUT) == set(palette.HELD_OUT)


@pytest.mark.parametrize("family", FAMILIES)
def test_golden_pixels_and_words(family: str) -> None:
    """Another version must say so: raise ``VERSION``, then ``python tests/worlds/test_make.py`` writes new hashes.

    A family has two where processors of two kinds differ: with AVX-512, and with AVX2 alone.
    """
    golden = json.loads(GOLDEN.read_text())
    assert golden["version"] == make.VERSION
    assert digest(make_clip(family, 5, TINY)) in golden["clips"][family]


@pytest.mark.parametrize("family", [*FAMILIES, *flat.SCENES])
def test_an_image_is_the_first_frame_of_a_whole_clip_with_its_words(family: str) -> None:
    clip, image = make_clip(family, 5, TINY), make.make_image(family, 5, TINY)
    np.testing.assert_array_equal(image.pixels_THW3, clip.pixels_THW3[:1])
    assert (image.caption, image.source, image.fps) == (clip.caption, clip.source, clip.fps)


def test_training_clips_of_one_frame_are_such_images() -> None:
    worlds = replace(TINY, families=("fall",), shapes=((48, 32, 1, 1.0),))
    image = make.numbered_clip(3, worlds)
    assert image.pixels_THW3.shape == (1, 48, 32, 3)
    assert image.caption == make_clip("fall", 3, replace(TINY, height=48, width=32)).caption


@pytest.mark.parametrize("family", ["shatter", "float", "lens", "blocks"])
def test_same_bytes_whatever_the_number_of_threads(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    worlds = replace(TINY, frames=13)
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(kernel, "get_num_threads", lambda threads=threads: threads)
        results.append(make_world(family, 11, worlds, depth=True))
    one, three = results
    assert one.clip.pixels_THW3.tobytes() == three.clip.pixels_THW3.tobytes()
    assert one.ids_THW.tobytes() == three.ids_THW.tobytes()
    assert one.depth_THW is not None and three.depth_THW is not None
    assert one.depth_THW.tobytes() == three.depth_THW.tobytes()
    assert one.clip.caption == three.clip.caption


def test_another_seed_is_another_clip() -> None:
    assert digest(make_clip("fall", 5, TINY)) != digest(make_clip("fall", 6, TINY))


def test_a_longer_clip_begins_like_a_shorter_one() -> None:
    """Physics does not know how long it will run: a prefix in duration is a prefix in pixels."""
    short, long = make_clip("ramp", 3, TINY), make_clip("ramp", 3, replace(TINY, frames=17))
    assert np.array_equal(short.pixels_THW3, long.pixels_THW3[:9])


@pytest.mark.parametrize("family", FAMILIES)
def test_an_image_is_a_clip(family: str) -> None:
    clip = make_clip(family, 2, replace(TINY, frames=1, fps=30.0))
    assert clip.pixels_THW3.shape == (1, 32, 48, 3) and clip.state is not None
    assert np.ptp(clip.pixels_THW3) > 60
    assert clip.caption.summary and clip.caption.short


@pytest.mark.parametrize("family", FAMILIES)
def test_held_out_combinations_keep_apart(family: str) -> None:
    held_out, image = palette.HELD_OUT[family], replace(TINY, frames=1, samples_per_pixel=1)
    for seed in range(6):
        for start, expected in ((0, False), (HELD_OUT_SEED, True)):
            clip = make_clip(family, start + seed, image)
            assert clip.state is not None
            pairs = [(body.color, body.shape) for body in clip.state.bodies if body.part_of < 0]
            assert any(pair in held_out for pair in pairs) is expected, (seed, pairs)


def test_every_color_and_shape_of_a_held_out_pair_is_trained_in_other_pairs() -> None:
    for held_out in palette.HELD_OUT.values():
        for color in palette.COLORS:
            assert sum(pair[0] == color for pair in held_out) < len(palette.SHAPES)
        for shape in palette.SHAPES:
            assert sum(pair[1] == shape for pair in held_out) < len(palette.COLORS)


def test_impossible_clips_are_one_line() -> None:
    with pytest.raises(InputError, match=r"no family 'pendulums': did you mean pendulum"):
        make_clip("pendulums", 0, TINY)
    for seed in (-1, 1 << 63):
        with pytest.raises(InputError, match=rf"seed {seed} is not possible: give 0 to 2\*\*63 - 1"):
            make_clip("fall", seed, TINY)
    with pytest.raises(InputError, match="10 frames is not 1"):
        make_clip("fall", 0, replace(TINY, frames=10))


if __name__ == "__main__":
    clips = {family: [digest(make_clip(family, 5, TINY))] for family in FAMILIES}
    GOLDEN.write_text(json.dumps({"version": make.VERSION, "clips": clips}, indent=1) + "\n")
