"""What the model makes of held-out captions while it trains: a contact sheet at every validation.

Suffixes: N tokens of the pack, C channels, T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kinema.captions.tokenizer import CaptionTokenizer, timed_text
from kinema.clips.contact_sheet import sheet_of, write_png
from kinema.codec.autoencoder import VideoAutoencoder
from kinema.codec.pixels import half_precision, to_uint8
from kinema.config import Config
from kinema.flow import schedule, solvers
from kinema.flow.guidance import guide
from kinema.model.layout import Layout, Segment
from kinema.model.patches import unpatchify
from kinema.model.transformer import TextToVideo
from kinema.shapes import TOKEN_CHANNELS, LatentShape
from kinema.train.latents import LatentDataset

CLIPS, STEPS, GUIDANCE = 4, 16, 2.0
SEED = 2


@torch.no_grad()
def preview(
    model: TextToVideo,
    codec: VideoAutoencoder,
    data: LatentDataset,
    clips: Sequence[int],
    tokenizer: CaptionTokenizer,
    config: Config,
    picture: Path,
    draws: bool = True,
) -> NDArray[np.uint8] | None:
    """Generates from the long captions of some clips, each below what the codec makes of the clip itself.

    Args:
        model: the averaged weights; if they are sharded, every process must call.
        codec: to decode, on any device.
        data: the latents.
        clips: whose captions may be used; the first few of the first one's shape are.
        tokenizer: of the words.
        config: of the noise levels.
        picture: the PNG to write.
        draws: whether this process decodes and writes.

    Returns:
        The picture HW3, or None if this process does not draw.
    """
    shape = data.latents_CTHW[clips[0]].shape
    shown = [clip for clip in clips if data.latents_CTHW[clip].shape == shape][:CLIPS]
    latent, device = LatentShape(*shape[1:]), next(model.parameters()).device
    layout = Layout([Segment(latent.tokens, data.fps[clip]) for clip in shown] * 2, device)
    words = [timed_text(data.captions[clip]) for clip in shown] + [()] * len(shown)
    rng = torch.Generator().manual_seed(SEED)
    noise_NC = torch.randn(layout.tokens // 2, TOKEN_CHANNELS, generator=rng).to(device)
    with half_precision(device, config.train_model.bf16):
        features = model.text_encoder(tokenizer.pack(words, config.text.max_tokens).to(device))

        def velocity(x_NC: torch.Tensor, sigma: float) -> torch.Tensor:
            level_F = torch.full((layout.frames,), sigma, device=device)
            with_words, without = model(torch.cat((x_NC, x_NC)), layout, level_F, features).chunk(2)
            return guide(with_words, without, GUIDANCE)

        tokens_NC = solvers.euler(velocity, noise_NC, schedule.sampling_levels(STEPS, config.flow.shift))
    if not draws:
        return None
    made = [unpatchify(tokens.cpu(), latent) for tokens in tokens_NC.chunk(len(shown))]
    truth = [data.latents_CTHW[clip].float() for clip in shown]
    pairs = torch.stack([latents for pair in zip(truth, made, strict=True) for latents in pair])
    where = next(codec.parameters()).device
    picture_HW3 = sheet_of(list(to_uint8(codec.decode(pairs.to(where)).cpu())), columns=9)
    write_png(picture, picture_HW3)
    return picture_HW3
