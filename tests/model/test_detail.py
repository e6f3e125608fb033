"""The blocks on every latent position: which position is where, and what it sees."""

from __future__ import annotations

import math

import torch

from kinema.captions.tokenizer import TextPack
from kinema.config import ModelConfig, TextConfig
from kinema.model.detail import finer, merge, split
from kinema.model.layout import Layout, Segment
from kinema.model.patches import patchify
from kinema.model.transformer import TextToVideo
from kinema.shapes import LATENT_CHANNELS, PATCH, TOKEN_CHANNELS, LatentShape, TokenGrid

GRIDS = [TokenGrid(3, 2, 3), TokenGrid(3, 2, 3), TokenGrid(1, 1, 4), TokenGrid(2, 3, 2)]
LAYOUT = Layout([Segment(grid, 12.0, start_s=0.5 * i, first=i) for i, grid in enumerate(GRIDS)])


def test_positions_lie_row_by_row_and_go_back_to_their_tokens() -> None:
    tokens, positions = [], []
    for grid in GRIDS:
        shape = LatentShape(grid.frames, PATCH * grid.rows, PATCH * grid.cols)
        latents_CTHW = torch.randn(shape.dims)
        tokens.append(patchify(latents_CTHW))
        positions.append(latents_CTHW.flatten(1).T)  # time-major, then row, then column
    patches_NPC = torch.cat(tokens).view(-1, LATENT_CHANNELS, PATCH**2).transpose(1, 2)
    positions_nC = split(patches_NPC, LAYOUT)
    assert torch.equal(positions_nC, torch.cat(positions))
    assert torch.equal(merge(positions_nC, LAYOUT), patches_NPC)


def test_finer_tokens_keep_place_and_time() -> None:
    fine = finer(LAYOUT)
    assert fine.tokens == PATCH**2 * LAYOUT.tokens and torch.equal(fine.time_s_F, LAYOUT.time_s_F)
    rows_NP1 = merge(fine.row_N[:, None], LAYOUT)
    assert torch.equal(rows_NP1[:, :, 0] // PATCH, LAYOUT.row_N[:, None].expand(-1, PATCH**2))


@torch.no_grad()
def test_a_position_sees_its_own_place_in_all_frames() -> None:
    torch.manual_seed(0)
    text, sizes = TextConfig(vocab_size=40, width=32, depth=1, heads=2), ModelConfig(64, 1, 2, detail_width=32)
    model = TextToVideo(text, sizes)
    for parameter in model.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    detail, layout = model.transformer.detail, Layout([Segment(GRIDS[0], 12.0)])
    assert detail is not None
    always_S = torch.full((3,), math.inf)
    features = model.text_encoder(TextPack(torch.tensor([3, 4, 5]), -always_S, always_S, (3,), (0,)))
    modulation_FMC = detail.modulation(torch.randn(layout.frames, sizes.width))
    trunk_NC, noisy_NC = torch.randn(layout.tokens, sizes.width), torch.randn(layout.tokens, TOKEN_CHANNELS)
    here_N = (layout.row_N == 1) & (layout.col_N == 2)
    one = int((here_N & (layout.frame_N == 1)).nonzero()[0])
    for changed_NC in (noisy_NC, trunk_NC):
        before_NC = detail(trunk_NC, noisy_NC, layout, modulation_FMC, features)
        changed_NC[one] += 1
        change_NC = (detail(trunk_NC, noisy_NC, layout, modulation_FMC, features) - before_NC).abs()
        assert (change_NC[here_N] > 0).all() and not change_NC[~here_N].any()
    # A channel of the patch is one position: the other three of its token do not see it.
    before_NC = detail(trunk_NC, noisy_NC, layout, modulation_FMC, features)
    noisy_NC[one].view(LATENT_CHANNELS, PATCH**2)[:, 3] += 1
    change_NC = (detail(trunk_NC, noisy_NC, layout, modulation_FMC, features) - before_NC).abs()
    seen_NCP = change_NC.view(-1, LATENT_CHANNELS, PATCH**2)
    assert (seen_NCP[here_N, :, 3] > 0).all() and not seen_NCP[:, :, :3].any()
