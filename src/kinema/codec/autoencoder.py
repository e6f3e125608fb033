"""The causal video autoencoder: pixels ↔ latents.

1 + 4k frames become 1 + k latent frames, 8× smaller in space, 16 channels. Time only flows forward, in the encoder
and in the decoder, so the first frame alone is coded exactly like an image and the latents of a prefix are a prefix
of the latents. Pixels are folded into channels first and the depth sits where frames are few and small, which is
where a convolution is cheapest per parameter.

Latents have zero mean and unit variance per channel, and the decoder trains under noise of a fixed size: a posterior
of fixed variance (σ-VAE, Sun et al. 2024, arXiv 2412.08635, section 3.1). There is no KL weight to tune, neighbouring
latents must mean similar pixels, and the decoder learns to forgive the denoiser's errors.

Shapes: B clips, C channels, T frames, H height, W width. Networks hold BTHWC inside: channels come last in memory,
as the convolution and normalisation kernels want them, and the public functions take and give BCTHW.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kinema.codec.protocol import StreamState
from kinema.config import CodecConfig
from kinema.errors import InputError
from kinema.files import whole_file
from kinema.shapes import FRAMES_PER_LATENT, LATENT_CHANNELS, PIXELS_PER_LATENT, nearest_frames

STATISTICS_MOMENTUM = 0.02  # of the running mean and variance of the latents
SMALL = 20_480  # frames × rows × channels, see _is_slow_in_3d


class Reconstruction(NamedTuple):
    """What a training step sees: the decoded video before clamping, and the latents before noise."""

    video_BCTHW: Tensor
    latents_BCTHW: Tensor


class VideoAutoencoder(nn.Module):
    """Encodes video to latents of unit statistics and decodes them. See the module's docstring."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.normalizer = LatentNormalizer(LATENT_CHANNELS)
        self.decoder = Decoder(config)
        for layer in (self.encoder.stem, self.encoder.out, self.decoder.stem, self.decoder.out):
            layer.no_muon = True  # type: ignore[assignment]

    def encode(self, video_BCTHW: Tensor, state: StreamState | None = None) -> Tensor:
        """Latents of a video or of its next frames, with frozen statistics: deterministic, and causal in time.

        Args:
            video_BCTHW: pixels in [-1, 1], sides multiples of 8; 1 + 4k frames, or 4k that go on after ``state``.
            state: what earlier frames left, brought up to date; a whole video needs none.

        Returns:
            Latents of shape (B, 16, 1 + k, H/8, W/8), or k frames after the first call with a state; float32.

        Raises:
            InputError: a number of frames or a size that the geometry does not allow.
        """
        check_video(video_BCTHW, goes_on=state is not None and not state.is_fresh)
        return to_BCTHW(self.normalizer.frozen(self.encoder(to_BTHWC(video_BCTHW), state)))

    def decode(self, latents_BCTHW: Tensor, state: StreamState | None = None) -> Tensor:
        """Pixels in [-1, 1], float32, of shape (B, 3, 4T - 3, 8H, 8W), for latents of T frames.

        With a ``state`` that earlier latents left, the T frames go on after them and give 4T frames of pixels.
        """
        return to_BCTHW(self.decoder(to_BTHWC(latents_BCTHW), state)).float().clamp(-1.0, 1.0)

    def forward(
        self, video_BCTHW: Tensor, generator: torch.Generator | None = None, *, frozen_statistics: bool = False
    ) -> Reconstruction:
        """One training pass: encode, normalise by the batch's statistics, add noise, decode without clamping.

        With ``frozen_statistics`` latents are normalised as :meth:`encode` does, so that they stay what they were.
        """
        normalize = self.normalizer.frozen if frozen_statistics else self.normalizer
        latents = normalize(self.encoder(to_BTHWC(video_BCTHW)))
        where = latents.device if generator is None else generator.device
        noise = torch.randn(latents.shape, generator=generator, device=where, dtype=latents.dtype)
        video = self.decoder(latents + self.config.latent_noise * noise.to(latents.device))
        return Reconstruction(to_BCTHW(video).float(), to_BCTHW(latents))


