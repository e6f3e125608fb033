"""Physics against theory, captions against state, and bytes against bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.config import WorldsConfig
from kinema.errors import InputError
from kinema.worlds import palette
from kinema.worlds.families import FAMILIES
from kinema.worlds.make import HELD_OUT_SEED, make_clip, make_clip_with_ids
from kinema.worlds.narrate import COLOR_WORDS, SHAPE_WORDS, short_prompt
from kinema.worlds.scene import Body, Draw, Scene
from kinema.worlds.simulate import GRAVITY_MPS2, Motion, simulate

SMALL = WorldsConfig(height=32, width=32, samples_per_pixel=1)
IMAGE = replace(SMALL, frames=1)


def lone_ball(
    height_m: float, material: str = "rubber", velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> Scene:
    draw = Draw("fall", np.random.default_rng(0), held_out=False)
    info = replace(draw.info(), shape="sphere", material=material, half_size_m=(0.4, 0.4, 0.4), mass_kg=50.0)
    return draw.scene([Body(info, (0.0, 0.0, height_m), velocity_mps=velocity)])


def fly(scene: Scene, frames: int = 61, fps: float = 30.0) -> Motion:
    return simulate(scene, frames, fps)


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_same_bytes_and_another_seed_another_clip(family: str) -> None:
    first, again, other = (make_clip(family, seed, SMALL) for seed in (7, 7, 8))
    assert first.pixels_THW3.tobytes() == again.pixels_THW3.tobytes()
    assert first.caption == again.caption
    assert first.state is not None and again.state is not None
    assert first.state.position_TB3.tobytes() == again.state.position_TB3.tobytes()
    assert first.state.events == again.state.events
    assert first.pixels_THW3.tobytes() != other.pixels_THW3.tobytes()


def test_free_fall_has_the_acceleration_of_gravity() -> None:
    motion = fly(lone_ball(3.0), frames=16)
    times_s = np.arange(16) / 30
    acceleration = np.polyfit(times_s, motion.velocity_TB3[:, 0, 2], 1)[0]
    assert acceleration == pytest.approx(-GRAVITY_MPS2, rel=1e-6)
    fallen_m = 3.0 - motion.position_TB3[:, 0, 2]
    assert fallen_m[-1] == pytest.approx(GRAVITY_MPS2 * times_s[-1] ** 2 / 2, rel=0.01)


@pytest.mark.parametrize("material", palette.MATERIALS)
def test_a_bounce_keeps_the_share_of_speed_that_the_material_says(material: str) -> None:
    speed_T = fly(lone_ball(2.0, material)).velocity_TB3[:, 0, 2]
    hit = int(np.argmax(speed_T > 0))
    drop_m = 2.0 - 0.4
    arrival_mps = np.sqrt(2 * GRAVITY_MPS2 * drop_m)
    # the frame after the bounce is at most one frame late: add back what gravity took since the contact
    late_s = hit / 30 - arrival_mps / GRAVITY_MPS2
    departure_mps = speed_T[hit] + GRAVITY_MPS2 * late_s
    assert departure_mps / arrival_mps == pytest.approx(palette.MATERIALS[material].restitution, abs=0.09)


def test_bodies_never_gain_energy() -> None:
    for seed in range(6):
        clip = make_clip("fall", seed, SMALL)
        assert clip.state is not None
        for body, info in enumerate(clip.state.bodies):
            assert clip.state.position_TB3[:, body, 2].max() <= clip.state.position_TB3[0, body, 2] + 0.02, (seed, info)


def test_no_body_sinks_into_the_floor_or_leaves_the_view() -> None:
    for family in FAMILIES:
        for seed in range(12):
            clip = make_clip(family, seed, SMALL)
            assert clip.state is not None
            position_TB3 = clip.state.position_TB3
            lowest_B = [min(info.half_size_m) for info in clip.state.bodies]
            assert (position_TB3[..., 2] > np.array(lowest_B) - 0.08).all(), (family, seed)
            assert (np.abs(position_TB3[..., 0]) < 1.9).all(), (family, seed)


def test_a_collision_hands_momentum_on() -> None:
    draw = Draw("collide", np.random.default_rng(1), held_out=False)
    info = replace(draw.info(), shape="sphere", material="rubber", half_size_m=(0.3, 0.3, 0.3), mass_kg=40.0)
    # in the air, so that the floor takes nothing
    bodies = [Body(info, (-0.6, 0.0, 2.5), velocity_mps=(3.0, 0.0, 0.0)), Body(info, (0.6, 0.0, 2.5))]
    motion = simulate(draw.scene(bodies), 12, 30.0)
    momentum_T = motion.velocity_TB3[..., 0].sum(axis=1)
    assert momentum_T == pytest.approx(np.full(12, 3.0), rel=1e-3)
    assert motion.velocity_TB3[-1, 1, 0] > 2.0
    assert any(event.bodies == (0, 1) for event in motion.contacts)


def test_held_out_combinations_are_never_in_training_and_always_in_held_out_clips() -> None:
    for family, held_out in palette.HELD_OUT.items():
        for seed in range(60):
            for start, expected in ((0, False), (HELD_OUT_SEED, True)):
                clip = make_clip(family, start + seed, IMAGE)
                assert clip.state is not None
                pairs = [(body.color, body.shape) for body in clip.state.bodies]
                assert any(pair in held_out for pair in pairs) is expected


def test_every_color_and_shape_of_a_held_out_pair_is_trained_in_other_pairs() -> None:
    for held_out in palette.HELD_OUT.values():
        for color in palette.COLORS:
            assert sum(pair[0] == color for pair in held_out) < len(palette.SHAPES)
        for shape in palette.SHAPES:
            assert sum(pair[1] == shape for pair in held_out) < len(palette.COLORS)


@pytest.mark.parametrize("family", FAMILIES)
def test_captions_name_every_body_and_beats_lie_in_the_clip(family: str) -> None:
    for seed in range(15):
        clip = make_clip(family, seed, SMALL)
        assert clip.state is not None
        for text in (clip.caption.summary, clip.caption.short):
            for body in clip.state.bodies:
                names = [
                    f"{color} {shape}"
                    for color in COLOR_WORDS.get(body.color, (body.color,))
                    for shape in SHAPE_WORDS[body.shape]
                ]
                plain = text.replace(" rubber", "").replace(" matte", "").replace(" metal", "").replace(" shiny", "")
                assert any(name in plain.replace(" steel", "") for name in names), (text, body)
        duration_s = len(clip.pixels_THW3) / clip.fps
        assert clip.caption.beats
        for beat in clip.caption.beats:
            assert 0 <= beat.start_s < beat.end_s <= duration_s


def test_hidden_beats_are_true_pixel_by_pixel() -> None:
    hidden = 0
    for seed in range(12):
        clip, ids_THW = make_world("occlude", seed, WorldsConfig())
        assert clip.state is not None
        for event in clip.state.events:
            if event.kind == "hidden":
                frame = round(event.time_s * clip.fps)
                area_T = (ids_THW == event.bodies[0]).sum(axis=(1, 2))
                assert area_T[frame] < 0.15 * area_T.max()
                hidden += 1
    assert hidden > 5


def test_directions_in_captions_agree_with_motion() -> None:
    said = 0
    for seed in range(30):
        clip = make_clip("throw", seed, SMALL)
        assert clip.state is not None
        if len(clip.state.bodies) > 1:
            continue
        shift = clip.state.position_TB3[-1, 0, 0] - clip.state.position_TB3[0, 0, 0]
        for way, sign in (("to the right", 1), ("to the left", -1)):
            if way in clip.caption.summary:
                assert shift * sign > 0
                said += 1
    assert said > 8


def test_the_grammar_has_real_variety() -> None:
    clips = [make_clip(family, seed, IMAGE) for family in FAMILIES for seed in range(60)]
    shapes = set()
    for clip in clips:
        words = clip.caption.short
        for color in (*palette.COLORS, "violet", "turquoise", "magenta"):
            words = words.replace(f" {color}", "").replace("an ", "a ")
        shapes.add(words)
    assert len(shapes) > 150
    assert len({clip.caption.summary for clip in clips}) == len(clips)


@settings(max_examples=8, deadline=None)
@given(
    st.sampled_from(list(FAMILIES)),
    st.integers(2, 6),
    st.integers(2, 6),
    st.integers(0, 3),
    st.sampled_from([6.0, 12.0, 25.0, 30.0]),
)
def test_any_size_duration_and_rate(family: str, rows: int, cols: int, quads: int, fps: float) -> None:
    worlds = WorldsConfig(height=16 * rows, width=16 * cols, frames=1 + 4 * quads, fps=fps, samples_per_pixel=1)
    clip = make_clip(family, 3, worlds)
    assert clip.pixels_THW3.shape == (1 + 4 * quads, 16 * rows, 16 * cols, 3)
    assert clip.state is not None and np.isfinite(clip.state.position_TB3).all()


def test_bad_input_names_the_remedy() -> None:
    with pytest.raises(InputError, match="did you mean fall"):
        make_clip("fal", 0, SMALL)
    with pytest.raises(InputError, match="seed"):
        make_clip("fall", 1 << 63, SMALL)
    with pytest.raises(InputError, match="nearest is 33"):
        make_clip("fall", 0, replace(SMALL, frames=32))


def test_the_plain_prompt_reads_like_a_person_wrote_it() -> None:
    clip = make_clip("fall", 2, IMAGE)
    assert clip.state is not None
    prompt = short_prompt("fall", clip.state.bodies, "grey")
    assert prompt == "a blue cylinder falls and bounces on a grey floor"
