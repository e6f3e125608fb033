from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.captions.rows import LEAST_ROWS, LONGEST_RATIO, ROW, batches_of

CPU = torch.device("cpu")


@settings(max_examples=100, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=60), data=st.data())
def test_rows_hold_every_text_once_and_nothing_else(lengths: list[int], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(lengths) - 1))
    texts = slice(first, data.draw(st.integers(first + 1, len(lengths))))
    value_SX = torch.arange(1.0, 1 + 2 * sum(lengths)).view(-1, 2)
    rows_of_text = []
    for rows in batches_of(lengths, texts, CPU):
        padded_BLX = rows.pad(value_SX)
        assert padded_BLX.shape[:2] == rows.mask_BL.shape and not padded_BLX[~rows.mask_BL].any()
        assert torch.equal(rows.flat(padded_BLX), value_SX[rows.tokens])
        bias_B1L = rows.bias(torch.float32)
        assert (bias_B1L is None) == bool(rows.mask_BL.all())
        assert bias_B1L is None or torch.equal(bias_B1L[:, 0] == 0, rows.mask_BL)
        rows_of_text += [row_LX[mask_L] for row_LX, mask_L in zip(padded_BLX, rows.mask_BL, strict=True)]
    expected = value_SX.split(lengths)[texts]
    assert len(rows_of_text) == len(expected)
    assert all(torch.equal(found, text) for found, text in zip(rows_of_text, expected, strict=True))


def test_sorted_texts_are_hardly_padded() -> None:
    """Captions of images: a hundred tokens beside thirty would be more than half padding in one batch."""
    generator = torch.Generator().manual_seed(0)
    lengths = sorted((15 + 110 * torch.rand(160, generator=generator) ** 3).long().tolist())
    assert 160 * max(lengths) > 2 * sum(lengths)
    batches = batches_of(lengths, slice(0, 160), CPU)
    assert sum(rows.mask_BL.numel() for rows in batches) < LONGEST_RATIO * sum(lengths)
    assert len(batches) < 15


def test_a_gpu_is_given_large_batches() -> None:
    batches = batches_of(range(1, 257), slice(0, 256), torch.device("meta"))
    assert [len(rows.mask_BL) for rows in batches] == [LEAST_ROWS] * 3 + [64]


def test_many_texts_make_rows_of_few_lengths_and_few_texts_are_not_padded() -> None:
    lengths = list(range(11, 31))
    assert {rows.mask_BL.shape[1] for rows in batches_of(lengths, slice(0, 20), CPU)} == {3 * ROW, 4 * ROW}
    assert [rows.mask_BL.shape[1] for rows in batches_of([5, 11], slice(0, 2), CPU)] == [11]
