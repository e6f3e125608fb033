"""A small critic that tells real videos from decoded ones, for an adversarial term late in the codec's training.

A 3-D patch discriminator (PatchGAN, Isola et al. 2017, arXiv 1611.07004) with the hinge loss (Lim and Ye 2017,
arXiv 1705.02894). Codec and critic learn in one step with one sum of losses: the codec's share sees the critic's
weights as constants, the critic's share sees the decoded video as a constant.

Shapes: B clips, C channels, T frames, H height, W width.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

WIDTH = 32


class Critic(nn.Module):
    """Judges patches of 30×30 pixels and 7 frames: above 0 is real, below is decoded."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv3d(3, width, (3, 4, 4), (1, 2, 2), 1),
            nn.LeakyReLU(0.2),
            nn.Conv3d(width, 2 * width, (3, 4, 4), (1, 2, 2), 1),
            nn.LeakyReLU(0.2),
            nn.Conv3d(2 * width, 2 * width, (3, 4, 4), (1, 2, 2), 1),
            nn.LeakyReLU(0.2),
            nn.Conv3d(2 * width, 1, (1, 2, 2), padding=(0, 1, 1)),
        )
        self.layers.no_muon = True  # type: ignore[assignment]

    def forward(self, video_BCTHW: Tensor) -> Tensor:
        """A score for every patch."""
        scores: Tensor = self.layers(video_BCTHW)
        return scores


def adversarial_losses(critic: Critic, video_BCTHW: Tensor, truth_BCTHW: Tensor) -> tuple[Tensor, Tensor]:
    """What the codec and what the critic should lower; each has gradients for its own weights only."""
    constant = {name: parameter.detach() for name, parameter in critic.named_parameters()}
    codec_loss = -functional_call(critic, constant, (video_BCTHW,)).mean()
    real, decoded = critic(truth_BCTHW), critic(video_BCTHW.detach())
    critic_loss = (F.relu(1 - real) + F.relu(1 + decoded)).mean()
    return codec_loss, critic_loss
