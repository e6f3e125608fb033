"""A small codec whose every layer does something."""

from __future__ import annotations

import pytest
import torch

from kinema.codec.autoencoder import VideoAutoencoder
from kinema.config import CodecConfig

CONFIG = CodecConfig(width=12, latent_width=24, depth=1)


@pytest.fixture(scope="session")
def codec() -> VideoAutoencoder:
    torch.manual_seed(0)
    codec = VideoAutoencoder(CONFIG).eval()
    for name, parameter in codec.named_parameters():
        if name.endswith("conv2.weight"):  # residual branches begin at zero, where a leak would not show
            torch.nn.init.normal_(parameter, std=0.1)
    return codec.requires_grad_(False)
