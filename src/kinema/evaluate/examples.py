"""True clips that no training set contains, and the columns in which everything is scored: truth, codec, model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.evaluate.judge import is_judged
from kinema.evaluate.statistics import score_of
from kinema.evaluate.suite import Better, Exam, Pixels, Score
from kinema.worlds.make import draw_scene, world_of
from kinema.worlds.scene import Scene

TEST_SEED = 1 << 39
"""Seeds from here on are beyond every training set and below the held-out combinations of colour and shape."""
TRIES = 200  # clips looked at for one that can be used


def any_scene(scene: Scene) -> bool:
    """Every scene will do."""
    return True


@lru_cache(maxsize=32)
def unseen(
    family: str,
    worlds: WorldsConfig,
    count: int,
    usable: Callable[[Clip], bool],
    promising: Callable[[Scene], bool] = any_scene,
    first_seed: int = TEST_SEED,
) -> tuple[Clip, ...]:
    """``count`` true clips of a family that can be used, from a seed on; always the same ones.

    Scenes are looked at before they are simulated and filmed, which takes a hundred times as long: ``promising`` may
    refuse what ``usable`` would, as are scenes here whose first body has no colour or whose camera moves unasked.
    """
    found = list[Clip]()
    for seed in range(first_seed, first_seed + TRIES * count):
        scene, rng = draw_scene(family, seed, worlds)
        fixed = scene.camera_move.kind == "fixed" or family == "orbit"
        if not fixed or not is_judged(scene.bodies[0].info) or not promising(scene):
            continue
        clip = world_of(scene, rng, seed, worlds).clip
        if usable(clip):
            found.append(clip)
            if len(found) == count:
                return tuple(found)
    raise AssertionError(f"{family}: no more usable clips, {len(found)} of {count}")


def columns_of(exam: Exam, clip: Clip, prompt: str, given: int, seed: int) -> dict[str, Pixels]:
    """The columns of a continued clip: ``truth``, ``codec``, ``frozen`` and ``model``."""
    return {
        "truth": clip.pixels_THW3,
        "codec": exam.cache.coded(clip.pixels_THW3),
        "frozen": frozen(clip.pixels_THW3, given),
        "model": continued(exam, clip, prompt, given, seed),
    }


def means(
    names: Mapping[str, tuple[str, Better]], columns: Mapping[str, Sequence[Mapping[str, float]]]
) -> tuple[Score, ...]:
    """A score for each name: mean over clips of the column ``model``, with the other columns as floors.

    Args:
        names: what the score is about, and which way is better.
        columns: of every column what was measured in each clip, by name.
    """

    def values(column: str, name: str) -> list[float]:
        return [measures[name] for measures in columns[column]]

    return tuple(
        score_of(
            *(name, about, better, values("model", name)),
            {floor: values(floor, name) for floor in columns if floor != "model"},
        )
        for name, (about, better) in names.items()
    )


def runs_of(mask_T: NDArray[np.bool_], least: int) -> int:
    """How often at least so many frames in a row are set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask_T, [False]]).astype(int)))
    return int(np.count_nonzero(edges[1::2] - edges[::2] >= least))


def frozen(pixels_THW3: Pixels, given: int) -> Pixels:
    """The given frames, and then the last of them for ever: what a model scores that knows no motion."""
    last_THW3 = np.repeat(pixels_THW3[given - 1 : given], len(pixels_THW3) - given, axis=0)
    return np.concatenate([pixels_THW3[:given], last_THW3])


def continued(exam: Exam, clip: Clip, prompt: str, given: int, seed: int) -> Pixels:
    """The clip's first frames, and what the model makes of the rest of its time.

    Args:
        exam: whose model.
        clip: of the model's native shape.
        prompt: what to tell it.
        given: how many frames: 1, or 5 for whatever is in motion (1 + 4k frames are 1 + k whole latent frames).
        seed: of the noise.
    """
    pixels_THW3 = clip.pixels_THW3
    if given == 1:
        return exam.cache.make(prompt, seed=seed, image=pixels_THW3[0])
    seconds = (len(pixels_THW3) - given) / clip.fps
    return exam.cache.make(prompt, seed=seed, extend=pixels_THW3[:given], seconds=seconds)
