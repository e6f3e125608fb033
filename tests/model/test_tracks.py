"""Every token is told what boxes cover of its own patch, and nothing else."""

from __future__ import annotations

import numpy as np
import torch

from kinema.captions.tokenizer import CaptionTokenizer
from kinema.config import ModelConfig, TextConfig
from kinema.data import Tracks
from kinema.model.layout import Layout, Segment
from kinema.model.tracks import CELLS, KINDS, MOMENTS, TRACK_FEATURES, draw_tracks, moments_of
from kinema.model.transformer import TextToVideo
from kinema.shapes import TOKEN_CHANNELS, TokenGrid

GRID = TokenGrid(3, 2, 4)


def tracks(*boxes: tuple[float, float, float, float], colors: tuple[str, ...] = ("red", "blue")) -> Tracks:
    """Bodies that stand still for five moments."""
    box_B4 = np.array(boxes, dtype=np.float32)
    shapes = ("cube", "sphere")[: len(boxes)]
    return Tracks(colors[: len(boxes)], shapes, np.repeat(box_B4[None], 5, axis=0))


def cover(told: Tracks, grid: TokenGrid = GRID) -> torch.Tensor:
    """The features of tokens without the first: frames, rows, columns, moments, kinds, cells down and across."""
    told_NC = draw_tracks(told, grid)
    assert told_NC.shape == (grid.count, TRACK_FEATURES) and bool((told_NC[:, 0] == 1).all())
    return told_NC[:, 1:].view(grid.frames, grid.rows, grid.cols, MOMENTS, len(KINDS), CELLS, CELLS)


def test_moments_of_latent_frames() -> None:
    assert moments_of(1) == [0, 0]
    assert moments_of(3) == [0, 0, 1, 2, 3, 4]


def test_cells_hold_the_share_that_boxes_cover() -> None:
    # Across: from the middle of the second cell of the second token to the end of that token; all of the upper row.
    told = cover(tracks((5.5 / 16, 0.0, 8 / 16, 0.5)))
    red, cube = KINDS.index("red"), KINDS.index("cube")
    for kind in (red, cube):
        expected = torch.tensor([0.0, 0.5, 1.0, 1.0]).expand(CELLS, CELLS)
        torch.testing.assert_close(told[0, 0, 1, 0, kind], expected)
    told[:, 0, 1, :, [red, cube]] = 0
    assert not told.any()  # no other kind, token or row


def test_what_is_not_seen_covers_nothing_and_moments_come_in_order() -> None:
    one = tracks((0.0, 0.0, 0.25, 0.5))
    for moment in (1, 4):
        one.box_SB4[moment] = np.nan
    seen_TM = cover(one)[:, 0, 0, :, KINDS.index("red"), 0, 0]
    assert seen_TM.tolist() == [[1, 1], [0, 1], [1, 0]]


def test_bodies_of_one_colour_are_told_apart_by_their_shapes() -> None:
    told = cover(tracks((0.0, 0.0, 0.25, 0.5), (0.75, 0.5, 1.0, 1.0), colors=("red", "red")))
    assert told[0, 0, 0, 0, KINDS.index("red")].all() and told[0, 1, 3, 0, KINDS.index("red")].all()
    assert told[0, 0, 0, 0, KINDS.index("cube")].all() and not told[0, 0, 0, 0, KINDS.index("sphere")].any()
    assert told[0, 1, 3, 0, KINDS.index("sphere")].all()


def test_a_model_hears_tracks_once_it_has_learnt_to() -> None:
    torch.manual_seed(0)
    text = TextConfig(vocab_size=280, width=16, depth=1, heads=2)
    model = TextToVideo(text, ModelConfig(width=24, depth=1, heads=2, tracks=True))
    torch.nn.init.normal_(model.transformer.out_proj.weight)
    tokenizer = CaptionTokenizer.train(["a red ball"], 280)
    layout = Layout([Segment(GRID, 12.0), Segment(GRID, 12.0)])
    features = model.encode_text(tokenizer.pack([(("a red ball", 0.0, 1.0),)] * 2))
    noisy_NC, level_F = torch.randn(layout.tokens, TOKEN_CHANNELS), torch.full((layout.frames,), 0.5)
    told_NC = draw_tracks(tracks((0.0, 0.0, 0.25, 0.5)), GRID)
    told_NC = torch.cat([told_NC, torch.zeros_like(told_NC)])

    def velocity(tracks_NC: torch.Tensor | None) -> torch.Tensor:
        with torch.no_grad():
            return model(noisy_NC, layout, level_F, features, tracks_NC=tracks_NC)

    assert torch.equal(velocity(told_NC), velocity(None))  # at first they say nothing
    assert model.transformer.tracks_proj is not None
    torch.nn.init.normal_(model.transformer.tracks_proj.weight)
    differs_N = (velocity(told_NC) - velocity(None)).abs().amax(1) > 1e-5
    first, second = differs_N.chunk(2)
    assert first.any() and not second.any()  # the clip that has tracks, and not its neighbour
