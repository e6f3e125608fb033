"""Decoded frames and given frames → the result, frame by frame.

Given frames replace their decoded versions, exactly. The codec's error on them would then show as a jump to their
neighbours, which carry it as well: so the difference between a given frame and its decoded version is added to the
generated frames beside it too, and fades with the distance in time. Where the difference is too large for an error of
the codec, the model has made something else than what is given, and the frames dissolve into the given one there.
A new frame beside given ones that is farther from them than is usual, in their clip or on both sides, comes nearer, and
so does the end of a loop to its start.
An error of the codec belongs to what is shown: it is added only where the picture has not changed since, or the
outlines of a body would stay behind when the body leaves.

Inside the mask of a region edit the new picture fades in from the edge, within the width of a latent cell.

Suffixes: H height, W width, 3 RGB.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema.sample.task import Frames, Run, Task
from kinema.shapes import PIXELS_PER_LATENT

FADE_S = 1.0  # over which a given frame's difference to its decoded version fades
SEAM = 0.85  # change between a given and a generated frame at most, in usual changes; the pull makes them smaller
LOOP = 0.9  # change from the last frame of a loop to its first at most, in usual changes: rounding to codes takes some
CODEC_ERROR, CONTENT = 16.0, 48.0  # grey levels: differences up to the first are added, from the second on dissolved
STILL, CHANGED = 4.0, 12.0  # grey levels: a pixel near which the picture changes by less is still, by more is another
NEAR = 3  # pixels around one that must be still as well: as far as the codec's error at an edge reaches
NEAR_SEAM = 6  # changes on each side that are beside a seam
MOST_COMPARED = 17  # frames on each side of a seam that tell what change is usual there
FEATHER = PIXELS_PER_LATENT  # pixels from a mask's edge to where the new picture is alone

Frame = NDArray[np.uint8]  # (H, W, 3)


class _Edge:
    """The first or last frame of a run, with the difference to its decoded version."""

    def __init__(self, run: Run, place: int, decoded_HW3: Frame) -> None:
        self.run, self.place = run, place
        self.given_HW3 = run.pixels_THW3[place - run.first].astype(np.float32)
        self.decoded_HW3 = decoded_HW3.astype(np.float32)
        self.difference_HW3 = self.given_HW3 - decoded_HW3
        # Thin lines of difference are blurred edges, the codec's error however strong; what is left are whole bodies.
        thick_HW = -_spread(-np.abs(self.difference_HW3).max(axis=-1), 1)
        largest_HW1 = _spread(thick_HW, 1 + NEAR)[..., None]
        self.other_HW1 = np.clip((largest_HW1 - CODEC_ERROR) / (CONTENT - CODEC_ERROR), 0, 1)
        self.pull = 0.0  # share by which the generated frame beside this one comes nearer to it

    def limit(self, new: Iterable[NDArray[np.float32]], given: Sequence[float]) -> None:
        """Pulls the frames beside this one as far towards it as the change to the next one is too large.

        Args:
            new: the generated frames on the other side of the seam, the nearest first.
            given: changes from frame to frame of all that is given: with those of the new frames, what is usual in the
                video.
        """
        beside = _changes(_nearest(self.run, self.place))
        if not beside:  # a single image does not tell how fast it moves
            return
        change, *of_new = _changes(itertools.chain([self.given_HW3], new))
        beside = beside if self.place == self.run.first else beside[::-1]
        near = [*beside[:NEAR_SEAM], *of_new[:NEAR_SEAM]]
        usual = min(float(np.median(among)) for among in (near, beside, [*given, *of_new]))
        self.pull = max(0.0, 1 - SEAM * usual / max(change, 1e-6))

    def change(self, frame_HW3: NDArray[np.float32]) -> NDArray[np.float32]:
        """What turns a generated frame at this place into the given one, and others nearly."""
        dissolve_HW3 = self.other_HW1 * (self.given_HW3 - frame_HW3)
        changed_HW = _spread(np.abs(frame_HW3 - self.decoded_HW3).max(axis=-1), NEAR)
        still_HW1 = np.clip((CHANGED - changed_HW) / (CHANGED - STILL), 0, 1)[..., None]
        return np.asarray(dissolve_HW3 + (1 - self.other_HW1) * still_HW1 * self.difference_HW3)


def compose(decoded: Iterator[Frame], task: Task, fps: float) -> Iterator[Frame]:
    """The result of a task.

    Args:
        decoded: the frames of the timeline, as the codec gives them.
        task: what is given.
        fps: frames per second.

    Yields:
        Frames of the result. At most one second of frames waits in memory.
    """
    if task.before_THW3 is not None:
        yield from task.before_THW3
    frames = _changed_inside(decoded, task) if task.base_THW3 is not None else decoded
    fade = round(FADE_S * fps)
    known = [run.pixels_THW3 for run in task.given]
    known += [part_THW3 for part_THW3 in (task.before_THW3, task.after_THW3) if part_THW3 is not None]
    usual = [change for part_THW3 in known for change in _changes(part_THW3)]
    frames = _with_given(frames, task.given, usual, task.kept + max(0, task.bridge - 1), fade)
    yield from _closed(frames, fade) if task.bridge else frames
    if task.after_THW3 is not None:
        yield from task.after_THW3


def _changed_inside(decoded: Iterator[Frame], task: Task) -> Iterator[Frame]:
    """Outside the mask a frame stays what it was."""
    assert task.base_THW3 is not None
    if task.mask_HW is None:
        yield from decoded
        return
    new_HW1 = feathered(task.mask_HW)[..., None]
    for frame_HW3, base_HW3 in zip(decoded, task.base_THW3, strict=False):  # the timeline may be longer
        yield (base_HW3 + new_HW1 * (frame_HW3.astype(np.float32) - base_HW3)).round().astype(np.uint8)


def feathered(mask_HW: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How much of the new picture each pixel shows: 0 outside the mask, rising to 1 within ``FEATHER`` pixels inside.

    A mask that is thinner than that reaches 1 in its middle. At the edge of the picture nothing fades.
    """
    depth_HW, inside_HW = np.zeros(mask_HW.shape, np.float32), mask_HW
    for ring in range(FEATHER):
        depth_HW += inside_HW
        padded_HW = np.pad(inside_HW, 1, mode="edge")
        around = [padded_HW[1:-1, :-2], padded_HW[1:-1, 2:], padded_HW[:-2, 1:-1], padded_HW[2:, 1:-1]]
        if ring % 2:  # four neighbours and eight in turns: distances are those of an octagon
            around += [padded_HW[:-2, :-2], padded_HW[:-2, 2:], padded_HW[2:, :-2], padded_HW[2:, 2:]]
        inside_HW = inside_HW & np.logical_and.reduce(around)
    share_HW = depth_HW / max(1.0, depth_HW.max())
    return np.asarray(share_HW**2 * (3 - 2 * share_HW), np.float32)


