"""Starting from weights that have already learnt something."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from kinema.captions.tokenizer import CaptionTokenizer
from kinema.errors import InputError
from kinema.model.transformer import TextToVideo

EMBEDDING = "text_encoder.embedding.weight"
ADDED = ("transformer.detail.", "transformer.tracks_proj.")  # parts that a model may have and older weights may not


@torch.no_grad()
def start_from(model: TextToVideo, tokenizer: CaptionTokenizer, folder: Path) -> int:
    """Gives a model the weights of exported ones; the two may have different tokenizers.

    The embedding of a token that both tokenizers have is taken over; the others stay as they are. So do parts that the
    weights lack altogether, blocks on every latent position and what takes tracks in: they add nothing yet. Everything
    else must fit exactly.

    Args:
        model: receives the weights.
        tokenizer: of the model.
        folder: ``model.safetensors`` and ``tokenizer.json``.

    Returns:
        The number of tokens that were taken over.

    Raises:
        InputError: the weights are of another architecture.
    """
    state = load_file(folder / "model.safetensors")
    old, new = CaptionTokenizer.load(folder / "tokenizer.json").ids(), tokenizer.ids()
    shared = sorted(old.keys() & new.keys())
    embedding_VC = model.text_encoder.embedding.weight.clone()
    if state[EMBEDDING].shape[1:] == embedding_VC.shape[1:]:
        embedding_VC[[new[token] for token in shared]] = state[EMBEDDING][[old[token] for token in shared]].float()
        state[EMBEDDING] = embedding_VC
    for part in ADDED:
        if not any(name.startswith(part) for name in state):
            state |= {name: tensor for name, tensor in model.state_dict().items() if name.startswith(part)}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"the weights in {folder} are of another size: choose others for --init, or none") from error
    return len(shared)
