"""A tiny model with random weights, in a folder like those that training exports."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kinema import config as configs
from kinema.captions.tokenizer import CaptionTokenizer
from kinema.captions.vocabulary import Vocabulary
from kinema.card import Card, SamplingDefaults, save_card, save_text
from kinema.codec.autoencoder import VideoAutoencoder, save_codec
from kinema.model.planner import planner_of
from kinema.model.transformer import TextToVideo

TINY = configs.override(
    configs.nano(),
    [
        *("codec.width=24", "codec.latent_width=32", "codec.depth=1"),
        *("text.vocab_size=300", "text.width=32", "text.depth=1", "text.heads=2", "text.max_tokens=64"),
        *("model.width=64", "model.depth=2", "model.heads=2", "model.detail_width=0"),
        *("model.tracks=false", "planner.width=0", "train_model.tracks_share=0"),
        "train_model.image_share=0",
    ],
)
CAPTIONS = ("a red ball falls onto the grey floor and bounces", "two blue cubes collide")


def write_random_weights(folder: Path, config: configs.Config = TINY) -> Path:
    """Writes untrained networks whose outputs are far from zero."""
    torch.manual_seed(0)
    codec, model = VideoAutoencoder(config.codec), TextToVideo(config.text, config.model)
    with torch.no_grad():
        for parameter in [*codec.parameters(), *model.parameters()]:
            parameter += 0.05 * torch.randn_like(parameter)
    folder.mkdir(parents=True)
    save_codec(codec, folder)
    save_file({name: tensor.bfloat16() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    tokenizer = CaptionTokenizer.train(CAPTIONS, config.text.vocab_size)
    tokenizer.save(folder / "tokenizer.json")
    if config.planner.width:
        planner = planner_of(config, tokenizer.vocab_size)
        state = {name: (x + 0.2 * torch.randn_like(x)).bfloat16() for name, x in planner.state_dict().items()}
        save_file(state, folder / "planner.safetensors")
    Vocabulary.from_captions(CAPTIONS).save(folder / "vocabulary.json")
    configs.save(config, folder / "config.json")
    worlds, sampling = config.worlds, SamplingDefaults(steps=2, guidance=3.0)
    card = Card("tiny", worlds.height, worlds.width, worlds.frames, worlds.fps, sampling, training={"clips": 2})
    save_card(card, folder / "card.json")
    save_text(card, folder / "card.md")
    return folder


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny random weights; copy it before changing it."""
    return write_random_weights(tmp_path_factory.mktemp("weights") / "tiny")