def _with_given(
    decoded: Iterator[Frame], given: tuple[Run, ...], usual: Sequence[float], kept: int, fade: int
) -> Iterator[Frame]:
    """The first ``kept`` frames, with what is given; ``fade`` frames are held back until it is known what follows."""
    waiting: deque[tuple[int, Frame]] = deque()
    before: _Edge | None = None  # the last given frame so far

    def finished(count: int, after: _Edge | None) -> Iterator[Frame]:
        def corrected(held: Iterable[tuple[int, Frame]]) -> Iterator[NDArray[np.float32]]:
            nearest = itertools.islice(held, MOST_COMPARED)
            return (_corrected(frame_HW3, place, before, after, fade) for place, frame_HW3 in nearest)

        if before is not None and count and waiting[0][0] == before.place + 1:
            before.limit(corrected(waiting), usual)
        if after is not None and count:
            after.limit(corrected(reversed(waiting)), usual)
        for _ in range(count):
            place, frame_HW3 = waiting.popleft()
            done_HW3 = _corrected(frame_HW3, place, before, after, fade)
            done_HW3 = _pulled(done_HW3, place, before, after, fade)
            if place < kept:
                yield done_HW3.round().clip(0, 255).astype(np.uint8)

    for place, frame_HW3 in enumerate(decoded):
        run = next((run for run in given if run.first <= place < run.stop), None)
        if run is None:
            waiting.append((place, frame_HW3))
            yield from finished(max(0, len(waiting) - fade), None)
            continue
        if waiting or place == run.stop - 1:
            edge = _Edge(run, place, frame_HW3)
            yield from finished(len(waiting), edge)
            before = edge
        if place < kept:
            yield run.pixels_THW3[place - run.first]
    yield from finished(len(waiting), None)


