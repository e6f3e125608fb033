"""Packs: the order and budget of clips, shares of processes, and that a pack is its clips alone."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.captions.tokenizer import CaptionTokenizer, timed_text
from kinema.config import Config, FlowConfig, ModelConfig, TextConfig, TrainConfig, WorldsConfig
from kinema.data import Beat, Caption, Source, Tracks
from kinema.errors import InputError
from kinema.flow.path import data_from_velocity, interpolate, velocity
from kinema.model.patches import patchify
from kinema.model.tracks import draw_tracks
from kinema.model.transformer import Block, TextToVideo
from kinema.shapes import TokenGrid
from kinema.train.latents import LatentDataset
from kinema.train.model import check_processes, held_out_loss, train_step
from kinema.train.packs import SHADOW_FROM, Drawn, Plan, draw_step, grids_of, make_pack, noisy_tokens, share
from kinema.train.parallel import Team, compile_blocks, is_worth_compiling
from kinema.worlds.make import shape_of

SHAPES = ((3, 4, 4), (3, 4, 4), (2, 4, 8), (1, 6, 4), (5, 2, 2), (3, 4, 4))  # latent frames, height, width
TEXT, MODEL = TextConfig(vocab_size=280, width=32, depth=1, heads=2), ModelConfig(width=32, depth=2, heads=1)
GRIDS = st.lists(st.builds(TokenGrid, st.integers(1, 9), st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=40)


def dataset() -> LatentDataset:
    """Clips of several shapes."""
    rng = torch.Generator().manual_seed(0)
    data = LatentDataset([], [], [], [], [], list(range(len(SHAPES))), len(SHAPES))
    for clip, (frames, height, width) in enumerate(SHAPES):
        data.latents_CTHW.append(torch.randn(16, frames, height, width, generator=rng).bfloat16())
        words = "a red ball falls and rolls away"[: 10 + 3 * clip]
        data.captions.append(Caption(words, words[:5], (Beat(0.0, 0.3, "it falls"), Beat(0.4, 0.9, "it rests"))))
        data.fps.append(12.0)
        data.sources.append(Source("fall", clip, 1))
    return data


def draw(data: LatentDataset, clips: list[int], seed: int = 0) -> list[Drawn]:
    flow, train = FlowConfig(independent_share=0.5), TrainConfig(text_dropout=0.2, beats_dropout=0.0)
    return draw_step(data, clips, grids_of(data, clips), train, flow, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def tokenizer() -> CaptionTokenizer:
    return CaptionTokenizer.train(["a red ball falls and rolls away"], 280)


@pytest.fixture(scope="module")
def model() -> TextToVideo:
    torch.manual_seed(0)
    model = TextToVideo(TEXT, MODEL)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def test_noise_is_shifted_by_the_size_of_what_is_seen() -> None:
    """The median level of an image is that of a shift three times smaller than a native clip's of nine frames."""
    data = LatentDataset(
        [torch.zeros(16, 9, 8, 8)], [Caption("a", "a")], [12.0], [Source("fall", 0, 1)], [None], [0], 1
    )
    parts = [TokenGrid(frames, 4, 4) for frames in (1, 9)] * 2000
    flow = FlowConfig(shift=3.0, clean_first_share=0.0, independent_share=0.0)
    rng = torch.Generator().manual_seed(0)
    drawn = draw_step(data, [0] * 4000, parts, TrainConfig(), flow, rng, native_tokens=144)
    levels = ([d.noise_level_T[0] for d in drawn if d.grid.frames == frames] for frames in (1, 9))
    image, clip = (float(torch.stack(of_one).median()) for of_one in levels)
    assert image == pytest.approx(0.5, abs=0.01) and clip == pytest.approx(0.75, abs=0.01)


def test_equal_grids_are_drawn_side_by_side_with_their_texts_in_order_of_length() -> None:
    captions = [Caption("a " * (1 + 7 * clip % 30), "a") for clip in range(30)]
    data = LatentDataset([], captions, [12.0] * 30, [], [], [], 30)
    parts = [TokenGrid(frames, 4, 4) for frames in (1, 9)] * 15
    drawn = draw_step(data, range(30), parts, TrainConfig(short_share=0.0), FlowConfig(), torch.Generator())
    order = [(d.grid.frames, sum(len(text) for text, _, _ in d.words)) for d in drawn]
    assert order == sorted(order) and len(set(order)) > 20
    assert all(d.words in ((), timed_text(captions[d.clip])) and d.grid == parts[d.clip] for d in drawn)


