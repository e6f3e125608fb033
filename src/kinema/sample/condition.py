"""A task in the latent space: which latent frames are known, and from where the others begin.

The codec is causal: latent frame 0 holds frame 0 alone and latent frame k the frames 4k − 3 to 4k. So known frames
that do not begin the timeline are encoded behind the frame before them, or a still picture of their first, whose own
latent frame is dropped.

Suffixes: B variations, C channels, T latent frames, H height, W width (in latents), D frames in pixels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.sample.task import Frames, Run, Task
from kinema.shapes import FRAMES_PER_LATENT, PIXELS_PER_LATENT, LatentShape

Encode = Callable[[Frames], Tensor]  # 1 + 4k frames → latents_CTHW

NOISY = 1.0  # the level of a latent frame of which nothing is known


@dataclass(frozen=True)
class Condition:
    """What is known of the latents of a timeline or of a window of it.

    Attributes:
        data_BCTHW: the known latents, and those that a remix begins with; anything elsewhere.
        level_T: the noise level at which the model is shown each latent frame; NOISY where it is to be sampled.
        start: share of the noise under which sampling begins; below 1 it begins with ``data_BCTHW``.
        fixed_HW: cells that keep their data in every latent frame, or None.
    """

    data_BCTHW: Tensor
    level_T: Tensor
    start: float = 1.0
    fixed_HW: Tensor | None = None

    @property
    def shape(self) -> LatentShape:
        return LatentShape(*self.data_BCTHW.shape[2:])

    @property
    def known_T(self) -> Tensor:
        """Whether each latent frame is known."""
        return self.level_T < NOISY

    def repeated(self, count: int) -> Condition:
        """The same for ``count`` variations."""
        return dataclasses.replace(self, data_BCTHW=self.data_BCTHW.expand(count, -1, -1, -1, -1).clone())

    def extended(self, frames: int) -> Condition:
        """The same with unknown latent frames at the end, so that it has ``frames``; those of a remix stand still."""
        more = max(0, frames - self.shape.frames)
        data_BCTHW = F.pad(self.data_BCTHW, (0, 0, 0, 0, 0, more), mode="replicate")
        return dataclasses.replace(self, data_BCTHW=data_BCTHW, level_T=F.pad(self.level_T, (0, more), value=NOISY))

    def window(self, start: int, stop: int) -> Condition:
        """The latent frames from ``start`` to before ``stop``."""
        return dataclasses.replace(self, data_BCTHW=self.data_BCTHW[:, :, start:stop], level_T=self.level_T[start:stop])

    def with_known(self, start: int, latents_BCTHW: Tensor, level: float) -> Condition:
        """The same with more known latent frames, from ``start`` on; those that were known before stay as they were."""
        data_BCTHW, level_T = self.data_BCTHW.clone(), self.level_T.clone()
        span = slice(start, start + latents_BCTHW.shape[2])
        data_BCTHW[:, :, span] = latents_BCTHW
        level_T[span] = torch.where(self.known_T[span], level_T[span], level)
        return dataclasses.replace(self, data_BCTHW=data_BCTHW, level_T=level_T)


def condition_of(task: Task, encode: Encode) -> Condition:
    """Encodes what is given, for one variation."""
    shape = task.shape.latent
    data_CTHW, level_T = torch.zeros(shape.dims), torch.full((shape.frames,), NOISY)
    if task.base_THW3 is not None:
        data_CTHW = encode(_still_end(task.base_THW3, task.shape.frames))
    for run in task.given:
        first, latents_CTHW = encode_run(run, task.shape.frames, encode)
        span = slice(first, first + latents_CTHW.shape[1])
        data_CTHW[:, span], level_T[span] = latents_CTHW, 0.0
    fixed_HW = None if task.mask_HW is None else ~cells_of(task.mask_HW)
    return Condition(data_CTHW[None], level_T, task.strength, fixed_HW)


def encode_run(run: Run, frames: int, encode: Encode) -> tuple[int, Tensor]:
    """Known frames as latent frames: those that they fill, or if they fill none, the one that holds the first of them.

    The rest of a latent frame that is filled only in part stands still: an image at the end of a video is four equal
    frames.

    Args:
        run: known frames.
        frames: of the timeline.
        encode: of the codec.

    Returns:
        The place of the first latent frame, and latents_CTHW.
    """
    step, stop = FRAMES_PER_LATENT, min(run.stop, frames)
    known_DHW3 = run.pixels_THW3[: stop - run.first]
    if run.first == 0:
        return 0, encode(known_DHW3[: 1 + (len(known_DHW3) - 1) // step * step])
    first, last = -(-(run.first + step - 1) // step), (stop - 1) // step
    if first > last:  # no latent frame is filled
        place = -(-run.first // step)
        front = run.first - (step * place - step + 1)
        known_DHW3 = known_DHW3[: step - front]
        return place, encode(_still_end(_still_start(known_DHW3, 1 + front), 1 + step))[:, 1:]
    begin = step * first - step - run.first  # the frame before the first latent frame, −1 if it is not known
    known_DHW3 = known_DHW3[max(0, begin) : step * last + 1 - run.first]
    return first, encode(_still_start(known_DHW3, 1) if begin < 0 else known_DHW3)[:, 1:]


def cells_of(mask_HW: np.ndarray) -> Tensor:
    """The latent cells that hold any pixel of a mask."""
    pixels_1HW = torch.from_numpy(mask_HW).float()[None]
    return F.max_pool2d(pixels_1HW, PIXELS_PER_LATENT)[0] > 0


def _still_start(frames_DHW3: Frames, count: int) -> Frames:
    return np.concatenate([frames_DHW3[:1].repeat(count, axis=0), frames_DHW3])


def _still_end(frames_DHW3: Frames, total: int) -> Frames:
    return np.concatenate([frames_DHW3, frames_DHW3[-1:].repeat(total - len(frames_DHW3), axis=0)])
