"""Training of the model at toy scale: curriculum, words, loss, exact resume, export."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from kinema.captions.tokenizer import CaptionTokenizer, timed_text
from kinema.card import Card, load_card
from kinema.codec.autoencoder import VideoAutoencoder, load_codec, save_codec
from kinema.config import CodecConfig, Config, FlowConfig, ModelConfig, TextConfig, TrainConfig
from kinema.data import Beat, Caption, Source
from kinema.errors import InputError, KinemaError
from kinema.model.patches import patchify
from kinema.model.transformer import TextToVideo
from kinema.train import export as exporting
from kinema.train import model as training
from kinema.train.latents import LatentDataset
from kinema.train.metrics import read_metrics
from kinema.train.model import train_model, train_step, velocity_error
from kinema.train.packs import Drawn, Pack, draw_step, draw_words, grids_of, make_pack, noisy_tokens

FRAMES = 3  # latent frames
CONFIG = Config(
    codec=CodecConfig(width=16, latent_width=16, depth=1),
    text=TextConfig(vocab_size=300, width=32, depth=1, heads=2),
    model=ModelConfig(width=32, depth=1, heads=1, mlp_ratio=2.0),
    train_model=TrainConfig(steps=12, batch=4, warmup_steps=2, image_steps=2, short_steps=3, checkpoint_every=6),
)
CAPTION = Caption(
    "a red ball falls onto a grey floor", "a ball", (Beat(0, 0.4, "it falls"), Beat(0.5, 0.7, "it rests"))
)


def dataset(clips: int = training.HELD_OUT_CLIPS + 12) -> LatentDataset:
    """Clips whose latents say their colour, and words that name it."""
    rng = torch.Generator().manual_seed(0)
    data = LatentDataset([], [], [], [], [], list(range(clips)), clips)
    for clip in range(clips):
        color = ("red", "green", "blue")[clip % 3]
        level = (clip % 3 - 1) * torch.ones(16, FRAMES, 4, 4)
        data.latents_CTHW.append((level + 0.1 * torch.randn(level.shape, generator=rng)).bfloat16())
        beats = (Beat(0.0, 0.5, f"the {color} ball falls"), Beat(0.5, 1.0, "it rests"))
        data.captions.append(Caption(f"a {color} ball falls and then it rests", f"a {color} ball", beats))
        data.fps.append(12.0)
        data.sources.append(Source("fall", clip, 1))
    return data


@pytest.fixture(autouse=True)
def latents(monkeypatch: pytest.MonkeyPatch) -> LatentDataset:
    data = dataset()
    monkeypatch.setattr(training, "load_latents", lambda folder: data)
    return data


@pytest.fixture(scope="module")
def tokenizer() -> CaptionTokenizer:
    return CaptionTokenizer.train([line for c in dataset(3).captions for line in (c.summary, c.short)], 300)


def drawn(
    data: LatentDataset, clips: list[int], frames: int = FRAMES, flow: FlowConfig = CONFIG.flow, seed: int = 1
) -> list[Drawn]:
    """These clips' beginnings, and what a step draws for them."""
    parts = [dataclasses.replace(grid, frames=frames) for grid in grids_of(data, clips)]
    return draw_step(data, clips, parts, CONFIG.train_model, flow, torch.Generator().manual_seed(seed))


def test_an_image_is_the_beginning_of_its_clip(latents: LatentDataset, tokenizer: CaptionTokenizer) -> None:
    clips = drawn(latents, [3, 5], frames=1)
    pack = make_pack(latents, clips, tokenizer, 64)
    assert pack.layout.frames == 2 and pack.layout.uniform
    expected = torch.cat([patchify(latents.latents_CTHW[d.clip][:, :1]) for d in clips]).float()
    assert torch.equal(pack.latents_NC, expected)


def words(count: int, last_s: float = 10.0, **shares: float) -> list[tuple[tuple[str, float, float], ...]]:
    config = dataclasses.replace(CONFIG.train_model, **shares)  # type: ignore[arg-type]
    rng = torch.Generator().manual_seed(0)
    return [lines for _ in range(count) for lines in draw_words([CAPTION], [last_s], config, rng)]


