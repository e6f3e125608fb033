"""Training of the codec at toy scale: crops, loss, learning, the whole command and its latent cache."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kinema.clips import footage
from kinema.clips.video_io import write_video
from kinema.codec.autoencoder import VideoAutoencoder, load_codec, to_BTHWC
from kinema.codec.pixels import from_uint8
from kinema.config import CodecConfig, Config, TrainConfig, WorldsConfig
from kinema.errors import InputError
from kinema.train import codec as training
from kinema.train import codec_data
from kinema.train.codec_data import HeldOut, Pool, draw_crops
from kinema.train.critic import Critic, adversarial_losses
from kinema.train.latents import cache_latents, load_latents, make_latents
from kinema.train.metrics import read_metrics
from kinema.worlds.make import make_clip

TINY = CodecConfig(width=12, latent_width=24, depth=1)
WORLDS = WorldsConfig(families=("fall", "ramp"), height=32, width=32, frames=9, samples_per_pixel=1, clips=6)
CONFIG = Config(
    worlds=WORLDS,
    codec=TINY,
    train_codec=TrainConfig(steps=3, batch=2, warmup_steps=1, checkpoint_every=3, adamw_lr=2e-3),
)


@pytest.fixture(autouse=True)
def few_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_data, "HELD_OUT_CLIPS", 4)
    monkeypatch.setattr(codec_data, "OTHER_HELD_OUT_CLIPS", 2)
    monkeypatch.setattr(footage, "CROPS_PER_FILE", 8)


def moving_discs(clips: int, frames: int = 17, side: int = 32) -> NDArray[np.uint8]:
    """Coloured discs that cross a shaded grey background, one way or the other."""
    rng = np.random.default_rng(0)
    row, col = np.mgrid[:side, :side]
    pool = np.empty((clips, frames, side, side, 3), np.uint8)
    for clip in pool:
        color, center, speed = rng.integers(0, 256, 3), rng.uniform(8, 24, 2), rng.uniform(-1, 1, 2)
        clip[:] = (120 + 2 * row)[..., None]
        for t, frame in enumerate(clip):
            y, x = center + speed * t
            frame[(row - y) ** 2 + (col - x) ** 2 < 25] = color
    return pool


def test_crops_are_consecutive_frames_of_one_place_and_of_about_one_cost() -> None:
    clips = np.zeros((3, 33, 64, 48, 3), np.uint8)
    clips[..., 0] += 7 * np.arange(33, dtype=np.uint8)[None, :, None, None]
    clips[..., 1] += 3 * np.arange(64, dtype=np.uint8)[None, None, :, None]
    clips[..., 2] += 5 * np.arange(48, dtype=np.uint8)[None, None, None, :]
    generator = torch.Generator().manual_seed(0)
    lengths, starts, corners = set(), set(), set()
    for _ in range(60):
        x = draw_crops([Pool(clips, 1.0)], (32, 32), 8, generator)
        assert x.dtype == torch.uint8
        values = x.int()
        assert torch.all(values[..., 0].diff(dim=1) == 7)
        assert torch.all(values[..., 1].diff(dim=2) == 3) and torch.all(values[..., 2].diff(dim=3) == 5)
        assert x.shape[2:] == (32, 32, 3) and 60 <= x.shape[0] * x.shape[1] <= 72
        lengths.add(x.shape[1])
        starts |= set((values[:, 0, 0, 0, 0] / 7).tolist())
        corners |= set((values[:, 0, 0, 0, 1] / 3).tolist())
    assert lengths == {1, 9, 17, 33}
    assert min(starts) == 0 and max(starts) == 32
    assert min(corners) == 0 and max(corners) == 32


def test_pools_share_the_crops() -> None:
    pools = [Pool(np.full((2, 9, 32, 32, 3), value, np.uint8), share) for value, share in ((0, 0.25), (255, 0.75))]
    generator = torch.Generator().manual_seed(0)
    values = torch.cat([draw_crops(pools, (32, 32), 8, generator)[:, 0, 0, 0, 0] for _ in range(40)])
    assert float((values > 0).float().mean()) == pytest.approx(0.75, abs=0.05)


def test_the_loss_is_zero_only_for_the_truth_and_sees_color_and_motion() -> None:
    truth = from_uint8(moving_discs(2))
    assert float(training.reconstruction_loss(truth, truth).total) == 0
    weight = training.pixel_weight(to_BTHWC(truth))
    assert float(weight.mean()) == pytest.approx(1.0, abs=1e-4)
    assert float(weight.max() / weight.min()) == pytest.approx(1 + training.EXTRA_WEIGHT, rel=1e-3)
    saturation = to_BTHWC(truth).amax(-1) - to_BTHWC(truth).amin(-1)
    assert float(weight[saturation > training.COLORFUL].min()) > 2 * float(weight.min())


def test_an_error_that_flickers_costs_more_than_one_that_stays() -> None:
    truth = torch.zeros(1, 3, 5, 16, 16)
    sign_T11 = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])[:, None, None]
    stays, flickers = (training.reconstruction_loss(truth + 0.1 * sign, truth) for sign in (1.0, sign_T11))
    torch.testing.assert_close(stays.pixels, flickers.pixels)
    assert float(stays.gradients) < 1e-6 and float(flickers.gradients) == pytest.approx(0.1)


def test_image_crops_have_no_motion_to_weigh() -> None:
    image = from_uint8(moving_discs(1)[:, :1])
    assert float(training.reconstruction_loss(image * 0.9, image).total) > 0


def test_a_few_clips_are_soon_learned() -> None:
    torch.manual_seed(0)
    codec, pool = VideoAutoencoder(TINY), moving_discs(4)
    optimizer = torch.optim.AdamW(codec.parameters(), 5e-3)
    generator, losses = torch.Generator().manual_seed(0), []
    for _ in range(80):
        x = from_uint8(draw_crops([Pool(pool, 1.0)], (32, 32), 2, generator))
        loss = training.reconstruction_loss(codec(x, generator).video_BCTHW, x).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-10:]) < 0.35 * losses[0]


def test_colors_count_in_the_score() -> None:
    truth = moving_discs(2)
    grey = np.repeat(truth.mean(-1, keepdims=True), 3, axis=-1).astype(np.uint8)
    scores = training.score(HeldOut(truth, ("fall", "ramp")), grey)
    assert scores["held_out_psnr_color"] < scores["held_out_psnr"] - 5
    assert {"held_out_psnr_fall", "held_out_psnr_ramp"} <= scores.keys()


def test_train_then_cache_then_load(tmp_path: Path) -> None:
    run, cache = tmp_path / "codec", tmp_path / "latents"
    weights = training.train_codec(CONFIG, run)
    assert weights.exists() and (run / "reconstructions.png").exists()
    assert np.isfinite(json.loads((run / "scores.json").read_text())["held_out_psnr"])
    before = weights.read_bytes()
    assert training.train_codec(CONFIG, run).read_bytes() == before  # resuming a finished run changes nothing

    make_latents(CONFIG, run, cache)
    dataset = load_latents(cache)
    assert len(dataset) == WORLDS.clips
    codec = load_codec(TINY, run)
    clip = make_clip(dataset.sources[4].family, dataset.sources[4].seed, WORLDS)
    assert dataset.sources[4].seed == 4 and dataset.captions[4] == clip.caption and dataset.fps[4] == clip.fps
    with torch.no_grad():
        latents = codec.encode(from_uint8(clip.pixels_THW3[None]))[0]
    assert dataset.latents_CTHW[4].dtype == torch.bfloat16
    torch.testing.assert_close(dataset.latents_CTHW[4].float(), latents, atol=0.1, rtol=0.1)


def test_every_kind_of_held_out_clip_is_scored(tmp_path: Path) -> None:
    training.train_codec(CONFIG, tmp_path)
    scores = json.loads((tmp_path / "scores.json").read_text())
    families = {f"held_out_psnr_{family}" for family in WORLDS.families}
    kinds = {
        f"held_out_{kind}{name}" for kind in ("psnr", "ssim") for name in ("", "_image", "_wide", "_large", "_long")
    }
    assert scores.keys() == families | kinds | {"held_out_psnr_color"}
    assert np.load(tmp_path / "held_out_large.npy").shape[2:4] == (64, 64)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert events.Tags()["images"] == ["reconstructions"]
    assert {"loss", "psnr", "held_out_psnr", "held_out_ssim"} <= set(events.Tags()["scalars"])


def test_real_videos_alone_and_a_codec_to_start_from(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for index, clip in enumerate(moving_discs(3, frames=12, side=48)):
        write_video(videos / f"{index}.mp4", clip, 12.0)
    (videos / "3.mp4").write_bytes(b"damaged")
    alone = replace(CONFIG, train_codec=replace(CONFIG.train_codec, data_share=1.0))
    with caplog.at_level("WARNING"):
        first = training.train_codec(alone, tmp_path / "first", footage=videos)
    assert "3.mp4" in caplog.text
    assert not (tmp_path / "first" / "pool.npy").exists()
    assert json.loads((tmp_path / "first" / "scores.json").read_text()).keys() == {
        "held_out_psnr_footage",
        "held_out_ssim_footage",
    }
    # A rate of zero keeps the weights that it starts from.
    still = replace(alone, train_codec=replace(alone.train_codec, muon_lr=0.0, adamw_lr=0.0, steps=2))
    second = training.train_codec(still, tmp_path / "second", footage=videos, init=tmp_path / "first")
    before, after = load_file(first), load_file(second)
    assert all(torch.equal(before[name], after[name]) for name in before if not name.startswith("normalizer"))
    with pytest.raises(InputError, match="does not fit"):
        training.train_codec(replace(alone, codec=CodecConfig(width=24)), tmp_path / "third", init=tmp_path / "first")


def test_a_decoder_alone_learns_and_leaves_the_latents_as_they_are(tmp_path: Path) -> None:
    first = training.train_codec(CONFIG, tmp_path / "first")
    config = replace(CONFIG, train_codec=replace(CONFIG.train_codec, decoder_only=True))
    with pytest.raises(InputError, match="--init"):
        training.train_codec(config, tmp_path / "second")
    second = training.train_codec(config, tmp_path / "second", init=tmp_path / "first")
    before, after = load_file(first), load_file(second)
    learnt = {name for name in before if not torch.equal(before[name], after[name])}
    assert learnt == {name for name in before if name.startswith("decoder.")}
    for run in ("first", "second"):
        cache_latents(load_codec(TINY, tmp_path / run), WORLDS, tmp_path / "latents", shard_clips=6, workers=1)


def test_a_deeper_codec_begins_as_the_one_it_is_given(tmp_path: Path) -> None:
    training.train_codec(CONFIG, tmp_path / "first")
    deeper, video = replace(TINY, depth=2), from_uint8(moving_discs(4))
    still = replace(CONFIG.train_codec, muon_lr=0.0, adamw_lr=0.0, steps=2, decoder_only=True)
    training.train_codec(replace(CONFIG, codec=deeper, train_codec=still), tmp_path / "second", init=tmp_path / "first")
    before, after = load_codec(TINY, tmp_path / "first"), load_codec(deeper, tmp_path / "second")
    latents = before.encode(video)
    assert torch.equal(after.encode(video), latents) and torch.equal(after.decode(latents), before.decode(latents))
    with pytest.raises(InputError, match="does not fit"):
        training.train_codec(CONFIG, tmp_path / "third", init=tmp_path / "second")


def test_an_anchor_holds_the_latents_near_those_of_the_codec_it_began_as(tmp_path: Path) -> None:
    training.train_codec(CONFIG, tmp_path / "first")
    video = from_uint8(moving_discs(4))
    before = load_codec(TINY, tmp_path / "first").encode(video)
    moved = []
    for weight in (1e-9, 10.0):
        train = replace(CONFIG.train_codec, steps=20, decay_share=0.0, ema_decay=0.0, anchor_weight=weight)
        config, run = replace(CONFIG, train_codec=train), tmp_path / f"{weight}"
        training.train_codec(config, run, init=tmp_path / "first")
        moved.append(float((load_codec(TINY, run).encode(video) - before).square().mean()))
        recorded = [line["moved"] for line in read_metrics(run) if "moved" in line]
        assert recorded[0] == 0 and len(recorded) == 20
    assert 0 < moved[1] < moved[0] / 4
    for impossible, init in (({}, None), ({"decoder_only": True}, tmp_path / "first")):
        config = replace(CONFIG, train_codec=replace(CONFIG.train_codec, anchor_weight=0.1, **impossible))
        with pytest.raises(InputError, match="anchor_weight"):
            training.train_codec(config, tmp_path / "third", init=init)


def test_codec_and_critic_learn_only_from_their_own_losses() -> None:
    torch.manual_seed(0)
    critic, video = Critic(), torch.randn(2, 3, 5, 32, 32, requires_grad=True)
    fooled, caught = adversarial_losses(critic, video, torch.randn(2, 3, 5, 32, 32))
    (of_video,) = torch.autograd.grad(fooled, video, retain_graph=True)
    assert of_video.abs().sum() > 0
    of_critic = torch.autograd.grad(fooled, list(critic.parameters()), allow_unused=True, retain_graph=True)
    assert all(gradient is None for gradient in of_critic)
    assert torch.autograd.grad(caught, video, allow_unused=True, retain_graph=True) == (None,)
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(caught, [p for p in critic.parameters() if p.ndim > 1]))


def test_the_critic_learns_to_tell_and_takes_images() -> None:
    torch.manual_seed(0)
    critic, generator = Critic(8), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(critic.parameters(), 3e-3)
    real = from_uint8(moving_discs(4))
    blurred = F.avg_pool3d(real, (1, 3, 3), 1, (0, 1, 1))
    for _ in range(40):
        start = int(torch.randint(9, (), generator=generator))
        caught = adversarial_losses(critic, blurred[:, :, start : start + 5], real[:, :, start : start + 5])[1]
        optimizer.zero_grad()
        caught.backward()
        optimizer.step()
    with torch.no_grad():
        assert float(critic(real).mean() - critic(blurred).mean()) > 0.5
    assert critic(real[:, :, :1]).shape[2] == 1


def test_a_run_with_a_critic_resumes_bit_identically(tmp_path: Path) -> None:
    train = replace(
        CONFIG.train_codec, steps=6, adversarial_weight=0.1, adversarial_from=2, checkpoint_every=1, validate_every=4
    )
    config = replace(CONFIG, train_codec=train)
    whole = training.train_codec(config, tmp_path / "whole").read_bytes()
    training.train_codec(config, tmp_path / "parts", stop_after=0.0)
    assert training.train_codec(config, tmp_path / "parts").read_bytes() == whole
    judged = [line["step"] for line in read_metrics(tmp_path / "whole") if "critic" in line]
    assert judged == [3, 4, 5, 6]
    assert [line["step"] for line in read_metrics(tmp_path / "whole") if "held_out_psnr" in line] == [4, 6]


def test_caching_resumes_and_damage_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    codec = VideoAutoencoder(TINY).eval()
    cache_latents(codec, WORLDS, tmp_path, shard_clips=2, workers=1)
    shards = sorted(tmp_path.glob("*.tar"))
    whole = [shard.read_bytes() for shard in shards]
    assert len(shards) == 3

    shards[1].write_bytes(whole[1].replace(b"caption", b"capsize", 1))
    with caplog.at_level("WARNING"):
        left = load_latents(tmp_path)
    assert f"{shards[1].name} is missing or damaged: its 2 clips are left out" in caplog.text
    assert "1 of 3 shards" in caplog.text
    assert left.damaged == (shards[1].name,) and (left.places, left.total) == ([0, 1, 4, 5], 6)
    shards[1].unlink()
    untouched = shards[0].stat().st_mtime_ns
    cache_latents(codec, WORLDS, tmp_path, shard_clips=2, workers=1)
    assert [shard.read_bytes() for shard in shards] == whole
    assert shards[0].stat().st_mtime_ns == untouched

    with pytest.raises(InputError, match="other settings"):
        cache_latents(codec, replace(WORLDS, fps=24.0), tmp_path, shard_clips=2)
    with pytest.raises(InputError, match="no latents"):
        load_latents(tmp_path / "nowhere")
