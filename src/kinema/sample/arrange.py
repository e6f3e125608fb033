"""From options to a task: which frames are given, and where on the timeline they lie."""

from __future__ import annotations

import math
from typing import Any

from kinema.card import Card
from kinema.errors import InputError
from kinema.sample import inputs
from kinema.sample.inputs import Given, Source
from kinema.sample.order import Order, parse_size
from kinema.sample.storyboard import Storyboard
from kinema.sample.task import CONTEXT_LATENTS, Frames, Task, between, from_text, loop, remix, with_images
from kinema.shapes import FRAMES_PER_LATENT, MAX_FPS, MAX_SECONDS, MIN_FPS, VideoShape

REMIX_STRENGTH = 0.7  # unless the user says; inside a mask it is 1

Picture = tuple[float, str, Given]  # seconds after the first new frame (inf: the last frame), option, picture


def arrange(card: Card, order: Order, board: Storyboard | None) -> tuple[Task, float, dict[str, Any]]:
    """What is given, the frame rate, and where it came from."""
    pictures = [
        (second, f"storyboard {second:g}", inputs.read_image(file, "the storyboard"))
        for second, file in (board.images if board is not None else ())
    ]
    if order.extend is None and order.connect is None and order.fill is None and order.remix is None:
        return _task_of_pictures(card, order, board, pictures)
    if pictures and order.remix is not None:
        raise InputError("--remix and images of a storyboard contradict each other: the clip gives all frames")
    task, fps, facts = _task_of_clips(card, order, board)
    size = task.shape.width, task.shape.height
    return _with_pictures(task, pictures, size, fps), fps, facts | {name: given.facts for _, name, given in pictures}


def _task_of_pictures(
    card: Card, order: Order, board: Storyboard | None, pictures: list[Picture]
) -> tuple[Task, float, dict[str, Any]]:
    fps = card.fps if order.fps is None else float(order.fps)
    ends: list[Picture] = []
    if order.image is not None:
        ends.append((0.0, "image", inputs.read_image(order.image, "--image")))
    if order.last_image is not None:
        ends.append((math.inf, "last_image", inputs.read_image(order.last_image, "--last-image")))
    pictures = [*ends, *pictures]
    asked = order.seconds if board is None else board.seconds
    seconds = card.seconds if asked is None else float(asked)
    size = _size(order) or (card.width, card.height)
    if pictures and order.size is None:
        size = inputs.size_like(pictures[0][2].pixels_THW3, card.width * card.height)
    shape = VideoShape.from_seconds(seconds, size[1], size[0], fps)
    if len(pictures) > 1 and shape.frames == 1:
        raise InputError("one frame cannot be two images: give more --seconds")
    task = _looped(shape, fps, seconds) if order.loop else from_text(shape)
    return _with_pictures(task, pictures, size, fps), fps, {name: given.facts for _, name, given in pictures}


def _with_pictures(task: Task, pictures: list[Picture], size: tuple[int, int], fps: float) -> Task:
    """Pictures at their moments."""
    last = (task.kept if task.end is None else task.end) - 1
    placed = [
        (min(task.begin + round(min(second, MAX_SECONDS) * fps), last), inputs.fit(given.pixels_THW3, *size))
        for second, _, given in pictures
    ]
    return with_images(task, placed)


def _looped(shape: VideoShape, fps: float, seconds: float) -> Task:
    """A third of the time leads back."""
    step = FRAMES_PER_LATENT
    total = max(3, round(seconds * fps / step))
    bridge = min(max(1, round(total / 3)), CONTEXT_LATENTS)
    return loop(from_text(VideoShape(1 + step * (total - bridge), shape.height, shape.width)), step * bridge)


