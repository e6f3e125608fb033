"""A tiny model with random weights, exported as a real one is."""

from __future__ import annotations

from pathlib import Path

import pytest

TINY_STEPS = 2


def export_random(folder: Path, config: object | None = None) -> Path:
    """Writes a weights folder whose networks are small and untrained but far from zero."""
    import torch
    from safetensors.torch import save_file

    from kinema import config as configs
    from kinema.captions.tokenizer import CaptionTokenizer
    from kinema.captions.vocabulary import Vocabulary
    from kinema.card import Card, SamplingDefaults, save_card
    from kinema.codec.autoencoder import VideoAutoencoder
    from kinema.model.transformer import TextToVideo

    if config is None:
        config = configs.override(
            configs.nano(),
            [
                *("codec.width=24", "codec.latent_width=32", "codec.depth=1"),
                *("text.vocab_size=300", "text.width=32", "text.depth=1", "text.heads=2", "text.max_tokens=64"),
                *("model.width=64", "model.depth=2", "model.heads=2"),
            ],
        )
    assert isinstance(config, configs.Config)
    torch.manual_seed(0)
    codec, model = VideoAutoencoder(config.codec), TextToVideo(config.text, config.model)
    with torch.no_grad():
        for parameter in [*codec.parameters(), *model.parameters()]:
            parameter += 0.05 * torch.randn_like(parameter)
    captions = ["a red ball falls onto the grey floor and bounces", "two blue cubes collide"]
    folder.mkdir(parents=True, exist_ok=True)
    configs.save(config, folder / "config.json")
    save_file(codec.state_dict(), folder / "codec.safetensors")
    save_file({k: v.bfloat16() for k, v in model.state_dict().items()}, folder / "model.safetensors")
    CaptionTokenizer.train(captions, config.text.vocab_size).save(folder / "tokenizer.json")
    Vocabulary.from_captions(captions).save(folder / "vocabulary.json")
    worlds = config.worlds
    sampling = SamplingDefaults(steps=TINY_STEPS, guidance=3.0)
    save_card(Card("tiny", worlds.height, worlds.width, worlds.frames, worlds.fps, sampling), folder / "card.json")
    (folder / "card.md").write_text("# tiny\n\nRandom weights.\n")
    return folder


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny random weights; copy it before changing it."""
    return export_random(tmp_path_factory.mktemp("weights") / "tiny")
