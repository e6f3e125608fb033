"""Sphere, cube, cylinder, cone, capsule or slab: a small classifier of silhouettes and shading.

A body in a frame becomes 42 numbers (how its outline and its light are distributed), a multinomial logistic regression
turns them and their products into six log-probabilities, and their mean over the frames in which the body is seen whole
decides. The regression is fitted on clips of the worlds, whose shapes are known, sharp and blurred; its coefficients
are stored beside this file, and ``python -m kinema.evaluate.silhouette`` makes them again. Bodies of glass are left
out: no prompt that is judged names one.

Array suffixes: T frames, H height, W width, N samples, P points of a silhouette, K features, S shapes.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.evaluate.judge import FAMILIES, Track, is_judged, segment
from kinema.worlds import palette
from kinema.worlds.make import make_clip

SHAPES = palette.SHAPES
COEFFICIENTS = Path(__file__).with_name("silhouette.json")
FRAMES = 10  # looked at in a clip, evenly spaced among those that show the body whole
BLURS = 3  # times that a clip is softened for the fit, at most

_FAR = 4.0  # standard deviations beyond which features do not count more, where their products count
_BINS = 6  # rows and columns of the coarse outline
_DIRECTIONS = 24
_HARMONICS = (2, 3, 4, 6)
_LUMA = np.array([0.2126, 0.7152, 0.0722])

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Classifier:
    """Multinomial logistic regression on standardised features and, if there are weights for them, their products.

    Attributes:
        mean_K: of the features.
        scale_K: their standard deviations.
        weight_KS: a row for each feature, then perhaps one for each product of two, as :func:`standardised` has them.
        bias_S: of the classes.
    """

    mean_K: Floats
    scale_K: Floats
    weight_KS: Floats
    bias_S: Floats

    def log_probabilities(self, features_NK: Floats) -> Floats:
        """Log-probabilities of shape (N, S)."""
        products = len(self.weight_KS) > len(self.mean_K)
        logits_NS = standardised(features_NK, self.mean_K, self.scale_K, products) @ self.weight_KS + self.bias_S
        logits_NS -= logits_NS.max(axis=1, keepdims=True)
        result_NS: Floats = logits_NS - np.log(np.exp(logits_NS).sum(axis=1, keepdims=True))
        return result_NS

    def save(self, path: Path) -> None:
        """Writes the coefficients as JSON."""
        path.write_text(json.dumps({key: np.round(value, 6).tolist() for key, value in vars(self).items()}) + "\n")

    @classmethod
    def load(cls, path: Path) -> Classifier:
        """Reads what :meth:`save` wrote."""
        return cls(**{key: np.array(value) for key, value in json.loads(path.read_text()).items()})


def standardised(features_NK: Floats, mean_K: Floats, scale_K: Floats, products: bool) -> Floats:
    """Features in standard deviations from their means; with products, all squares and products of two behind them."""
    inputs_NK: Floats = (features_NK - mean_K) / scale_K
    if not products:
        return inputs_NK
    inputs_NK = inputs_NK.clip(-_FAR, _FAR)
    first, second = np.triu_indices(inputs_NK.shape[1])
    return np.concatenate([inputs_NK, inputs_NK[:, first] * inputs_NK[:, second]], axis=1)


def shape_of(track: Track, tracks: list[Track], pixels_THW3: NDArray[np.uint8]) -> str:
    """The shape of one body of a clip, one of ``SHAPES``.

    Args:
        track: the body.
        tracks: all bodies of the clip, which may stand in front of this one.
        pixels_THW3: the clip.
    """
    features_NK = track_features(track, tracks, pixels_THW3)
    return SHAPES[int(_stored().log_probabilities(features_NK).mean(axis=0).argmax())]


def track_features(track: Track, tracks: list[Track], pixels_THW3: NDArray[np.uint8]) -> Floats:
    """Features (N, K) of a body in the frames to see it in."""
    frames = frames_to_see(track, tracks)
    return np.array([frame_features(track.mask_THW[frame], pixels_THW3[frame]) for frame in frames])


def frames_to_see(track: Track, tracks: list[Track]) -> NDArray[np.int64]:
    """Up to ``FRAMES`` frames that show a body whole, or its largest frame if none does."""
    whole_T = whole_frames(track, tracks)
    frames = np.flatnonzero(whole_T) if whole_T.any() else np.array([track.area_T.argmax()])
    chosen: NDArray[np.int64] = frames[np.unique(np.linspace(0, len(frames) - 1, FRAMES).round().astype(int))]
    return chosen


def frame_features(mask_HW: NDArray[np.bool_], pixels_HW3: NDArray[np.uint8]) -> Floats:
    """What a silhouette and the light on it look like; every number is free of the body's size, place and colour."""
    point_P2 = np.argwhere(mask_HW)
    top, left = point_P2.min(axis=0)
    tall, wide = np.ptp(point_P2, axis=0) + 1
    area = len(point_P2)
    offset_P2 = (point_P2 - point_P2.mean(axis=0)) / np.sqrt(area / np.pi)  # a disc has radius 1
    covariance_22 = offset_P2.T @ offset_P2 / area + np.eye(2) * np.pi / (12 * area)  # a pixel is a square
    minor, major = np.sqrt(np.linalg.eigvalsh(covariance_22))
    angle_D = np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS
    support_D = (offset_P2 @ np.stack([np.sin(angle_D), np.cos(angle_D)])).max(axis=0) + 0.5 * np.sqrt(np.pi / area)
    outline = np.abs(np.fft.rfft(support_D))[list(_HARMONICS)] / support_D.sum()
    width_D = support_D + np.roll(support_D, _DIRECTIONS // 2)

    light_P = np.log((pixels_HW3[mask_HW] / 255.0) ** 2.2 @ _LUMA + 0.01)
    light_P -= light_P.mean()
    light_K, light_rest_P = curved_surface(offset_P2, light_P)
    bin_row_P = (point_P2[:, 0] - top) * _BINS // tall
    bin_column_P = (point_P2[:, 1] - left) * _BINS // wide
    rows, columns = (np.bincount(bins, minlength=_BINS) for bins in (bin_row_P, bin_column_P))
    row_light, column_light = (np.bincount(b, light_P, minlength=_BINS) for b in (bin_row_P, bin_column_P))
    return np.concatenate(
        [
            [area / (tall * wide), np.log(tall / wide), minor / major, 1 / (4 * minor * major)],
            [1 / support_D.max() ** 2, width_D.min(), width_D.max(), *outline],
            [light_P.std(), light_rest_P.std(), *light_K],
            rows / rows.max(),
            columns / columns.max(),
            row_light / np.maximum(rows, 1),
            column_light / np.maximum(columns, 1),
        ]
    )


def curved_surface(offset_P2: Floats, value_P: Floats) -> tuple[Floats, Floats]:
    """The surface of second degree that fits values best: its five slopes and bends, and what it leaves."""
    row_P, column_P = offset_P2.T
    terms_PK = np.stack([np.ones(len(row_P)), row_P, column_P, row_P**2, column_P**2, row_P * column_P], axis=1)
    curve_K = np.linalg.lstsq(terms_PK, value_P, rcond=None)[0]
    return curve_K[1:], value_P - terms_PK @ curve_K


def fit(
    features_NK: Floats,
    shape_N: NDArray[np.int64],
    penalty: float = 1e-3,
    steps: int = 600,
    classes: int = len(SHAPES),
    products: bool = False,
) -> Classifier:
    """Fits the regression by accelerated gradient descent (Nesterov 1983) on the mean log-loss.

    Args:
        features_NK: one row a body and frame.
        shape_N: indices into ``SHAPES``.
        penalty: weight of the squared coefficients.
        steps: gradient steps; the loss is convex and has settled long before the default, without products.
        classes: how many there are; labels of other things than shapes may have more or fewer.
        products: whether products of two features count too.
    """
    mean_K, scale_K = features_NK.mean(axis=0), features_NK.std(axis=0) + 1e-6
    ones_N1 = np.ones((len(features_NK), 1))
    inputs_NK = np.concatenate([standardised(features_NK, mean_K, scale_K, products), ones_N1], axis=1)
    target_NS = np.eye(classes)[shape_N]
    rate = 1.0 / (0.5 * np.linalg.norm(inputs_NK, 2) ** 2 / len(inputs_NK) + penalty)
    weight_KS = previous_KS = np.zeros((inputs_NK.shape[1], classes))
    for step in range(steps):
        ahead_KS = weight_KS + step / (step + 3) * (weight_KS - previous_KS)
        logits_NS = inputs_NK @ ahead_KS
        probability_NS = np.exp(logits_NS - logits_NS.max(axis=1, keepdims=True))
        probability_NS /= probability_NS.sum(axis=1, keepdims=True)
        gradient_KS = inputs_NK.T @ (probability_NS - target_NS) / len(inputs_NK) + penalty * ahead_KS
        previous_KS, weight_KS = weight_KS, ahead_KS - rate * gradient_KS
    return Classifier(mean_K, scale_K, weight_KS[:-1], weight_KS[-1])


def labelled_features(clips: Iterable[Clip], step: int = 3) -> tuple[Floats, NDArray[np.int64]]:
    """Features and true shapes of all bodies of world clips that are judged and that the segmentation finds.

    Each clip is looked at as it is and softened once to three times, so that the regression knows what a codec's blur
    makes of a body and is less sure of blurred frames: in the mean over frames the sharp ones then weigh more.

    Args:
        clips: with state.
        step: only every ``step``-th frame is looked at; neighbouring frames teach little.
    """
    features, shapes = [], []
    for clip in clips:
        assert clip.state is not None, "only clips of the worlds know their shapes"
        known = {body.color: SHAPES.index(body.shape) for body in clip.state.bodies if is_judged(body)}
        pixels_THW3 = clip.pixels_THW3[::step]
        for _ in range(BLURS + 1):
            tracks = segment(pixels_THW3)
            for track in tracks:
                if track.color in known:
                    rows_NK = track_features(track, tracks, pixels_THW3)
                    features.append(rows_NK)
                    shapes += [known[track.color]] * len(rows_NK)
            pixels_THW3 = soften(pixels_THW3)
    return np.concatenate(features), np.array(shapes)


def soften(pixels_THW3: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each pixel's binomial mean over 3×3 neighbours, a blur of 0.7 pixels."""
    padded = np.pad(pixels_THW3, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge").astype(np.uint16)
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    softened: NDArray[np.uint8] = ((rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:] + 8) // 16).astype(np.uint8)
    return softened


def whole_frames(track: Track, tracks: list[Track], least: float = 0.8) -> NDArray[np.bool_]:
    """Frames in which a body is away from the frame's edge and from other bodies, and about as large as it gets.

    ``least`` is the share of its largest area that it must show.
    """
    mask_THW = track.mask_THW
    free_T = ~(mask_THW[:, [0, -1]].any(axis=(1, 2)) | mask_THW[:, :, [0, -1]].any(axis=(1, 2)))
    grown_THW = grown(mask_THW)
    for other in tracks:
        if other is not track:
            free_T &= ~(grown_THW & other.mask_THW).any(axis=(1, 2))
    largest = np.quantile(track.area_T[track.seen_T], 0.9)
    result_T: NDArray[np.bool_] = free_T & (track.area_T >= least * largest)
    return result_T


def grown(mask_THW: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One pixel more on all four sides."""
    grown_THW = mask_THW.copy()
    grown_THW[:, 1:] |= mask_THW[:, :-1]
    grown_THW[:, :-1] |= mask_THW[:, 1:]
    grown_THW[:, :, 1:] |= mask_THW[:, :, :-1]
    grown_THW[:, :, :-1] |= mask_THW[:, :, 1:]
    return grown_THW


@cache
def _stored() -> Classifier:
    return Classifier.load(COEFFICIENTS)


def main() -> None:
    """Fits the regression again and stores it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--clips", type=int, default=1600, help="world clips, judged families in turns, seeds from 0 on"
    )
    parser.add_argument("--out", type=Path, default=COEFFICIENTS)
    options = parser.parse_args()
    clips = (make_clip(FAMILIES[seed % len(FAMILIES)], seed, WorldsConfig()) for seed in range(options.clips))
    features_NK, shape_N = labelled_features(clips)
    classifier = fit(features_NK, shape_N, products=True)
    classifier.save(options.out)
    right = (classifier.log_probabilities(features_NK).argmax(axis=1) == shape_N).mean()
    logging.info("%s: %d bodies in a frame, %.1f%% right", options.out, len(shape_N), 100 * right)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main()
