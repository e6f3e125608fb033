"""Where every token of a pack lies: clips of any size, end to end in one sequence.

Suffixes: N tokens of the pack, F latent frames of the pack (over all segments), C channels, B equal segments of a
group, T tokens of one segment, P tokens of one latent frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from kinema.shapes import TokenGrid, latent_time_s


@dataclass(frozen=True)
class Segment:
    """One clip of a pack: attention stays inside it.

    Attributes:
        grid: latent frames × rows × columns.
        fps: frames per second of the video; gives the time of every latent frame.
        start_s: time of the video's first frame.
        first: latent frames of the video before this clip, if it is a window of a longer one.
    """

    grid: TokenGrid
    fps: float
    start_s: float = 0.0
    first: int = 0


@dataclass(frozen=True)
class Group:
    """Consecutive segments of equal grids: they attend as one batch of ``count`` rows."""

    grid: TokenGrid
    count: int
    segments: slice
    tokens: slice
    frames: slice


class Layout:
    """The places of all tokens of a pack. Tensors are computed once and live on ``device``."""

    def __init__(self, segments: tuple[Segment, ...] | list[Segment], device: torch.device | str = "cpu") -> None:
        assert segments, "a pack holds at least one segment"
        self.segments = tuple(segments)
        self.device = torch.device(device)
        self._memory: dict[Hashable, Any] = {}

    def to(self, device: torch.device | str) -> Layout:
        """The same layout with its tensors on another device."""
        return self if torch.device(device) == self.device else Layout(self.segments, device)

    @cached_property
    def tokens(self) -> int:
        return sum(segment.grid.count for segment in self.segments)

    @cached_property
    def frames(self) -> int:
        return sum(segment.grid.frames for segment in self.segments)

    @cached_property
    def uniform(self) -> bool:
        """True if all segments have the same grid, so that the pack is a batch."""
        return len(self.groups) == 1

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Runs of segments with equal grids; a uniform pack is one group."""
        groups, segment, token, frame = [], 0, 0, 0
        for grid, run in itertools.groupby(self.segments, key=lambda segment: segment.grid):
            count = len(list(run))
            ends = segment + count, token + count * grid.count, frame + count * grid.frames
            groups.append(Group(grid, count, slice(segment, ends[0]), slice(token, ends[1]), slice(frame, ends[2])))
            segment, token, frame = ends
        return tuple(groups)

    @cached_property
    def tokens_per_frame(self) -> int | None:
        """Tokens of one latent frame, or None if that differs between segments."""
        sizes = {group.grid.rows * group.grid.cols for group in self.groups}
        return sizes.pop() if len(sizes) == 1 else None

    @cached_property
    def time_s_F(self) -> Tensor:
        """Time of each latent frame in seconds, float32."""
        times = [
            segment.start_s + latent_time_s(segment.first + frame, segment.fps)
            for segment in self.segments
            for frame in range(segment.grid.frames)
        ]
        return torch.tensor(times, dtype=torch.float32, device=self.device)

    @cached_property
    def segment_F(self) -> Tensor:
        """Segment of each latent frame, int64."""
        counts = torch.tensor([segment.grid.frames for segment in self.segments], device=self.device)
        return torch.repeat_interleave(torch.arange(len(self.segments), device=self.device), counts)

    @cached_property
    def segment_N(self) -> Tensor:
        """Segment of each token, int64."""
        return self.segment_F[self.frame_N]

    @cached_property
    def frame_N(self) -> Tensor:
        """Latent frame of each token, counted over the whole pack, int64."""
        sizes = [s.grid.rows * s.grid.cols for s in self.segments for _ in range(s.grid.frames)]
        frame_F = torch.arange(self.frames, device=self.device)
        return torch.repeat_interleave(frame_F, torch.tensor(sizes, device=self.device))

    @cached_property
    def row_N(self) -> Tensor:
        """Row of each token in its latent frame, int64."""
        return self._per_segment(lambda g: torch.arange(g.rows)[None, :, None].expand(g.frames, g.rows, g.cols))

    @cached_property
    def col_N(self) -> Tensor:
        """Column of each token in its latent frame, int64."""
        return self._per_segment(lambda g: torch.arange(g.cols)[None, None, :].expand(g.frames, g.rows, g.cols))

    def by_frame(self, values_NC: Tensor) -> Tensor:
        """Views tokens as (F, P, C), or as (N, 1, C) where frames differ in size, to meet :meth:`for_tokens`."""
        return values_NC.view(-1, self.tokens_per_frame or 1, values_NC.shape[-1])

    def for_tokens(self, values_FC: Tensor) -> Tensor:
        """Values per latent frame, broadcastable against :meth:`by_frame`: no copy if frames have equal sizes."""
        values_GC = values_FC if self.tokens_per_frame else values_FC[self.frame_N]
        return values_GC[:, None]

    def remember(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """The value computed for ``key`` on first use, for tables that depend on the layout alone."""
        if key not in self._memory:
            self._memory[key] = compute()
        return self._memory[key]

    def _per_segment(self, make: Callable[[TokenGrid], Tensor]) -> Tensor:
        return torch.cat([make(segment.grid).flatten() for segment in self.segments]).to(self.device)
