"""Identities of the codec: shapes, causality, images as videos, statistics."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.codec import autoencoder as ae
from kinema.config import CodecConfig
from kinema.errors import InputError
from kinema.shapes import VideoShape

CONFIG = CodecConfig(width=12, latent_width=24, depth=1)


def video(frames: int, height: int = 32, width: int = 32, seed: int = 1) -> torch.Tensor:
    return torch.rand(2, 3, frames, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("frames", [1, 5, 33])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 32), (32, 80)])
def test_shapes_follow_the_geometry(codec: ae.VideoAutoencoder, frames: int, height: int, width: int) -> None:
    x = video(frames, height, width)
    latents = codec.encode(x)
    assert latents.shape[1:] == VideoShape(frames, height, width).latent.dims
    decoded = codec.decode(latents)
    assert decoded.shape == x.shape
    assert decoded.abs().max() <= 1


def test_the_first_frame_is_coded_like_an_image(codec: ae.VideoAutoencoder) -> None:
    x = video(13)
    torch.testing.assert_close(codec.encode(x)[:, :, :1], codec.encode(x[:, :, :1]), atol=1e-5, rtol=1e-4)
    latents = codec.encode(x)
    torch.testing.assert_close(codec.decode(latents)[:, :, :1], codec.decode(latents[:, :, :1]), atol=1e-5, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(changed=st.integers(0, 16))
def test_no_frame_reaches_back_in_time(codec: ae.VideoAutoencoder, changed: int) -> None:
    x, y = video(17), video(17)
    y[:, :, changed] = -y[:, :, changed]
    same = 0 if changed == 0 else 1 + (changed - 1) // 4  # latent frames that end before the changed frame
    difference = (codec.encode(x) - codec.encode(y)).abs().amax(dim=(0, 1, 3, 4))
    assert torch.all(difference[:same] < 1e-5)
    assert difference[same] > 1e-3


@settings(max_examples=10, deadline=None)
@given(changed=st.integers(0, 4))
def test_no_latent_reaches_back_in_time(codec: ae.VideoAutoencoder, changed: int) -> None:
    latents = torch.randn(1, 16, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    other = latents.clone()
    other[:, :, changed] *= -1
    same = 0 if changed == 0 else 1 + 4 * (changed - 1)
    difference = (codec.decode(latents) - codec.decode(other)).abs().amax(dim=(0, 1, 3, 4))
    assert torch.all(difference[:same] < 1e-5)
    assert torch.all(difference[same : same + 4] > 1e-4)


def test_a_still_video_is_an_image_at_every_latent_frame(codec: ae.VideoAutoencoder) -> None:
    latents = codec.encode(video(1).expand(-1, -1, 9, -1, -1))
    torch.testing.assert_close(latents, latents[:, :, :1].expand_as(latents), atol=1e-5, rtol=1e-4)


def test_training_latents_have_unit_statistics_and_frozen_ones_follow(codec: ae.VideoAutoencoder) -> None:
    x = video(9)
    latents = codec(x, torch.Generator().manual_seed(0)).latents_BCTHW
    std_C, mean_C = torch.std_mean(latents, dim=(0, 2, 3, 4), correction=0)
    assert mean_C.abs().max() < 1e-3 and (std_C - 1).abs().max() < 1e-2
    twin = ae.VideoAutoencoder(CONFIG)
    twin.load_state_dict(codec.state_dict())
    twin.normalizer.set_statistics(twin.encoder(ae.to_BTHWC(x)).detach())
    torch.testing.assert_close(twin.eval().encode(x), latents, atol=1e-4, rtol=1e-3)


def test_only_training_moves_the_running_statistics(codec: ae.VideoAutoencoder) -> None:
    codec = ae.VideoAutoencoder(CONFIG)
    codec.eval()(video(5))
    assert torch.equal(codec.normalizer.mean_C, torch.zeros(16))
    codec.train()(video(5))
    assert not torch.equal(codec.normalizer.mean_C, torch.zeros(16))


@pytest.mark.parametrize("kernel", [(1, 3, 3), (1, 1, 1)])
def test_frames_one_by_one_give_the_3d_convolution(kernel: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    conv, x_BTHWC = ae.CausalConv(5, 7, kernel), torch.randn(2, 4, 6, 8, 5, requires_grad=True)
    padding = (0, kernel[1] // 2, kernel[2] // 2)
    expected = ae.to_BTHWC(F.conv3d(ae.to_BCTHW(x_BTHWC), conv.weight, conv.bias, padding=padding))
    found, inputs = conv._frame_by_frame(x_BTHWC), (x_BTHWC, *conv.parameters())
    torch.testing.assert_close(found, expected)
    weight = torch.randn(found.shape)
    ours, theirs = (torch.autograd.grad((out * weight).sum(), inputs) for out in (found, expected))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_folding_round_trips() -> None:
    x = torch.randn(2, 3, 8, 12, 5)
    assert torch.equal(ae.channels_to_space(ae.space_to_channels(x, 4), 4), x)


def test_wrong_sizes_name_the_remedy(codec: ae.VideoAutoencoder) -> None:
    with pytest.raises(InputError, match=r"4 frames is not 1 \+ 4k; the nearest is 5"):
        codec.encode(video(4))
    with pytest.raises(InputError, match="36x32"):
        codec.encode(video(1, 32, 36))


def test_weights_round_trip_strictly(codec: ae.VideoAutoencoder, tmp_path: Path) -> None:
    ae.save_codec(codec, tmp_path)
    loaded = ae.load_codec(CONFIG, tmp_path)
    assert torch.equal(loaded.encode(video(5)), codec.encode(video(5)))
    with pytest.raises(InputError, match="does not fit"):
        ae.load_codec(CodecConfig(width=24, latent_width=24, depth=1), tmp_path)
    with pytest.raises(InputError, match="train one"):
        ae.load_codec(CONFIG, tmp_path / "nowhere")
    (tmp_path / "codec.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="damaged"):
        ae.load_codec(CONFIG, tmp_path)
