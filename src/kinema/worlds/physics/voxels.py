"""A small voxel game: levels of tiles, a player that fetches gems one after the other, and a score board made of cubes.

The rules know nothing of rays or rigid bodies: a game is played tick by tick on tiles, and drawn as a grid of cubes two
of which make the side of a tile. The player moves to a free tile beside its own at every tick, takes the gem that lies
there and earns a point; an enemy goes to and fro, and the player never meets it. Once all gems are taken the next level
opens around the player.

Legend: T frames, X, Y, Z cubes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Cell = tuple[int, int]  # column from the left and row from the front of a tile
Cubes = NDArray[np.uint8]

COLUMNS, ROWS = 7, 5
GROUND, WATER, ROCK, WALL, TREE = ".", "~", "o", "#", "T"
CUBES_OF_TILE = 2
GROUND_CUBES = 2  # from the floor to the soles of the player
PAUSE_TICKS = 2  # between a level's last gem and the next level

COLORS: dict[str, tuple[float, float, float]] = {
    "grass": (0.13, 0.30, 0.07),
    "meadow": (0.17, 0.36, 0.09),
    "sand": (0.60, 0.46, 0.26),
    "dune": (0.68, 0.53, 0.31),
    "snow": (0.78, 0.80, 0.84),
    "ice": (0.68, 0.73, 0.80),
    "earth": (0.22, 0.13, 0.07),
    "water": (0.06, 0.22, 0.52),
    "stone": (0.27, 0.27, 0.29),
    "leaves": (0.03, 0.15, 0.04),
    "board": (0.02, 0.02, 0.03),
    "digit": (1.00, 0.86, 0.30),
}
NUMBER = {name: number for number, name in enumerate(COLORS, start=1)}
"""What a cube's number in a grid means; 0 is empty."""
THEMES = {"grass": ("grass", "meadow"), "sand": ("sand", "dune"), "snow": ("snow", "ice")}
"""The two colours of each kind of ground, which alternate like a chessboard."""

DIGITS = (
    ("###", "#.#", "#.#", "#.#", "###"),
    (".#.", "##.", ".#.", ".#.", "###"),
    ("###", "..#", "###", "#..", "###"),
    ("###", "..#", ".##", "..#", "###"),
    ("#.#", "#.#", "###", "..#", "..#"),
    ("###", "#..", "###", "..#", "###"),
    ("###", "#..", "###", "#.#", "###"),
    ("###", "..#", "..#", ".#.", ".#."),
    ("###", "#.#", "###", "#.#", "###"),
    ("###", "#.#", "###", "..#", "###"),
)
BOARD_X, BOARD_Z = 2, 3  # left and lowest cubes of the board, which is 10 wide and 7 high and stands at the back
MOST = 99  # the board has two digits


@dataclass(frozen=True)
class Level:
    """Tiles as rows of characters, front row first; gems; and the tiles between which an enemy goes to and fro."""

    tiles: tuple[str, ...]
    gems: tuple[Cell, ...]
    patrol: tuple[Cell, ...] = ()

    def is_free(self, cell: Cell) -> bool:
        x, y = cell
        return 0 <= x < COLUMNS and 0 <= y < ROWS and self.tiles[y][x] == GROUND

    def enemy(self, tick: int) -> Cell | None:
        """Where the enemy is: along the patrol and back, one tile a tick."""
        if not self.patrol:
            return None
        last = len(self.patrol) - 1
        return self.patrol[last - abs(tick % (2 * last) - last)]


@dataclass(frozen=True)
class Game:
    """A drawn game: levels one after the other, which a greedy player goes through."""

    levels: tuple[Level, ...]
    start: Cell
    theme: str  # of THEMES
    tick_s: float
    cube_m: float
    score: int = 0  # at the beginning


class Turn(NamedTuple):
    """The game at one tick."""

    level: int
    player: Cell
    enemy: Cell | None
    left: tuple[bool, ...]  # which gems of the level are still there
    score: int
    took: int  # the gem that was taken at this tick, or −1


def turns(game: Game) -> list[Turn]:
    """The whole game, tick by tick; it ends with the last gem of the last level."""
    player, score, played = game.start, game.score, list[Turn]()
    for number, level in enumerate(game.levels):
        left = [True] * len(level.gems)
        way = [player, *walk(level, player)]
        for tick, player in enumerate(way):
            took = level.gems.index(player) if tick and player in level.gems else -1
            if took >= 0 and left[took]:
                left[took], score = False, score + 1
            else:
                took = -1
            played.append(Turn(number, player, level.enemy(tick), tuple(left), score, took))
        for _ in range(1, PAUSE_TICKS):
            played.append(played[-1]._replace(took=-1))
    return played


