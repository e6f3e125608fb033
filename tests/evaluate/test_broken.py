"""Broken simulators and scrambled videos through the measures of the suites: each is far worse than the truth.

The simulators are real ones with one law broken: the violations of the suite on preference, filmed by the same ray
tracer, and worlds that are simulated again with another gravity, glass or paint.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.evaluate import causes, consistency, dominoes, laws, panes, permanence, state, timing, waves
from kinema.evaluate.adherence import can_be_judged, expectation_of, judge_clip
from kinema.evaluate.examples import unseen
from kinema.evaluate.suite import Pixels
from kinema.evaluate.violations import VIOLATIONS, Take
from kinema.worlds.make import draw_scene, film, make_clip, move
from kinema.worlds.physics import mjcf

WORLDS = WorldsConfig(samples_per_pixel=1)


def violated(name: str, usable: Callable[[Clip], bool], seed: int = 0) -> tuple[Clip, Pixels]:
    """The first usable true clip that a violation fits, and the same clip with its law broken."""
    violation = next(violation for violation in VIOLATIONS if violation.name == name)
    found: list[Pixels] = []

    def fits(clip: Clip) -> bool:
        if not usable(clip):
            return False
        scene, _ = draw_scene(clip.source.family, clip.source.seed, WORLDS)
        show = violation.edit(Take(scene, move(scene, WORLDS), WORLDS), np.random.default_rng(seed))
        found.extend([] if show is None else [show(None)])
        return show is not None

    (clip,) = unseen(violation.family, WORLDS, 1, fits)
    return clip, found[0]


def scrambled(pixels_THW3: Pixels, given: int, seed: int = 3) -> Pixels:
    """The given frames, and then the others in another order."""
    return np.concatenate([pixels_THW3[:given], np.random.default_rng(seed).permutation(pixels_THW3[given:])])


def noise_of(pixels_THW3: Pixels) -> Pixels:
    """All pixels of all frames in another order."""
    return np.random.default_rng(0).permutation(pixels_THW3.reshape(-1, 3)).reshape(pixels_THW3.shape)


def remade(clip: Clip) -> Pixels:
    """The same seed in the simulator as it is now."""
    return make_clip(clip.source.family, clip.source.seed, WORLDS).pixels_THW3


def test_the_extractor_sees_what_a_broken_simulator_does() -> None:
    clip, broken_THW3 = violated("gravity turns round", can_be_judged)
    good, bad = (state.errors(clip, pixels_THW3) for pixels_THW3 in (clip.pixels_THW3, broken_THW3))
    assert bad["place_error_px"] > 2.5 * good["place_error_px"]
    assert bad["velocity_error_mps"] > 3 * good["velocity_error_mps"]


def test_a_body_that_changes_behind_the_wall_has_not_come_out() -> None:
    def comes_out(clip: Clip) -> bool:
        return permanence.hides_something(clip) and permanence.measure(clip, clip.pixels_THW3)["comes_out_share"] == 1

    clip, broken_THW3 = violated("colour changes behind a wall", comes_out)
    assert permanence.measure(clip, broken_THW3)["comes_out_share"] < 1
    assert permanence.count_wonders(clip, broken_THW3, 5)["spontaneous_per_min"] > 0
    good, bad = (
        permanence.measure(clip, pixels) for pixels in (clip.pixels_THW3, scrambled(clip.pixels_THW3, permanence.GIVEN))
    )
    assert good["hides_share"] > 0.75 and bad["hides_share"] < 0.7 * good["hides_share"]
    assert not bad["time_error_s"] < 2 * good["time_error_s"]


@pytest.mark.parametrize(("name", "count"), [("vanishes", "vanished_per_min"), ("appears", "spontaneous_per_min")])
def test_bodies_that_come_and_go_are_counted(name: str, count: str) -> None:
    clip, broken_THW3 = violated(name, can_be_judged)
    assert permanence.count_wonders(clip, clip.pixels_THW3, 1)[count] == 0
    assert permanence.count_wonders(clip, broken_THW3, 1)[count] > 10


def test_dominoes_of_a_broken_simulator_fall_too_early() -> None:
    clip, broken_THW3 = violated("dominoes fall before they are hit", dominoes.has_clear_row, seed=1)
    assert causes.topple(clip, clip.pixels_THW3)["fall_time_error_s"] == 0
    assert causes.topple(clip, broken_THW3)["fall_time_error_s"] > 0.1
    mixed = causes.topple(clip, scrambled(clip.pixels_THW3, dominoes.GIVEN))
    assert mixed["fall_time_error_s"] > 0.3


def test_a_scrambled_collision_moves_before_its_cause() -> None:
    clip = laws.examples("collide", WORLDS, 1)[0]
    assert causes.contact(clip, clip.pixels_THW3) == {"waits_share": 1.0, "reacts_share": 1.0}
    mixed = [causes.contact(clip, scrambled(clip.pixels_THW3, causes.CONTACT_GIVEN, seed)) for seed in range(10)]
    assert np.mean([found["waits_share"] for found in mixed]) < 0.5


def test_glass_of_a_broken_simulator_breaks_at_a_touch_or_mends(monkeypatch: pytest.MonkeyPatch) -> None:
    clip, mended_THW3 = violated("broken glass mends", panes.has_pane)
    true = panes.strike(clip, 1.5, WORLDS)
    assert not true.breaks and not panes.breaks(panes.change(true.pixels_THW3, true))
    assert panes.breaks(panes.change(noise_of(true.pixels_THW3), true))
    draw = panes.draw_scene

    def of_sugar(family: str, seed: int, worlds: WorldsConfig) -> object:
        scene, rng = draw(family, seed, worlds)
        assert scene.broken is not None
        welds = tuple(dataclasses.replace(weld, strength_n=1e-6) for weld in scene.broken.welds)
        return dataclasses.replace(scene, broken=dataclasses.replace(scene.broken, welds=welds)), rng

    monkeypatch.setattr(panes, "draw_scene", of_sugar)
    weak = panes.strike(clip, 1.5, WORLDS)
    assert panes.breaks(panes.change(weak.pixels_THW3, true)) != true.breaks
    hit = dataclasses.replace(true, pixels_THW3=clip.pixels_THW3, breaks=True)
    assert panes.mends(panes.change(clip.pixels_THW3, hit)) == 0
    assert panes.mends(panes.change(mended_THW3, hit)) > 0.2


def test_a_simulator_without_paint_leaves_no_strokes() -> None:
    (clip,) = unseen("paint", WORLDS, 1, consistency.has_stroke)
    scene, _ = draw_scene("paint", clip.source.seed, WORLDS)
    scene = dataclasses.replace(scene, paint=None)
    dry_THW3 = film(scene, move(scene, WORLDS), WORLDS).pixels_THW3
    good = consistency.strokes(clip, clip.pixels_THW3)
    for spoilt_THW3 in (dry_THW3, noise_of(clip.pixels_THW3)):
        bad = consistency.strokes(clip, spoilt_THW3)
        assert bad["given_stroke_stays_share"] < 0.3 * good["given_stroke_stays_share"]
        assert bad["painted_area_error"] > 0.3 > good["painted_area_error"]


def test_weak_gravity_lands_late_and_lets_nothing_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    (clip,) = unseen("fall", WORLDS, 1, timing._can_be_timed)
    wanted, due_s = expectation_of(clip), timing._event_s(clip)
    assert judge_clip(clip.pixels_THW3, wanted).falls
    assert abs(timing.event_time_s(clip, clip.pixels_THW3) - due_s) < 0.1
    monkeypatch.setattr(mjcf, "GRAVITY_MPS2", 3.0)
    assert timing.event_time_s(clip, remade(clip)) - due_s > 0.2
    monkeypatch.setattr(mjcf, "GRAVITY_MPS2", 0.0)
    floating = judge_clip(remade(clip), wanted)
    assert not floating.falls and not floating.moves and floating.colors
    nothing = judge_clip(noise_of(clip.pixels_THW3), wanted)
    assert nothing.count != len(wanted.colors) and not nothing.falls and nothing.shapes[0] != wanted.shapes[0]


@pytest.mark.parametrize(
    ("name", "score", "truth"),
    [
        ("water stays flat", "water_in_motion_error", 0.0),
        ("wood sinks or steel floats", "floats_or_sinks_right", 1.0),
        ("reflection stays behind", "reflection_error", 0.02),
    ],
)
def test_water_and_mirrors_of_a_broken_simulator_are_found_out(name: str, score: str, truth: float) -> None:
    def shows(clip: Clip) -> bool:
        """One body that floats or sinks; a reflection that is seen most of the time."""
        if not waves.is_legible(clip, WORLDS):
            return False
        if clip.source.family == "mirror":
            error_T = waves.reflection_errors(waves.stage_of(clip, WORLDS), clip.pixels_THW3)
            return bool(np.isfinite(error_T).mean() > 0.6)
        assert clip.state is not None
        return clip.source.family != "float" or len(clip.state.bodies) == 1

    clip, broken_THW3 = violated(name, shows)
    stage = waves.stage_of(clip, WORLDS)
    good, bad = (waves.measure(stage, pixels_THW3)[score] for pixels_THW3 in (clip.pixels_THW3, broken_THW3))
    assert good == pytest.approx(truth, abs=0.02)
    assert bad == 0 if score == "floats_or_sinks_right" else bad > max(2 * good, 0.04), (good, bad)
