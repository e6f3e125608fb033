"""Texts of many lengths: end to end wherever a token is worked on alone, as batches of rows where tokens attend.

A caption of a hundred tokens beside those of thirty would make rows that are mostly padding.

Suffixes: S tokens of all texts end to end, B texts of a batch, L tokens of a row.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.captions.attention import visibility_bias

LONGEST_RATIO = 1.25  # of two texts of a batch, once it has enough of them
LEAST_ROWS_CPU, LEAST_ROWS = 8, 64  # of a batch; a GPU works on many at once and waits for each batch
ROW, STREAM = 8, 64  # tokens of a row, and of all texts, are padded to a multiple of these


@dataclass(frozen=True)
class Rows:
    """Consecutive texts of similar length, as rows that are padded on the right.

    Attributes:
        tokens: theirs, among those of all texts.
        mask_BL: False on padding.
        places_S: where each of their tokens lies, as an index into B × L; None if there is no padding.
    """

    tokens: slice
    mask_BL: Tensor
    places_S: Tensor | None

    def pad(self, x_SX: Tensor) -> Tensor:
        """What belongs to the tokens of all texts as these rows, (B, L, …), zero on padding."""
        x_SX = x_SX[self.tokens]
        if self.places_S is not None:
            padded = x_SX.new_zeros(self.mask_BL.numel(), *x_SX.shape[1:])
            x_SX = padded.index_copy(0, self.places_S, x_SX)
        return x_SX.view(*self.mask_BL.shape, *x_SX.shape[1:])

    def flat(self, x_BLX: Tensor) -> Tensor:
        """The inverse of :meth:`pad`: the tokens of these texts end to end."""
        x_SX = x_BLX.flatten(0, 1)
        return x_SX if self.places_S is None else x_SX[self.places_S]

    def bias(self, dtype: torch.dtype) -> Tensor | None:
        """Added to attention scores, (B, 1, L): −inf on padding; None if there is none."""
        return None if self.places_S is None else visibility_bias(self.mask_BL[:, None], dtype)


def spare(tokens: int, multiple: int, texts: int) -> int:
    """Padding that makes the tokens of rows, or of all texts, a multiple, so that training meets few sizes.

    A CPU makes a kernel for every size, once. Few texts, as in sampling, keep the size they have.
    """
    return -tokens % multiple if texts >= LEAST_ROWS_CPU else 0


def batches_of(lengths: Sequence[int], texts: slice, device: torch.device) -> list[Rows]:
    """Texts as few batches with little padding, best if neighbours are of similar length.

    Args:
        lengths: tokens of every text.
        texts: which of them.
        device: of the tensors.
    """
    least = LEAST_ROWS_CPU if device.type == "cpu" else LEAST_ROWS
    starts, inside = [texts.start], (lengths[texts.start],) * 2
    for index in range(texts.start + 1, texts.stop):
        inside = min(inside[0], lengths[index]), max(inside[1], lengths[index])
        if index - starts[-1] >= least and inside[1] > LONGEST_RATIO * inside[0]:
            starts, inside = [*starts, index], (lengths[index],) * 2
    first, batches = sum(lengths[: texts.start]), []
    for start, stop in itertools.pairwise([*starts, texts.stop]):
        longest = max(lengths[start:stop])
        batches.append(rows_of(lengths[start:stop], first, longest + spare(longest, ROW, len(lengths)), device))
        first = batches[-1].tokens.stop
    return batches


def rows_of(lengths: Sequence[int], first: int, row: int, device: torch.device) -> Rows:
    """Texts of these lengths, whose tokens begin at ``first``, as one batch of rows of ``row`` tokens."""
    length_B = torch.tensor(lengths)
    mask_BL = torch.arange(row) < length_B[:, None]
    places_S = None if mask_BL.all() else mask_BL.flatten().nonzero()[:, 0].to(device, non_blocking=True)
    tokens = slice(first, first + int(length_B.sum()))
    return Rows(tokens, mask_BL.to(device, non_blocking=True), places_S)
