"""Streams equal whole clips however they are cut, memory does not grow, and another codec can take the place."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kinema.codec import streaming
from kinema.codec.autoencoder import VideoAutoencoder, channels_to_space, space_to_channels, to_BCTHW, to_BTHWC
from kinema.codec.protocol import Codec, StreamState
from kinema.codec.streaming import decode_stream, encode_stream
from kinema.errors import InputError
from kinema.sample.weights import WeightsFolder
from kinema.shapes import LATENT_CHANNELS

FRAMES = 17


def cuts(total: int) -> st.SearchStrategy[list[int]]:
    """Sizes of chunks, empty ones among them, that sum to ``total``."""
    places = st.lists(st.integers(0, total), max_size=total)
    return places.map(lambda places: np.diff([0, *sorted(places), total]).tolist())


def cut(x_BCTHW: Tensor, sizes: list[int]) -> list[Tensor]:
    return list(x_BCTHW.split(sizes, dim=2))


def join(chunks: Iterator[Tensor]) -> Tensor:
    return torch.cat(list(chunks), dim=2)


def video(frames: int = FRAMES, batch: int = 1, side: int = 32) -> Tensor:
    return torch.rand(batch, 3, frames, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


@settings(max_examples=20, deadline=None)
@given(sizes=cuts(FRAMES), batch=st.integers(1, 2), at_once=st.sampled_from([1, 1 << 13, 1 << 19]))
def test_encoding_a_stream_equals_encoding_the_clip(
    codec: VideoAutoencoder, sizes: list[int], batch: int, at_once: int
) -> None:
    x = video(batch=batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "PIXELS_AT_ONCE", at_once)
        streamed = join(encode_stream(codec, cut(x, sizes)))
    torch.testing.assert_close(streamed, codec.encode(x), atol=1e-5, rtol=0)


@settings(max_examples=20, deadline=None)
@given(sizes=cuts(5), batch=st.integers(1, 2), at_once=st.sampled_from([1, 1 << 13, 1 << 19]))
def test_decoding_a_stream_equals_decoding_the_clip(
    codec: VideoAutoencoder, sizes: list[int], batch: int, at_once: int
) -> None:
    latents = torch.randn(batch, LATENT_CHANNELS, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "PIXELS_AT_ONCE", at_once)
        streamed = join(decode_stream(codec, cut(latents, sizes)))
    torch.testing.assert_close(streamed, codec.decode(latents), atol=1e-5, rtol=0)


def test_the_built_in_codec_streams_as_well() -> None:
    codec = WeightsFolder.find("nano").codec()
    x = video(13, side=48)
    latents = codec.encode(x)
    torch.testing.assert_close(join(encode_stream(codec, x.split(1, dim=2))), latents, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        join(decode_stream(codec, latents.split(1, dim=2))), codec.decode(latents), atol=1e-5, rtol=0
    )


def test_frames_come_as_soon_as_they_can(codec: VideoAutoencoder) -> None:
    asked: list[int] = []

    def latents() -> Iterator[Tensor]:
        for index in range(4):
            asked.append(index)
            yield torch.zeros(1, LATENT_CHANNELS, 1, 4, 4)

    seen = [(len(asked), chunk.shape[2]) for chunk in decode_stream(codec, latents())]
    assert seen == [(1, 1), (2, 4), (3, 4), (4, 4)]


def test_what_lies_in_memory_does_not_grow_with_the_clip(codec: VideoAutoencoder) -> None:
    def most_bytes(frames: int) -> int:
        """The largest number of bytes of tensors that live between two chunks."""
        most = 0
        chunks = (video(1) for _ in range(frames))
        for _ in decode_stream(codec, encode_stream(codec, chunks)):
            most = max(most, sum(x.untyped_storage().nbytes() for x in gc.get_objects() if type(x) is Tensor))
        return most

    gc.collect()
    assert most_bytes(41) <= 1.05 * most_bytes(13)


def test_a_stream_that_does_not_fit_is_told(codec: VideoAutoencoder) -> None:
    with pytest.raises(InputError, match="3 frames are left over"):
        join(encode_stream(codec, [video(8)]))
    assert list(decode_stream(codec, [])) == []


class FoldingCodec:
    """Another codec: the mean of a latent frame's pixels, folded and thinned; it keeps the last chunk's mean."""

    def encode(self, video_BCTHW: Tensor, state: StreamState | None = None) -> Tensor:
        state = state or StreamState()
        first, rest = video_BCTHW.split(
            [1, video_BCTHW.shape[2] - 1] if state.is_fresh else [0, video_BCTHW.shape[2]], 2
        )
        state.tails["begun"] = torch.ones(1)
        frames = torch.cat([first, rest.unflatten(2, (-1, 4)).mean(3)], dim=2)
        return to_BCTHW(space_to_channels(to_BTHWC(frames), 8)[..., : LATENT_CHANNELS * 12 : 12])

    def decode(self, latents_BCTHW: Tensor, state: StreamState | None = None) -> Tensor:
        state = state or StreamState()
        repeats = torch.full((latents_BCTHW.shape[2],), 4)
        if state.is_fresh:
            repeats[0] = 1
        state.tails["begun"] = torch.ones(1)
        wide = to_BTHWC(latents_BCTHW).repeat_interleave(12, dim=-1)
        return to_BCTHW(channels_to_space(wide, 8)).repeat_interleave(repeats, dim=2)


def test_another_codec_fits_behind_the_protocol() -> None:
    codec: Codec = FoldingCodec()
    x = video(13)
    latents = join(encode_stream(codec, x.split(2, dim=2)))
    assert latents.shape == (1, LATENT_CHANNELS, 4, 4, 4)
    assert torch.equal(latents, codec.encode(x))
    assert torch.equal(join(decode_stream(codec, latents.split(1, dim=2))), codec.decode(latents))
