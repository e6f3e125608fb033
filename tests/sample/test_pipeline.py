"""Sampling with a tiny random model: shapes, determinism, guidance, and the result's file and preview."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import kinema
import kinema.model.layers
from conftest import TINY, write_random_weights
from kinema.clips.video_io import read_video
from kinema.codec import pixels
from kinema.config import override
from kinema.errors import InputError
from kinema.flow.guidance import guide
from kinema.model.layout import Layout, Segment
from kinema.model.planner import plan
from kinema.model.tracks import draw_tracks
from kinema.sample import generate
from kinema.sample.condition import Condition
from kinema.sample.order import Order
from kinema.sample.pipeline import Pipeline
from kinema.sample.request import Request
from kinema.sample.video import Video
from kinema.shapes import TokenGrid

PROMPT = "a red ball falls"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """A network with blocks for details, so that whatever a run shares is shared by them too."""
    config = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, detail_width=32, detail_depth=1))
    return kinema.load(write_random_weights(tmp_path_factory.mktemp("weights") / "tiny", config))


@pytest.fixture
def request_(pipeline: Pipeline) -> Request:
    return pipeline.request(Order(PROMPT, seconds=0.4, size=(48, 32)))


def test_a_native_video(pipeline: Pipeline) -> None:
    steps: list[tuple[int, int]] = []
    video = pipeline.generate(PROMPT, on_step=lambda *step: steps.append(step))
    assert video.pixels.shape == (33, 64, 64, 3) and video.pixels.dtype == np.uint8
    assert video.fps == 12 and video.seconds == pytest.approx(2.75)
    assert video.pixels.std() > 1
    assert steps == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("seconds", "size", "fps", "frames"),
    [(0.01, "64x64", None, 1), (5, "32x32", None, 61), (1, "64x48", 24, 25), (0.5, (32, 64), 30, 17)],
)
def test_other_durations_proportions_and_rates(
    pipeline: Pipeline, seconds: float, size: str | tuple[int, int], fps: float | None, frames: int
) -> None:
    video = pipeline.generate(PROMPT, seconds, size, fps, steps=1)
    width, height = size if isinstance(size, tuple) else map(int, size.split("x"))
    assert video.pixels.shape == (frames, height, width, 3)


@pytest.mark.parametrize("frames", [1, 5, 29])
def test_an_image_is_the_first_frame_of_a_clip_of_training(pipeline: Pipeline, frames: int) -> None:
    whole, short = (pipeline.request(Order(PROMPT, seconds=count / 12)) for count in (33, frames))
    short_CTHW = pipeline.sample(short)[0]
    assert short_CTHW.shape[1] == short.shape.latent.frames == 1 + (frames - 1) // 4
    torch.testing.assert_close(short_CTHW, pipeline.sample(whole)[0][:, : short_CTHW.shape[1]])
    assert pipeline.make(short).pixels.shape == (frames, 64, 64, 3)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """A model that can be told where bodies go, and a planner."""
    config = override(TINY, ["model.tracks=true", "planner.width=16", "planner.heads=2", "planner.depth=1"])
    return kinema.load(write_random_weights(tmp_path_factory.mktemp("weights") / "planned", config))


def told_to(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, **order: Any) -> list[torch.Tensor | None]:
    """What the denoiser is told of tracks, at every call."""
    heard: list[torch.Tensor | None] = []
    forward = pipeline.model.forward

    def listen(*args: Any, tracks_NC: torch.Tensor | None = None) -> torch.Tensor:
        heard.append(tracks_NC)
        return forward(*args, tracks_NC=tracks_NC)

    monkeypatch.setattr(pipeline.model, "forward", listen)
    pipeline.sample(pipeline.request(Order(PROMPT, **order)))
    monkeypatch.undo()
    return heard


def test_a_plan_is_told_to_the_pass_with_the_text(planned: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [
        plan(planned.planner, planned.tokenizer.pack([generate.always(PROMPT)], 64), seed)  # type: ignore[arg-type]
        for seed in (5, 6)
    ]
    heard = told_to(planned, monkeypatch, seed=5, count=2, steps=3)
    expected_NC = torch.cat([draw_tracks(tracks, TokenGrid(9, 4, 4)) for tracks in drawn])
    assert len(heard) == 3 and not torch.equal(*expected_NC.chunk(2))
    for tracks_NC in heard:
        assert tracks_NC is not None
        with_text_NC, without_NC = tracks_NC.chunk(2)
        assert torch.equal(with_text_NC, expected_NC) and not without_NC.any()


@pytest.mark.parametrize(
    "order",
    [
        *({"seconds": 5.0}, {"fps": 24.0, "seconds": 1.0}, {"size": (96, 64)}),
        *({"image": np.zeros((64, 64, 3), np.uint8)}, {"remix": np.zeros((33, 64, 64, 3), np.uint8)}),
        {"storyboard": {"beat": [{"at": 0, "until": 1, "text": "it falls"}]}},
    ],
    ids=["longer", "faster", "wider", "image", "remix", "storyboard"],
)
def test_what_a_planner_does_not_know_is_drawn_without_it(
    planned: Pipeline, monkeypatch: pytest.MonkeyPatch, order: dict[str, Any]
) -> None:
    assert set(told_to(planned, monkeypatch, **order)) == {None}


def test_short_clips_larger_pictures_and_first_windows_have_a_plan(
    planned: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = {"remix": np.zeros((33, 64, 64, 3), np.uint8), "strength": 1.0}
    for order in ({"seconds": 0.01}, {"seconds": 1.0}, {"size": (128, 128)}, hidden):
        assert not any(heard is None for heard in told_to(planned, monkeypatch, **order))
    windows = told_to(planned, monkeypatch, seconds=8.0, rollout=True)
    first = [heard is not None for heard in windows]
    assert first[0] and not first[-1] and first == sorted(first, reverse=True)


def test_a_plan_changes_what_is_drawn(planned: Pipeline) -> None:
    without = dataclasses.replace(planned, planner=None)
    assert (planned.generate(PROMPT).pixels != without.generate(PROMPT).pixels).any()
    np.testing.assert_array_equal(planned.generate(PROMPT).pixels, planned.generate(PROMPT).pixels)


@pytest.mark.parametrize("solver", ["euler", "heun", "dpmpp", "unipc"])
def test_the_same_seed_gives_the_same_video(pipeline: Pipeline, request_: Request, solver: str) -> None:
    request = dataclasses.replace(request_, solver=solver)
    first, again = (pipeline.make(request).pixels for _ in range(2))
    other = pipeline.make(dataclasses.replace(request, seed=1)).pixels
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("change", [{"prompt": "two blue cubes collide"}, {"guidance": 9.0}, {"negative": "blue"}])
def test_every_setting_has_an_effect(pipeline: Pipeline, request_: Request, change: dict[str, object]) -> None:
    changed = dataclasses.replace(request_, **change)  # type: ignore[arg-type]
    assert (pipeline.make(request_).pixels != pipeline.make(changed).pixels).any()


def test_both_guidance_passes_in_one_pack_equal_two_alone(
    pipeline: Pipeline, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "fast_bf16", lambda device: False)
    shape, tokens = request_.shape.latent, request_.shape.tokens
    condition = Condition(torch.zeros(2, *shape.dims), torch.ones(shape.frames))
    segment = Segment(tokens, request_.fps)
    x_NC = torch.randn(2 * tokens.count, 64)
    with torch.inference_mode():
        words = generate.Words(generate.always(PROMPT), (), pipeline.tokenizer, 64)
        velocity = generate.guided_velocity(pipeline.model, words, request_, condition, segment, [0.7, 0.0], x_NC)
        packed_NC = velocity(x_NC, 0.7)
        layout = Layout([segment])
        for x_nC, packed_nC in zip(x_NC.chunk(2), packed_NC.chunk(2), strict=True):
            alone = [
                pipeline.model(
                    x_nC,
                    layout,
                    torch.full((layout.frames,), 0.7),
                    pipeline.model.encode_text(pipeline.tokenizer.pack([row])),
                )[None]
                for row in (generate.always(PROMPT), ())
            ]
            expected_nC = guide(alone[0], alone[1], request_.guidance)[0]
            torch.testing.assert_close(packed_nC, expected_nC, rtol=1e-3, atol=1e-3)


def test_the_second_pass_of_guidance_sees_noise_where_frames_are_known(
    pipeline: Pipeline, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "fast_bf16", lambda device: False)
    shape, grid = request_.shape.latent, request_.shape.tokens
    level_T = torch.ones(shape.frames)
    level_T[0] = 0.05
    segment, own = Segment(grid, request_.fps), grid.rows * grid.cols
    x_NC, noise_NC = torch.randn(2, grid.count, 64)
    with torch.inference_mode():
        words = generate.Words(generate.always(PROMPT), (), pipeline.tokenizer, 64)
        condition = Condition(torch.zeros(1, *shape.dims), level_T)
        velocity = generate.guided_velocity(pipeline.model, words, request_, condition, segment, [0.7, 0.0], noise_NC)(
            x_NC, 0.7
        )

        def alone(x_NC: torch.Tensor, first: float, text: Any) -> torch.Tensor:
            layout = Layout([segment])
            levels_F = torch.full((layout.frames,), 0.7)
            levels_F[0] = first
            features = pipeline.model.encode_text(pipeline.tokenizer.pack([text]))
            return pipeline.model(x_NC, layout, levels_F, features)[None, own:]

        blind_NC = torch.cat([noise_NC[:own], x_NC[own:]])
        expected = guide(alone(x_NC, 0.05, generate.always(PROMPT)), alone(blind_NC, 1.0, ()), request_.guidance)
    torch.testing.assert_close(velocity[own:], expected[0], rtol=1e-3, atol=1e-3)


def test_a_region_edit_makes_its_inner_steps_twice(pipeline: Pipeline) -> None:
    size = (pipeline.card.height, pipeline.card.width, 3)
    clip, mask = np.zeros((5, *size), np.uint8), np.zeros(size, np.uint8)
    mask[:, 8:] = 255
    request = pipeline.request(Order(PROMPT, remix=clip, mask=mask, steps=4))
    told: list[tuple[int, int]] = []
    pipeline.sample(request, lambda done, steps: told.append((done, steps)))
    assert told == [(step, 6) for step in range(1, 7)] and request.cost.calls == 6


def test_fresh_noise_is_new_and_does_not_depend_on_the_pack() -> None:
    noise_BCTHW = torch.randn(2, 16, 3, 4, 4)
    together = generate._fresh_noise(noise_BCTHW)
    first, second = next(together), next(together)
    alone = generate._fresh_noise(noise_BCTHW[1:])
    assert (next(alone) == first[1:]).all() and (next(alone) == second[1:]).all()
    for other in (noise_BCTHW, second, first.flip(0)):
        assert abs(torch.corrcoef(torch.stack([first.flatten(), other.flatten()]))[0, 1]) < 0.15


def test_without_guidance_there_is_one_pass(pipeline: Pipeline, request_: Request) -> None:
    plain = dataclasses.replace(request_, guidance=1.0)
    assert generate._passes(plain, [0.9, 0.5, 0.0]) == {1}
    assert (pipeline.make(plain).pixels != pipeline.make(request_).pixels).any()


def test_guidance_is_left_out_beyond_its_interval(pipeline: Pipeline, request_: Request) -> None:
    never = dataclasses.replace(request_, interval=(0.01, 0.02))
    assert generate._passes(never, [0.9, 0.5, 0.0]) == {1}
    assert (pipeline.make(never).pixels == pipeline.make(dataclasses.replace(request_, guidance=1.0)).pixels).all()


def test_what_does_not_change_is_computed_once_a_run(
    pipeline: Pipeline, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text with its keys and values, rotary tables and modulation once; the model once a step, for both passes."""
    calls: Counter[str] = Counter()

    def count(owner: object, name: str) -> None:
        compute = getattr(owner, name)

        def counting(*given: object) -> object:
            calls[name] += 1
            return compute(*given)

        monkeypatch.setattr(owner, name, counting)

    transformer = pipeline.model.transformer
    assert transformer.detail is not None
    count(pipeline.model, "encode_text")
    count(transformer, "read_noise")
    count(transformer, "forward")
    count(transformer.detail, "modulation")
    count(kinema.model.layers, "rotary_tables")
    blocks = [*transformer.blocks, *transformer.detail.blocks]
    for block in blocks:
        count(block, "text_keys_values")
    pipeline.make(dataclasses.replace(request_, steps=7, count=2))
    once = {"encode_text": 1, "read_noise": 1, "modulation": 1}
    assert calls == once | {"rotary_tables": 2, "text_keys_values": len(blocks), "forward": 7}