def walk(level: Level, start: Cell) -> list[Cell]:
    """Where the player is at every tick, on its way to the nearest gem each time; empty if it gets stuck."""
    way, left = [start], set(level.gems)
    while left:
        steps = shortest(level, way[-1], len(way) - 1, left)
        if not steps:
            return []
        way += steps
        left.discard(way[-1])
    return way[1:]


def shortest(level: Level, start: Cell, tick: int, goals: set[Cell]) -> list[Cell]:
    """The tiles of a quickest way to the nearest goal, the first step first; empty if there is none.

    Breadth first over tiles and ticks, because an enemy makes it matter when the player is where.
    """
    period = max(1, 2 * (len(level.patrol) - 1))
    came: dict[tuple[Cell, int], tuple[Cell, int] | None] = {(start, tick % period): None}
    queue = deque(came)
    while queue:
        state = queue.popleft()
        cell, now = state
        if cell in goals:
            return _traced(came, state)
        x, y = cell
        for after in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1), cell):
            reached = (after, (now + 1) % period)
            meets = after == level.enemy(now + 1) or (after == level.enemy(now) and cell == level.enemy(now + 1))
            if level.is_free(after) and reached not in came and (not meets or not level.patrol):
                came[reached] = state
                queue.append(reached)
    return []


def _traced(came: dict[tuple[Cell, int], tuple[Cell, int] | None], state: tuple[Cell, int]) -> list[Cell]:
    way = []
    before = came[state]
    while before is not None:
        way.append(state[0])
        state, before = before, came[before]
    return way[::-1]


def grid(game: Game, turn: Turn) -> Cubes:
    """The world as ``cubes_XYZ`` of numbers as in :data:`NUMBER`: ground, what stands on it, and the score board."""
    side, level = CUBES_OF_TILE, game.levels[turn.level]
    cubes_XYZ = np.zeros((COLUMNS * side, ROWS * side + 1, BOARD_Z + 7), dtype=np.uint8)
    cubes_XYZ[:, :-1, 0] = NUMBER["earth"]
    for y, row in enumerate(level.tiles):
        for x, tile in enumerate(row):
            column_ZXY = cubes_XYZ[side * x : side * (x + 1), side * y : side * (y + 1)].transpose(2, 0, 1)
            column_ZXY[GROUND_CUBES - 1] = NUMBER[THEMES[game.theme][(x + y) % 2]]
            if tile == WATER:
                column_ZXY[:GROUND_CUBES] = NUMBER["water"]
            elif tile in (ROCK, WALL):
                column_ZXY[GROUND_CUBES : GROUND_CUBES + (1 if tile == ROCK else 2)] = NUMBER["stone"]
            elif tile == TREE:
                column_ZXY[GROUND_CUBES], column_ZXY[GROUND_CUBES + 1 : GROUND_CUBES + 3] = (
                    NUMBER["earth"],
                    NUMBER["leaves"],
                )
    cubes_XYZ[BOARD_X : BOARD_X + 10, -1] = NUMBER["board"]
    for x, z in digit_cubes(turn.score):
        cubes_XYZ[x, -1, z] = NUMBER["digit"]
    return cubes_XYZ


def digit_cubes(score: int) -> Iterator[Cell]:
    """Columns and heights of the bright cubes of the board that shows a score with two digits."""
    assert 0 <= score <= MOST
    for place, digit in enumerate(divmod(score, 10)):
        for down, row in enumerate(DIGITS[digit]):
            for across, mark in enumerate(row):
                if mark == "#":
                    yield BOARD_X + 1 + 5 * place + across, BOARD_Z + 5 - down


def origin_m(game: Game) -> tuple[float, float, float]:
    """The corner of the first cube: the tiles' middle is above the world's origin."""
    return (-game.cube_m * COLUMNS * CUBES_OF_TILE / 2, -game.cube_m * ROWS * CUBES_OF_TILE / 2, 0.0)


def place_m(game: Game, cell: Cell, above_m: float) -> tuple[float, float, float]:
    """A point above the middle of a tile, so far above the ground, in metres."""
    (x, y, z), side = origin_m(game), game.cube_m * CUBES_OF_TILE
    return (x + side * (cell[0] + 0.5), y + side * (cell[1] + 0.5), z + game.cube_m * GROUND_CUBES + above_m)


def connected(level: Level) -> bool:
    """Whether every free tile can be reached from every other."""
    free = {(x, y) for x in range(COLUMNS) for y in range(ROWS) if level.is_free((x, y))}
    found: set[Cell] = set()
    open_ = list(free)[:1]
    while open_:
        x, y = open_.pop()
        found.add((x, y))
        open_ += [n for n in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)) if n in free and n not in found]
    return len(found) == len(free)


def tick_of(time_s: float, game: Game) -> tuple[int, float]:
    """The last tick at or before a time, and the share of the way to the next one."""
    ticks = time_s / game.tick_s + 1e-6
    return math.floor(ticks), min(max(ticks - math.floor(ticks) - 1e-6, 0.0), 1.0)