class Encoder(nn.Module):
    """Pixels → raw latents: light, because its convolutions already see half the frames."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.unshuffle = config.unshuffle
        fold = PIXELS_PER_LATENT // config.unshuffle
        self.stem = CausalConv(3 * config.unshuffle**2, config.width, (3, 3, 3), time_stride=2)
        self.fine = ResidualBlock(config.width, time_kernel=1)
        self.down = CausalConv(config.width * fold**2, config.latent_width, (3, 1, 1), time_stride=2)
        self.coarse = nn.Sequential(*(ResidualBlock(config.latent_width, time_kernel=3) for _ in range(config.depth)))
        self.out = nn.Sequential(ChannelNorm(config.latent_width), nn.Linear(config.latent_width, LATENT_CHANNELS))
        self.fold = fold

    def forward(self, video_BTHWC: Tensor, state: StreamState | None = None) -> Tensor:
        x = self.fine(self.stem(space_to_channels(video_BTHWC, self.unshuffle), state), state)
        x = self.down(space_to_channels(x, self.fold), state)
        for block in self.coarse:
            x = block(x, state)
        raw: Tensor = self.out(x)
        return raw.float()


class Decoder(nn.Module):
    """Latents → pixels: the mirror of the encoder, with full 3-D convolutions left at every frame for motion."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        wide, fine = config.latent_width, config.width
        thin = 2 * fine // 3  # at every frame a channel costs twice as much
        self.fold = PIXELS_PER_LATENT // config.unshuffle
        self.unshuffle = config.unshuffle
        self.stem = CausalConv(LATENT_CHANNELS, wide, (3, 3, 3))
        self.coarse = nn.Sequential(*(ResidualBlock(wide, time_kernel=3) for _ in range(config.depth)))
        self.up_time = nn.Linear(wide, 2 * wide)
        self.middle = ResidualBlock(wide, time_kernel=1)
        self.up_space = nn.Linear(wide, fine * self.fold**2)
        self.fine = ResidualBlock(fine, time_kernel=1)
        self.up_time_again = nn.Linear(fine, 2 * thin)
        self.finest = ResidualBlock(thin, time_kernel=3)
        self.out_norm = ChannelNorm(thin)
        self.out = CausalConv(thin, 3 * config.unshuffle**2, (1, 3, 3))

    def forward(self, latents_BTHWC: Tensor, state: StreamState | None = None) -> Tensor:
        from_start = state is None or state.is_fresh
        x = self.stem(latents_BTHWC, state)
        for block in self.coarse:
            x = block(x, state)
        x = self.middle(channels_to_time(self.up_time(x), from_start), state)
        x = self.fine(channels_to_space(self.up_space(x), self.fold), state)
        x = self.finest(channels_to_time(self.up_time_again(x), from_start), state)
        return channels_to_space(self.out(F.silu(self.out_norm(x))), self.unshuffle)


class ResidualBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))): the first convolution may see time, the second only space."""

    def __init__(self, channels: int, time_kernel: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.conv1 = CausalConv(channels, channels, (time_kernel, 3, 3))
        self.norm2 = ChannelNorm(channels)
        self.conv2 = CausalConv(channels, channels, (1, 3, 3))
        for parameter in self.conv2.parameters():  # a block begins as the identity
            nn.init.zeros_(parameter)

    def forward(self, x_BTHWC: Tensor, state: StreamState | None = None) -> Tensor:
        hidden = self.conv1(F.silu(self.norm1(x_BTHWC)), state)
        out: Tensor = x_BTHWC + self.conv2(F.silu(self.norm2(hidden)))
        return out


class CausalConv(nn.Conv3d):
    """A 3-D convolution on BTHWC that never sees later frames.

    Before the first frame time stands still (the first frame is repeated), so an image is a video that rests. With
    ``time_stride`` 2, 1 + 2k frames become 1 + k, and output j ends at input frame 2j. A state holds the last frames
    that the next chunk's first outputs still see.
    """

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int, int], time_stride: int = 1) -> None:
        space = (kernel[1] // 2, kernel[2] // 2)
        super().__init__(inputs, outputs, kernel, stride=(time_stride, 1, 1), padding=(0, *space))

    def forward(self, x_BTHWC: Tensor, state: StreamState | None = None) -> Tensor:
        before, kept = self.kernel_size[0] - 1, self.kernel_size[0] - self.stride[0]
        if before:
            past = None if state is None else state.tails.get(self)
            past = x_BTHWC[:, :1].expand(-1, before, -1, -1, -1) if past is None else past
            x_BTHWC = torch.cat([past, x_BTHWC], dim=1)
            if state is not None:
                state.tails[self] = x_BTHWC[:, -kept:].clone()  # a view would keep the whole chunk
        if _is_slow_in_3d(x_BTHWC):
            return self._sum_of_frames(x_BTHWC)
        if not before and x_BTHWC.is_cuda:
            return self._frame_by_frame(x_BTHWC)
        return to_BTHWC(super().forward(to_BCTHW(x_BTHWC)))

    def _frame_by_frame(self, x_BTHWC: Tensor) -> Tensor:
        """The same for a kernel that sees one frame: GPUs have better kernels for two dimensions."""
        frames = x_BTHWC.flatten(0, 1).permute(0, 3, 1, 2)
        padding = (int(self.padding[1]), int(self.padding[2]))
        out_NCHW = F.conv2d(frames, self.weight.squeeze(2), self.bias, padding=padding)
        out_NHWC = out_NCHW.permute(0, 2, 3, 1)
        return out_NHWC.view(*x_BTHWC.shape[:2], *out_NHWC.shape[1:])

    def _sum_of_frames(self, x_BTHWC: Tensor) -> Tensor:
        """The same as 2-D convolutions, one for each frame that the kernel sees."""
        stride, size = self.stride[0], x_BTHWC.shape[1] - self.kernel_size[0] + 1
        seen = [x_BTHWC[0, tap : tap + size : stride].permute(0, 3, 1, 2) for tap in range(self.kernel_size[0])]
        padding = (int(self.padding[1]), int(self.padding[2]))
        taps = [F.conv2d(x, weight, padding=padding) for x, weight in zip(seen, self.weight.unbind(2), strict=True)]
        total_TCHW = torch.stack(taps).sum(0) if len(taps) > 1 else taps[0]
        assert self.bias is not None
        return (total_TCHW.permute(0, 2, 3, 1) + self.bias)[None]


class ChannelNorm(nn.LayerNorm):
    """Normalises the channels of each position, and nothing across time, which keeps the codec causal."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-5, bias=False)


class LatentNormalizer(nn.Module):
    """Zero mean and unit variance per channel: batch statistics in training, running ones afterwards.

    The statistics are buffers without gradient; :meth:`set_statistics` writes exact ones once the weights are final
    (averaged weights have slightly other statistics than the ones that the running average saw).
    """

    mean_C: Tensor
    std_C: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean_C", torch.zeros(channels))
        self.register_buffer("std_C", torch.ones(channels))

    def forward(self, raw_BTHWC: Tensor) -> Tensor:
        """Normalises by the batch's own statistics and, in training mode, remembers them."""
        std_C, mean_C = torch.std_mean(raw_BTHWC.float(), dim=(0, 1, 2, 3), correction=0)
        if self.training:
            self.mean_C.lerp_(mean_C.detach(), STATISTICS_MOMENTUM)
            self.std_C.lerp_(std_C.detach(), STATISTICS_MOMENTUM)
        return (raw_BTHWC - mean_C) / (std_C + 1e-4)

    def frozen(self, raw_BTHWC: Tensor) -> Tensor:
        """Normalises by the frozen statistics."""
        return (raw_BTHWC - self.mean_C) / (self.std_C + 1e-4)

    @torch.no_grad()
    def set_statistics(self, raw_BTHWC: Tensor) -> None:
        """Takes the exact statistics of these raw latents."""
        std_C, mean_C = torch.std_mean(raw_BTHWC.float(), dim=(0, 1, 2, 3), correction=0)
        self.mean_C.copy_(mean_C)
        self.std_C.copy_(std_C)


def check_video(video_BCTHW: Tensor, goes_on: bool = False) -> None:
    """Raises InputError when the geometry of the codec does not allow this video, or these next frames of one."""
    frames, height, width = video_BCTHW.shape[2:]
    if goes_on and (frames < 1 or frames % FRAMES_PER_LATENT):
        raise InputError(f"{frames} frames cannot go on with a video: give a multiple of {FRAMES_PER_LATENT}")
    if not goes_on and (frames < 1 or (frames - 1) % FRAMES_PER_LATENT):
        raise InputError(f"{frames} frames is not 1 + 4k; the nearest is {nearest_frames(frames)}")
    if height % PIXELS_PER_LATENT or width % PIXELS_PER_LATENT:
        raise InputError(f"size {width}x{height}: sides must be multiples of {PIXELS_PER_LATENT}; crop the video")


