"""Which of the families does a clip look like? A small classifier of where things are, where they move and when.

A clip becomes coarse maps (colour, saturation, edges, motion) and the course of its motion over time; a multinomial
logistic regression turns them into a log-probability for each family. It is fitted on true clips, each also blurred,
as a codec blurs, and its coefficients are stored beside this file; ``python -m kinema.evaluate.families`` makes them
again.

Array suffixes: T frames, H height, W width, 3 RGB, 8 cells of a coarse map, N clips, K features.
"""

from __future__ import annotations

import argparse
import logging
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinema.config import WorldsConfig
from kinema.evaluate.silhouette import Classifier, fit, soften
from kinema.evaluate.suite import Pixels
from kinema.worlds.make import make_clip

FAMILIES = WorldsConfig().families
COEFFICIENTS = Path(__file__).with_name("families.json")
BLURS = 3  # times that a clip is softened, at most
PENALTY = 0.1
_DIM = 1e-3  # added before logarithms: a change of a quarter of a code

Floats = NDArray[np.float64]


def family_of(pixels_THW3: Pixels) -> str:
    """The family that a clip looks like most."""
    return FAMILIES[int(_stored().log_probabilities(features(pixels_THW3)[None])[0].argmax())]


def features(pixels_THW3: Pixels) -> Floats:
    """What a clip looks like and how it moves, from a distance."""
    light_THW3 = pixels_THW3.astype(np.float64) / 255
    grey_THW = light_THW3.mean(axis=-1)
    change_THW = np.abs(np.diff(light_THW3, axis=0)).mean(axis=-1)
    saturation_HW = (light_THW3.max(axis=-1) - light_THW3.min(axis=-1)).mean(axis=0)
    moments = np.array_split(np.arange(len(change_THW)), 8)
    motion_T88 = np.stack([_coarse(change_HW, 8) for change_HW in change_THW])
    rows = np.stack([motion_T88[moment].mean(axis=(0, 2)) for moment in moments])
    return np.concatenate(
        [
            *(_coarse(light_THW3[..., channel].mean(axis=0), 4).ravel() for channel in range(3)),
            _coarse(saturation_HW, 4).ravel(),
            *(np.log(3 * _DIM + _coarse(edge_HW, 4)).ravel() for edge_HW in _edges(grey_THW)),
            np.log(_DIM + motion_T88.mean(axis=0)).ravel(),
            np.log(_DIM + rows).ravel(),
            np.log(_DIM + rows.mean(axis=1)),
        ]
    )


def _edges(grey_THW: Floats) -> tuple[Floats, Floats]:
    """Mean size of changes from pixel to pixel, across and down."""
    across_HW = np.abs(np.diff(grey_THW, axis=2, append=grey_THW[:, :, -1:])).mean(axis=0)
    down_HW = np.abs(np.diff(grey_THW, axis=1, append=grey_THW[:, -1:])).mean(axis=0)
    return across_HW, down_HW


def _coarse(values_HW: Floats, cells: int) -> Floats:
    """Means over a grid of cells × cells."""
    height, width = values_HW.shape
    means: Floats = values_HW.reshape(cells, height // cells, cells, width // cells).mean(axis=(1, 3))
    return means


def fitted(worlds: WorldsConfig, each: int) -> tuple[Classifier, float]:
    """Fits the classifier on ``each`` training clips of every family; also the share that it gets right there."""
    rows, families = [], []
    for family in FAMILIES:
        for seed in range(each):
            pixels_THW3 = make_clip(family, seed, worlds).pixels_THW3
            for _ in range(BLURS + 1):
                rows.append(features(pixels_THW3))
                families.append(FAMILIES.index(family))
                pixels_THW3 = soften(pixels_THW3)
    classifier = fit(np.array(rows), np.array(families), PENALTY, classes=len(FAMILIES))
    right = classifier.log_probabilities(np.array(rows)).argmax(axis=1) == np.array(families)
    return classifier, float(right.mean())


@cache
def _stored() -> Classifier:
    return Classifier.load(COEFFICIENTS)


def main() -> None:
    """Fits the classifier again and stores it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--each", type=int, default=48, help="training clips of every family, seeds from 0 on")
    parser.add_argument("--out", type=Path, default=COEFFICIENTS)
    options = parser.parse_args()
    classifier, right = fitted(WorldsConfig(), options.each)
    classifier.save(options.out)
    logging.info("%s: %.1f%% of the training clips right", options.out, 100 * right)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
