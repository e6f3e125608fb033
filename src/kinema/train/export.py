"""Finished runs → a folder of weights that samplers load; it appears whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from kinema import config as configs
from kinema.card import Card, save_card, save_text
from kinema.config import Config
from kinema.errors import InputError, KinemaError
from kinema.files import flush, reason
from kinema.train.checkpoint import newest_checkpoint, read_tensors
from kinema.train.loop import exported_average


def export(
    config: Config, codec_run: Path, model_run: Path, out: Path, card: Card, planner: Path | None = None
) -> Path:
    """Writes the weights of two runs, the model's averaged ones: matrices and kernels in bfloat16, the rest as it is.

    Args:
        config: the recipe of both runs.
        codec_run: run folder of the codec, with ``codec.safetensors``.
        model_run: run folder of the model, with checkpoints, ``tokenizer.json`` and ``vocabulary.json``.
        out: the folder to write; an older one is replaced.
        card: what the weights are for, how they were trained and how they score.
        planner: the planner's weights; there need be none.

    Returns:
        ``out``.

    Raises:
        InputError: a run folder lacks something.
        KinemaError: the disk is full or not writable; an older ``out`` is intact.
    """
    average = exported_average(config.train_model)
    checkpoint = newest_checkpoint(model_run)
    if checkpoint is None:
        raise InputError(f"{model_run} holds no complete checkpoint: train the model first")
    codec, *copied = (codec_run / "codec.safetensors", model_run / "tokenizer.json", model_run / "vocabulary.json")
    for source in (codec, *copied):
        if not source.is_file():
            raise InputError(f"{source.parent} lacks {source.name}: repeat the training command of that run first")
    out = out.absolute()
    part, old = (out.with_name(f".{out.name}.{kind}") for kind in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        for source in copied:
            shutil.copyfile(source, part / source.name)
        save_file(_halved(load_file(codec)), part / codec.name)
        save_file(_halved(read_tensors(checkpoint, f"{average}.")), part / "model.safetensors")
        if planner is not None and planner.is_file():
            save_file(_halved(load_file(planner)), part / planner.name)
        configs.save(config, part / "config.json")
        save_card(card, part / "card.json")
        save_text(card, part / "card.md")
        for path in (*part.iterdir(), part):
            flush(path)
        shutil.rmtree(old, ignore_errors=True)
        if out.exists():
            out.rename(old)
        part.rename(out)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(part, ignore_errors=True)
        cause = reason(error) if isinstance(error, OSError) else str(error)
        raise KinemaError(f"cannot write {out} ({cause}): make room or choose another folder") from error
    shutil.rmtree(old, ignore_errors=True)
    return out


def _halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and convolution kernels in bfloat16; norms, biases and statistics cost nothing and stay exact."""
    return {name: tensor.to(torch.bfloat16) if tensor.ndim > 1 else tensor for name, tensor in tensors.items()}
