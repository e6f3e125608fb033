"""The shape classifier: the fit, the stored coefficients, and invariances of the features."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from kinema.data import Clip
from kinema.evaluate import silhouette
from kinema.evaluate.judge import segment
from kinema.evaluate.silhouette import SHAPES, Classifier, fit, frame_features, labelled_features, shape_of


def test_fit_reaches_the_optimum_of_its_convex_loss(tmp_path: Path) -> None:
    """At the optimum the mean of each input times the residual equals minus the penalty's pull."""
    rng = np.random.default_rng(0)
    shape_N = rng.integers(0, len(SHAPES), 600)
    features_NK = rng.normal(size=(600, 7)) + 0.8 * np.eye(7)[shape_N]
    classifier = fit(features_NK, shape_N, penalty=0.01)
    probability_NS = np.exp(classifier.log_probabilities(features_NK))
    assert np.allclose(probability_NS.sum(axis=1), 1)
    inputs_NK = (features_NK - classifier.mean_K) / classifier.scale_K
    gradient_KS = inputs_NK.T @ (probability_NS - np.eye(len(SHAPES))[shape_N]) / 600 + 0.01 * classifier.weight_KS
    assert np.abs(gradient_KS).max() < 1e-4
    classifier.save(tmp_path / "c.json")
    again_NS = np.exp(Classifier.load(tmp_path / "c.json").log_probabilities(features_NK))
    assert np.allclose(again_NS, probability_NS, atol=1e-4)


def test_products_tell_what_features_alone_cannot(tmp_path: Path) -> None:
    """Whether two features have one sign; far outliers count no more than what is four deviations away."""
    rng = np.random.default_rng(0)
    features_NK = 5 + 3 * rng.normal(size=(400, 2))
    same_N = (np.prod(features_NK - 5, axis=1) > 0).astype(np.int64)
    plain, squared = (fit(features_NK, same_N, classes=2, products=products) for products in (False, True))
    right = [(one.log_probabilities(features_NK).argmax(axis=1) == same_N).mean() for one in (plain, squared)]
    assert right[0] < 0.65 and right[1] > 0.95
    squared.save(tmp_path / "c.json")
    again = Classifier.load(tmp_path / "c.json")
    far_NK, farther_NK = np.array([[5 + 30.0, 5 - 30.0]]), np.array([[5 + 3e6, 5 - 3e6]])
    assert np.allclose(again.log_probabilities(far_NK), squared.log_probabilities(far_NK), atol=1e-3)
    assert np.allclose(again.log_probabilities(far_NK), again.log_probabilities(farther_NK))


def test_stored_classifier_knows_the_shapes_of_unseen_clips(judged_clips: tuple[Clip, ...]) -> None:
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for clip in judged_clips:
        assert clip.state is not None
        tracks = segment(clip.pixels_THW3)
        known = {body.color: body.shape for body in clip.state.bodies}
        for track in tracks:
            if track.color in known:
                shape = known[track.color]
                right[shape] += shape_of(track, tracks, clip.pixels_THW3) == shape
                total[shape] += 1
    assert set(total) == set(SHAPES)
    assert right.total() >= 0.88 * total.total(), (right, total)
    assert all(right[shape] >= 0.6 * total[shape] for shape in SHAPES), (right, total)


def test_features_do_not_depend_on_place_size_and_colour() -> None:
    row_HW, column_HW = np.mgrid[:96, :96]

    def disc(row: float, column: float, radius: float, tint: float) -> np.ndarray:
        mask_HW = (row_HW - row) ** 2 + (column_HW - column) ** 2 < radius**2
        shade_HW = 1 - 0.5 * (row_HW - row) / radius
        pixels_HW3 = (tint * 100 * shade_HW.clip(0.2, 2))[..., None] * np.array([1.0, 0.6, 0.3])
        return frame_features(mask_HW, pixels_HW3.clip(0, 255).astype(np.uint8))

    base_K = disc(40, 40, 14, 1.0)
    assert np.allclose(base_K, disc(60, 25, 14, 1.0), atol=0.02)
    assert np.abs(base_K - disc(40, 40, 20, 0.8)).max() < 0.25
    square = frame_features((abs(row_HW - 40) < 13) & (abs(column_HW - 40) < 13), np.full((96, 96, 3), 90, np.uint8))
    assert square[0] == 1.0 and base_K[0] == pytest.approx(np.pi / 4, abs=0.05)


def test_labelled_features_pair_rows_with_the_truth(
    judged_clips: tuple[Clip, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    blurred_NK, shape_N = labelled_features(judged_clips[:4])
    bodies = [body for clip in judged_clips[:4] if clip.state for body in clip.state.bodies]
    assert {SHAPES[shape] for shape in shape_N} == {body.shape for body in bodies}
    assert len(blurred_NK) == len(shape_N) <= (silhouette.BLURS + 1) * silhouette.FRAMES * len(bodies)
    monkeypatch.setattr(silhouette, "BLURS", 0)
    sharp_NK, _ = labelled_features(judged_clips[:4])
    assert len(sharp_NK) <= silhouette.FRAMES * len(bodies)
    assert 2 * len(sharp_NK) < len(blurred_NK)
    assert (blurred_NK == sharp_NK[0]).all(axis=1).sum() == 1