def test_a_mixed_pack_learns_what_its_clips_alone_would(tokenizer: CaptionTokenizer, model: TextToVideo) -> None:
    """Loss and gradients of a step of six shapes, and the sums over steps of one clip each."""
    data = dataset()
    drawn = draw(data, list(range(len(SHAPES))))
    noisy = noisy_tokens(drawn)
    loss, values = train_step(make_pack(data, drawn, tokenizer, 64), model, noisy)
    loss.backward()
    packed = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    alone = [train_step(make_pack(data, [one], tokenizer, 64), model, noisy) for one in drawn]
    for part, _ in alone:
        part.backward()
    torch.testing.assert_close(loss, sum(part for part, _ in alone), atol=1e-5, rtol=1e-5)
    assert len(packed) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert (packed[name] - parameter.grad).norm() < 1e-5 * parameter.grad.norm(), name
    for name, value in values.items():
        parts = [float(numbers.get(name, 0.0)) for _, numbers in alone]
        assert float(value) == pytest.approx(sum(parts), rel=1e-4), name


def with_tracks(data: LatentDataset) -> LatentDataset:
    """Of all clips but the fourth, a red cube that fills the picture more and more."""
    for clip, latents_CTHW in enumerate(data.latents_CTHW):
        box_SB4 = np.zeros((1 + 2 * (latents_CTHW.shape[1] - 1), 1, 4), np.float32)
        box_SB4[:, 0, 2:] = np.linspace(0.5, 1, len(box_SB4))[:, None]
        data.tracks.append(None if clip == 3 else Tracks(("red",), ("cube",), box_SB4))
    return data


def test_tracks_are_told_of_a_share_of_the_clips_that_have_words_and_them(tokenizer: CaptionTokenizer) -> None:
    data, train = with_tracks(dataset()), TrainConfig(text_dropout=0.3, tracks_share=0.6)
    clips, told, spoken = list(range(len(SHAPES))), 0, 0
    for seed in range(200):
        drawn = draw_step(data, clips, grids_of(data, clips), train, FlowConfig(), torch.Generator().manual_seed(seed))
        may = [d for d in drawn if d.words and d.clip != 3]
        assert not any(d.told for d in drawn if d not in may)
        told, spoken = told + sum(d.told for d in may), spoken + len(may)
        pack = make_pack(data, drawn, tokenizer, 64)
        if not any(d.told for d in drawn):
            assert pack.tracks_NC is None
            continue
        assert pack.tracks_NC is not None
        for d, tracks_NC in zip(drawn, pack.tracks_NC.split([d.grid.count for d in drawn]), strict=True):
            tracks = data.tracks[d.clip]
            assert torch.equal(tracks_NC, draw_tracks(tracks, d.grid)) if d.told and tracks else not tracks_NC.any()
    assert told / spoken == pytest.approx(0.6, abs=0.05)


def test_a_step_learns_from_tracks_and_is_scored_without(tokenizer: CaptionTokenizer) -> None:
    data, clips = with_tracks(dataset()), [0, 1, 5]
    torch.manual_seed(0)
    model = TextToVideo(TEXT, dataclasses.replace(MODEL, tracks=True))
    torch.nn.init.normal_(model.transformer.out_proj.weight, std=0.1)
    config = Config(train_model=TrainConfig(tracks_share=1.0, text_dropout=0.0, batch=4, bf16=False))
    drawn = draw_step(data, clips, grids_of(data, clips), config.train_model, FlowConfig(), torch.Generator())
    loss, _ = train_step(make_pack(data, drawn, tokenizer, 64), model, noisy_tokens(drawn))
    loss.backward()
    assert model.transformer.tracks_proj is not None and model.transformer.tracks_proj.weight.grad is not None
    assert model.transformer.tracks_proj.weight.grad.any()
    before = held_out_loss(model, data, clips, tokenizer, config)
    assert before.pop("tracks_gain") == pytest.approx(0)
    torch.nn.init.normal_(model.transformer.tracks_proj.weight, std=0.5)
    after = held_out_loss(model, data, clips, tokenizer, config)
    assert abs(after.pop("tracks_gain")) > 1e-3 and before == after
    silent = dataclasses.replace(config, train_model=dataclasses.replace(config.train_model, tracks_share=0.0))
    assert "tracks_gain" not in held_out_loss(model, data, clips, tokenizer, silent)


