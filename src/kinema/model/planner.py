"""The planner: words → which bodies there are → where the box of each is, moment by moment.

It draws one thing after another, each given all before it, so a body that words leave free to come from either side
comes from one of them. What it decides, the denoiser is told (tracks.py). Language models that lay out what a diffusion
model draws: LayoutGPT, arXiv 2305.15393, and LVD, arXiv 2309.17444.

A plan is a sequence of places: one per body and one that ends them, then one per body at every moment. At its place a
body's kind is drawn, colour before shape; later whether it is seen, and how each side of its box has moved since it was
last seen, left, right, top, bottom. Sides lie on a grid.

Suffixes: B plans of a batch, K bodies, S moments, P places, 4 sides, C channels, L tokens of a text, D distances that a
side can move.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.captions.attention import attend, split_heads, visibility_bias
from kinema.captions.rows import rows_of, spare
from kinema.captions.text_encoder import TextEncoder
from kinema.captions.tokenizer import TextPack
from kinema.config import Config, PlannerConfig, TextConfig
from kinema.data import Tracks
from kinema.model.block import Projection
from kinema.model.tracks import COLORS, SHAPES
from kinema.worlds.tracks import MAX_BODIES, moments

GRID = 128  # steps along each side of the picture
DISTANCES = 2 * GRID + 1
WAVES = 5  # octaves in which positions are read
SIDE_FEATURES = 1 + 2 * WAVES
BOX_FEATURES = 2 + 2 * 4 * SIDE_FEATURES
WORDS = 32  # rows of many texts are padded to a multiple
END = len(COLORS)  # in place of a colour: no more bodies


@dataclass(frozen=True)
class Plans:
    """Plans of a batch; what lies behind the bodies of one is empty.

    Attributes:
        color_BK: int64, index in ``COLORS``.
        shape_BK: int64, index in ``SHAPES``.
        count_B: int64, how many bodies there are.
        seen_BSK: whether a body is seen at a moment.
        box_BSK4: int64, left, right, top, bottom in steps of the grid; 0 where not seen.
    """

    color_BK: Tensor
    shape_BK: Tensor
    count_B: Tensor
    seen_BSK: Tensor
    box_BSK4: Tensor

    @classmethod
    def of(cls, tracks: Sequence[Tracks]) -> Plans:
        """Plans of clips of equal duration."""
        moments, bodies = len(tracks[0].box_SB4), max(len(one.colors) for one in tracks)
        plans = cls.empty(len(tracks), moments, bodies)
        for row, one in enumerate(tracks):
            count = len(one.colors)
            plans.count_B[row] = count
            if count:
                plans.color_BK[row, :count] = torch.tensor([COLORS.index(color) for color in one.colors])
                plans.shape_BK[row, :count] = torch.tensor([SHAPES.index(shape) for shape in one.shapes])
                seen_SK = ~np.isnan(one.box_SB4[..., 0])
                plans.seen_BSK[row, :, :count] = torch.from_numpy(seen_SK)
                box_SK4 = np.nan_to_num(one.box_SB4)[..., [0, 2, 1, 3]] * seen_SK[..., None]
                plans.box_BSK4[row, :, :count] = torch.from_numpy(np.rint(box_SK4 * GRID).astype(np.int64))
        return plans

    @classmethod
    def empty(cls, plans: int, moments: int, bodies: int) -> Plans:
        """Plans of no bodies, with room for some."""
        kind_BK = torch.zeros(plans, bodies, dtype=torch.int64)
        seen_BSK = torch.zeros(plans, moments, bodies, dtype=torch.bool)
        box_BSK4 = torch.zeros(plans, moments, bodies, 4, dtype=torch.int64)
        return cls(kind_BK, kind_BK.clone(), torch.zeros(plans, dtype=torch.int64), seen_BSK, box_BSK4)

    def to(self, device: torch.device | str) -> Plans:
        """The same plans on another device."""
        tensors = {field.name: getattr(self, field.name).to(device) for field in dataclasses.fields(self)}
        return Plans(**tensors)

    def until(self, moments: int) -> Plans:
        """The same plans, over after so many moments."""
        seen_BSK, box_BSK4 = self.seen_BSK[:, :moments], self.box_BSK4[:, :moments]
        return dataclasses.replace(self, seen_BSK=seen_BSK, box_BSK4=box_BSK4)

    def tracks(self, row: int) -> Tracks:
        """One of the plans as tracks."""
        count = int(self.count_B[row])
        box_SK4 = self.box_BSK4[row, :, :count][..., [0, 2, 1, 3]].float() / GRID
        box_SK4[~self.seen_BSK[row, :, :count]] = torch.nan
        colors = tuple(COLORS[color] for color in self.color_BK[row, :count].tolist())
        shapes = tuple(SHAPES[shape] for shape in self.shape_BK[row, :count].tolist())
        return Tracks(colors, shapes, box_SK4.numpy())

    def before(self) -> tuple[Tensor, Tensor]:
        """The box in which each body was last seen before a moment, and how that had moved: (B, S, K, 4) each."""
        if not self.box_BSK4.shape[1]:
            return self.box_BSK4, self.box_BSK4
        last, moved = torch.zeros_like(self.box_BSK4[:, 0]), torch.zeros_like(self.box_BSK4[:, 0])
        boxes, motions = [], []
        for moment in range(self.box_BSK4.shape[1]):
            boxes.append(last)
            motions.append(moved)
            now = torch.where(self.seen_BSK[:, moment, :, None], self.box_BSK4[:, moment], last)
            moved, last = now - last, now
        return torch.stack(boxes, dim=1), torch.stack(motions, dim=1)


class Planner(nn.Module):
    """Draws plans; see the module's docstring."""

    def __init__(self, vocab_size: int, max_tokens: int, moments: int, config: PlannerConfig) -> None:
        super().__init__()
        width = config.width
        self.moments, self.max_tokens = moments, max_tokens
        text = TextConfig(vocab_size, width, config.text_depth, config.heads, max_tokens)
        self.text_encoder = TextEncoder(text)
        self.color, self.shape = nn.Embedding(END + 1, width), nn.Embedding(len(SHAPES), width)
        # What a place tells of what was drawn there, and what it is told of what is to be drawn.
        self.done_body, self.next_body = nn.Embedding(MAX_BODIES + 2, width), nn.Embedding(MAX_BODIES + 1, width)
        self.done_moment, self.next_moment = nn.Embedding(moments + 1, width), nn.Embedding(moments + 1, width)
        self.done_proj, self.next_proj = Projection(BOX_FEATURES, width), Projection(BOX_FEATURES, width)
        self.blocks = nn.ModuleList(_Block(width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width)
        self.color_proj, self.shape_proj = Projection(width, END + 1), Projection(width, len(SHAPES))
        self.seen_proj = Projection(width, 1)
        self.moved = nn.ModuleList(nn.Embedding(DISTANCES, width) for _ in range(3))
        self.distance_hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(4))
        self.distance_proj = nn.ModuleList(Projection(width, DISTANCES) for _ in range(4))
        embeddings = (self.color, self.shape, self.done_body, self.next_body, self.done_moment, self.next_moment)
        for table in (*embeddings, *self.moved):
            nn.init.normal_(table.weight, std=0.3)

    def read(self, text: TextPack) -> tuple[Tensor, Tensor]:
        """The texts as rows (B, L, C), and which of the tokens are no padding (B, 1, L)."""
        values_SC = self.text_encoder(text).values_SC
        longest, texts = max(text.lengths), len(text.lengths)
        rows = rows_of(text.lengths, 0, longest + spare(longest, WORDS, texts), values_SC.device)
        return rows.pad(values_SC), rows.mask_BL[:, None]

    def forward(self, plans: Plans, words_BLC: Tensor, is_word_B1L: Tensor) -> tuple[Tensor, Tensor]:
        """What each place knows before its own thing is drawn.

        Args:
            plans: the things so far; a place sees those before it alone, so what lies behind may be anything.
            words_BLC: of :meth:`read`.
            is_word_B1L: of :meth:`read`.

        Returns:
            Of bodies (B, K + 1, C), the last for a plan that is full, and of boxes (B, S, K, C).
        """
        bodies, moments = plans.color_BK.shape[1], plans.seen_BSK.shape[1]
        x_BPC, is_place_BP = self._places(plans)
        seen_PP = torch.ones(x_BPC.shape[1], x_BPC.shape[1], dtype=torch.bool, device=x_BPC.device).tril()
        seen_BPP = seen_PP & (is_place_BP[:, None] | torch.eye(len(seen_PP), dtype=torch.bool, device=x_BPC.device))
        bias_BPP = visibility_bias(seen_BPP, x_BPC.dtype)
        bias_B1L = visibility_bias(is_word_B1L, x_BPC.dtype)
        for block in self.blocks:
            x_BPC = block(x_BPC, bias_BPP, words_BLC, bias_B1L)
        x_BPC = self.norm(x_BPC)
        return x_BPC[:, : bodies + 1], x_BPC[:, bodies + 1 :].unflatten(1, (moments, bodies))

    def _places(self, plans: Plans) -> tuple[Tensor, Tensor]:
        """What each place is told: the thing before its own, and whose turn it is; and which places are in use.

        Returns:
            (B, P, C), and (B, P) that is False where a plan has no such body.
        """
        (moments, bodies), device = plans.seen_BSK.shape[1:], plans.color_BK.device
        body_K, moment_S1 = torch.arange(bodies, device=device), torch.arange(moments, device=device)[:, None] + 1
        there_BK = body_K < plans.count_B[:, None]
        kind_BKC = self.shape(plans.shape_BK) + self.color(plans.color_BK.where(there_BK, END))
        before_BSK4, motion_BSK4 = plans.before()
        known_BSK2 = torch.stack([plans.seen_BSK, plans.seen_BSK.cumsum(1) > 0], dim=-1)
        earlier_BSK2 = F.pad(known_BSK2, (0, 0, 0, 0, 1, 0))[:, :moments]
        change_BSK4 = (plans.box_BSK4 - before_BSK4) * plans.seen_BSK[..., None]
        done_BSKC = self.done_proj(_box_features(known_BSK2, plans.box_BSK4, change_BSK4))
        done_BSKC = done_BSKC + kind_BKC[:, None] + self.done_body(body_K) + self.done_moment(moment_S1)
        next_BSKC = self.next_proj(_box_features(earlier_BSK2, before_BSK4, motion_BSK4))
        next_BSKC = next_BSKC + kind_BKC[:, None] + self.next_body(body_K) + self.next_moment(moment_S1)
        done_BKC = kind_BKC + self.done_body(body_K) + self.done_moment.weight[0]
        start_11C, end_11C = self.done_body.weight[-2:, None, None]
        start_B1C, end_B1C = (x_11C.expand(len(done_BKC), -1, -1) for x_11C in (start_11C, end_11C))
        # The first body of a moment comes after the last one of the moment before, whatever room others need.
        last_BS1C = done_BSKC.take_along_dim((plans.count_B - 1).clamp(min=0)[:, None, None, None], dim=2)
        last_BS1C = torch.cat([end_B1C[:, :, None], last_BS1C], dim=1)[:, :moments]
        done_BSKC = torch.cat([last_BS1C, done_BSKC[:, :, :-1]], dim=2)[:, :, :bodies]
        next_KC = self.next_body(torch.arange(bodies + 1, device=device)) + self.next_moment.weight[0]
        body_BPC = torch.cat([start_B1C, done_BKC], dim=1) + next_KC
        x_BPC = torch.cat([body_BPC, (done_BSKC + next_BSKC).flatten(1, 2)], dim=1)

        is_place_BP = torch.cat([torch.ones_like(there_BK[:, :1]), there_BK, there_BK.repeat(1, moments)], dim=1)
        return x_BPC, is_place_BP

    def shape_logits(self, x_C: Tensor, color: Tensor) -> Tensor:
        """Of a body whose colour is drawn."""
        logits: Tensor = self.shape_proj(x_C + self.color(color))
        return logits

    def distance_logits(self, x_C: Tensor, side: int, moved: Sequence[Tensor]) -> Tensor:
        """How far a side moves, if the sides before it have moved so far, as indices of distances."""
        for table, distance in zip(self.moved, moved, strict=False):
            x_C = x_C + table(distance)
        logits: Tensor = self.distance_proj[side](F.gelu(self.distance_hidden[side](x_C)))
        return logits