def test_words_come_in_the_asked_shares() -> None:
    drawn = words(2000, text_dropout=0.1, beats_dropout=0.4)
    silent = sum(lines == () for lines in drawn) / len(drawn)
    spoken = [lines for lines in drawn if lines]
    short = sum(lines[0][0] == "a ball" for lines in spoken) / len(spoken)
    beats = sum(len(lines) > 1 for lines in spoken) / len(spoken)
    assert abs(silent - 0.1) < 0.03 and abs(short - 0.5) < 0.05 and abs(beats - 0.6) < 0.05
    assert {lines[0][1:] for lines in spoken} == {(-math.inf, math.inf)}


def test_clips_of_a_step_are_told_in_different_forms() -> None:
    config = dataclasses.replace(CONFIG.train_model, text_dropout=0.1, summary_dropout=0.1)
    drawn = draw_words([CAPTION] * 200, [10.0] * 200, config, torch.Generator().manual_seed(0))
    short, long = timed_text(CAPTION, short=True), timed_text(CAPTION)
    assert set(drawn) == {(), short, short[:1], short[1:], long, long[:1]}


def test_a_prefix_is_not_told_of_later_beats() -> None:
    drawn = words(20, last_s=0.0, text_dropout=0.0, beats_dropout=0.0)
    assert {lines[1:] for lines in drawn} == {(("it falls", 0, 0.4),)}


def test_the_loss_counts_noisy_tokens_only(latents: LatentDataset, tokenizer: CaptionTokenizer) -> None:
    torch.manual_seed(0)
    model = TextToVideo(CONFIG.text, CONFIG.model)
    clips = drawn(latents, list(range(8)), flow=FlowConfig(clean_first_share=1.0, independent_share=0.0))
    pack = make_pack(latents, clips, tokenizer, 64)
    loss, values = train_step(pack, model, noisy_tokens(clips))
    error_N = velocity_error(pack, model)
    level_N = pack.noise_level_F[pack.layout.frame_N]
    assert (level_N == 0).any()
    torch.testing.assert_close(loss, error_N[level_N > 0].mean())
    high_N = level_N >= 0.75
    assert high_N.any()
    assert float(values["loss_0.75"]) == pytest.approx(float(error_N.detach()[high_N].mean()), rel=1e-5)
    low_N = (level_N > 0) & (level_N < 0.25)
    assert low_N.any()
    assert float(values["loss_0"]) == pytest.approx(float(error_N.detach()[low_N].mean()), rel=1e-5)


def test_the_model_learns_and_uses_its_words(tmp_path: Path, latents: LatentDataset) -> None:
    train = dataclasses.replace(CONFIG.train_model, steps=120, checkpoint_every=120, ema_decay=0.9)
    result = train_model(dataclasses.replace(CONFIG, train_model=train), tmp_path, tmp_path / "run")
    scores = next(line for line in reversed(read_metrics(tmp_path / "run")) if "held_out" in line)
    # The error is 1 (the noise) and the variance of what is not known of the data: 2/3 before anything is learnt.
    assert scores["held_out"] < 1.1
    assert scores["text_gain"] > 0.05
    assert result.flops > 0
    assert {"config.json", "tokenizer.json", "vocabulary.json"} <= {path.name for path in (tmp_path / "run").iterdir()}