def test_a_noisy_clip_holds_the_shadow_and_its_target_does_not(tokenizer: CaptionTokenizer) -> None:
    data, flow = dataset(), FlowConfig(clean_first_share=0.2, independent_share=0.2)
    clips = list(range(len(SHAPES)))
    plain, kinds = TrainConfig(), Counter[bool]()
    shady = dataclasses.replace(plain, shadow_share=0.7, shadow_strength=0.5)
    for step in range(60):
        one, other = (
            draw_step(data, clips, grids_of(data, clips), train, flow, torch.Generator().manual_seed(step))
            for train in (plain, shady)
        )
        assert [(d.clip, d.words, d.noise_seed) for d in other] == [(d.clip, d.words, d.noise_seed) for d in one]
        without, held = make_pack(data, one, tokenizer, 64), make_pack(data, other, tokenizer, 64)
        counts = [d.grid.count for d in one]
        noises = (pack.noise_NC.split(counts) for pack in (without, held))
        for d, latents_NC, noise_NC, shadowed_NC in zip(other, held.latents_NC.split(counts), *noises, strict=True):
            if d.shadow is None:
                assert torch.equal(noise_NC, shadowed_NC)
                continue
            level = d.noise_level_T[0]
            assert d.grid.frames > 1 and level >= SHADOW_FROM and bool((d.noise_level_T == level).all())
            kinds[d.shadow.mirrored] += 1
            source_CTHW = data.latents_CTHW[d.shadow.clip]
            assert (d.shadow.clip == d.clip) == d.shadow.mirrored
            seen_NC = patchify(source_CTHW.flip(-1) if d.shadow.mirrored else source_CTHW).float()
            mixed_NC = torch.lerp(latents_NC, seen_NC, d.shadow.strength)
            noisy_NC = interpolate(latents_NC, shadowed_NC, level)
            torch.testing.assert_close(noisy_NC, interpolate(mixed_NC, noise_NC, level))
            target_NC = velocity(latents_NC, shadowed_NC)
            torch.testing.assert_close(data_from_velocity(noisy_NC, target_NC, level), latents_NC)
    assert 40 < kinds[True] and 15 < kinds[False]


def test_held_out_clips_have_no_shadow(tokenizer: CaptionTokenizer, model: TextToVideo) -> None:
    data = dataset()
    plain = Config(text=TEXT, model=MODEL, train_model=TrainConfig(bf16=False))
    shady = dataclasses.replace(plain, train_model=dataclasses.replace(plain.train_model, shadow_share=1.0))
    one, other = (held_out_loss(model, data, range(len(SHAPES)), tokenizer, config) for config in (plain, shady))
    assert one == other


@pytest.mark.skipif(not is_worth_compiling(torch.device("cpu"), 10**6), reason="no C++ compiler here")
def test_compiled_blocks_learn_what_plain_ones_do(tokenizer: CaptionTokenizer, model: TextToVideo) -> None:
    data, compiled, found = dataset(), copy.deepcopy(model), []
    compile_blocks(compiled)
    assert all(part in vars(compiled.transformer.blocks[0]) for part in Block.PARTS)
    drawn = draw(data, [0, 1, 5])
    for network in (model, compiled):
        network.zero_grad()
        loss, _ = train_step(make_pack(data, drawn, tokenizer, 64), network, noisy_tokens(drawn))
        loss.backward()
        found.append({name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None})
    assert len(found[1]) == len(list(model.parameters()))
    for name, gradient in found[0].items():
        assert (found[1][name] - gradient).norm() < 1e-4 * gradient.norm(), name


def test_short_runs_on_a_cpu_are_not_compiled() -> None:
    assert not is_worth_compiling(torch.device("cpu"), 20)
    assert is_worth_compiling(torch.device("cuda"), 20)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_share_a_step_and_nothing_of_it_changes(tokenizer: CaptionTokenizer, processes: int) -> None:
    data = dataset()
    drawn = draw(data, [0, 1, 2, 3, 4, 5])
    shares = [share(drawn, process, processes) for process in range(processes)]
    assert sorted(one.clip for mine in shares for one in mine) == [0, 1, 2, 3, 4, 5]
    loads = [sum(one.grid.count for one in mine) for mine in shares]
    assert max(loads) - min(loads) <= max(grid.count for grid in grids_of(data, range(6)))
    packs = [make_pack(data, mine, tokenizer, 64) for mine in shares]
    noise = {one.clip: one.noise_seed for one in drawn}
    assert all(noise[one.clip] == one.noise_seed for mine in shares for one in mine)
    assert sum(float(pack.noise_NC.sum()) for pack in packs) == pytest.approx(
        float(make_pack(data, drawn, tokenizer, 64).noise_NC.sum()), abs=1e-3
    )


def test_stages_fill_one_budget_and_end_on_whole_clips() -> None:
    grids = [TokenGrid(9, 4, 4)] * 1000
    plan = Plan(grids, 24 * 144, TrainConfig(steps=30, batch=24, image_steps=10, short_steps=10))
    shown = [Counter(part.frames for part in plan.parts(step)) for step in (0, 9, 10, 19, 20, 29)]
    assert shown == [{1: 216}] * 2 + [{5: 43}] * 2 + [{9: 24}] * 2
    plain = Plan(grids, 24 * 144, TrainConfig(steps=30, batch=24))
    assert all(Counter(part.frames for part in plain.parts(step)) == {9: 24} for step in range(30))