class _Block(nn.Module):
    """Attention to earlier places, attention to words, and an MLP, each after a norm and added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.text_q, self.text_kv, self.text_out = (nn.Linear(width, n * width) for n in (1, 2, 1))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for layer in (self.qkv, self.text_q, self.text_kv, self.up):
            nn.init.normal_(layer.weight, std=width**-0.5)
            nn.init.zeros_(layer.bias)
        for layer in (self.out, self.text_out, self.down):  # the block begins as the identity
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x_BPC: Tensor, bias_BPP: Tensor, words_BLC: Tensor, bias_B1L: Tensor) -> Tensor:
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(self.norms[0](x_BPC)).chunk(3, dim=-1))
        x_BPC = x_BPC + self.out(attend(q, k, v, bias_BPP.to(q.dtype)))
        q = split_heads(self.text_q(self.norms[1](x_BPC)), self.heads)
        k, v = (split_heads(part, self.heads) for part in self.text_kv(words_BLC).chunk(2, dim=-1))
        x_BPC = x_BPC + self.text_out(attend(q, k, v, bias_B1L.to(q.dtype)))
        mlp_BPC: Tensor = self.down(F.gelu(self.up(self.norms[2](x_BPC)), approximate="tanh"))
        return x_BPC + mlp_BPC


def planner_of(config: Config, vocab_size: int) -> Planner:
    """The planner of a recipe, untrained."""
    return Planner(vocab_size, config.text.max_tokens, moments(config.worlds.frames), config.planner)


@torch.no_grad()
def plan(
    planner: Planner,
    text: TextPack,
    seed: int,
    kind_temperature: float = 0.3,
    box_temperature: float = 0.7,
) -> Tracks:
    """Draws the tracks of one clip.

    Args:
        planner: in evaluation mode.
        text: of one clip.
        seed: same seed, same tracks.
        kind_temperature: of the draws of bodies; towards 0 the likeliest is taken.
        box_temperature: of the draws of boxes.
    """
    assert len(text.lengths) == 1
    rng = torch.Generator().manual_seed(seed)

    def draw(logits: Tensor, temperature: float) -> int:
        chances = (logits.float().cpu() / temperature).softmax(-1)
        return int(torch.multinomial(chances, 1, generator=rng))

    words = planner.read(text)
    plans = Plans.empty(1, 0, MAX_BODIES)
    for body in range(MAX_BODIES):
        x_C = planner(plans, *words)[0][0, body]
        color = draw(planner.color_proj(x_C), kind_temperature)
        if color == END:
            break
        plans.color_BK[0, body] = color
        plans.shape_BK[0, body] = draw(planner.shape_logits(x_C, torch.tensor(color)), kind_temperature)
        plans.count_B[0] = body + 1
    count = int(plans.count_B)
    boxes = Plans.empty(1, planner.moments, count)
    kinds = {"color_BK": plans.color_BK[:, :count], "shape_BK": plans.shape_BK[:, :count], "count_B": plans.count_B}
    plans = dataclasses.replace(boxes, **kinds)
    for moment in range(planner.moments):
        for body in range(count):
            x_C = planner(plans.until(moment + 1), *words)[1][0, moment, body]
            if torch.rand(1, generator=rng) >= torch.sigmoid(planner.seen_proj(x_C).float() / box_temperature).cpu():
                continue
            last_4 = plans.before()[0][0, moment, body]
            moved: list[Tensor] = []
            for side in range(4):
                is_far = side % 2  # the right and the lower side, beyond the other one
                low = int(last_4[side - 1] + moved[-1]) - GRID + 1 if is_far else 0
                zero = GRID - int(last_4[side])
                allowed = slice(zero + low, zero + GRID + is_far)
                logits = planner.distance_logits(x_C, side, moved)[allowed]
                moved.append(torch.tensor(allowed.start + draw(logits, box_temperature)))
            plans.seen_BSK[0, moment, body] = True
            plans.box_BSK4[0, moment, body] = last_4 + torch.stack(moved) - GRID
    return plans.tracks(0)


def _box_features(known_BSK2: Tensor, box_BSK4: Tensor, change_BSK4: Tensor) -> Tensor:
    """What is read of boxes: whether they are seen now and were before, their sides and how these moved.

    Returns:
        (B, S, K, BOX_FEATURES).
    """
    sides_BSK8 = torch.cat([box_BSK4, change_BSK4], dim=-1) / GRID
    angle = sides_BSK8[..., None] * (torch.pi * 2.0 ** torch.arange(WAVES, device=sides_BSK8.device))
    waves = torch.cat([sides_BSK8[..., None], angle.sin(), angle.cos()], dim=-1)
    return torch.cat([known_BSK2.float(), waves.flatten(-2)], dim=-1)