def _task_of_clips(card: Card, order: Order, board: Storyboard | None) -> tuple[Task, float, dict[str, Any]]:
    sources: dict[str, Source]
    if order.connect is not None:
        sources = {"connect": order.connect[0], "connect with": order.connect[1]}
    else:
        name = next(name for name in ("extend", "fill", "remix") if getattr(order, name) is not None)
        sources = {name: getattr(order, name)}
    clips = {name: inputs.read_clip(source, f"--{name.split()[0]}") for name, source in sources.items()}
    facts = {name: clip.facts for name, clip in clips.items()}
    fps = _common_fps(order, card, list(clips.values()))
    first = next(iter(clips.values())).pixels_THW3
    size = _size(order) or inputs.clip_size(first, f"--{next(iter(clips))}")
    frames = [_fitted(name, clip.pixels_THW3, size, order) for name, clip in clips.items()]
    if order.remix is not None:
        strength = order.strength if order.strength is not None else REMIX_STRENGTH if order.mask is None else 1.0
        mask_HW = None
        if order.mask is not None:
            mask_HW, facts["mask"] = inputs.read_mask(order.mask, *size)
        _check_length(board, len(frames[0]), fps)
        return remix(frames[0], strength, mask_HW), fps, facts
    if order.span is not None:
        start, stop = _hole(order.span, len(frames[0]), fps)
        _check_length(board, stop - start, fps)
        left, right = frames[0][:start], frames[0][stop:]
        return between(left if len(left) else None, right if len(right) else None, stop - start), fps, facts
    new = _new_frames(card, order, board, fps)
    if order.connect is not None:
        task = between(frames[0], frames[1], new - 1)  # the first frame of the second clip ends a latent frame
    else:
        task = between(None, frames[0], new) if order.backward else between(frames[0], None, new)
    if task.frames > MAX_SECONDS * fps:
        raise InputError(f"the result would be {task.frames / fps:.1f} s long: at most {MAX_SECONDS:g} s are possible")
    return task, fps, facts


def _common_fps(order: Order, card: Card, clips: list[Given]) -> float:
    found = sorted({clip.fps for clip in clips if clip.fps is not None})
    if len(found) > 1:
        raise InputError(f"the clips have {found[0]:g} and {found[1]:g} frames per second: convert one of them first")
    if found and order.fps is not None and order.fps != found[0]:
        raise InputError(f"the clip has {found[0]:g} frames per second: leave out --fps {order.fps:g} or convert it")
    fps = found[0] if found else card.fps if order.fps is None else float(order.fps)
    if not MIN_FPS <= fps <= MAX_FPS:
        raise InputError(f"--fps {fps:g} is not possible: give {MIN_FPS} to {MAX_FPS} frames per second")
    return fps


def _fitted(name: str, frames_THW3: Frames, size: tuple[int, int], order: Order) -> Frames:
    height, width = frames_THW3.shape[1:3]
    if (width, height) != size and order.size is None:
        raise InputError(f"the second clip is {width}x{height} and the first {size[0]}x{size[1]}: give --size for both")
    VideoShape(1, size[1], size[0])  # refuses sizes that are not possible
    return inputs.fit(frames_THW3, *size)


def _hole(span: tuple[float, float], frames: int, fps: float) -> tuple[int, int]:
    """The frames that are made anew, from the first to before the last."""
    start, stop = (round(second * fps) if math.isfinite(second) else -1 for second in span)
    if not 0 <= start < stop <= frames or stop - start == frames:
        raise InputError(
            f"--span {span[0]:g} {span[1]:g} is not possible: the clip has {frames / fps:.2f} s, give a part of it"
        )
    return start, stop


def _check_length(board: Storyboard | None, frames: int, fps: float) -> None:
    """A storyboard must fit into a part whose length is not its own."""
    if board is not None and board.seconds > (frames + 0.5) / fps:
        raise InputError(
            f"the storyboard is {board.seconds:g} s long and the part that is made anew {frames / fps:.2f} s: "
            "end its beats earlier"
        )


def _new_frames(card: Card, order: Order, board: Storyboard | None, fps: float) -> int:
    """Frames of a new part: whole latent frames, by default half of a native clip."""
    seconds = (
        board.seconds if board is not None else card.seconds / 2 if order.seconds is None else float(order.seconds)
    )
    if not (math.isfinite(seconds) and 0 < seconds <= MAX_SECONDS):
        raise InputError(f"--seconds {seconds:g} is not possible: give more than 0 and at most {MAX_SECONDS:g}")
    return FRAMES_PER_LATENT * max(1, round(seconds * fps / FRAMES_PER_LATENT))


def _size(order: Order) -> tuple[int, int] | None:
    return parse_size(order.size) if isinstance(order.size, str) else order.size
