from __future__ import annotations

import math

import pytest
import torch

from kinema.captions.text_encoder import TextEncoder
from kinema.captions.tokenizer import TextPack
from kinema.config import TextConfig


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    torch.manual_seed(0)
    encoder = TextEncoder(TextConfig(vocab_size=50, width=32, depth=2, heads=2))
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return encoder


def rows(*ids: list[int]) -> TextPack:
    longest = max(map(len, ids))
    ids_BL = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
    mask_BL = torch.arange(longest) < torch.tensor([[len(row)] for row in ids])
    always_BL = torch.full(ids_BL.shape, math.inf)
    return TextPack(ids_BL, -always_BL, always_BL, mask_BL, (0,) * len(ids))


def test_padding_changes_nothing(encoder: TextEncoder) -> None:
    together = encoder(rows([1, 5, 6], [1, 7, 8, 9, 10, 11]))
    alone = encoder(rows([1, 5, 6]))
    torch.testing.assert_close(together.values_BLC[0, :3], alone.values_BLC[0], atol=1e-5, rtol=1e-5)


def test_every_token_reads_the_whole_caption_and_its_order(encoder: TextEncoder) -> None:
    base, late, swapped = (encoder(rows(ids)).values_BLC[0] for ids in ([1, 5, 6, 7], [1, 5, 6, 8], [1, 6, 5, 7]))
    assert (base[0] - late[0]).abs().max() > 1e-3
    assert (base[0] - swapped[0]).abs().max() > 1e-4


def test_rows_do_not_read_each_other(encoder: TextEncoder) -> None:
    first = encoder(rows([1, 5, 6], [1, 7, 8])).values_BLC[0]
    again = encoder(rows([1, 5, 6], [1, 9, 9])).values_BLC[0]
    torch.testing.assert_close(first, again)


def test_spans_travel_with_the_features(encoder: TextEncoder) -> None:
    pack = rows([1, 5, 6])
    pack.start_s_BL[0, 2], pack.end_s_BL[0, 2] = 0.5, 1.0
    features = encoder(pack)
    assert features.start_s_BL[0, 2] == 0.5 and features.end_s_BL[0, 2] == 1.0
    assert features.keys_values is None
