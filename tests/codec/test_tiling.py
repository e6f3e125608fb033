"""Tiles cover every cell with weights that sum to one, and their seams cannot be seen."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kinema.codec import streaming
from kinema.codec.autoencoder import VideoAutoencoder
from kinema.codec.protocol import StreamState
from kinema.codec.streaming import decode_stream, encode_stream, for_size
from kinema.codec.tiling import TiledCodec, tile_starts
from kinema.sample.weights import WeightsFolder

SIDE = 256


@pytest.fixture(scope="module")
def built_in() -> VideoAutoencoder:
    return WeightsFolder.find("nano").codec()


@pytest.fixture(scope="module")
def clip() -> Tensor:
    """A coloured disc crosses a shaded wall, five frames of 256×256."""
    row, col = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    frames = []
    for t in range(5):
        wall_3HW = (row / SIDE - 0.5 + 0.1 * torch.sin(col / 9)).expand(3, -1, -1)
        disc = (row - 100 - 4 * t) ** 2 + (col - 90 - 8 * t) ** 2 < 900
        frames.append(torch.where(disc, torch.tensor([0.8, -0.7, -0.7])[:, None, None], wall_3HW))
    return torch.stack(frames, dim=1)[None]


@settings(deadline=None)
@given(side=st.integers(1, 300), tile=st.integers(2, 60), data=st.data())
def test_tiles_cover_the_side_and_overlap(side: int, tile: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(1, tile - 1))
    starts = tile_starts(side, tile, overlap)
    ends = [min(start + tile, side) for start in starts]
    assert starts[0] == 0 and ends[-1] == side
    assert all(end - start >= overlap for end, start in zip(ends[:-1], starts[1:], strict=True))
    assert all(end - start == min(tile, side) for start, end in zip(starts, ends, strict=True))


class Copy:
    """Codes nothing: every latent is its cell."""

    def encode(self, video_BCTHW: Tensor, state: StreamState | None = None) -> Tensor:
        return video_BCTHW[..., ::8, ::8]

    def decode(self, latents_BCTHW: Tensor, state: StreamState | None = None) -> Tensor:
        return latents_BCTHW.repeat_interleave(8, -1).repeat_interleave(8, -2)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 30), columns=st.integers(1, 30), tile=st.integers(4, 12))
def test_weights_sum_to_one_everywhere(rows: int, columns: int, tile: int) -> None:
    codec, latents = TiledCodec(Copy(), tile, overlap=3), torch.randn(1, 2, 1, rows, columns)
    pixels = Copy().decode(latents)
    torch.testing.assert_close(codec.decode(latents), pixels)
    torch.testing.assert_close(codec.encode(pixels), latents)


def test_seams_cannot_be_seen(built_in: VideoAutoencoder, clip: Tensor) -> None:
    tiled = TiledCodec(built_in, tile=24)  # 2 × 2 tiles
    latents = built_in.encode(clip)
    assert (tiled.encode(clip) - latents).square().mean().sqrt() < 0.005  # latents have unit variance
    difference = (tiled.decode(latents) - built_in.decode(latents)).abs()
    assert difference.max() * 127.5 < 4  # of 255 codes, at its worst place
    assert difference.square().mean().sqrt() * 127.5 < 0.5


def test_tiles_without_overlap_would_be_seen(built_in: VideoAutoencoder, clip: Tensor) -> None:
    latents = built_in.encode(clip[:, :, :1])
    halves = torch.cat([built_in.decode(half) for half in latents.chunk(2, dim=-1)], dim=-1)
    assert (halves - built_in.decode(latents)).abs().max() * 127.5 > 10


def test_tiles_stream(codec: VideoAutoencoder, clip: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "LARGEST_WHOLE", 128 * 128)
    monkeypatch.setattr(streaming, "TiledCodec", lambda codec: TiledCodec(codec, tile=24))
    tiled = TiledCodec(codec, tile=24)
    latents = tiled.encode(clip)
    streamed = torch.cat(list(encode_stream(codec, clip.split(1, dim=2))), dim=2)
    torch.testing.assert_close(streamed, latents, atol=1e-5, rtol=0)
    decoded = torch.cat(list(decode_stream(codec, latents.split(1, dim=2))), dim=2)
    torch.testing.assert_close(decoded, tiled.decode(latents), atol=1e-5, rtol=0)


def test_only_large_frames_are_tiled(codec: VideoAutoencoder) -> None:
    assert for_size(codec, 512, 512) is codec
    assert isinstance(for_size(codec, 720, 1280), TiledCodec)
