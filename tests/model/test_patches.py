from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.model.patches import patchify, unpatchify
from kinema.shapes import TOKEN_CHANNELS, LatentShape


@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6))
@settings(deadline=None)
def test_round_trip(frames: int, rows: int, cols: int) -> None:
    shape = LatentShape(frames, 2 * rows, 2 * cols)
    latents = torch.randn(shape.dims)
    tokens = patchify(latents)
    assert tokens.shape == (shape.tokens.count, TOKEN_CHANNELS)
    assert torch.equal(unpatchify(tokens, shape), latents)


def test_a_token_holds_one_patch_and_tokens_go_by_time_row_column() -> None:
    shape = LatentShape(3, 4, 6)
    latents = torch.randn(shape.dims)
    tokens = patchify(latents)
    frame, row, col = 2, 1, 0
    token = tokens[(frame * 2 + row) * 3 + col]
    patch = latents[:, frame, 2 * row : 2 * row + 2, 2 * col : 2 * col + 2]
    assert torch.equal(token, patch.flatten())
