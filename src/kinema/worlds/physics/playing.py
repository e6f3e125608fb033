"""A voxel game as motion: player and enemy hop from tile to tile, and gems turn until they are taken.

Legend: T frames, B bodies, X, Y, Z cubes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kinema.data import Event, VoxelState
from kinema.worlds.physics import voxels
from kinema.worlds.physics.simulate import Motion
from kinema.worlds.physics.voxels import Cell, Game, Turn
from kinema.worlds.scene import Scene, half_height

HOP_M = 0.16  # how high a hop goes
GEM_RISE_M, GEM_RADPS = 0.06, 2.4  # gems hang above the ground and turn


def play(scene: Scene, frames: int, fps: float) -> Motion:
    """Plays the scene's game: body 0 is the player, then come the gems of a level, and last the enemy if there is one.

    The board changes, and a gem is gone, from the frame at which the player has arrived.
    """
    game = scene.game
    assert game is not None
    turns = voxels.turns(game)
    shape = (frames, len(scene.bodies))
    position_TB3, velocity_TB3, spin_TB3 = (np.zeros((*shape, 3)) for _ in range(3))
    orientation_TB4, shown_TB = np.zeros((*shape, 4)), np.ones(shape, dtype=np.bool_)
    orientation_TB4[..., 0] = 1.0
    grids = []
    gems = len(game.levels[0].gems)
    half_B = [half_height(body.info) for body in scene.bodies]
    for frame in range(frames):
        tick, share = voxels.tick_of(frame / fps, game)
        now, after = turns[min(tick, len(turns) - 1)], turns[min(tick + 1, len(turns) - 1)]
        grids.append(voxels.grid(game, now))
        position_TB3[frame, 0], velocity_TB3[frame, 0] = _hop(game, now.player, after.player, share, half_B[0])
        angle = GEM_RADPS * frame / fps
        for gem, cell in enumerate(game.levels[now.level].gems):
            position_TB3[frame, 1 + gem] = voxels.place_m(game, cell, half_B[1 + gem] + GEM_RISE_M)
            shown_TB[frame, 1 + gem] = now.left[gem]
        orientation_TB4[frame, 1 : 1 + gems] = (math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2))
        spin_TB3[frame, 1 : 1 + gems, 2] = GEM_RADPS
        if len(half_B) > 1 + gems:
            assert now.enemy is not None and after.enemy is not None, "an enemy is in every level or in none"
            goal = after.enemy if after.level == now.level else now.enemy
            position_TB3[frame, -1], velocity_TB3[frame, -1] = _hop(game, now.enemy, goal, share, half_B[-1])
    return Motion(
        position_TB3,
        orientation_TB4,
        velocity_TB3,
        spin_TB3,
        shown_TB,
        _scores(game, turns, (frames - 1) / fps),
        voxels=VoxelState(voxels.origin_m(game), game.cube_m, tuple(voxels.COLORS), np.stack(grids)),
    )


def _hop(
    game: Game, cell: Cell, goal: Cell, share: float, above_m: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Position and velocity on a parabola from tile to tile; who stays does not hop."""
    start_3, end_3 = (np.array(voxels.place_m(game, place, above_m)) for place in (cell, goal))
    if cell == goal:
        return start_3, np.zeros(3)
    up_3 = np.array([0.0, 0.0, 4 * HOP_M])
    way_3 = end_3 - start_3
    return start_3 + share * way_3 + share * (1 - share) * up_3, (way_3 + (1 - 2 * share) * up_3) / game.tick_s


def _scores(game: Game, turns: list[Turn], end_s: float) -> tuple[Event, ...]:
    """One event for every gem: the player, what it took, and the new score."""
    return tuple(
        Event(tick * game.tick_s, "scores", (0, 1 + turn.took), float(turn.score))
        for tick, turn in enumerate(turns)
        if turn.took >= 0 and tick * game.tick_s <= end_s + 1e-6
    )