def _closed(frames: Iterator[Frame], fade: int) -> Iterator[Frame]:
    """A loop: if its last frame is farther from its first than is usual, the last ``fade`` frames come nearer to it."""
    waiting: deque[Frame] = deque()
    changes: list[float] = []
    first_HW3 = last_HW3 = next(frames)
    yield first_HW3
    for frame_HW3 in frames:
        changes += _changes([last_HW3, frame_HW3])
        last_HW3 = frame_HW3
        waiting.append(frame_HW3)
        if len(waiting) > fade:
            yield waiting.popleft()
    jump = max(_changes([last_HW3, first_HW3])[0], 1e-6)
    pull = max(0.0, 1 - LOOP * float(np.median(changes or [0.0])) / jump)
    for place, frame_HW3 in enumerate(waiting, 1):
        share = pull * place / len(waiting)
        yield (frame_HW3 + share * (first_HW3.astype(np.float32) - frame_HW3)).round().astype(np.uint8)


def _nearest(run: Run, place: int) -> Frames:
    """The frames of a run beside its first or last one, which tell what change is usual there."""
    return run.pixels_THW3[:MOST_COMPARED] if place == run.first else run.pixels_THW3[-MOST_COMPARED:]


def _changes(frames: Iterable[NDArray[Any]]) -> list[float]:
    """Mean change of a pixel from each frame to the next."""
    pairs = itertools.pairwise(frames)
    return [float(np.abs(later_HW3.astype(np.float32) - frame_HW3).mean()) for frame_HW3, later_HW3 in pairs]


def _corrected(
    frame_HW3: Frame, place: int, before: _Edge | None, after: _Edge | None, fade: int
) -> NDArray[np.float32]:
    """A generated frame with its share of the differences of the given frames on both sides."""
    gap = fade if before is None or after is None else min(fade, after.place - before.place)
    float_HW3 = frame_HW3.astype(np.float32)
    sum_HW3 = float_HW3.copy()
    for edge in (before, after):
        if edge is not None:
            sum_HW3 += max(0.0, 1 - abs(edge.place - place) / gap) * edge.change(float_HW3)
    return sum_HW3


def _spread(values_HW: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """The largest value among the pixels around each, a square of ``reach`` to every side."""
    for axis in (0, 1):
        ends = [(reach, reach) if side == axis else (0, 0) for side in (0, 1)]
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(values_HW, ends, mode="edge"), 2 * reach + 1, axis)
        values_HW = windows.max(axis=-1)
    return values_HW


def _pulled(
    frame_HW3: NDArray[np.float32], place: int, before: _Edge | None, after: _Edge | None, fade: int
) -> NDArray[np.float32]:
    """Nearer to the given frames that pull, less with the distance, and not at all beside the one on the other side."""
    gap = 0 if before is None or after is None else after.place - before.place
    shares: list[tuple[float, _Edge]] = []
    for edge in (before, after):
        if edge is not None and edge.pull:
            distance = abs(edge.place - place)
            other = (gap - 1 - distance) / (gap - 2) if gap > 2 else 1.0
            shares.append((edge.pull * max(0.0, 1 - (distance - 1) / fade) * other, edge))
    total = max(1.0, sum(share for share, _ in shares))
    pulled_HW3 = frame_HW3
    for share, edge in shares:
        pulled_HW3 = pulled_HW3 + share / total * (edge.given_HW3 - frame_HW3)
    return pulled_HW3
