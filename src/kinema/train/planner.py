"""Trains the planner on the words and the tracks of a cache of latents.

Suffixes: B plans of a batch, K bodies, S moments, P places, 4 sides, C channels, M things of one sort.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from kinema.captions.rows import spare
from kinema.captions.tokenizer import CaptionTokenizer, TimedText
from kinema.codec.pixels import half_precision
from kinema.config import Config, PlannerConfig, TrainConfig, to_dict
from kinema.data import Tracks
from kinema.errors import InputError
from kinema.files import whole_file
from kinema.model.planner import END, GRID, WORDS, Planner, Plans, planner_of
from kinema.shapes import latent_time_s
from kinema.train.latents import LatentDataset, load_latents
from kinema.train.loop import Number, fit, generator_of
from kinema.train.metrics import Records
from kinema.train.model import check_heads, check_share, learn_words, split
from kinema.train.packs import draw_words
from kinema.train.parallel import ALONE, Team
from kinema.worlds import palette
from kinema.worlds.narration.words import COLOR_WORDS, SHAPE_WORDS, article, plural
from kinema.worlds.tracks import CLEAR, moments

FILE = "planner/planner.safetensors"  # in the run folder of the model
CROWDS = 4  # groups of a step's clips by how many bodies they have, so that few places are empty
CROWD = 16  # clips that one has at least
SEED = 31
ASIDE = 0.1  # of the width, from the middle, where a body is on the left or on the right
EARLY, EARLY_WEIGHT = 3, 4.0  # of a plan's moments, and how much more their boxes count

RECOLORED = tuple(color for color in palette.COLORS if color not in palette.NEUTRAL_COLORS)
_SETS: tuple[dict[str, tuple[str, ...]], ...] = (
    {color: COLOR_WORDS[color] for color in RECOLORED},
    SHAPE_WORDS,
    {shape: tuple(plural(word) for word in words) for shape, words in SHAPE_WORDS.items()},
)
_KIND_OF = {word: (kind, index) for index, kinds in enumerate(_SETS) for kind, words in kinds.items() for word in words}
_WORD = re.compile(rf"\b({'|'.join(_KIND_OF)})\b")
_SIDE = re.compile(r"\b(left|right)(wards)?\b")
_ARTICLE = re.compile(r"\ban? (\w)", re.IGNORECASE)


def train_planner(config: Config, out: Path, stop_after: float | None = None, team: Team = ALONE) -> Path:
    """Trains the planner of a model; called again with the same arguments, it resumes.

    Args:
        config: the whole recipe.
        out: the run folder of the model: ``latents`` are read there, and ``planner/`` and the tokenizer are written.
        stop_after: seconds after which to stop at a checkpoint.
        team: the processes; all call with the same arguments, and together they do what one would.

    Returns:
        The weights' file; it is there when training is done.

    Raises:
        InputError: the recipe has no planner, there are no latents with tracks, or too few.
    """
    train = settings_of(config)
    data = load_latents(out / "latents")
    training, held_out = split(data, train.batch, out / "latents")
    tokenizer = learn_words([data.captions[clip] for clip in training], config.text.vocab_size, out, team)
    training, held_out = (_with_tracks(data, clips, config) for clips in (training, held_out))
    if len(training) < train.batch or not held_out:
        raise InputError(
            f"{out / 'latents'} tells of {len(training)} clips where bodies are: delete it and make it again"
        )
    torch.manual_seed(train.seed)
    planner = planner_of(config, tokenizer.vocab_size)

    def loss_fn(step: int) -> tuple[Tensor, dict[str, Number]]:
        rng = generator_of(train.seed, step)
        order = torch.randint(len(training), (train.batch,), generator=rng).tolist()
        drawn = draw_plans(data, [training[place] for place in order], train, config.planner, rng)
        order = torch.randint(len(training), (config.planner.names_batch,), generator=rng).tolist()
        drawn += draw_names(data, [training[place] for place in order], train, rng)
        return plan_loss(planner, drawn, tokenizer, team)

    @torch.no_grad()
    def on_validation(step: int, averaged: nn.Module) -> Records:
        assert isinstance(averaged, Planner)
        plain = dataclasses.replace(config.planner, recolored_share=0.0, placed_share=0.0, mirrored_share=0.0)
        drawn = draw_plans(data, held_out, train, plain, torch.Generator().manual_seed(SEED))
        with half_precision(team.device, train.bf16):
            loss, values = plan_loss(averaged, drawn, tokenizer)
        return {f"held_out_{name}": float(value) for name, value in values.items()} | {"held_out": float(loss)}

    result = fit(
        planner,
        loss_fn,
        train,
        out / FILE.partition("/")[0],
        units_per_step=train.batch,
        unit="clips",
        on_validation=on_validation,
        stop_after=stop_after,
        settings={"planner": to_dict(config)["planner"], "text": to_dict(config)["text"], "clips": data.total},
        team=team,
    )
    if team.leads and result.finished:
        with whole_file(out / FILE) as part:
            save_file({name: x.cpu() for name, x in result.module.state_dict().items()}, part)
    team.wait()
    return out / FILE


def settings_of(config: Config) -> TrainConfig:
    """How the planner of a recipe is trained; words come in the shares in which the model reads them.

    Raises:
        InputError: the recipe has none, or a network that cannot be.
    """
    planner, model = config.planner, config.train_model
    if not planner.width:
        raise InputError("this recipe has no planner: set planner.width to its channels, for example 192")
    check_heads("planner", planner)
    check_share("planner.recolored_share", planner.recolored_share)
    check_share("planner.placed_share", planner.placed_share)
    check_share("planner.mirrored_share", planner.mirrored_share)
    return TrainConfig(
        steps=planner.steps,
        batch=planner.batch,
        muon_lr=planner.muon_lr,
        adamw_lr=planner.adamw_lr,
        decay_share=0.6,
        ema_decay=0.995,
        text_dropout=0.0,
        short_share=model.short_share,
        beats_dropout=model.beats_dropout,
        seed=model.seed + SEED,
    )


Drawn = tuple[TimedText, Tracks]


def draw_plans(
    data: LatentDataset, clips: Sequence[int], train: TrainConfig, planner: PlannerConfig, rng: torch.Generator
) -> list[Drawn]:
    """The words and tracks of the clips of a step, some in other colours or mirrored, words and tracks alike.

    The words of some also tell on which side bodies begin.
    """
    recolored, placed, mirrored = torch.rand(3, len(clips), generator=rng).tolist()
    turns = [_turn(RECOLORED, rng) if chance < planner.recolored_share else {} for chance in recolored]
    drawn = _turned(data, clips, turns, train, rng)
    drawn = [
        (_placed(*one), one[1]) if chance < planner.placed_share else one
        for one, chance in zip(drawn, placed, strict=True)
    ]
    return [
        _mirrored(*one) if chance < planner.mirrored_share else one for one, chance in zip(drawn, mirrored, strict=True)
    ]


def draw_names(data: LatentDataset, clips: Sequence[int], train: TrainConfig, rng: torch.Generator) -> list[Drawn]:
    """The words and bodies of clips in other colours and, where all are called after them, shapes; without boxes.

    Which shape has which colour is a matter of words alone, and there are few clips for all that words can say.
    """
    turns = [_turn(RECOLORED, rng) | _turn(palette.SHAPES, rng) for _ in clips]
    drawn = _turned(data, clips, turns, train, rng)
    return [(lines, dataclasses.replace(tracks, box_SB4=tracks.box_SB4[:0])) for lines, tracks in drawn]


def _turned(
    data: LatentDataset,
    clips: Sequence[int],
    turns: Sequence[Mapping[str, str]],
    train: TrainConfig,
    rng: torch.Generator,
) -> list[Drawn]:
    """Clips with other kinds in place of their own, unless that would show a held-out pair of colour and shape."""
    last_s = [latent_time_s(data.latents_CTHW[clip].shape[1] - 1, data.fps[clip]) for clip in clips]
    texts = draw_words([data.captions[clip] for clip in clips], last_s, train, rng)
    drawn = []
    for clip, lines, turn in zip(clips, texts, turns, strict=True):
        tracks = data.tracks[clip]
        assert tracks is not None
        named = {_KIND_OF[word][0] for text, _, _ in lines for word in _WORD.findall(text)}
        if not named.issuperset(tracks.shapes):  # something is called a domino, a pane, a drop
            turn = {kind: other for kind, other in turn.items() if kind not in palette.SHAPES}
        colors, shapes = (tuple(turn.get(kind, kind) for kind in kinds) for kinds in (tracks.colors, tracks.shapes))
        if {*zip(colors, shapes, strict=True)}.isdisjoint(palette.HELD_OUT.get(data.sources[clip].family, ())):
            lines, tracks = _renamed(lines, turn), dataclasses.replace(tracks, colors=colors, shapes=shapes)
        drawn.append((lines, tracks))
    return drawn


def _turn(kinds: Sequence[str], rng: torch.Generator) -> dict[str, str]:
    """Another kind for each."""
    return dict(zip(kinds, (kinds[index] for index in torch.randperm(len(kinds), generator=rng)), strict=True))


def _renamed(lines: TimedText, turn: Mapping[str, str]) -> TimedText:
    """The same lines with the words of other kinds, plain ones for plain ones."""

    def other(match: re.Match[str]) -> str:
        kind, index = _KIND_OF[match[0]]
        place, words = _SETS[index][kind].index(match[0]), _SETS[index][turn.get(kind, kind)]
        return words[place % len(words)]

    def changed(text: str) -> str:
        return _ARTICLE.sub(lambda match: article(match[1].lower()), _WORD.sub(other, text))  # an orange

    return tuple((changed(text), start_s, end_s) for text, start_s, end_s in lines)


def _placed(lines: TimedText, tracks: Tracks) -> TimedText:
    """The same lines, whose first mention of a body that is alone in its colour tells on which side it begins."""
    if not lines:
        return lines
    (text, start_s, end_s), *others = lines
    for color, shape, box_S4 in zip(tracks.colors, tracks.shapes, np.moveaxis(tracks.box_SB4, 1, 0), strict=True):
        seen_M4 = box_S4[~np.isnan(box_S4[:, 0])]
        if color == CLEAR or tracks.colors.count(color) > 1 or not len(seen_M4):
            continue
        beside = (seen_M4[0, 0] + seen_M4[0, 2]) / 2 - 0.5
        if abs(beside) > ASIDE:
            colors, shapes = "|".join(COLOR_WORDS[color]), "|".join(SHAPE_WORDS[shape])
            mention = rf"\b(?:{colors})(?: \w+)?? (?:{shapes})\b"  # of a material, perhaps
            text = re.sub(mention, rf"\g<0> on the {'left' if beside < 0 else 'right'}", text, count=1)
    return ((text, start_s, end_s), *others)


def _mirrored(lines: TimedText, tracks: Tracks) -> Drawn:
    """The same clip with its left on the right."""

    def other(match: re.Match[str]) -> str:
        return {"left": "right", "right": "left"}[match[1]] + (match[2] or "")

    lines = tuple((_SIDE.sub(other, text), start_s, end_s) for text, start_s, end_s in lines)
    left, top, right, bottom = np.moveaxis(tracks.box_SB4, -1, 0)
    return lines, dataclasses.replace(tracks, box_SB4=np.stack([1 - right, top, 1 - left, bottom], axis=-1))


def plan_loss(
    planner: Planner, drawn: Sequence[Drawn], tokenizer: CaptionTokenizer, team: Team = ALONE
) -> tuple[Tensor, dict[str, Number]]:
    """Mean nats of a body and mean nats of a box, added, so that the few bodies count as much as the many boxes.

    Boxes of the first moments count more: they decide from where a body comes and where to, as words say, and what
    follows goes on.

    Args:
        planner: on the device of the team.
        drawn: the clips of the whole step, with boxes or without; every process takes its share.
        tokenizer: of the words.
        team: the processes, whose parts add up.

    Returns:
        The loss and its parts to record, and the share of bodies whose colour and shape are the likeliest ones.
    """
    things = sum(len(tracks.colors) + 1 for _, tracks in drawn)
    bodies = max(1, sum(len(tracks.colors) for _, tracks in drawn))
    boxes = max(1, sum(tracks.box_SB4.shape[0] * tracks.box_SB4.shape[1] for _, tracks in drawn))
    mine = sorted(drawn, key=lambda one: (len(one[1].box_SB4), len(one[1].colors)))[team.process :: team.processes]
    text = tokenizer.pack([lines for lines, _ in mine], planner.max_tokens).to(team.device)
    words_BLC, is_word_B1L = planner.read(text)
    sums: dict[str, Tensor] = {}
    for crowd in _crowds(mine):
        longest = max(text.lengths[crowd])
        words = slice(longest + spare(longest, WORDS, len(mine)))
        plans = Plans.of([tracks for _, tracks in mine[crowd]]).to(team.device)
        parts = _sums(planner, plans, words_BLC[crowd, words], is_word_B1L[crowd, :, words])
        sums = {name: sums.get(name, 0) + value for name, value in parts.items()}
    kinds = sums["color"] / things + sums["shape"] / bodies
    places = sums["weighted_boxes"] / boxes
    told: dict[str, Number] = {
        "color_nats": sums["color"].detach() / things,
        "shape_nats": sums["shape"].detach() / bodies,
        "box_nats": sums["boxes"].detach() / boxes,
        "kinds_right": sums["right"] / bodies,
    }
    return kinds + places, told


def _crowds(drawn: Sequence[Drawn]) -> Iterator[slice]:
    """Neighbours that have boxes of as many moments, a few at once."""
    first = 0
    for _, alike in itertools.groupby(drawn, key=lambda one: len(one[1].box_SB4)):
        stop = first + len(list(alike))
        size = max(CROWD, -(-(stop - first) // CROWDS))
        yield from (slice(start, min(start + size, stop)) for start in range(first, stop, size))
        first = stop


def _sums(planner: Planner, plans: Plans, words_BLC: Tensor, is_word_B1L: Tensor) -> dict[str, Tensor]:
    """Nats of the colours, the shapes and the boxes, these also weighted; and how many bodies are told right."""
    body_BPC, box_BSKC = planner(plans, words_BLC, is_word_B1L)
    place_P = torch.arange(body_BPC.shape[1], device=body_BPC.device)
    color_BP = F.pad(plans.color_BK, (0, 1)).where(place_P < plans.count_B[:, None], END)
    is_drawn_BP, is_body_BK = place_P <= plans.count_B[:, None], place_P[:-1] < plans.count_B[:, None]
    color_logits = planner.color_proj(body_BPC).float()
    shape_logits = planner.shape_logits(body_BPC[:, :-1], plans.color_BK).float()[is_body_BK]
    right = color_logits[:, :-1].argmax(-1)[is_body_BK] == plans.color_BK[is_body_BK]
    right = right & (shape_logits.argmax(-1) == plans.shape_BK[is_body_BK])

    # Every place has a loss, and those of no use count nothing, so that sizes come again.
    is_box_BSK = is_body_BK[:, None].expand_as(plans.seen_BSK)
    weight_S = torch.ones(plans.seen_BSK.shape[1], device=body_BPC.device)
    weight_S[:EARLY] = EARLY_WEIGHT
    seen_BSK = F.binary_cross_entropy_with_logits(
        planner.seen_proj(box_BSKC)[..., 0].float(), plans.seen_BSK.float(), reduction="none"
    )
    moved_BSK4 = plans.box_BSK4 - plans.before()[0] + GRID
    sides_BSK = torch.zeros_like(seen_BSK)
    for side in range(4):
        logits = planner.distance_logits(box_BSKC, side, moved_BSK4.unbind(-1)[:side]).float()
        nats_M = F.cross_entropy(logits.flatten(0, -2), moved_BSK4[..., side].flatten(), reduction="none")
        sides_BSK = sides_BSK + nats_M.view_as(sides_BSK)
    nats_BSK = (seen_BSK + sides_BSK * plans.seen_BSK) * is_box_BSK
    return {
        "color": F.cross_entropy(color_logits[is_drawn_BP], color_BP[is_drawn_BP], reduction="sum"),
        "shape": F.cross_entropy(shape_logits, plans.shape_BK[is_body_BK], reduction="sum"),
        "boxes": nats_BSK.sum(),
        "weighted_boxes": (nats_BSK * weight_S[:, None]).sum(),
        "right": right.sum(),
    }


def _with_tracks(data: LatentDataset, clips: Sequence[int], config: Config) -> list[int]:
    """The clips of native duration that have tracks."""
    whole = moments(config.worlds.frames)
    return [clip for clip in clips if (tracks := data.tracks[clip]) is not None and len(tracks.box_SB4) == whole]
