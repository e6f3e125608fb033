"""The voxel game: its rules, its motion, and a score that can be read off the cubes and off the pixels."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.config import WorldsConfig
from kinema.data import CameraInfo, WorldState
from kinema.worlds.families import blocks
from kinema.worlds.make import make_world
from kinema.worlds.physics import voxels
from kinema.worlds.physics.playing import play
from kinema.worlds.physics.voxels import COLUMNS, ROWS, Cell, Game, Level
from kinema.worlds.render import tracer
from kinema.worlds.scene import Draw, Scene

SEEDS = range(8)
FONT: dict[tuple[int, ...], int] = {  # rows from above, as numbers of three bits
    (7, 5, 5, 5, 7): 0,
    (2, 6, 2, 2, 7): 1,
    (7, 1, 7, 4, 7): 2,
    (7, 1, 3, 1, 7): 3,
    (5, 5, 7, 1, 1): 4,
    (7, 4, 7, 1, 7): 5,
    (7, 4, 7, 5, 7): 6,
    (7, 1, 1, 2, 2): 7,
    (7, 5, 7, 5, 7): 8,
    (7, 5, 7, 1, 7): 9,
}


def drawn(seed: int, duration_s: float = 20.0) -> tuple[Scene, Game]:
    scene = blocks.draw(Draw("blocks", np.random.default_rng(seed), False, duration_s))
    assert scene.game is not None
    return scene, scene.game


def board_columns() -> list[list[int]]:
    """Columns of cubes of each digit, found as the test's own reading of where the board is."""
    return [[3, 4, 5], [8, 9, 10]]


def read(bright_XZ: np.ndarray) -> int:
    """The number that bright cells of the back row show."""
    number = 0
    for columns in board_columns():
        rows = tuple(int("".join(str(int(bright_XZ[x, z])) for x in columns), 2) for z in range(8, 3, -1))
        number = 10 * number + FONT[rows]
    return number


def score_at(state: WorldState, frame: int, fps: float) -> int:
    """The score by the events."""
    scored = [event for event in state.events if event.kind == "scores" and event.time_s <= frame / fps + 1e-4]
    return int(scored[-1].value) if scored else int(state.facts["score"])


def distance(level: Level, start: Cell, goals: set[Cell]) -> int:
    """Steps to the nearest goal, by flooding from it; its own count, without enemies."""
    steps = dict.fromkeys(goals, 0)
    for _ in range(COLUMNS * ROWS):
        for (x, y), far in list(steps.items()):
            for near in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
                if level.is_free(near):
                    steps[near] = min(steps.get(near, 99), far + 1)
    return steps[start]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_player_steps_over_free_tiles_and_never_meets_the_enemy(seed: int) -> None:
    _, game = drawn(seed)
    turns = voxels.turns(game)
    for now, after in zip(turns, turns[1:], strict=False):
        assert game.levels[now.level].is_free(now.player)
        assert abs(now.player[0] - after.player[0]) + abs(now.player[1] - after.player[1]) <= 1
        assert now.player != now.enemy
        if now.level == after.level and now.enemy is not None:
            assert (now.player, now.enemy) != (after.enemy, after.player)  # they do not pass through each other
            assert game.levels[now.level].is_free(now.enemy)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_score_is_the_number_of_gems_taken_and_the_nearest_comes_next(seed: int) -> None:
    _, game = drawn(seed)
    turns = voxels.turns(game)
    last = {"tick": 0, "level": 0}
    for tick, turn in enumerate(turns):
        level = game.levels[turn.level]
        before = blocks.GEMS * turn.level + turn.left.count(False)
        assert turn.score == game.score + before
        if turn.level != last["level"]:
            last = {"tick": tick, "level": turn.level}
        if turn.took >= 0:
            assert turn.player == level.gems[turn.took]
            start = turns[last["tick"]]
            open_ = {gem for gem, there in zip(level.gems, start.left, strict=True) if there}
            least = distance(level, start.player, open_)
            assert tick - last["tick"] >= least
            if not level.patrol:
                assert tick - last["tick"] == least
            assert tick - last["tick"] <= least + 12  # an enemy holds it up, but not for long
            last = {"tick": tick, "level": turn.level}
    assert turns[-1].left == (False,) * blocks.GEMS


