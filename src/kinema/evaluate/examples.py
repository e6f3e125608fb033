"""True clips that no training set contains, and the columns in which everything is scored: truth, codec, model."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.evaluate.suite import Exam, Pixels
from kinema.sample.generate import reconstruct
from kinema.worlds.make import make_clip

TEST_SEED = 1 << 39
"""Seeds from here on are beyond every training set and below the held-out combinations of colour and shape."""
TRIES = 200  # clips looked at for one that can be used


def unseen(
    family: str, worlds: WorldsConfig, count: int, usable: Callable[[Clip], bool], first_seed: int = TEST_SEED
) -> Iterator[Clip]:
    """``count`` true clips of a family that can be used; always the same ones."""
    found = 0
    for seed in range(first_seed, first_seed + TRIES * count):
        clip = make_clip(family, seed, worlds)
        if usable(clip):
            yield clip
            found += 1
            if found == count:
                return
    raise AssertionError(f"{family}: no more usable clips, {found} of {count}")


def coded(exam: Exam, pixels_THW3: Pixels) -> Pixels:
    """What the model's codec keeps of a clip."""
    return reconstruct(exam.pipeline.codec, pixels_THW3)[0]


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
