"""What the rest of the house asks of a codec, so that another video autoencoder can stand in its place.

The geometry is that of :mod:`kinema.shapes` (4×8×8, 16 channels), which Wan 2.1's autoencoder shares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor


@dataclass
class StreamState:
    """What a causal codec remembers of the frames before the next chunk; it belongs to one video and one direction.

    Attributes:
        tails: the last input frames of each layer that looks back in time, by layer. Empty before the first chunk.
        tiles: the states of the parts of a frame that is coded in parts.
    """

    tails: dict[object, Tensor] = field(default_factory=dict)
    tiles: dict[object, StreamState] = field(default_factory=dict)

    @property
    def is_fresh(self) -> bool:
        """Whether the next chunk begins the video."""
        return not self.tails and not self.tiles


class Codec(Protocol):
    """A causal video autoencoder. B clips, C channels, T frames, H height, W width; pixels are in [-1, 1]."""

    def encode(self, video_BCTHW: Tensor, state: StreamState | None = None) -> Tensor:
        """1 + 4k frames → 1 + k latent frames of unit statistics; with a used state, 4k frames → k."""
        ...

    def decode(self, latents_BCTHW: Tensor, state: StreamState | None = None) -> Tensor:
        """1 + k latent frames → 1 + 4k frames; with a used state, k latent frames → 4k."""
        ...
