"""What a user asks for, and what it means: checked before anything slow is even imported (so: no torch here)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinema.card import Card
from kinema.config import Config
from kinema.data import Beat
from kinema.errors import InputError
from kinema.sample.arrange import arrange
from kinema.sample.cost import PACK_TOKENS, Cost, available_bytes, check_memory, cost_of, pack_size
from kinema.sample.order import CALLS_PER_STEP, Order, check_options, check_settings
from kinema.sample.storyboard import Lines, Storyboard, parse_storyboard, read_storyboard
from kinema.sample.task import CONTEXT_LATENTS, Task
from kinema.shapes import FRAMES_PER_LATENT, VideoShape

WHOLE_NATIVES = 2  # a timeline of up to this many native clips is sampled at once, a longer one window after window


@dataclass(frozen=True)
class Request:
    """One video or several variations of it; everything that the bytes depend on besides the weights.

    Attributes:
        prompt: holds all the time.
        shape: the timeline that is sampled.
        task: what is given on it, and what of it is shown.
        beats: lines of text that hold for a time.
        window: latent frames that are sampled at once, at most.
        context: latent frames by which windows overlap.
        history: whether guidance also moves away from a video that does not know the given latent frames.
        index: which of the variations.
        order: what was asked, with defaults filled in.
        sources: file names and checksums of what was given.
        cost: of all variations.
        sampled: latent frames that are sampled, those of the timeline or more; see :func:`frames_to_sample`.
    """

    prompt: str
    shape: VideoShape
    fps: float
    seed: int
    steps: int
    guidance: float
    negative: str
    solver: str
    task: Task = field(compare=False)
    order: Order = field(compare=False)
    cost: Cost
    sampled: int
    beats: tuple[Beat, ...] = ()
    interval: tuple[float, float] = (0.0, 1.0)
    rescale: float = 0.0
    count: int = 1
    index: int = 0
    window: int = 10**9
    context: int = CONTEXT_LATENTS
    history: bool = True
    sources: Mapping[str, Any] = field(default_factory=dict)

    @property
    def steps_taken(self) -> int:
        """Solver steps of a window; a remix does not take all, a region edit all but the first and the last twice."""
        steps = math.ceil(self.steps * self.task.strength - 1e-9)
        return steps if self.task.mask_HW is None else steps + max(0, steps - 2)

    @property
    def packs(self) -> list[range]:
        """Which variations are sampled together."""
        grid = self.shape.tokens
        together = pack_size(min(self.window, self.sampled) * grid.rows * grid.cols * 2, self.count)
        return [range(start, min(start + together, self.count)) for start in range(0, self.count, together)]

    def facts(self) -> dict[str, Any]:
        """What is kept in the video's file, as plain JSON types."""
        return {
            "prompt": self.prompt,
            "seed": self.seed + self.index,
            "size": f"{self.shape.width}x{self.shape.height}",
            "frames": self.task.frames,
            "fps": self.fps,
            "steps": self.steps,
            "guidance": self.guidance,
            "negative": self.negative,
            "solver": self.solver,
            "index": self.index,
            "order": self.order.facts(),
            "sources": dict(self.sources),
        }


def make_request(card: Card, config: Config, order: Order, index: int = 0) -> Request:
    """Fills in what the user left out from the weights' card, reads what is given, and checks everything.

    Args:
        card: of the weights; gives the native shape and the usual settings.
        config: of the weights; gives the sizes that the cost depends on.
        order: what is asked.
        index: which of the variations.

    Raises:
        InputError: a value that is not possible, options that contradict each other, a file that cannot be used, or a
            video that does not fit into this machine's memory.
    """
    check_options(order)
    sampling = card.sampling
    order = dataclasses.replace(
        order,
        steps=sampling.steps if order.steps is None else order.steps,
        guidance=sampling.guidance if order.guidance is None else float(order.guidance),
        solver=order.solver or sampling.solver,
    )
    check_settings(order)
    board = _board(order)
    if board is not None:
        order = dataclasses.replace(order, storyboard=board.facts())
    prompt = order.prompt if order.prompt.strip() or board is None else board.summary
    if not any(character.isalnum() for character in prompt):
        raise InputError('the prompt is empty: describe the video, for example "a red ball falls on a grey floor"')
    task, fps, sources = arrange(card, order, board)
    native = VideoShape(card.frames, card.height, card.width).latent.frames
    total = task.shape.latent.frames
    at_once = total <= WHOLE_NATIVES * native if order.rollout is None else not order.rollout
    sampled = frames_to_sample(task.shape, config)
    window = sampled if at_once else max(native, 2 * CONTEXT_LATENTS + 1)
    assert order.steps is not None and order.guidance is not None and order.solver is not None
    request = Request(
        prompt=prompt,
        shape=task.shape,
        fps=fps,
        seed=order.seed,
        steps=order.steps,
        guidance=order.guidance,
        negative=order.negative,
        solver=order.solver,
        task=task,
        order=order,
        cost=Cost(),
        beats=() if board is None else board.beats_from(task.begin / fps),
        interval=order.interval,
        rescale=order.rescale,
        count=order.count,
        index=index,
        window=window,
        sampled=sampled,
        sources=sources,
    )
    check_memory(task.shape, lambda shape: _cost(request, shape, config).memory_bytes, available_bytes())
    return dataclasses.replace(request, cost=_cost(request, task.shape, config))


def frames_to_sample(shape: VideoShape, config: Config) -> int:
    """Latent frames to sample for a timeline: its own, or those of the shortest clip of training if that has more.

    A network that has learnt whole clips alone makes noise of a single frame. The codec is causal, so an image can be
    the first frame of a whole clip, and a short clip the beginning of one. Large pictures get no more latent frames
    than fill a pack.
    """
    if shape.frames == 1 and config.learns_images:
        return 1
    shortest = min([config.worlds.frames, *(frames for _, _, frames, _ in config.worlds.shapes if frames > 1)])
    grid = shape.tokens
    wanted = min(1 + (shortest - 1) // FRAMES_PER_LATENT, PACK_TOKENS // (2 * grid.rows * grid.cols))
    return max(grid.frames, wanted)


def _cost(request: Request, shape: VideoShape, config: Config) -> Cost:
    """The cost of a request if its timeline had another size."""
    task, count, context = request.task, request.count, request.context
    calls = request.steps_taken * CALLS_PER_STEP.get(request.solver, 1)
    passes = 1 if request.guidance == 1 else 2
    held = [part for part in (task.before_THW3, task.after_THW3, task.base_THW3) if part is not None]
    given = sum(len(part) for part in held) + sum(len(run.pixels_THW3) for run in task.given)
    cost = cost_of(shape, request.window, context, count, calls, passes, config, given, request.sampled)
    if task.bridge:
        between = VideoShape(1 + task.bridge + 2 * FRAMES_PER_LATENT * context, shape.height, shape.width)
        cost += cost_of(between, 10**9, 0, count, calls, passes, config)
    return cost


def _board(order: Order) -> Storyboard | None:
    if order.storyboard is None:
        return None
    if isinstance(order.storyboard, Mapping):
        return parse_storyboard(dict(order.storyboard), order.seconds, Lines("", "the storyboard"), Path())
    return read_storyboard(Path(order.storyboard), order.seconds)
