"""Blocks: a small game in a world of cubes; a player fetches gems, and a board shows the score."""

from __future__ import annotations

import math
from dataclasses import replace

from kinema.data import BodyInfo, CameraInfo
from kinema.worlds.physics import voxels
from kinema.worlds.physics.voxels import COLUMNS, GROUND, ROCK, ROWS, TREE, WALL, WATER, Cell, Game, Level
from kinema.worlds.scene import Body, CameraMove, Draw, Scene, Vec3, body_info, half_height

ABOUT = "a digital world: a cube hops through a landscape of blocks, collects gems and scores"
CUBE_M = 0.22
GEMS = 3
LEAST_FREE = 18  # tiles
CLASHES = {"grass": ("green", "lime"), "sand": ("brown", "orange", "yellow"), "snow": ("white", "cyan")}
"""Colours that are hard to see on each ground."""


def draw(draw: Draw) -> Scene:
    """A player, gems and perhaps an enemy; as many levels as the clip has time for."""
    player = _scaled(draw.info(("small",), ("cube",), ("matte", "rubber", "wood", "metal")), 0.19)
    gem = draw.info(("small",), ("sphere", "cube"), ("matte", "metal", "rubber"))
    gem = _scaled(gem, 0.17 if gem.shape == "sphere" else 0.14)
    enemy = _scaled(draw.info(("small",), ("cone",), ("matte", "rubber")), 0.2) if draw.chance(0.4) else None
    themes = [name for name, colors in CLASHES.items() if player.color not in colors and gem.color not in colors]
    game = Game(
        levels=(),
        start=(draw.rng.integers(COLUMNS).item(), draw.rng.integers(ROWS - 1).item()),
        theme=draw.choice(themes or list(CLASHES)),
        tick_s=draw.uniform(0.25, 0.32),
        cube_m=CUBE_M,
        score=0 if draw.chance(0.3) else draw.rng.integers(21).item(),
    )
    ticks, start = 0, game.start
    while ticks * game.tick_s < draw.duration_s:
        game = replace(game, levels=(*game.levels, _level(draw, start, enemy is not None)))
        turns = voxels.turns(game)
        ticks, start = len(turns), turns[-1].player
    return draw.scene(
        _bodies(game, player, gem, enemy),
        camera=_camera(draw),
        camera_move=CameraMove("orbit", draw.sign() * draw.uniform(3.0, 6.0), 14.0)
        if draw.chance(0.2)
        else CameraMove(),
        game=game,
        walled=False,
        facts={
            "goal": f"{gem.color} {gem.shape}",
            "score": game.score,
            "ground": game.theme,
            "enemy": None if enemy is None else GEMS + 1,
        },
    )


def _scaled(info: BodyInfo, half_m: float) -> BodyInfo:
    """The same kind of body, so large that its half height is ``half_m``."""
    usual = body_info(info.shape, info.color, info.material, info.size)
    return body_info(info.shape, info.color, info.material, info.size, half_m / half_height(usual))


def _bodies(game: Game, player: BodyInfo, gem: BodyInfo, enemy: BodyInfo | None) -> list[Body]:
    """Everything where it is at the beginning."""
    first = game.levels[0]

    def at(info: BodyInfo, cell: Cell) -> Body:
        place: Vec3 = voxels.place_m(game, cell, half_height(info))
        return Body(info, place)

    bodies = [at(player, game.start), *(at(gem, cell) for cell in first.gems)]
    return bodies if enemy is None else [*bodies, at(enemy, first.enemy(0) or game.start)]


def _level(draw: Draw, start: Cell, enemy: bool) -> Level:
    """Tiles, gems and a patrol such that the player, from where it is, gets everything."""
    while True:
        level = Level(_tiles(draw, start), ())
        free = [(x, y) for x in range(COLUMNS) for y in range(ROWS) if level.is_free((x, y)) and (x, y) != start]
        patrol = _patrol(draw, level, start) if enemy else ()
        where = [cell for cell in free if cell not in patrol]
        if len(where) < LEAST_FREE or not voxels.connected(level) or enemy and not patrol:
            continue
        gems = tuple(where[int(index)] for index in draw.rng.choice(len(where), GEMS, replace=False))
        level = replace(level, gems=gems, patrol=patrol)
        if voxels.walk(level, start):
            return level


def _tiles(draw: Draw, start: Cell) -> tuple[str, ...]:
    """Ground with a few obstacles; what is high stands in the corners at the back, where it hides nothing."""
    tiles = [[GROUND] * COLUMNS for _ in range(ROWS)]
    for _ in range(draw.rng.integers(5, 9).item()):
        x, y = draw.rng.integers(COLUMNS).item(), draw.rng.integers(ROWS).item()
        if (x, y) != start:
            corner = y == ROWS - 1 and x in (0, COLUMNS - 1)
            tiles[y][x] = draw.choice((TREE, WALL)) if corner else draw.choice((WATER, ROCK))
    return tuple("".join(row) for row in tiles)


def _patrol(draw: Draw, level: Level, start: Cell) -> tuple[Cell, ...]:
    """Three to five free tiles in a row that are not next to the start; none if there are no such."""
    y, x = draw.rng.integers(ROWS).item(), draw.rng.integers(COLUMNS - 2).item()
    cells = [(column, y) for column in range(x, min(x + 3 + draw.rng.integers(3).item(), COLUMNS))]
    clear = all(level.is_free(cell) and math.dist(cell, start) > 1.5 for cell in cells)
    return tuple(cells) if clear else ()


def _camera(draw: Draw) -> CameraInfo:
    """From above, so that every tile and the whole board are seen."""
    rise, turn, distance = draw.uniform(0.48, 0.58), draw.uniform(-0.12, 0.12), 8.4
    across = distance * math.cos(rise)
    eye = (across * math.sin(turn), -across * math.cos(turn), 1.15 + distance * math.sin(rise))
    return CameraInfo(eye, (0.0, 0.0, 1.15), 25.0)
