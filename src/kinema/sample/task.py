"""What is given of a video. Every task is the same thing: known frames on a timeline whose other frames are sampled.

Frames are known at any place. The first frame alone is image to video, the last frames are an extension backward, both
ends are a connection, all frames at a part of the noise are a remix. The sampler knows none of these names.

Suffixes: T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinema.shapes import FRAMES_PER_LATENT, VideoShape

Frames = NDArray[np.uint8]  # (T, H, W, 3)

CONTEXT_LATENTS = 4  # of each side that a generated part can see; half of the built-in model's native clip


@dataclass(frozen=True)
class Run:
    """Given frames, one after the other.

    Attributes:
        first: place of the first one on the timeline.
        pixels_THW3: the frames; what lies beyond the timeline's end is not encoded.
    """

    first: int
    pixels_THW3: Frames

    @property
    def stop(self) -> int:
        """The place after the last one."""
        return self.first + len(self.pixels_THW3)


@dataclass(frozen=True)
class Task:
    """A timeline with what is known on it.

    Attributes:
        shape: the timeline, 1 + 4k frames.
        given: frames that the result shows exactly as they are, in order and apart.
        kept: frames of the timeline that belong to the result, from its start.
        begin: place of the first new frame, at which the clock of a storyboard begins.
        end: place after the last new frame; None is the end of the kept ones.
        before_THW3: given frames of the result before the timeline, too far away to be seen by the model.
        after_THW3: given frames of the result after the kept ones.
        base_THW3: one frame per kept frame, where sampling begins instead of at noise.
        strength: share of the noise that ``base_THW3`` is put under; 0 leaves it, 1 hides it.
        mask_HW: the pixels of ``base_THW3`` that may change, or None for all.
        bridge: frames after the timeline that lead from its end back to its start; the last of them would be its
            first frame again and is left out.
    """

    shape: VideoShape
    kept: int
    given: tuple[Run, ...] = ()
    begin: int = 0
    end: int | None = None
    before_THW3: Frames | None = None
    after_THW3: Frames | None = None
    base_THW3: Frames | None = None
    strength: float = 1.0
    mask_HW: NDArray[np.bool_] | None = None
    bridge: int = 0

    @property
    def frames(self) -> int:
        """Frames of the result."""
        outside = sum(len(part) for part in (self.before_THW3, self.after_THW3) if part is not None)
        return self.kept + outside + max(0, self.bridge - 1)


def from_text(shape: VideoShape) -> Task:
    """Nothing is known."""
    return Task(shape, shape.frames)


def between(left_THW3: Frames | None, right_THW3: Frames | None, new: int) -> Task:
    """``left``, then ``new`` frames to be sampled, then ``right``; either side may be missing, not both.

    The timeline holds the new frames and, of each side, as much as the model is shown. It begins so that the last frame
    of ``left`` is the last of a latent frame: all that is generated then lies in latent frames of its own. Best is
    if the first frame of ``right`` is the last of a latent frame as well, 4m − 1 frames later: the known latent frames
    that follow then have a known frame before them.
    """
    sides = [side for side in (left_THW3, right_THW3) if side is not None]
    height, width = sides[0].shape[1:3]
    step, given = FRAMES_PER_LATENT, []
    seen_left = seen_right = 0
    if left_THW3 is not None:
        seen_left = 1 + step * min((len(left_THW3) - 1) // step, CONTEXT_LATENTS)
        given.append(Run(0, left_THW3[len(left_THW3) - seen_left :]))
    if right_THW3 is not None:
        fill_up = (1 - seen_left - new) % step  # frames until the next latent frame begins
        seen_right = min(len(right_THW3), step * CONTEXT_LATENTS + fill_up)
        given.append(Run(seen_left + new, right_THW3[:seen_right]))
    kept = seen_left + new + seen_right
    return Task(
        shape=VideoShape(kept + (1 - kept) % step, height, width),
        kept=kept,
        given=tuple(given),
        begin=seen_left,
        end=seen_left + new,
        before_THW3=None if left_THW3 is None else left_THW3[: len(left_THW3) - seen_left],
        after_THW3=None if right_THW3 is None else right_THW3[seen_right:],
    )


def with_images(task: Task, images: Sequence[tuple[int, Frames]]) -> Task:
    """The same with single frames at their places, for example the first and the last.

    Args:
        task: what is given besides.
        images: (place from ``begin`` to before ``end``, frame of shape (1, H, W, 3)); of two for one place the first
            counts.
    """
    runs = {place: Run(place, frame_1HW3) for place, frame_1HW3 in reversed(images)}
    given = sorted([*task.given, *runs.values()], key=lambda run: run.first)
    return dataclasses.replace(task, given=tuple(given))


def loop(task: Task, bridge: int) -> Task:
    """The same video with ``bridge`` frames, a multiple of 4, that lead back to its start."""
    assert bridge % FRAMES_PER_LATENT == 0 and task.kept == task.shape.frames
    return dataclasses.replace(task, bridge=bridge)


def remix(base_THW3: Frames, strength: float, mask_HW: NDArray[np.bool_] | None = None) -> Task:
    """The frames again, re-noised to ``strength``, and only inside the mask if there is one."""
    frames, height, width = base_THW3.shape[:3]
    shape = VideoShape(frames + (1 - frames) % FRAMES_PER_LATENT, height, width)
    return Task(shape, frames, base_THW3=base_THW3, strength=strength, mask_HW=mask_HW)
