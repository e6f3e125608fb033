"""uint8 frames ↔ the numbers that networks see. B clips, T frames, H height, W width, 3 RGB, C channels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def from_uint8(clips_BTHW3: NDArray[np.uint8] | Tensor) -> Tensor:
    """uint8 clips as network pixels: BCTHW in [-1, 1], on the device of the clips."""
    clips = clips_BTHW3 if isinstance(clips_BTHW3, Tensor) else torch.from_numpy(np.array(clips_BTHW3))
    return clips.permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def to_uint8(video_BCTHW: Tensor) -> NDArray[np.uint8]:
    """Network pixels as uint8 clips BTHW3; what lies outside [-1, 1] is clipped."""
    pixels_BCTHW = ((video_BCTHW + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    pixels_BTHW3: NDArray[np.uint8] = pixels_BCTHW.permute(0, 2, 3, 4, 1).contiguous().cpu().numpy()
    return pixels_BTHW3


def fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 here: on accelerators, and on CPUs that multiply it in hardware."""
    if device.type != "cpu":
        return True
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def half_precision(device: torch.device, wanted: bool = True) -> torch.autocast:
    """Autocast to bfloat16, where that is wanted and fast."""
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted and fast_bf16(device))
