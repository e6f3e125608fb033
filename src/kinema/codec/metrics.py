"""How close a reconstruction is to the original: PSNR and SSIM, of clips or summed up over a stream.

Videos are BCTHW in [-1, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

RANGE = 2.0  # of pixels in [-1, 1]
WINDOW, WINDOW_STD = 11, 1.5  # the Gaussian window of Wang et al. 2004


def psnr(video_BCTHW: Tensor, truth_BCTHW: Tensor, mask_BTHW: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio of each clip in dB, over all pixels or those in the mask; identical clips give inf.

    A clip whose mask is empty gives NaN.
    """
    error_BTHW = (video_BCTHW.float() - truth_BCTHW.float()).square().mean(dim=1)
    weight_BTHW = torch.ones_like(error_BTHW) if mask_BTHW is None else mask_BTHW.to(error_BTHW)
    error_B = (error_BTHW * weight_BTHW).sum(dim=(1, 2, 3)) / weight_BTHW.sum(dim=(1, 2, 3))
    return 20 * math.log10(RANGE) - 10 * torch.log10(error_B)


def ssim(video_BCTHW: Tensor, truth_BCTHW: Tensor) -> Tensor:
    """Structural similarity of each clip, the mean over frames, channels and positions.

    Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", equation 13, with
    their 11×11 Gaussian window and no padding.
    """
    batch, _, _, height, width = video_BCTHW.shape
    assert min(height, width) >= WINDOW
    x, y = (v.float().reshape(-1, 1, height, width) for v in (video_BCTHW, truth_BCTHW))
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x, variance_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).reshape(batch, -1).mean(dim=1)


@dataclass
class Closeness:
    """PSNR and SSIM of one video that arrives in pieces."""

    squared_error: float = 0.0
    values: int = 0
    ssim_sum: float = 0.0
    frames: int = 0

    def add(self, video_BCTHW: Tensor, truth_BCTHW: Tensor) -> None:
        """Counts in the next frames."""
        self.squared_error += float((video_BCTHW - truth_BCTHW).square().sum(dtype=torch.float64))
        self.values += video_BCTHW.numel()
        self.frames += video_BCTHW.shape[2]
        if self.has_ssim(*video_BCTHW.shape[3:]):  # frame by frame: it needs many maps of their size
            for at in range(video_BCTHW.shape[2]):
                self.ssim_sum += float(ssim(video_BCTHW[:, :, [at]], truth_BCTHW[:, :, [at]]).mean())

    @staticmethod
    def has_ssim(height: int, width: int) -> bool:
        """Whether frames are large enough for the window of SSIM."""
        return min(height, width) >= WINDOW

    @property
    def psnr_db(self) -> float:
        """Of the whole video; inf if it is exact."""
        return math.inf if not self.squared_error else 10 * math.log10(RANGE**2 * self.values / self.squared_error)

    @property
    def ssim(self) -> float:
        """The mean over all frames."""
        return self.ssim_sum / self.frames


def _blur(x_N1HW: Tensor) -> Tensor:
    """The Gaussian window without padding, as shifted sums: many times as fast as convolutions of one channel."""
    offset_K = torch.arange(WINDOW, dtype=torch.float32) - WINDOW // 2
    window_K = torch.softmax(-(offset_K**2) / (2 * WINDOW_STD**2), dim=0).tolist()
    for axis in (2, 3):
        size = x_N1HW.shape[axis] - WINDOW + 1
        blurred = x_N1HW.narrow(axis, 0, size) * window_K[0]
        for offset, weight in enumerate(window_K[1:], start=1):
            blurred.add_(x_N1HW.narrow(axis, offset, size), alpha=weight)
        x_N1HW = blurred
    return x_N1HW
