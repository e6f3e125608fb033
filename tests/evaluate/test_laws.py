"""Laws of motion: true clips keep them to the extractor's floor; broken worlds, scrambled clips and noise do not."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.evaluate import laws
from kinema.evaluate.examples import frozen
from kinema.evaluate.laws import GIVEN, flights, measure
from kinema.worlds.make import make_clip
from kinema.worlds.physics import mjcf

G = mjcf.GRAVITY_MPS2


@pytest.fixture(scope="module")
def clips() -> dict[str, Clip]:
    return {family: laws.examples(family, WorldsConfig(), 1)[0] for family in GIVEN}


def remade(clip: Clip) -> Clip:
    return make_clip(clip.source.family, clip.source.seed, WorldsConfig())


def test_true_clips_obey(clips: dict[str, Clip]) -> None:
    for family, clip in clips.items():
        found = measure(clip, clip.pixels_THW3, GIVEN[family])
        assert found["velocity_error_mps"] < 0.25 and found["tracked_share"] == 1.0, family
        if family in ("fall", "throw"):
            assert found["gravity_error_mps2"] < 1.5 and found["gravity_mps2"] == pytest.approx(G, rel=0.12)
            assert found["energy_drift"] < 0.06
    assert measure(clips["collide"], clips["collide"].pixels_THW3, 5)["momentum_drift"] < 0.12


@pytest.mark.parametrize("gravity", [0.3, 2.5])
def test_a_simulator_with_another_gravity_is_found_out(
    clips: dict[str, Clip], monkeypatch: pytest.MonkeyPatch, gravity: float
) -> None:
    monkeypatch.setattr(mjcf, "GRAVITY_MPS2", gravity * G)
    for family in ("fall", "throw", "pendulum"):
        good, bad = (
            measure(clips[family], pixels, 1)
            for pixels in (clips[family].pixels_THW3, remade(clips[family]).pixels_THW3)
        )
        assert bad["velocity_error_mps"] > 4 * good["velocity_error_mps"], family
        assert family == "pendulum" or bad["energy_drift"] > 3 * good["energy_drift"], family
        if family != "pendulum":
            assert bad["gravity_error_mps2"] > 4 * good["gravity_error_mps2"], family


def test_flipped_scrambled_and_frozen_clips_fail(clips: dict[str, Clip]) -> None:
    rng = np.random.default_rng(0)
    for family in ("fall", "throw", "collide", "ramp", "pendulum"):
        clip, given = clips[family], GIVEN[family]
        good = measure(clip, clip.pixels_THW3, given)
        spoilt = {
            "flipped": clip.pixels_THW3[:, ::-1, ::-1],
            "scrambled": rng.permutation(clip.pixels_THW3),
            "backwards": clip.pixels_THW3[::-1],
        }
        for name, pixels_THW3 in spoilt.items():
            bad = measure(clip, np.ascontiguousarray(pixels_THW3), given)
            assert bad["velocity_error_mps"] > 3 * good["velocity_error_mps"], (family, name)
    stopped = measure(clips["fall"], frozen(clips["fall"].pixels_THW3, 1), 1)
    assert stopped["gravity_mps2"] == pytest.approx(0, abs=1e-6) and stopped["energy_drift"] > 0.2


def test_a_body_that_teleports_gains_momentum(clips: dict[str, Clip]) -> None:
    clip = clips["collide"]
    jumping = clip.pixels_THW3.copy()
    jumping[1::2] = np.roll(jumping[1::2], 6, axis=2)
    good, bad = measure(clip, clip.pixels_THW3, 5), measure(clip, jumping, 5)
    assert bad["momentum_drift"] > 5 * good["momentum_drift"]


def test_flights_are_where_nothing_but_gravity_acts() -> None:
    time_T = np.arange(30) / 12
    height_T = np.maximum(2.0 - G * time_T**2 / 2, 0.1)
    last = int(np.argmax(height_T == 0.1)) - 1  # the last frame above the floor
    assert flights(height_T, 12.0) == [(0, last + 1)]
    assert flights(np.full(30, 0.1), 12.0) == []