def test_an_enemy_in_a_corridor_makes_a_level_impossible_unless_there_is_a_niche() -> None:
    patrol = ((2, 1), (3, 1), (4, 1))
    corridor = Level(("#######", "#.....#", "#######", "#######", "#######"), ((5, 1),), patrol)
    assert voxels.walk(corridor, (1, 1)) == []
    niche = Level(("#######", "#.....#", "###.###", "#######", "#######"), ((5, 1),), patrol)
    way = voxels.walk(niche, (1, 1))
    assert way[-1] == (5, 1) and (3, 2) in way  # it steps aside and lets the enemy pass
    assert all(cell != niche.enemy(tick) for tick, cell in enumerate(way, start=1))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_player_is_never_inside_a_cube_and_its_velocity_is_that_of_its_path(seed: int) -> None:
    scene, game = drawn(seed, 6.0)
    fps = 60.0
    motion = play(scene, 240, fps)
    assert motion.voxels is not None
    half_3, cell = np.array(scene.bodies[0].info.half_size_m), motion.voxels.cell_m
    corners_83 = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]) * half_3 * 0.999
    for grid_XYZ, place_3 in zip(motion.voxels.grid_TXYZ, motion.position_TB3[:, 0], strict=True):
        inside_83 = np.floor((place_3 + corners_83 - motion.voxels.origin_m) / cell).astype(int)
        assert (inside_83 >= 0).all() and (inside_83[:, :2] < grid_XYZ.shape[:2]).all()
        inside_83[:, 2] = np.minimum(inside_83[:, 2], grid_XYZ.shape[2] - 1)
        assert not grid_XYZ[tuple(inside_83.T)].any()
    tick_T = np.floor(np.arange(240) / fps / game.tick_s + 1e-6)
    middle_T = np.flatnonzero((tick_T[:-2] == tick_T[1:-1]) & (tick_T[1:-1] == tick_T[2:])) + 1
    position_T3, velocity_T3 = motion.position_TB3[:, 0], motion.velocity_TB3[:, 0]
    measured_T3 = (position_T3[middle_T + 1] - position_T3[middle_T - 1]) * fps / 2  # exact on a parabola
    assert len(middle_T) > 100
    assert measured_T3 == pytest.approx(velocity_T3[middle_T], abs=2e-3)


def test_the_board_shows_the_score_in_cubes_and_gems_are_gone_when_it_counts_them() -> None:
    shown = set()
    for seed in SEEDS:
        world = make_world("blocks", seed, WorldsConfig(height=32, width=32, frames=25, samples_per_pixel=1))
        state = world.clip.state
        assert state is not None and state.voxels is not None
        digit = state.voxels.names.index("digit") + 1
        for frame, grid_XYZ in enumerate(state.voxels.grid_TXYZ):
            score = score_at(state, frame, world.clip.fps)
            assert read(grid_XYZ[:, -1] == digit) == score
            shown.add(score)
        for event in state.events:
            if event.kind == "scores":
                after = int(np.ceil(event.time_s * 12.0 - 1e-4))
                assert state.shown_TB[after - 1, event.bodies[1]] and not state.shown_TB[after, event.bodies[1]]
    assert len(shown) > 8


def test_every_number_reads_back() -> None:
    for score in range(100):
        bright_XZ = np.zeros((14, 10), dtype=bool)
        bright_XZ[tuple(np.array(list(voxels.digit_cubes(score))).T)] = True
        assert read(bright_XZ) == score


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (64, 112)])
def test_the_score_can_be_read_off_the_pixels(size: tuple[int, int]) -> None:
    height, width = size
    hidden, cells = 0, 0
    for seed in (0, 1, 4):
        world = make_world("blocks", seed, WorldsConfig(height=height, width=width, frames=9, fps=6.0))
        state = world.clip.state
        assert state is not None and state.voxels is not None
        for frame in range(0, 9, 4):
            lit = set(voxels.digit_cubes(score_at(state, frame, 6.0)))
            columns = [x for digit in board_columns() for x in digit]
            board = [(x, z) for x in columns for z in range(4, 9)]
            side = state.voxels.cell_m
            centre_N3 = np.array([(side * (x + 0.5), side * 2 * ROWS, side * (z + 0.5)) for x, z in board])
            eye, target = state.camera_eye_T3[frame], state.camera_target_T3[frame]
            view = CameraInfo(tuple(eye), tuple(target), state.camera.vertical_fov_deg)
            where_N3 = tracer.project(view, centre_N3 + state.voxels.origin_m, height, width)
            for cell, (column, row, _) in zip(board, where_N3, strict=True):
                cells += 1
                if world.ids_THW[frame, int(row), int(column)] >= 0:
                    hidden += 1  # the player hops in front of the board
                    continue
                red, _, blue = world.clip.pixels_THW3[frame, int(row), int(column)].astype(int)
                assert (red > blue + 25) == (cell in lit), (seed, frame, cell)
    assert hidden < 0.1 * cells


def test_a_minute_of_it_keeps_scoring_and_one_frame_is_a_picture() -> None:
    scene, game = drawn(3, 60.0)
    motion = play(scene, 361, 6.0)
    times_s = [event.time_s for event in motion.events]
    assert np.diff([0.0, *times_s, 60.0]).max() < 12.0
    assert len(game.levels) > 3 and motion.events[-1].value == game.score + len(times_s) <= voxels.MOST
    assert len(play(drawn(3, 1 / 6)[0], 1, 6.0).position_TB3) == 1