@pytest.mark.parametrize("first_clips", [0, 300])
def test_of_a_share_of_the_clips_every_step_sees_the_image_and_not_always_of_the_same(first_clips: int) -> None:
    config = TrainConfig(steps=40, image_share=0.75, first_clips=first_clips)
    plan = Plan([TokenGrid(9, 4, 4)] * 300, 24 * 144, config)
    seen = [plan.seen(step) for step in range(config.steps)]
    for step in seen:
        frames = [part.frames for _, part in step]
        assert frames == sorted(frames) and set(frames) == {1, 9}
        assert abs(frames.count(1) / len(frames) - 0.75) < 0.06
        assert 24 * 144 - 144 < sum(part.count for _, part in step) <= 24 * 144
    both = [{clip for step in seen for clip, part in step if part.frames == frames} for frames in (1, 9)]
    assert len(both[0] & both[1]) > 250


@settings(max_examples=60, deadline=None)
@given(grids=GRIDS, budget=st.integers(1, 800), images=st.integers(0, 4), short=st.integers(0, 4))
def test_every_clip_comes_once_before_any_comes_again_within_the_budget(
    grids: list[TokenGrid], budget: int, images: int, short: int
) -> None:
    config = TrainConfig(steps=12, image_steps=images, short_steps=short)
    plan, seen = Plan(grids, budget, config), Counter[int]()
    for step in range(config.steps):
        chosen = plan.clips(step)
        assert chosen and (plan.tokens(step) <= budget or len(chosen) == 1)
        parts = [dataclasses.astuple(part) for part in plan.parts(step)]
        assert parts == sorted(parts)
        seen.update(chosen)
        counts = [seen[clip] for clip in range(len(grids))]
        assert max(counts) - min(counts) <= 1
    assert Plan(grids, budget, config).clips(11) == plan.clips(11)  # whatever was asked before


@settings(max_examples=60, deadline=None)
@given(
    clips=st.integers(1, 60),
    first=st.integers(1, 60),
    grow_steps=st.integers(0, 16),
    budget=st.integers(1, 300),
    images=st.integers(0, 4),
)
def test_while_latents_are_made_a_step_draws_from_those_that_are_there(
    clips: int, first: int, grow_steps: int, budget: int, images: int
) -> None:
    config = TrainConfig(steps=20, first_clips=first, grow_steps=grow_steps, image_steps=images)
    plan, before = Plan([TokenGrid(3, 2, 2)] * clips, budget, config), 0
    for step in range(config.steps):
        chosen, available = plan.clips(step), plan.available(step)
        assert len(set(chosen)) == len(chosen) == min(available, max(1, budget // (4 if step < images else 12)))
        assert 0 <= min(chosen) and max(chosen) < available
        assert before <= available <= clips and (available == clips) == (step >= grow_steps or first >= clips)
        assert plan.parts(step) == [TokenGrid(1 if step < images else 3, 2, 2)] * len(chosen)
        assert step or not grow_steps or available == min(first, clips)
        before = available
    assert Plan(plan.grids, budget, config).clips(11) == plan.clips(11)  # whatever was asked before


def test_clips_that_join_in_are_drawn_like_the_others() -> None:
    plan = Plan([TokenGrid(1, 1, 1)] * 40, 8, TrainConfig(steps=500, first_clips=10, grow_steps=100))
    early, late = Counter[int](), Counter[int]()
    for step in range(100):
        early.update(plan.clips(step))
    for step in range(100, 500):
        late.update(plan.clips(step))
    assert early[0] > 2 * early[30] > 0  # there from the first step, and from step 70 on
    assert late.keys() == set(range(40)) and min(late.values()) > 50 and max(late.values()) < 110
    other = Plan(plan.grids, 8, dataclasses.replace(plan.config, seed=1))
    assert other.clips(100) != plan.clips(100) != plan.clips(101)


def test_too_many_processes_are_refused_in_one_line() -> None:
    plan = Plan([TokenGrid(9, 4, 4), TokenGrid(9, 4, 8)], 4 * 288, TrainConfig())
    check_processes(plan, Team(process=0, processes=4))
    with pytest.raises(InputError, match="5 processes .* start at most 4"):
        check_processes(plan, Team(process=0, processes=5))


def test_training_clips_take_the_shapes_of_the_recipe_family_by_family() -> None:
    worlds = WorldsConfig(families=("fall", "ramp", "float"), shapes=((32, 64, 17, 0.25), (48, 48, 33, 0.25)))
    shapes = [(w.height, w.width, w.frames) for w in (shape_of(index, worlds) for index in range(1200))]
    for family in range(3):
        counts = Counter(shapes[family::3])
        assert counts[(32, 64, 17)] == pytest.approx(100, abs=3) and counts[(48, 48, 33)] == pytest.approx(100, abs=3)
        assert counts[(64, 64, 33)] == pytest.approx(200, abs=3)
    plain = WorldsConfig()
    assert shape_of(5, plain) == plain
