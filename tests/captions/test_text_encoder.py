from __future__ import annotations

import math

import pytest
import torch

from kinema.captions.rows import STREAM
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


def texts(*ids: list[int]) -> TextPack:
    ids_S = torch.tensor([token for row in ids for token in row])
    always_S = torch.full(ids_S.shape, math.inf)
    return TextPack(ids_S, -always_S, always_S, tuple(map(len, ids)), (0,) * len(ids))


def test_texts_of_any_lengths_are_read_as_each_alone(encoder: TextEncoder) -> None:
    ids = [[1, *range(3, 3 + (7 * index) % 23)] for index in range(40)]
    alone_SC = torch.cat([encoder(texts(one)).values_SC[: len(one)] for one in ids])
    together_SC = encoder(texts(*ids)).values_SC
    torch.testing.assert_close(together_SC[: len(alone_SC)], alone_SC, atol=1e-5, rtol=1e-5)
    assert len(together_SC) == math.ceil(len(alone_SC) / STREAM) * STREAM


def test_every_token_reads_the_whole_caption_and_its_order(encoder: TextEncoder) -> None:
    base, late, swapped = (encoder(texts(ids)).values_SC for ids in ([1, 5, 6, 7], [1, 5, 6, 8], [1, 6, 5, 7]))
    assert (base[0] - late[0]).abs().max() > 1e-3
    assert (base[0] - swapped[0]).abs().max() > 1e-4


def test_texts_do_not_read_each_other(encoder: TextEncoder) -> None:
    first = encoder(texts([1, 5, 6], [1, 7, 8])).values_SC[:3]
    again = encoder(texts([1, 5, 6], [1, 9, 9])).values_SC[:3]
    torch.testing.assert_close(first, again)


def test_spans_travel_with_the_features(encoder: TextEncoder) -> None:
    pack = texts([1, 5, 6])
    pack.start_s_S[2], pack.end_s_S[2] = 0.5, 1.0
    features = encoder(pack)
    assert features.start_s_S[2] == 0.5 and features.end_s_S[2] == 1.0
    assert features.keys_values is None
