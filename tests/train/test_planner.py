"""What the planner learns from: words and tracks in the same colours, held-out pairs never, and a loss that adds up."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema import config as configs
from kinema.captions.tokenizer import CaptionTokenizer
from kinema.config import Config, WorldsConfig
from kinema.data import Beat, Caption, Source, Tracks
from kinema.errors import InputError
from kinema.model.planner import GRID, Planner, Plans, plan, planner_of
from kinema.train import planner as training
from kinema.train.latents import HELD_OUT_CLIPS, LatentDataset
from kinema.train.parallel import Team
from kinema.train.planner import RECOLORED, Drawn, draw_names, draw_plans, plan_loss, settings_of, train_planner
from kinema.worlds import palette
from kinema.worlds.narration.words import COLOR_WORDS, SHAPE_WORDS, article

CONFIG: Config = configs.override(
    configs.nano(),
    [
        *("worlds.frames=5", "text.vocab_size=300", "text.max_tokens=32"),
        *("planner.width=32", "planner.depth=1", "planner.text_depth=1", "planner.heads=2"),
        *("planner.steps=150", "planner.batch=24", "planner.recolored_share=0.5", "planner.names_batch=8"),
        *("planner.mirrored_share=0.3", "planner.placed_share=0"),
    ],
)


def dataset(clips: int = HELD_OUT_CLIPS + 30) -> LatentDataset:
    """A ball of some colour that words name, at the left or on the right, and now and then a black cube."""
    data = LatentDataset([], [], [], [], [], list(range(clips)), clips)
    for clip in range(clips):
        color, side, two = ("red", "cyan", "green")[clip % 3], clip // 3 % 2, clip // 6 % 2
        words = (
            f"{article(COLOR_WORDS[color][clip % 2])} ball on the {('left', 'right')[side]}{' and a black cube' * two}"
        )
        box_SB4 = np.tile(np.array([0.6 * side, 0.5, 0.6 * side + 0.3, 0.8], np.float32), (3, 1 + two, 1))
        data.latents_CTHW.append(torch.zeros(16, 2, 4, 4).bfloat16())
        data.captions.append(Caption(words + ", at dusk", words, (Beat(0.0, 0.5, f"the {color} ball rests"),)))
        data.fps.append(12.0)
        data.sources.append(Source("throw", clip, 1))
        data.tracks.append(Tracks((color, "black")[: 1 + two], ("sphere", "cube")[: 1 + two], box_SB4))
    return data


@pytest.fixture(scope="module")
def tokenizer() -> CaptionTokenizer:
    return CaptionTokenizer.train([caption.summary for caption in dataset().captions], 300)


def drawn(clips: int, recolored_share: float, mirrored_share: float = 0.0, seed: int = 0) -> list[Drawn]:
    rng = torch.Generator().manual_seed(seed)
    shares = dataclasses.replace(CONFIG.planner, recolored_share=recolored_share, mirrored_share=mirrored_share)
    return draw_plans(dataset(), range(clips), settings_of(CONFIG), shares, rng)


def test_words_and_tracks_change_their_colours_together() -> None:
    changed = 0
    for clip, (lines, tracks) in enumerate(drawn(78, 1.0)):
        said = " ".join(text for text, _, _ in lines).replace(",", "").split()
        named = {color for color in palette.COLORS for word in COLOR_WORDS[color] if word in said}
        assert named == set(tracks.colors)
        changed += tracks.colors[0] != dataset().tracks[clip].colors[0]  # type: ignore[union-attr]
        assert tracks.colors[1:] in ((), ("black",))  # scenery is black, white and grey too
        assert ("pink", "sphere") not in zip(tracks.colors, tracks.shapes, strict=True)  # held out in this family
    assert changed > 50
    assert {tracks.colors[0] for _, tracks in drawn(78, 1.0)} == {*RECOLORED} - {"pink"}
    assert [tracks.colors[0] for _, tracks in drawn(6, 0.0)] == ["red", "cyan", "green"] * 2


def test_words_and_boxes_are_mirrored_together() -> None:
    mirrored = 0
    for clip, (lines, tracks) in enumerate(drawn(78, 0.0, 0.5)):
        truth = dataset().tracks[clip]
        assert truth is not None and not np.isnan(tracks.box_SB4).any()
        np.testing.assert_allclose(tracks.box_SB4[..., 2] - tracks.box_SB4[..., 0], 0.3, atol=1e-6)
        np.testing.assert_array_equal(tracks.box_SB4[..., 1::2], truth.box_SB4[..., 1::2])
        said = lines[0][0]
        assert ("left" in said) != ("right" in said)
        assert (tracks.box_SB4[..., 0] < 0.35).all() if "left" in said else (tracks.box_SB4[..., 0] > 0.35).all()
        mirrored += ("left" in said) != ("left" in dataset().captions[clip].short)
    assert 25 < mirrored < 53
    one = Tracks(("red",), ("cube",), np.array([[[0.1, 0.2, 0.3, 0.5]], [[np.nan] * 4]], np.float32))
    lines, turned = training._mirrored((("it moves leftwards to the left, upright", 0.0, 1.0),), one)
    assert lines == (("it moves rightwards to the right, upright", 0.0, 1.0),)
    np.testing.assert_allclose(turned.box_SB4[0, 0], (0.7, 0.2, 0.9, 0.5), rtol=1e-6)
    assert np.isnan(turned.box_SB4[1]).all()


def test_words_tell_on_which_side_bodies_begin() -> None:
    at_x = {"red": 0.0, "cyan": 0.7, "lime": 0.35, "black": 0.7}
    box_SB4 = np.array([[[x, 0.5, x + 0.3, 0.8] for x in at_x.values()]] * 3, np.float32)
    box_SB4[:, 0, ::2] += np.array([[0.0], [0.4], [0.7]])  # goes over to the other side
    box_SB4[:2, 1] = np.nan  # comes into view later
    tracks = Tracks(tuple(at_x), ("sphere", "cube", "cone", "sphere"), box_SB4)
    said = "a small scarlet ball hits a cyan metal box and rolls, beside a lime cone and a black ball, the ball stops"
    told = said.replace("scarlet ball", "scarlet ball on the left").replace("metal box", "metal box on the right")
    told = told.replace("black ball", "black ball on the right")
    beat = ("the scarlet ball rests", 0.0, 0.5)
    assert training._placed(((said, 0.0, 1.0), beat), tracks) == ((told, 0.0, 1.0), beat)
    assert training._placed((), tracks) == ()
    twins = dataclasses.replace(tracks, colors=("red", "red", "clear", "clear"))
    assert training._placed(((said, 0.0, 1.0),), twins) == ((said, 0.0, 1.0),)
    shares = dataclasses.replace(CONFIG.planner, placed_share=0.5, mirrored_share=0.5)
    for lines, one in draw_plans(dataset(), range(78), settings_of(CONFIG), shares, torch.Generator().manual_seed(0)):
        x = (one.box_SB4[0, 0, 0] + one.box_SB4[0, 0, 2]) / 2
        assert re.findall("left|right", lines[0][0])[0] == ("left" if x < 0.5 else "right")  # mirrored after that


def test_names_are_learnt_from_other_colours_and_shapes_without_boxes() -> None:
    data, pairs = dataset(), set[tuple[str, str]]()
    rng = torch.Generator().manual_seed(0)
    for _ in range(10):
        for lines, tracks in draw_names(data, range(78), settings_of(CONFIG), rng):
            said = " ".join(text for text, _, _ in lines).replace(",", "")
            for color, shape in zip(tracks.colors, tracks.shapes, strict=True):
                forms = [(c, s) for c in COLOR_WORDS[color] for s in SHAPE_WORDS[shape]]
                assert any(re.search(rf"\b{article(c)} {s}\b", said) for c, s in forms), (said, tracks)
                pairs.add((color, shape))
            assert tracks.box_SB4.shape == (0, len(tracks.colors), 4)
    assert pairs.isdisjoint(palette.HELD_OUT["throw"])
    free = {(c, s) for c in RECOLORED for s in palette.SHAPES} - {*palette.HELD_OUT["throw"]}
    assert {pair for pair in pairs if pair[0] != "black"} == free


def test_what_is_not_called_after_its_shape_keeps_it() -> None:
    data = dataset(2)
    data.captions[0] = Caption("two red dominoes and a black cube", "two red dominoes and a black cube")
    data.tracks[0] = Tracks(("red", "red", "black"), ("slab", "slab", "cube"), np.zeros((3, 3, 4), np.float32))
    for seed in range(20):
        rng = torch.Generator().manual_seed(seed)
        ((lines, tracks),) = draw_names(data, [0], settings_of(CONFIG), rng)
        assert tracks.shapes == ("slab", "slab", "cube") and lines[0][0].endswith("dominoes and a black cube")


def test_the_parts_of_two_processes_add_up_to_the_loss(tokenizer: CaptionTokenizer) -> None:
    torch.manual_seed(0)
    planner = planner_of(CONFIG, tokenizer.vocab_size)
    for parameter in planner.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    names = draw_names(dataset(), range(20), settings_of(CONFIG), torch.Generator().manual_seed(0))
    whole, told = plan_loss(planner, drawn(30, 0.5) + names, tokenizer)
    teams = [Team(process, 2) for process in range(2)]
    parts = [plan_loss(planner, drawn(30, 0.5) + names, tokenizer, team) for team in teams]
    torch.testing.assert_close(parts[0][0] + parts[1][0], whole)
    for name, value in told.items():
        assert float(parts[0][1][name] + parts[1][1][name]) == pytest.approx(float(value), rel=1e-5), name


@torch.no_grad()
def test_first_boxes_count_more_and_empty_places_nothing(tokenizer: CaptionTokenizer) -> None:
    torch.manual_seed(0)
    planner = planner_of(configs.override(CONFIG, ["worlds.frames=17"]), tokenizer.vocab_size)
    for parameter in planner.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    clips = []
    for bodies in (1, 3):  # in one crowd, so that the first has two empty places a moment
        box_SB4 = np.random.default_rng(bodies).uniform(0, 0.5, (9, bodies, 4)).astype(np.float32)
        box_SB4[..., 2:] = box_SB4[..., :2] + 0.3
        box_SB4[1, 0], box_SB4[7, -1] = np.nan, np.nan
        tracks = Tracks(("red", "blue", "lime")[:bodies], ("cube",) * bodies, box_SB4)
        clips.append((((f"{bodies} cubes", 0.0, 1.0),), tracks))
    loss, told = plan_loss(planner, clips, tokenizer)

    nats = []  # of each box, and its moment
    for lines, tracks in clips:
        plans = Plans.of([tracks])
        _, box_BSKC = planner(plans, *planner.read(tokenizer.pack([lines])))
        moved_SK4 = (plans.box_BSK4 - plans.before()[0] + GRID)[0]
        for moment, body in np.ndindex(tracks.box_SB4.shape[:2]):
            x_C, seen = box_BSKC[0, moment, body], plans.seen_BSK[0, moment, body]
            nat = -torch.nn.functional.logsigmoid(planner.seen_proj(x_C)[0] * (1 if seen else -1))
            for side, distance in enumerate(moved_SK4[moment, body] if seen else ()):
                before = moved_SK4[moment, body, :side].unbind(0)
                nat = nat - planner.distance_logits(x_C, side, before).log_softmax(-1)[distance]
            nats.append((float(nat), moment))
    assert len(nats) == 36 and sum(np.isnan(tracks.box_SB4[..., 0]).sum() for _, tracks in clips) == 4
    assert float(told["box_nats"]) == pytest.approx(np.mean([nat for nat, _ in nats]), rel=1e-4)
    weighted = np.mean([nat * (training.EARLY_WEIGHT if moment < training.EARLY else 1) for nat, moment in nats])
    assert float(loss) == pytest.approx(weighted + float(told["color_nats"] + told["shape_nats"]), rel=1e-4)


@pytest.fixture
def latents(monkeypatch: pytest.MonkeyPatch) -> LatentDataset:
    data = dataset()
    monkeypatch.setattr(training, "load_latents", lambda folder: data)
    return data


def test_a_planner_learns_what_words_say(tmp_path: Path, latents: LatentDataset) -> None:
    from safetensors.torch import load_file

    plain = ["planner.recolored_share=0", "planner.mirrored_share=0", "planner.names_batch=0"]
    written = train_planner(configs.override(CONFIG, plain), tmp_path)
    tokenizer = CaptionTokenizer.load(tmp_path / "tokenizer.json")
    planner: Planner = planner_of(CONFIG, tokenizer.vocab_size).eval()
    planner.load_state_dict(load_file(written))
    right = 0
    for clip in range(len(latents) - HELD_OUT_CLIPS, len(latents)):
        words, truth = latents.captions[clip].short, latents.tracks[clip]
        assert truth is not None
        made = plan(planner, tokenizer.pack([((words, -torch.inf, torch.inf),)]), clip)
        if (made.colors, made.shapes) == (truth.colors, truth.shapes):
            right += bool(np.abs(np.nan_to_num(made.box_SB4) - truth.box_SB4).max() < 0.1)
    assert right >= 0.6 * HELD_OUT_CLIPS, right  # by chance a twelfth


def test_latents_without_tracks_are_told(tmp_path: Path, latents: LatentDataset) -> None:
    latents.tracks[:] = [None] * len(latents)
    with pytest.raises(InputError, match="tells of 0 clips where bodies are"):
        train_planner(CONFIG, tmp_path)


def test_images_have_no_plan(latents: LatentDataset) -> None:
    assert len(training._with_tracks(latents, range(20), CONFIG)) == 20
    longer = configs.override(CONFIG, ["worlds.frames=9"])
    assert WorldsConfig().frames == 33 and not training._with_tracks(latents, range(20), longer)
