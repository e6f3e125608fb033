"""Matte, metal or wood: a small classifier of how a body takes the light.

A body in a frame becomes 58 numbers: how bright and how saturated it is beside the colour that it has by name and
beside the scenery, how both are spread over it, and how rough it is; metal is paler and mirrors, wood has dark rings
and so, however blurred, is darker than its colour. The multinomial logistic regression is that of :mod:`.silhouette`,
fitted on training scenes of the worlds whose bodies are filmed in materials that take turns;
``python -m kinema.evaluate.material`` makes its coefficients again. Rubber shines by a fiftieth more than what is matte
and counts as matte; bodies of glass are not found.

Array suffixes: T frames, H height, W width, P points of a silhouette, N samples, K features, Q quantiles.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinema.config import WorldsConfig
from kinema.evaluate.judge import COLORS, FAMILIES, Track, chromaticity, segment
from kinema.evaluate.silhouette import Classifier, curved_surface, fit, frames_to_see, grown, soften
from kinema.evaluate.suite import Pixels
from kinema.worlds import palette
from kinema.worlds.make import draw_scene, film, move
from kinema.worlds.scene import Scene

MATERIALS = ("matte", "metal", "wood")
COEFFICIENTS = Path(__file__).with_name("material.json")
PENALTY = 0.01

_CLASS = {"matte": 0, "rubber": 0, "metal": 1, "wood": 2}
_TURNS = ("rubber", "metal", "wood", "matte", "metal", "wood")  # of the bodies that the regression is fitted on
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_LUMA = np.array([0.2126, 0.7152, 0.0722])
_DARK, _DIM = 0.005, 0.01  # added before the logarithms of light: of points, and of means
_BLACK = 1e-4  # light of a point that has no colour
_LEAST_INNER = 6  # points; smaller bodies are looked at with their rim

Floats = NDArray[np.float64]


def material_of(track: Track, tracks: list[Track], pixels_THW3: Pixels) -> str:
    """The material of one body of a clip, one of ``MATERIALS``.

    Args:
        track: the body.
        tracks: all bodies of the clip, which may stand in front of this one.
        pixels_THW3: the clip.
    """
    features_NK = track_features(track, tracks, pixels_THW3)
    return MATERIALS[int(_stored().log_probabilities(features_NK).mean(axis=0).argmax())]


def track_features(track: Track, tracks: list[Track], pixels_THW3: Pixels) -> Floats:
    """Features (N, K) of a body in the frames in which its shape is read, too."""
    frames = frames_to_see(track, tracks)
    return np.array([frame_features(track.mask_THW[frame], pixels_THW3[frame], track.color) for frame in frames])


def frame_features(mask_HW: NDArray[np.bool_], pixels_HW3: NDArray[np.uint8], color: str) -> Floats:
    """How a body takes the light in one frame.

    Args:
        mask_HW: its silhouette.
        pixels_HW3: the frame.
        color: one of ``COLORS``.
    """
    linear_HW3 = (pixels_HW3 / 255.0) ** 2.2
    inner_HW = ~grown(~np.pad(mask_HW, 1)[None])[0, 1:-1, 1:-1]
    if inner_HW.sum() < _LEAST_INNER:
        inner_HW = mask_HW
    linear_P3, named_3 = linear_HW3[inner_HW], np.array(palette.COLORS[color])
    light_P = np.log(linear_P3 @ _LUMA + _DARK)
    pure_P, aside_P = _saturation(linear_P3, named_3)
    light_Q, pure_Q = np.quantile(light_P, _QUANTILES), np.quantile(pure_P, _QUANTILES)
    named = np.log(named_3 @ _LUMA + _DARK)
    scenery = _scenery_light(mask_HW, linear_HW3)
    point_P2 = np.argwhere(inner_HW)
    offset_P2 = (point_P2 - point_P2.mean(axis=0)) / np.sqrt(mask_HW.sum() / np.pi)  # a disc has radius 1
    light_K, light_rest_P = curved_surface(offset_P2, light_P)
    pure_K, pure_rest_P = curved_surface(offset_P2, pure_P)
    together_22 = np.cov(light_P, pure_P)
    ends_P3 = np.stack([linear_P3[ends_P].mean(axis=0) for ends_P in (light_P >= light_Q[3], light_P <= light_Q[1])])
    return np.concatenate(
        [
            light_Q - named,
            [light_Q[2] - named - scenery[0], *scenery],
            light_Q - light_Q[2],
            pure_Q,
            [aside_P.mean(), aside_P.std(), light_P.std(), pure_P.std(), together_22[0, 1]],
            _saturation(ends_P3, named_3)[0],
            light_K,
            pure_K,
            [light_rest_P.std(), np.abs(light_rest_P).mean(), light_rest_P.max(), light_rest_P.min()],
            [pure_rest_P.std(), *_roughness(inner_HW, light_P)],
            np.log((linear_P3.mean(axis=0) + _DIM) / (named_3 + _DIM)),
            np.eye(len(COLORS))[COLORS.index(color)],
        ]
    )


def remade(scene: Scene, materials: Sequence[str]) -> Scene:
    """The same scene with bodies of other materials, and of the weights that those have.

    Args:
        scene: whose bodies are of the sizes that they keep.
        materials: of its first bodies; the others stay as they are.
    """
    bodies = list(scene.bodies)
    for index, material in enumerate(materials):
        info = bodies[index].info
        heavier = palette.MATERIALS[material].density / palette.MATERIALS[info.material].density
        bodies[index] = replace(
            bodies[index], info=replace(info, material=material, mass_kg=info.mass_kg * heavier), index=0.0
        )
    return replace(scene, bodies=tuple(bodies))


def filmed(scene: Scene, worlds: WorldsConfig) -> Pixels:
    """What a scene looks like when physics has its way with it."""
    return film(scene, move(scene, worlds), worlds).pixels_THW3


def labelled_features(seeds: Iterable[int], worlds: WorldsConfig, step: int = 3) -> tuple[Floats, NDArray[np.int64]]:
    """Features and true materials of the bodies of training scenes that the segmentation finds.

    The judged families, the materials and the blur (none to three times) take turns.

    Args:
        seeds: of the scenes.
        worlds: size and length of the clips.
        step: only every ``step``-th frame is looked at; neighbouring frames teach little.
    """
    rows, labels = [], []
    for seed in seeds:
        scene, _ = draw_scene(FAMILIES[seed % len(FAMILIES)], seed, worlds)
        turn = seed // len(FAMILIES)
        scene = remade(scene, [_TURNS[(turn + body) % len(_TURNS)] for body in range(len(scene.bodies))])
        known = {body.info.color: _CLASS[body.info.material] for body in scene.bodies}
        pixels_THW3 = filmed(scene, worlds)[::step]
        for _ in range(turn % 4):
            pixels_THW3 = soften(pixels_THW3)
        tracks = segment(pixels_THW3)
        for track in tracks:
            if track.color in known:
                rows.append(track_features(track, tracks, pixels_THW3))
                labels += [known[track.color]] * len(rows[-1])
    return np.concatenate(rows), np.array(labels)


def _saturation(linear_P3: Floats, named_3: Floats) -> tuple[Floats, Floats]:
    """How far points are from white towards a colour, whose own place is 1, and how far beside that way."""
    (across_P, up_P), (across, up) = chromaticity(linear_P3, _BLACK).T, chromaticity(named_3)
    length = across**2 + up**2
    return (across_P * across + up_P * up) / length, (up_P * across - across_P * up) / length


def _scenery_light(mask_HW: NDArray[np.bool_], linear_HW3: Floats) -> tuple[float, float, float]:
    """How bright the picture is without the body: all of it, its uppermost quarter and its lowest."""
    around_HW = ~grown(mask_HW[None])[0]
    if not around_HW.any():
        around_HW = mask_HW
    light_P, row_P = linear_HW3[around_HW] @ _LUMA, np.argwhere(around_HW)[:, 0]

    def mean(chosen_P: NDArray[np.bool_]) -> float:
        return float(np.log((light_P[chosen_P] if chosen_P.any() else light_P).mean() + _DIM))

    height = len(mask_HW)
    return mean(row_P >= 0), mean(row_P < 0.25 * height), mean(row_P > 0.75 * height)


def _roughness(inner_HW: NDArray[np.bool_], light_P: Floats) -> list[float]:
    """Mean size of first and second differences of light between neighbouring points, across and down."""
    light_HW = np.full(inner_HW.shape, np.nan)
    light_HW[inner_HW] = light_P
    means = []
    for axis in (1, 0):
        for order in (1, 2):
            change_HW = np.abs(np.diff(light_HW, order, axis=axis))
            change_N = change_HW[np.isfinite(change_HW)]
            means.append(float(change_N.mean()) if len(change_N) else 0.0)
    return means


@cache
def _stored() -> Classifier:
    return Classifier.load(COEFFICIENTS)


def main() -> None:
    """Fits the regression again and stores it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--clips", type=int, default=800, help="training scenes, judged families in turns, from 0 on")
    parser.add_argument("--out", type=Path, default=COEFFICIENTS)
    options = parser.parse_args()
    features_NK, label_N = labelled_features(range(options.clips), WorldsConfig())
    classifier = fit(features_NK, label_N, PENALTY, classes=len(MATERIALS))
    classifier.save(options.out)
    right = (classifier.log_probabilities(features_NK).argmax(axis=1) == label_N).mean()
    logging.info("%s: %d bodies in a frame, %.1f%% right", options.out, len(label_N), 100 * right)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main()
