from __future__ import annotations

import torch

from kinema.flow.guidance import guide, scale_at


def test_scales_zero_and_one_are_the_two_velocities() -> None:
    with_text, without = torch.randn(2, 6, 4), torch.randn(2, 6, 4)
    torch.testing.assert_close(guide(with_text, without, 1.0), with_text)
    torch.testing.assert_close(guide(with_text, without, 0.0), without)


def test_full_rescale_restores_the_spread_of_each_clip() -> None:
    with_text, without = torch.randn(2, 60, 4), torch.randn(2, 60, 4)
    with_text[1] *= 5
    guided = guide(with_text, without, 6.0)
    rescaled = guide(with_text, without, 6.0, rescale=1.0)
    torch.testing.assert_close(rescaled.std((1, 2)), with_text.std((1, 2)))
    torch.testing.assert_close(rescaled / rescaled.std((1, 2), keepdim=True), guided / guided.std((1, 2), keepdim=True))


def test_clips_are_guided_alone() -> None:
    with_text, without = torch.randn(3, 6, 4), torch.randn(3, 6, 4)
    together = guide(with_text, without, 4.0, rescale=0.7)
    torch.testing.assert_close(together[1:2], guide(with_text[1:2], without[1:2], 4.0, rescale=0.7))


def test_guidance_is_off_outside_its_interval() -> None:
    assert [scale_at(sigma, 5.0, (0.2, 0.8)) for sigma in (0.1, 0.2, 0.5, 0.8, 0.9)] == [1.0, 5.0, 5.0, 5.0, 1.0]
