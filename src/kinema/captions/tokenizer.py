"""Captions → token ids with the span of time that each token speaks about.

A caption is timed text: lines ``(text, start_s, end_s)``. The summary holds always, (−inf, inf); a beat holds between
two moments. All lines of a caption are read as one: <bos> summary <beat> line <beat> line …

Suffixes: S tokens of all captions, end to end.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

from kinema.data import Caption

TimedText = tuple[tuple[str, float, float], ...]  # lines (text, start_s, end_s)

PAD, BOS, BEAT = 0, 1, 2  # no text holds the first one: texts are end to end, see rows.py
RESERVED = 3  # ids before those of the BPE; kept out of it, so that no typed text can produce them


@dataclass(frozen=True)
class TextPack:
    """The tokens of captions, end to end.

    Attributes:
        ids_S: int64 token ids.
        start_s_S: float32 start of each token's span in seconds, −inf for the summary.
        end_s_S: float32 end of each token's span, inf for the summary.
        lengths: tokens of each caption.
        cut: tokens of each caption that did not fit and were dropped from its end.
    """

    ids_S: Tensor
    start_s_S: Tensor
    end_s_S: Tensor
    lengths: tuple[int, ...]
    cut: tuple[int, ...]

    def to(self, device: torch.device | str) -> TextPack:
        """The same pack on another device."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> TextPack:
        """The same pack in memory that a GPU reads without waiting."""
        return self._with(Tensor.pin_memory)

    def _with(self, move: Callable[[Tensor], Tensor]) -> TextPack:
        return TextPack(move(self.ids_S), move(self.start_s_S), move(self.end_s_S), self.lengths, self.cut)


def timed_text(caption: Caption, *, short: bool = False, beats: bool = True) -> TimedText:
    """A caption as timed lines: its summary (or short form), then its beats."""
    summary = (caption.short if short else caption.summary, -math.inf, math.inf)
    return (summary, *((beat.text, beat.start_s, beat.end_s) for beat in caption.beats if beats))


class CaptionTokenizer:
    """Byte-level, lower-cased byte pair encoding (Sennrich et al. 2016, arXiv 1508.07909).

    Bytes make every script representable; whether the model has ever seen a word is the vocabulary's business.
    """

    def __init__(self, bpe: Tokenizer) -> None:
        self._bpe = bpe

    @classmethod
    def train(cls, captions: Iterable[str], vocab_size: int) -> CaptionTokenizer:
        """Learns the merges from caption texts; the same texts in any order give the same tokenizer.

        Args:
            captions: lines of text, summaries and beats alike.
            vocab_size: number of ids including the reserved ones, at least 259 (3 reserved + 256 bytes).
        """
        bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
        assert vocab_size >= RESERVED + len(bytes_), f"a vocabulary of {vocab_size} cannot hold all bytes"
        bpe = Tokenizer(models.BPE())
        bpe.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.ByteLevel(add_prefix_space=True), pre_tokenizers.Digits(individual_digits=True)]
        )
        bpe.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size - RESERVED, initial_alphabet=bytes_, show_progress=False, min_frequency=2
        )
        bpe.train_from_iterator(sorted(captions), trainer)
        return cls(bpe)

    @classmethod
    def load(cls, path: Path) -> CaptionTokenizer:
        """Reads what :meth:`save` wrote."""
        return cls(Tokenizer.from_file(str(path)))

    def save(self, path: Path) -> None:
        """Writes the tokenizer as JSON."""
        self._bpe.save(str(path))

    @property
    def vocab_size(self) -> int:
        """Number of ids, including the reserved ones."""
        return int(self._bpe.get_vocab_size()) + RESERVED

    def ids(self) -> dict[str, int]:
        """The id of every token, the reserved ones under names that no text can produce."""
        reserved = {"<pad>": PAD, "<bos>": BOS, "<beat>": BEAT}
        return {token: id_ + RESERVED for token, id_ in self._bpe.get_vocab().items()} | reserved

    def encode(self, text: str) -> list[int]:
        """Ids of one line, without markers."""
        return [id_ + RESERVED for id_ in self._bpe.encode(text).ids]

    def decode(self, ids: Sequence[int]) -> str:
        """The (lower-cased) text of ids; reserved ids are skipped."""
        return str(self._bpe.decode([id_ - RESERVED for id_ in ids if id_ >= RESERVED])).strip()

    def pack(self, captions: Sequence[TimedText], max_tokens: int = 256) -> TextPack:
        """Token ids with their spans.

        Args:
            captions: one tuple of lines ``(text, start_s, end_s)`` per clip; an empty tuple is "no text".
            max_tokens: of the longest caption; what exceeds it is dropped from the end and counted in ``TextPack.cut``.
        """
        assert captions, "a text pack holds at least one caption"
        rows = [self._row(lines) for lines in captions]
        cut = tuple(max(0, len(row) - max_tokens) for row in rows)
        rows = [row[:max_tokens] for row in rows]
        ids, starts, ends = zip(*itertools.chain.from_iterable(rows), strict=True)
        return TextPack(
            ids_S=torch.tensor(ids, dtype=torch.int64),
            start_s_S=torch.tensor(starts, dtype=torch.float32),
            end_s_S=torch.tensor(ends, dtype=torch.float32),
            lengths=tuple(len(row) for row in rows),
            cut=cut,
        )

    def _row(self, lines: TimedText) -> list[tuple[int, float, float]]:
        row = [(BOS, -math.inf, math.inf)]
        for text, start_s, end_s in lines:
            if (start_s, end_s) != (-math.inf, math.inf):
                row.append((BEAT, start_s, end_s))
            row.extend((id_, start_s, end_s) for id_ in self.encode(text))
        return row
