"""The classifier of materials: unseen true clips, clips without colour or order, prompts, and what counts as wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluate.models import Painter, Pixels, exam_of, grey
from kinema.config import WorldsConfig
from kinema.evaluate import words
from kinema.evaluate.examples import TEST_SEED
from kinema.evaluate.judge import FAMILIES, is_judged, segment
from kinema.evaluate.material import MATERIALS, filmed, labelled_features, material_of, remade
from kinema.evaluate.suite import Score
from kinema.evaluate.words import material_prompt, material_readings, material_score, material_seen
from kinema.worlds import palette
from kinema.worlds.make import draw_scene, make_clip
from kinema.worlds.narration.words import MATERIAL_WORDS

WORLDS = WorldsConfig(frames=17)


@pytest.fixture(scope="module")
def same_scenes() -> tuple[tuple[str, str, Pixels], ...]:
    """Colour and material of the first body, and the clip: six unseen scenes in all materials."""
    made = list[tuple[str, str, Pixels]]()
    seed = TEST_SEED
    while len(made) < 6 * len(MATERIALS):
        scene, _ = draw_scene(("fall", "throw", "pendulum")[seed % 3], seed, WORLDS)
        seed += 1
        if len(scene.bodies) == 1 and is_judged(scene.bodies[0].info):
            color = scene.bodies[0].info.color
            made += [(color, material, filmed(remade(scene, [material]), WORLDS)) for material in MATERIALS]
    return tuple(made)


def test_materials_of_unseen_clips_are_told(same_scenes: tuple[tuple[str, str, Pixels], ...]) -> None:
    right = dict.fromkeys(MATERIALS, 0.0)
    for color, material, pixels_THW3 in same_scenes:
        right[material] += (material_seen(pixels_THW3, color) == material) / 6
    assert np.mean(list(right.values())) >= 0.75 and min(right.values()) >= 0.5, right


def test_a_flat_colour_has_no_material(same_scenes: tuple[tuple[str, str, Pixels], ...]) -> None:
    """Without grain, gloss and shading all three look the same, so two of three must be wrong."""
    right = []
    for color, material, pixels_THW3 in same_scenes:
        tracks = segment(pixels_THW3)
        track = next(track for track in tracks if track.color == color)
        flat_THW3 = pixels_THW3.copy()
        flat_THW3[track.mask_THW] = (255 * (0.5 * np.array(palette.COLORS[color])) ** (1 / 2.2)).astype(np.uint8)
        right.append(material_of(track, tracks, flat_THW3) == material)
    assert np.mean(right) <= 0.5, right


def test_a_body_that_is_not_there_is_made_of_nothing(same_scenes: tuple[tuple[str, str, Pixels], ...]) -> None:
    color, _, pixels_THW3 = same_scenes[0]
    other = next(name for name in palette.COLORS if name != color)
    assert material_seen(pixels_THW3, other) is None
    assert material_seen(np.full_like(pixels_THW3, 120), color) is None
    mixed = np.random.default_rng(0).permutation(pixels_THW3.reshape(-1, 3)).reshape(pixels_THW3.shape)
    assert material_seen(mixed, color) is None


def test_prompts_name_the_material_where_captions_do() -> None:
    clip = make_clip("fall", TEST_SEED, WORLDS)
    assert clip.state is not None
    for material in MATERIALS:
        word, prompt = MATERIAL_WORDS[material][0], material_prompt(clip, material)
        assert prompt.startswith(("a ", "an ")) and f"{clip.state.bodies[0].color} {word} " in prompt


def test_remade_scenes_differ_in_material_and_weight_alone() -> None:
    scene, _ = draw_scene("collide", 3, WORLDS)
    heavy, light = (remade(scene, [material]).bodies for material in ("metal", "wood"))
    assert heavy[0].info.mass_kg / light[0].info.mass_kg == pytest.approx(7800 / 600)
    assert heavy[1:] == light[1:] == scene.bodies[1:]
    assert heavy[0].position_m == light[0].position_m and heavy[0].info.color == light[0].info.color


def test_labelled_features_hold_all_materials() -> None:
    features_NK, label_N = labelled_features(range(4 * len(FAMILIES)), WorldsConfig(frames=9, samples_per_pixel=1))
    assert len(features_NK) == len(label_N) and np.isfinite(features_NK).all()
    assert set(label_N) == set(range(len(MATERIALS)))


def test_the_score_is_chance_for_one_material_and_nothing_without_a_body(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever shows the asked clip scores like truth; whoever shows metal whatever is asked, a third."""
    monkeypatch.setattr(words, "MATERIAL_SCENES", 2)
    worlds = exam_of(Painter(), tmp_path).worlds
    asked, metal = dict[str, Pixels](), dict[str, Pixels]()
    for clip in words.unseen("fall", worlds, 2, words.any_clip, words.is_lone, TEST_SEED + 2 * words.ONLY_HERE):
        scene, _ = draw_scene("fall", clip.source.seed, worlds)
        for material in MATERIALS:
            prompt = material_prompt(clip, material)
            asked[prompt] = filmed(remade(scene, [material]), worlds)
            metal[prompt] = filmed(remade(scene, ["metal"]), worlds)

    def score_of(videos: dict[str, Pixels], name: str) -> Score:
        painter = Painter(lambda prompt, seed: videos.get(prompt, grey(prompt, seed)), name)
        exam = exam_of(painter, tmp_path)
        return material_score(material_readings(exam, 2, exam.cache.make))

    score = score_of(asked, "asked")
    assert score.value == score.floors["truth"] == score.floors["codec"] >= 0.8 and len(score.per_unit) == 2
    assert score_of(metal, "metal").value == pytest.approx(score.floors["chance"]) == pytest.approx(1 / 3)
    assert score_of({}, "grey").value == 0