@pytest.mark.parametrize("skipped", [0.0, 0.5])
def test_a_resumed_training_is_bit_identical(tmp_path: Path, skipped: float) -> None:
    train = dataclasses.replace(CONFIG.train_model, skipped_share=skipped)
    config = dataclasses.replace(CONFIG, train_model=train, model=dataclasses.replace(CONFIG.model, depth=3))
    whole = train_model(config, tmp_path, tmp_path / "whole")
    for _ in range(3):
        train_model(config, tmp_path, tmp_path / "parts", stop_after=0.0)
    parts = train_model(config, tmp_path, tmp_path / "parts")
    for (name, a), (_, b) in zip(whole.module.state_dict().items(), parts.module.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    records = [[line["loss"] for line in read_metrics(tmp_path / run) if "loss" in line] for run in ("whole", "parts")]
    assert records[0] == records[1]


def test_tokens_skip_blocks_until_the_rate_falls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    plain = training.velocity_error

    def noted(pack: Pack, model: TextToVideo, skipped: float = 0.0) -> torch.Tensor:
        if torch.is_grad_enabled():
            asked.append(skipped)
        return plain(pack, model, skipped)

    monkeypatch.setattr(training, "velocity_error", noted)
    train = dataclasses.replace(CONFIG.train_model, steps=10, decay_share=0.4, skipped_share=0.5)
    config = dataclasses.replace(CONFIG, train_model=train, model=dataclasses.replace(CONFIG.model, depth=3))
    routed = train_model(config, tmp_path, tmp_path / "routed")
    assert asked == [0.5] * 6 + [0.0] * 4
    train = dataclasses.replace(train, skipped_share=0.0)
    assert (
        routed.flops < train_model(dataclasses.replace(config, train_model=train), tmp_path, tmp_path / "whole").flops
    )


@pytest.mark.parametrize(
    ("skipped", "depth", "message"), [(1.0, 3, "less than 1"), (-0.5, 3, "at least 0"), (0.5, 2, "of 2 blocks")]
)
def test_impossible_routes_are_refused(tmp_path: Path, skipped: float, depth: int, message: str) -> None:
    train = dataclasses.replace(CONFIG.train_model, skipped_share=skipped)
    config = dataclasses.replace(CONFIG, train_model=train, model=dataclasses.replace(CONFIG.model, depth=depth))
    with pytest.raises(InputError, match=message):
        train_model(config, tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_few_clips_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "load_latents", lambda folder: dataset(10))
    with pytest.raises(InputError, match="holds 10 clips"):
        train_model(CONFIG, tmp_path, tmp_path / "run")


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """A codec's run folder and a model's."""
    train_model(CONFIG, tmp_path, tmp_path / "model", stop_after=0.0)
    (tmp_path / "codec").mkdir()
    save_codec(VideoAutoencoder(CONFIG.codec), tmp_path / "codec")
    return tmp_path / "codec", tmp_path / "model"


CARD = Card("tiny", 32, 32, 9, 12.0, training={"clips": 12})


def test_export_writes_matrices_in_bfloat16(tmp_path: Path, runs: tuple[Path, Path]) -> None:
    out = exporting.export(CONFIG, *runs, tmp_path / "weights", CARD)
    tensors: dict[str, Tensor] = load_file(out / "model.safetensors")
    TextToVideo(CONFIG.text, CONFIG.model).load_state_dict(tensors)  # strict
    trained, exported = load_codec(CONFIG.codec, runs[0]).state_dict(), load_codec(CONFIG.codec, out).state_dict()
    for name, tensor in trained.items():
        assert torch.equal(exported[name], tensor.bfloat16().float() if tensor.ndim > 1 else tensor), name
    for tensor in (*tensors.values(), *load_file(out / "codec.safetensors").values()):
        assert tensor.dtype == (torch.bfloat16 if tensor.ndim > 1 else torch.float32)
    assert load_card(out / "card.json") == CARD and "clips: 12" in (out / "card.md").read_text()
    assert exporting.configs.load(out / "config.json") == CONFIG


def test_a_failed_export_leaves_the_older_one(
    tmp_path: Path, runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = exporting.export(CONFIG, *runs, tmp_path / "weights", CARD)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(card: Card, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "save_text", full)
    with pytest.raises(KinemaError, match="no space left on device"):
        exporting.export(CONFIG, *runs, out, dataclasses.replace(CARD, name="other"))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["codec", "model", "weights"]


def test_export_names_what_is_missing(tmp_path: Path, runs: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="holds no complete checkpoint"):
        exporting.export(CONFIG, runs[0], tmp_path / "nothing", tmp_path / "weights", CARD)
    (runs[1] / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"lacks tokenizer\.json"):
        exporting.export(CONFIG, *runs, tmp_path / "weights", CARD)
    assert not (tmp_path / "weights").exists()