def test_the_time_is_a_constant_a_call_and_a_rate_an_operation(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timed(_: Pipeline, request: Request) -> tuple[float, float]:
        return 0.01 * request.cost.calls + 1e-9 * request.cost.model_flops, 1e-7 * request.cost.pixels

    monkeypatch.setattr(Pipeline, "_timed", timed)
    for options in ({"steps": 9, "solver": "heun"}, {"seconds": 20}, {"loop": True}, {"count": 70, "size": "128x128"}):
        request = pipeline.request(Order.of({"prompt": PROMPT} | options))
        assert pipeline.seconds(request) == pytest.approx(sum(timed(pipeline, request)), rel=1e-6)
        assert request.cost.calls >= request.steps * len(request.packs) * (2 if request.solver == "heun" else 1)


def test_variations_of_a_pack_are_those_of_their_seeds(
    pipeline: Pipeline, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "fast_bf16", lambda device: False)
    pack = dataclasses.replace(request_, count=3)
    latents = pipeline.sample(pack)
    assert len(latents) == 3
    for index, packed_CTHW in enumerate(latents):
        alone_CTHW = pipeline.sample(dataclasses.replace(request_, seed=request_.seed + index))[0]
        torch.testing.assert_close(packed_CTHW, alone_CTHW, rtol=1e-3, atol=1e-3)


def test_the_codec_path_keeps_a_clip_it_can_keep(pipeline: Pipeline) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3), np.uint8)
    decoded, psnr_db, ssim = generate.reconstruct(pipeline.codec, pixels)
    assert decoded.shape == pixels.shape
    mse = np.square(decoded.astype(float) - pixels).mean()
    assert psnr_db == pytest.approx(10 * math.log10(255**2 / mse), abs=0.1)
    assert -1 <= ssim <= 1


def test_a_wrong_call_is_told(pipeline: Pipeline) -> None:
    for wrong in ({"size": "65x64"}, {"seconds": 0}, {"solver": "best"}, {"steps": 0}):
        with pytest.raises(InputError):
            pipeline.generate(PROMPT, **wrong)  # type: ignore[arg-type]


def test_a_long_prompt_tells_what_was_cut(pipeline: Pipeline) -> None:
    assert pipeline.tokens_cut(pipeline.request(Order(PROMPT))) == 0
    assert pipeline.tokens_cut(pipeline.request(Order("red ball " * 1000))) > 100


def test_a_video_saves_its_facts_and_previews(pipeline: Pipeline, request_: Request, tmp_path: Path) -> None:
    video = pipeline.make(request_)
    path = video.save(tmp_path / "a.mp4")
    file = read_video(path)
    assert file.metadata == pipeline.facts(request_) and file.pixels_THW3.shape == video.pixels.shape
    assert video._repr_html_().startswith("<video") and "base64," in video._repr_html_()


def test_a_video_needs_no_facts(tmp_path: Path) -> None:
    Video(np.zeros((1, 32, 32, 3), np.uint8), 12.0).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0
