"""What a user asks for: the options of ``kinema generate`` and of :meth:`Pipeline.generate`, and which go together."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinema.config import nearest
from kinema.errors import InputError
from kinema.sample.inputs import Source

SOLVER_NAMES = ("euler", "heun", "dpmpp", "unipc")
CALLS_PER_STEP = {"heun": 2}  # of the model; the others make one
MAX_SEED = 2**62
MAX_STEPS = 1000
MAX_COUNT = 1000
MAX_GUIDANCE = 50.0

TASKS = ("image", "last_image", "extend", "connect", "fill", "remix", "loop")
TOGETHER = ({"image", "last_image"}, {"image", "loop"})  # no other two of them; a storyboard goes with each
NEEDS = {
    "backward": "extend",
    "strength": "remix",
    "mask": "remix",
    "span": "fill",
}


@dataclass(frozen=True)
class Order:
    """What a user asks for, unchecked; None is left to the weights' card. The command's options have the same names.

    Attributes:
        prompt: what to show.
        seconds: duration; of the new part if clips are given.
        size: ``"WIDTHxHEIGHT"`` or (width, height) in pixels, multiples of 16.
        fps: frames per second.
        seed: same seed, same machine, same bytes.
        count: variations, with seeds ``seed``, ``seed`` + 1 …, sampled together.
        steps: solver steps.
        guidance: how strongly to follow the text; 1 is none.
        interval: noise levels (low, high) within which there is guidance.
        rescale: share of the contrast that guidance adds and that is taken back, 0 to 1.
        negative: what to stay away from.
        solver: one of :data:`SOLVER_NAMES`.
        image: the first frame.
        last_image: the last frame.
        extend: a clip to go on with.
        backward: extend it to before its start.
        connect: two clips, to be joined by new frames.
        fill: a clip of which the part ``span`` is made anew.
        span: (from, to) in seconds.
        loop: the end leads back to the start.
        remix: a clip to be made anew from its own noisy version.
        strength: how noisy, 0 (as it is) to 1 (all new).
        mask: picture, white where the remix may change something.
        storyboard: a TOML file, or what was read from one; its clock begins where new frames begin.
        rollout: sample window after window (True) or at once (False); None decides by length.
    """

    prompt: str = ""
    seconds: float | None = None
    size: str | tuple[int, int] | None = None
    fps: float | None = None
    seed: int = 0
    count: int = 1
    steps: int | None = None
    guidance: float | None = None
    interval: tuple[float, float] = (0.0, 1.0)
    rescale: float = 0.0
    negative: str = ""
    solver: str | None = None
    image: Source | None = None
    last_image: Source | None = None
    extend: Source | None = None
    backward: bool = False
    connect: tuple[Source, Source] | None = None
    fill: Source | None = None
    span: tuple[float, float] | None = None
    loop: bool = False
    remix: Source | None = None
    strength: float | None = None
    mask: Source | None = None
    storyboard: str | Path | Mapping[str, Any] | None = None
    rollout: bool | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Order:
        """An order from the keys of a file's metadata or of a call.

        Raises:
            InputError: an unknown key.
        """
        names = [f.name for f in dataclasses.fields(cls)]
        for key in options:
            if key not in names:
                raise InputError(f"unknown option {key!r}: did you mean {nearest(key, names)}?")
        pairs = {key: tuple(options[key]) for key in ("interval", "span", "connect") if options.get(key) is not None}
        if isinstance(options.get("size"), list):
            pairs["size"] = tuple(options["size"])
        return cls(**{**options, **pairs})

    def facts(self) -> dict[str, Any]:
        """What differs from the defaults, as plain JSON types; frames in memory cannot be told."""
        pairs = ((f.name, getattr(self, f.name), f.default) for f in dataclasses.fields(self))
        return {
            name: _plain(value) for name, value, default in pairs if isinstance(value, np.ndarray) or value != default
        }


def check_options(order: Order) -> None:
    """Refuses options that contradict each other."""
    for pair in itertools.combinations([name for name in TASKS if is_given(order, name)], 2):
        if set(pair) not in TOGETHER:
            first, second = (f"--{name.replace('_', '-')}" for name in pair)
            raise InputError(f"{first} and {second} contradict each other: give one of them")
    for name, needed in NEEDS.items():
        if is_given(order, name) and not is_given(order, needed):
            raise InputError(f"--{name} needs --{needed} FILE")
    if order.fill is not None and order.span is None:
        raise InputError("--fill needs --span FROM UNTIL: the seconds that are made anew")
    for name in ("remix", "fill"):
        if getattr(order, name) is not None and order.seconds is not None:
            raise InputError(f"--{name} and --seconds contradict each other: the length is that of the clip")


def is_given(order: Order, name: str) -> bool:
    """Whether an option was used; frames in memory cannot be compared with ``==``."""
    value = getattr(order, name)
    return value is not None and value is not False


def check_settings(order: Order) -> None:
    steps, guidance = order.steps, order.guidance
    assert steps is not None and guidance is not None
    if not 1 <= steps <= MAX_STEPS:
        raise InputError(f"--steps {steps} is not possible: give 1 to {MAX_STEPS}")
    if not 0 <= guidance <= MAX_GUIDANCE:
        raise InputError(f"--guidance {guidance:g} is not possible: give 0 to {MAX_GUIDANCE:g} (1 is none)")
    if not 0 <= order.interval[0] <= order.interval[1] <= 1:
        low, high = order.interval
        raise InputError(f"--guidance-interval {low:g} {high:g} is not possible: give two noise levels from 0 to 1")
    if not 0 <= order.rescale <= 1:
        raise InputError(f"--guidance-rescale {order.rescale:g} is not possible: give 0 to 1")
    if not 1 <= order.count <= MAX_COUNT:
        raise InputError(f"--count {order.count} is not possible: give 1 to {MAX_COUNT}")
    if not 0 <= order.seed <= MAX_SEED:
        raise InputError(f"--seed {order.seed} is not possible: give 0 to {MAX_SEED}")
    if order.solver not in SOLVER_NAMES:
        raise InputError(f"no solver {order.solver!r}: choose {', '.join(SOLVER_NAMES)}")
    if order.strength is not None and not 0 <= order.strength <= 1:
        raise InputError(f"--strength {order.strength:g} is not possible: give 0 (as it is) to 1 (all new)")


def parse_size(text: str) -> tuple[int, int]:
    """``"128x96"`` → (width, height).

    Raises:
        InputError: anything else.
    """
    match = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", text.strip().lower())
    if match is None:
        raise InputError(f"--size {text!r} is not possible: give WIDTHxHEIGHT in pixels, for example 64x64")
    return int(match[1]), int(match[2])


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return None
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value
