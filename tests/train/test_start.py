"""Starting from earlier weights: what fits is taken over exactly, what does not is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kinema.captions.tokenizer import CaptionTokenizer
from kinema.config import ModelConfig, TextConfig
from kinema.errors import InputError
from kinema.model.layout import Layout, Segment
from kinema.model.transformer import TextToVideo
from kinema.shapes import TOKEN_CHANNELS, TokenGrid
from kinema.train.start import EMBEDDING, start_from

TEXT = TextConfig(vocab_size=280, width=16, depth=1, heads=2)
MODEL = ModelConfig(width=24, depth=1, heads=2)


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    CaptionTokenizer.train(["a red ball falls"] * 4, 280).save(tmp_path / "tokenizer.json")
    torch.manual_seed(0)
    state = TextToVideo(TEXT, MODEL).state_dict()
    save_file(
        {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in state.items()}, tmp_path / "model.safetensors"
    )
    return tmp_path


def test_words_of_both_tokenizers_keep_their_meaning(earlier: Path) -> None:
    tokenizer = CaptionTokenizer.train(["a red ball floats", "blue water ripples"] * 4, 300)
    old = CaptionTokenizer.load(earlier / "tokenizer.json")
    torch.manual_seed(1)
    model = TextToVideo(dataclasses.replace(TEXT, vocab_size=300), MODEL)
    fresh = model.text_encoder.embedding.weight.clone()
    shared = start_from(model, tokenizer, earlier)
    torch.manual_seed(0)
    source = TextToVideo(TEXT, MODEL)
    (red,), (red_before,) = tokenizer.encode("red"), old.encode("red")
    assert red != red_before  # the merges were learnt in another order
    now, before = model.text_encoder.embedding.weight, source.text_encoder.embedding.weight
    assert torch.equal(now[red], before[red_before].bfloat16().float())
    new = [id_ for token, id_ in tokenizer.ids().items() if token not in old.ids()]
    assert new and torch.equal(now[new], fresh[new])
    assert shared == len(tokenizer.ids()) - len(new)
    for name, tensor in model.state_dict().items():
        if name != EMBEDDING:
            assert torch.equal(tensor, source.state_dict()[name].bfloat16().float()), name


def test_a_trunk_can_be_given_blocks_for_details(earlier: Path) -> None:
    tokenizer = CaptionTokenizer.load(earlier / "tokenizer.json")
    model, trunk = TextToVideo(TEXT, dataclasses.replace(MODEL, detail_width=32)), TextToVideo(TEXT, MODEL)
    for network in (model, trunk):
        start_from(network, tokenizer, earlier)
        torch.nn.init.ones_(network.transformer.out_proj.weight)
    layout, text = Layout([Segment(TokenGrid(2, 3, 2), 12.0)]), tokenizer.pack([(("a red ball", 0.0, 1.0),)])
    noisy_NC, sigma_F = torch.randn(layout.tokens, TOKEN_CHANNELS), torch.rand(layout.frames)
    with_detail_NC, without_NC = (m(noisy_NC, layout, sigma_F, m.encode_text(text)) for m in (model, trunk))
    assert without_NC.any() and torch.equal(with_detail_NC, without_NC)


def test_a_model_of_before_can_learn_to_be_told_tracks(earlier: Path) -> None:
    model = TextToVideo(TEXT, dataclasses.replace(MODEL, tracks=True))
    start_from(model, CaptionTokenizer.load(earlier / "tokenizer.json"), earlier)
    assert model.transformer.tracks_proj is not None and not model.transformer.tracks_proj.weight.any()


def test_weights_of_another_size_are_refused(earlier: Path) -> None:
    tokenizer = CaptionTokenizer.load(earlier / "tokenizer.json")
    for text, model in ((dataclasses.replace(TEXT, width=32), MODEL), (TEXT, dataclasses.replace(MODEL, depth=2))):
        with pytest.raises(InputError, match="of another size: choose others for --init"):
            start_from(TextToVideo(text, model), tokenizer, earlier)
