"""Training of the codec at toy scale: crops, loss, learning, the whole command and its latent cache."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kinema.codec.autoencoder import VideoAutoencoder, load_codec, to_BTHWC
from kinema.config import CodecConfig, Config, TrainConfig, WorldsConfig
from kinema.errors import InputError
from kinema.train import codec as training
from kinema.train.latents import cache_latents, load_latents, make_latents
from kinema.worlds.make import make_clip

TINY = CodecConfig(width=12, latent_width=24, depth=1)
WORLDS = WorldsConfig(height=32, width=32, frames=9, samples_per_pixel=1, clips=6)
CONFIG = Config(
    worlds=WORLDS,
    codec=TINY,
    train_codec=TrainConfig(steps=3, batch=2, warmup_steps=1, checkpoint_every=3, adamw_lr=2e-3),
)


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


def test_crops_are_consecutive_frames_of_one_cost() -> None:
    pool = np.zeros((3, 33, 32, 32, 3), np.uint8)
    pool += np.arange(33, dtype=np.uint8)[None, :, None, None, None]
    generator = torch.Generator().manual_seed(0)
    lengths, starts = set(), set()
    for _ in range(60):
        x = training.draw_crops(pool, 8, generator)
        values = ((x[:, 0, :, 0, 0] + 1) * 127.5).round()
        assert torch.all(values.diff(dim=1) == 1)
        assert 60 <= x.shape[0] * x.shape[2] <= 72
        lengths.add(x.shape[2])
        starts |= set(values[:, 0].tolist())
    assert lengths == {9, 17}
    assert min(starts) == 0 and max(starts) == 24


def test_the_loss_is_zero_only_for_the_truth_and_sees_color_and_motion() -> None:
    truth = training.to_pixels(moving_discs(2))
    assert float(training.reconstruction_loss(truth, truth).total) == 0
    weight = training.pixel_weight(to_BTHWC(truth))
    assert float(weight.mean()) == pytest.approx(1.0, abs=1e-4)
    assert float(weight.max() / weight.min()) == pytest.approx(1 + training.EXTRA_WEIGHT, rel=1e-3)
    saturation = to_BTHWC(truth).amax(-1) - to_BTHWC(truth).amin(-1)
    assert float(weight[saturation > training.COLORFUL].min()) > 2 * float(weight.min())


def test_image_crops_have_no_motion_to_weigh() -> None:
    image = training.to_pixels(moving_discs(1)[:, :1])
    assert float(training.reconstruction_loss(image * 0.9, image).total) > 0


def test_a_few_clips_are_soon_learned() -> None:
    torch.manual_seed(0)
    codec, pool = VideoAutoencoder(TINY), moving_discs(4)
    optimizer = torch.optim.AdamW(codec.parameters(), 5e-3)
    generator, losses = torch.Generator().manual_seed(0), []
    for _ in range(80):
        x = training.draw_crops(pool, 2, generator)
        loss = training.reconstruction_loss(codec(x, generator).video_BCTHW, x).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-10:]) < 0.35 * losses[0]


def test_colors_count_in_the_score() -> None:
    truth = moving_discs(2)
    grey = np.repeat(truth.mean(-1, keepdims=True), 3, axis=-1).astype(np.uint8)
    scores = training.score(truth, grey, ["fall", "ramp"])
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
        latents = codec.encode(training.to_pixels(clip.pixels_THW3[None]))[0]
    assert dataset.latents_CTHW[4].dtype == torch.bfloat16
    torch.testing.assert_close(dataset.latents_CTHW[4].float(), latents, atol=0.1, rtol=0.1)


def test_caching_resumes_and_damage_is_named(tmp_path: Path) -> None:
    torch.manual_seed(0)
    codec = VideoAutoencoder(TINY).eval()
    cache_latents(codec, WORLDS, tmp_path, shard_clips=2, workers=1)
    shards = sorted(tmp_path.glob("*.tar"))
    whole = [shard.read_bytes() for shard in shards]
    assert len(shards) == 3

    shards[1].write_bytes(whole[1].replace(b"caption", b"capsize", 1))
    with pytest.raises(InputError, match=f"{shards[1].name} is missing or damaged"):
        load_latents(tmp_path)
    shards[1].unlink()
    untouched = shards[0].stat().st_mtime_ns
    cache_latents(codec, WORLDS, tmp_path, shard_clips=2, workers=1)
    assert [shard.read_bytes() for shard in shards] == whole
    assert shards[0].stat().st_mtime_ns == untouched

    with pytest.raises(InputError, match="another worlds"):
        cache_latents(codec, replace(WORLDS, fps=24.0), tmp_path, shard_clips=2)
    with pytest.raises(InputError, match="no latents"):
        load_latents(tmp_path / "nowhere")