def _is_slow_in_3d(x_BTHWC: Tensor) -> bool:
    """Whether PyTorch would compute this convolution with its unblocked kernels, which are up to nine times as slow.

    On a CPU it does so for one small clip in float32 (``ConvParams::use_mkldnn`` in ATen), that is for every chunk of
    a stream.
    """
    if x_BTHWC.device.type != "cpu" or x_BTHWC.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    return len(x_BTHWC) == 1 and x_BTHWC[0, :, :, 0].numel() <= SMALL


def to_BTHWC(x_BCTHW: Tensor) -> Tensor:
    return x_BCTHW.permute(0, 2, 3, 4, 1)


def to_BCTHW(x_BTHWC: Tensor) -> Tensor:
    return x_BTHWC.permute(0, 4, 1, 2, 3)


def space_to_channels(x_BTHWC: Tensor, factor: int) -> Tensor:
    """Folds ``factor``×``factor`` positions into channels."""
    batch, frames, height, width, channels = x_BTHWC.shape
    x = x_BTHWC.reshape(batch, frames, height // factor, factor, width // factor, factor, channels)
    return x.permute(0, 1, 2, 4, 3, 5, 6).reshape(batch, frames, height // factor, width // factor, -1)


def channels_to_space(x_BTHWC: Tensor, factor: int) -> Tensor:
    """The inverse of :func:`space_to_channels`."""
    batch, frames, height, width, channels = x_BTHWC.shape
    x = x_BTHWC.reshape(batch, frames, height, width, factor, factor, channels // factor**2)
    return x.permute(0, 1, 2, 4, 3, 5, 6).reshape(batch, frames, height * factor, width * factor, -1)


def channels_to_time(x_BTHWC: Tensor, from_start: bool = True) -> Tensor:
    """Unfolds channels into two frames each and drops the very first of a video: 1 + k frames become 1 + 2k."""
    batch, frames, height, width, channels = x_BTHWC.shape
    x = x_BTHWC.reshape(batch, frames, height, width, 2, channels // 2).permute(0, 1, 4, 2, 3, 5)
    x = x.reshape(batch, 2 * frames, height, width, channels // 2)
    return x[:, 1:] if from_start else x


def save_codec(codec: VideoAutoencoder, folder: Path) -> Path:
    """Writes ``folder/codec.safetensors``, whole or not at all."""
    path = folder / "codec.safetensors"
    with whole_file(path) as part:
        save_file({name: tensor.contiguous() for name, tensor in codec.state_dict().items()}, part)
    return path


def load_codec(config: CodecConfig, folder: Path, *, deeper: bool = False) -> VideoAutoencoder:
    """Reads ``folder/codec.safetensors`` strictly, ready for encoding and decoding.

    Args:
        config: of the codec.
        folder: where it is.
        deeper: whether ``config`` may have a greater depth than the file; further blocks begin as the identity.

    Raises:
        InputError: there is no such file, it is damaged, or it belongs to another configuration.
    """
    path = folder / "codec.safetensors"
    codec = VideoAutoencoder(config).eval().requires_grad_(False)
    try:
        weights = load_file(path)
        codec.load_state_dict(_with_further_blocks(codec, weights) if deeper else weights)
    except FileNotFoundError as error:
        raise InputError(f"no {path}: train one with `kinema train codec --out {folder}`") from error
    except SafetensorError as error:
        raise InputError(f"{path} is damaged ({error}): train or copy it again") from error
    except RuntimeError as error:
        raise InputError(f"{path} does not fit this codec configuration: use the config.json beside it") from error
    return codec


def _with_further_blocks(codec: VideoAutoencoder, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights, and the codec's own for blocks at latent resolution that they lack."""
    blocks = ("encoder.coarse.", "decoder.coarse.")
    return {name: own for name, own in codec.state_dict().items() if name.startswith(blocks)} | weights
