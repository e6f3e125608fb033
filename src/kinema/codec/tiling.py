"""Large frames in overlapping tiles whose seams are blended away: a codec around a codec.

Near the edge of a tile the network misses its surroundings. So the outer quarter of an overlap is dropped on either
side, and over the middle half one tile fades into the next.

Shapes: B clips, C channels, T frames, H height, W width; K tiles along a side, S cells of that side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.codec.protocol import Codec, StreamState
from kinema.shapes import PIXELS_PER_LATENT

TILE, OVERLAP = 40, 14  # latents along a side


@dataclass(frozen=True)
class TiledCodec:
    """Codes every frame in tiles of ``tile`` latents a side that share at least ``overlap`` latents."""

    codec: Codec
    tile: int = TILE
    overlap: int = OVERLAP

    def __post_init__(self) -> None:
        assert 0 < self.overlap < self.tile

    def encode(self, video_BCTHW: Tensor, state: StreamState | None = None) -> Tensor:
        """As :meth:`Codec.encode`, close to what the codec makes of whole frames."""
        return self._blend(self.codec.encode, video_BCTHW, state, PIXELS_PER_LATENT, 1)

    def decode(self, latents_BCTHW: Tensor, state: StreamState | None = None) -> Tensor:
        """As :meth:`Codec.decode`, close to what the codec makes of whole frames."""
        return self._blend(self.codec.decode, latents_BCTHW, state, 1, PIXELS_PER_LATENT)

    def _blend(
        self,
        code: Callable[[Tensor, StreamState], Tensor],
        x_BCTHW: Tensor,
        state: StreamState | None,
        cells_in: int,
        cells_out: int,
    ) -> Tensor:
        """Codes tile by tile; a latent is ``cells_in`` cells wide in what goes in, ``cells_out`` in what comes out."""
        state = StreamState() if state is None else state
        rows, columns = (side // cells_in for side in x_BCTHW.shape[3:])
        tops, lefts = (tile_starts(side, self.tile, self.overlap) for side in (rows, columns))
        weight_KH, weight_KW = (self._weights(side, cells_out).to(x_BCTHW.device) for side in (rows, columns))
        whole: Tensor | None = None
        for top, weight_H in zip(tops, weight_KH, strict=True):
            for left, weight_W in zip(lefts, weight_KW, strict=True):
                inside = (..., _span(top, self.tile, cells_in), _span(left, self.tile, cells_in))
                coded = code(x_BCTHW[inside], state.tiles.setdefault((top, left), StreamState()))
                if whole is None:
                    whole = coded.new_zeros(*coded.shape[:3], rows * cells_out, columns * cells_out)
                place = (_span(top, self.tile, cells_out), _span(left, self.tile, cells_out))
                whole[(..., *place)] += coded * weight_H[place[0], None] * weight_W[place[1]]
        assert whole is not None
        return whole

    def _weights(self, side: int, cells: int) -> Tensor:
        """How much each tile counts at each cell of a side: (K, S), and every column sums to 1."""
        starts = tile_starts(side, self.tile, self.overlap)
        position_S = (torch.arange(side * cells) + 0.5) / cells
        weight_KS = torch.zeros(len(starts), side * cells)
        for weight_S, start in zip(weight_KS, starts, strict=True):
            end = min(start + self.tile, side)
            rise_S = _fade(position_S - start, self.overlap) if start else torch.ones(side * cells)
            fall_S = _fade(end - position_S, self.overlap) if end < side else torch.ones(side * cells)
            weight_S += torch.where((position_S > start) & (position_S < end), rise_S * fall_S, 0.0)
        return weight_KS / weight_KS.sum(0)


def tile_starts(side: int, tile: int, overlap: int) -> list[int]:
    """Where the tiles of a side begin: evenly spread, and as few as overlap by at least ``overlap`` cells."""
    count = max(1, -(-(side - overlap) // (tile - overlap)))
    return [round(index * (side - tile) / (count - 1)) for index in range(count)] if count > 1 else [0]


def _fade(distance_S: Tensor, overlap: int) -> Tensor:
    """0 up to a quarter of the overlap from the edge, 1 from three quarters on."""
    return ((distance_S / overlap - 0.25) * 2).clamp(0, 1)


def _span(start: int, size: int, cells: int) -> slice:
    return slice(start * cells, (start + size) * cells)
