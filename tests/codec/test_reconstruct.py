"""Videos of any size and length come back with the same size and length."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kinema.codec.autoencoder import VideoAutoencoder
from kinema.codec.metrics import Closeness, psnr, ssim
from kinema.codec.pixels import from_uint8, to_uint8
from kinema.codec.reconstruct import reconstruct


def frames(count: int, height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


@pytest.mark.parametrize(("count", "height", "width"), [(1, 32, 32), (2, 17, 40), (8, 33, 1), (13, 48, 32)])
def test_size_and_length_stay(codec: VideoAutoencoder, count: int, height: int, width: int) -> None:
    pieces: list[NDArray[np.uint8]] = []
    closeness = reconstruct(codec, iter(frames(count, height, width)), pieces.append)
    decoded = np.concatenate(pieces)
    assert decoded.shape == (count, height, width, 3) and closeness.frames == count
    expected = psnr(from_uint8(decoded[None]), from_uint8(frames(count, height, width)[None]))
    assert closeness.psnr_db == pytest.approx(float(expected), abs=1e-4)


def test_padding_does_not_touch_what_fits(codec: VideoAutoencoder) -> None:
    pieces: list[NDArray[np.uint8]] = []
    pixels = frames(9, 32, 48)
    reconstruct(codec, iter(pixels), pieces.append)
    whole = to_uint8(codec.decode(codec.encode(from_uint8(pixels[None]))))[0]
    assert np.abs(np.concatenate(pieces).astype(int) - whole).max() <= 1


def test_closeness_of_a_stream_is_that_of_the_clip() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(1, 3, 9, 32, 32, generator=generator) * 2 - 1
    video = (truth + 0.1 * torch.randn(truth.shape, generator=generator)).clamp(-1, 1)
    closeness = Closeness()
    for a, b in zip(video.split(4, dim=2), truth.split(4, dim=2), strict=True):
        closeness.add(a, b)
    assert closeness.psnr_db == pytest.approx(float(psnr(video, truth)), abs=1e-4)
    assert closeness.ssim == pytest.approx(float(ssim(video, truth)), abs=1e-5)


def test_pixels_round_trip() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16, 1).repeat(3, axis=-1)
    assert np.array_equal(to_uint8(from_uint8(pixels)), pixels)
    assert np.array_equal(to_uint8(torch.tensor([-3.0, 3.0]).view(1, 1, 1, 1, 2))[0, 0, 0, :, 0], [0, 255])
