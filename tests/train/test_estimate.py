"""What a dry run tells, against what networks have and do."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kinema import config as configs
from kinema.captions.tokenizer import CaptionTokenizer
from kinema.codec.autoencoder import VideoAutoencoder
from kinema.config import ModelConfig, TextConfig, TrainConfig
from kinema.model.layout import Layout, Segment
from kinema.model.tracks import TRACK_FEATURES
from kinema.model.transformer import TextToVideo
from kinema.shapes import TOKEN_CHANNELS, TokenGrid
from kinema.train import estimate as estimates
from kinema.train import parallel
from kinema.train.checkpoint import newest_checkpoint
from kinema.train.estimate import estimate_codec, estimate_model
from kinema.train.loop import fit
from kinema.train.packs import Plan
from kinema.train.parallel import ALONE, Team
from kinema.train.speed import flops_of_clip, peak_flops


@pytest.fixture(autouse=True)
def known_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "peak_flops", lambda device, bf16: 1e12)


def bytes_saved(forward: Callable[[], Tensor], parameters: Iterable[nn.Parameter]) -> int:
    """What autograd keeps, weights aside, each memory counted once."""
    own, kept = {p.untyped_storage().data_ptr() for p in parameters}, {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)  # the tensor, so that its memory is not used again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    return sum(size for size, _ in kept.values())


@pytest.mark.parametrize("name", list(configs.PRESETS))
def test_every_preset_is_told_without_its_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configs.preset(name)
    told = estimate_model(config, ALONE)
    reader = 12 * config.text.depth * config.text.width**2
    model = config.model
    blocks = 15 * (model.depth * model.width**2 + model.detail_depth * model.detail_width**2)
    to_detail, from_tracks = 12 * model.width * model.detail_width, TRACK_FEATURES * model.width
    assert told["parameters"] == pytest.approx(reader + blocks + to_detail + from_tracks, rel=0.12)
    assert told["flops"] > 6 * 0.8 * told["parameters"] * told["tokens"]
    assert told["hours_at_5%_of_peak"] == pytest.approx(told["flops"] / 5e10 / 3600, abs=1e-3)
    monkeypatch.setattr(parallel, "SHARDED_PARAMETERS", 0)
    many = estimate_model(config, Team(process=0, processes=8))
    assert many["memory_gb"] == pytest.approx(told["memory_gb"] / 8, abs=2e-3)
    monkeypatch.setattr(parallel, "SHARDED_PARAMETERS", told["parameters"] + 1)
    copied = estimate_model(config, Team(process=0, processes=8))
    kept_gb = 4 * 5 * told["parameters"] / 1e9  # weights, gradients, an average and one or two moments
    assert copied["memory_gb"] - many["memory_gb"] == pytest.approx(7 / 8 * kept_gb, rel=0.2)
    assert estimate_codec(config, ALONE)["parameters"] > 1e6


@pytest.mark.parametrize("detail_width", [0, 32])
def test_activations_are_those_that_autograd_keeps(detail_width: int) -> None:
    width, depth, clips = 64, 3, 4
    torch.manual_seed(0)
    config = ModelConfig(width, depth, heads=1, detail_width=detail_width)
    model = TextToVideo(TextConfig(vocab_size=280, width=32, depth=1, heads=2), config)
    layout = Layout([Segment(TokenGrid(9, 4, 4), 12.0)] * clips)
    always = (("a red ball", -math.inf, math.inf),)
    text = CaptionTokenizer.train(["a red ball"], 280).pack([always] * clips)
    noisy_NC, level_F = torch.randn(layout.tokens, TOKEN_CHANNELS), torch.rand(layout.frames)
    saved = bytes_saved(lambda: model(noisy_NC, layout, level_F, model.text_encoder(text)), model.parameters())
    channels = width * depth + 4 * detail_width * config.detail_depth
    assert saved / (4 * layout.tokens * channels) == pytest.approx(estimates.SAVED_FLOATS, rel=0.2)


def test_activations_of_the_codec_too() -> None:
    codec = VideoAutoencoder(configs.nano().codec)
    video = torch.randn(1, 3, 9, 32, 32)
    saved = bytes_saved(lambda: codec(video).video_BCTHW, codec.parameters())
    assert saved / (4 * 9 * 32 * 32 * codec.config.width) == pytest.approx(estimates.SAVED_CODEC_FLOATS, rel=0.2)


@pytest.mark.parametrize(("skipped", "detail_width"), [(0.0, 0), (0.5, 0), (0.0, 32)])
def test_operations_of_a_clip_are_those_that_torch_counts(skipped: float, detail_width: int) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    text = TextConfig(vocab_size=280, width=32, depth=1, heads=2)
    config = ModelConfig(width=64, depth=4, heads=1, detail_width=detail_width)
    grid = TokenGrid(5, 4, 4)  # few enough for attention as products of matrices: the fused kernel is not counted
    model, layout = TextToVideo(text, config), Layout([Segment(grid, 12.0)])
    words = CaptionTokenizer.train(["a red ball"], 280).pack([(("a red ball falls", -math.inf, math.inf),)])
    noisy_NC, sigma_F = torch.randn(layout.tokens, TOKEN_CHANNELS), torch.rand(layout.frames)
    with FlopCounterMode(display=False) as counter:
        model(noisy_NC, layout, sigma_F, model.text_encoder(words), skipped)
    told = flops_of_clip(text, config)(grid, float(sum(words.lengths)), skipped) / 3
    assert told == pytest.approx(counter.get_total_flops(), rel=0.1)


def test_the_disk_holds_what_is_told(tmp_path: Path) -> None:
    module = nn.Linear(256, 256)
    train = TrainConfig(steps=2, checkpoint_every=1, bf16=False, ema_long_decay=0.99)
    fit(module, lambda step: (module(torch.ones(1, 256)).square().mean(), {}), train, tmp_path)
    found = newest_checkpoint(tmp_path)
    assert found is not None
    size = sum(file.stat().st_size for file in found.path.iterdir())
    told = estimates._told(module, train, ALONE, 1.0, 1, "tokens", 0.0, 0.0, False)
    assert told["disk_gb"] == pytest.approx(3 * size / 1e9, abs=1e-3)


def test_mixed_shapes_and_recomputation_change_the_estimate() -> None:
    nano = configs.nano()
    longer = dataclasses.replace(nano, worlds=dataclasses.replace(nano.worlds, shapes=((256, 256, 33, 0.5),)))
    assert estimate_model(longer, ALONE)["flops"] > 1.02 * estimate_model(nano, ALONE)["flops"]
    frugal = dataclasses.replace(nano, train_model=dataclasses.replace(nano.train_model, recompute=True))
    assert estimate_model(frugal, ALONE)["memory_gb"] < 0.6 * estimate_model(nano, ALONE)["memory_gb"]


def test_operations_of_a_run_are_those_of_its_steps() -> None:
    """Images, short clips, and whole clips among which there are images to the end."""
    nano = configs.nano()
    train = dataclasses.replace(nano.train_model, steps=60, image_steps=10, short_steps=20, image_share=0.5)
    config = dataclasses.replace(nano, train_model=train)
    grid = TokenGrid(9, 4, 4)
    plan = Plan([grid] * 500, train.batch * grid.count, train)
    flops = flops_of_clip(config.text, config.model)
    seen = Counter(part for step in range(train.steps) for part in plan.parts(step))
    total = sum(clips * flops(part, estimates.TEXT_TOKENS) for part, clips in seen.items())
    assert estimate_model(config, ALONE)["flops"] == pytest.approx(total, rel=0.03)


def test_this_machine_has_a_speed() -> None:
    cpu = torch.device("cpu")
    assert peak_flops(cpu, False) > 1e8
    assert peak_flops(cpu, True) > peak_flops(cpu, False) / 4  # float32 where bfloat16 is slow
