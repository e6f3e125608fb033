"""PSNR and SSIM against values that follow from their definitions."""

from __future__ import annotations

import math

import pytest
import torch

from kinema.codec.metrics import psnr, ssim


def test_psnr_of_a_constant_offset() -> None:
    truth = torch.zeros(2, 3, 4, 16, 16)
    video = truth.clone()
    video[0] += 0.02
    first, second = psnr(video, truth)
    assert float(first) == pytest.approx(20 * math.log10(2 / 0.02), abs=1e-3)
    assert math.isinf(float(second))


def test_psnr_counts_only_the_mask() -> None:
    truth = torch.zeros(1, 3, 1, 16, 16)
    video, mask = truth.clone(), torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    video[..., :8] = 1.0
    mask[..., 8:] = True
    assert math.isinf(float(psnr(video, truth, mask)))
    assert math.isnan(float(psnr(video, truth, torch.zeros_like(mask))))


def test_ssim_is_one_for_equals_and_falls_with_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(1, 3, 2, 32, 32, generator=generator) * 2 - 1
    noise = torch.randn(truth.shape, generator=generator)
    scores = [float(ssim(truth + amount * noise, truth)) for amount in (0.0, 0.1, 0.5)]
    assert scores[0] == pytest.approx(1.0, abs=1e-5)
    assert scores[0] > scores[1] > scores[2]


def test_ssim_of_constant_images_is_the_luminance_term() -> None:
    dark, bright = torch.full((1, 3, 1, 16, 16), 0.2), torch.full((1, 3, 1, 16, 16), 0.6)
    c1 = (0.01 * 2) ** 2
    expected = (2 * 0.2 * 0.6 + c1) / (0.2**2 + 0.6**2 + c1)
    assert float(ssim(dark, bright)) == pytest.approx(expected, abs=1e-4)
