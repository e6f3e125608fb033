"""Patterns painted on bodies and floors: how much of the accent colour a point takes, and how bright it is.

Everything is arithmetic on coordinates, without tables or library functions, so that it is the same everywhere.
"""

from __future__ import annotations

import math

from kinema.worlds.render.compiled import device, rare

PLAIN, CHECKER, STRIPES, GRAIN, DOTS, TILES, PLANKS = range(7)

_DOT = 0.3  # radius of a dot in periods
_GROUT = 0.025  # half width of the joint between tiles in periods
_BOARD = 5.0  # length of a plank in widths


@device
def _odd(x: float) -> int:
    """0 or 1 in alternate units."""
    return int(math.floor(x)) & 1


@device
def _part(x: float) -> float:
    """What is left above the whole number."""
    return x - math.floor(x)


@device
def _wave(x: float) -> float:
    """A smooth wave of period 1 between 0 and 1."""
    up = abs(2.0 * _part(x) - 1.0)
    return up * up * (3.0 - 2.0 * up)


@device
def _tone(i: int, j: int) -> float:
    """A fixed random number in [0, 1) for a pair of whole numbers."""
    mixed = (i * 73856093) ^ (j * 19349663)
    mixed = (mixed ^ (mixed >> 13)) * 60493 & 0xFFFFFF
    return ((mixed >> 8) & 0xFF) / 256.0


@rare
def on_body(
    pattern: int, period: float, lengthwise: bool, x: float, y: float, z: float, nx: float, ny: float, nz: float
) -> float:
    """Share of the accent colour at a point with a normal, both in body axes.

    ``lengthwise`` says that stripes follow one another along z (round bodies), else along x (boxes and shards).
    """
    x, y, z = 0.999 * x / period, 0.999 * y / period, 0.999 * z / period  # a face never lies on a pattern's edge
    if pattern == CHECKER:
        return float(_odd(2.0 * x) ^ _odd(2.0 * y) ^ _odd(2.0 * z))
    if pattern == STRIPES:
        return float(_odd(2.0 * (z if lengthwise else x) + 0.5))
    if pattern == GRAIN:  # rings around an axis beside the body's own
        ring = math.sqrt((x + 1.3) ** 2 + (y + 0.4) ** 2) + 0.18 * _wave(0.21 * z + 0.1 * x)
        return 0.75 * _wave(ring) + 0.25 * _wave(3.7 * ring + 0.11 * z)
    u, v = x, y  # dots, on the plane that the surface faces most
    if abs(nx) >= abs(ny) and abs(nx) >= abs(nz):
        u, v = y, z
    elif abs(ny) >= abs(nz):
        u, v = x, z
    u, v = _part(u + 0.5) - 0.5, _part(v + 0.5) - 0.5
    return 1.0 if u * u + v * v < _DOT * _DOT else 0.0


@device
def _alternation(x: float, width: float) -> float:
    """Mean over a width of the wave that is −1 in even and 1 in odd units."""
    after, before = abs(2.0 * _part(0.5 * (x + 0.5 * width)) - 1.0), abs(2.0 * _part(0.5 * (x - 0.5 * width)) - 1.0)
    return (after - before) / width


@device
def _joint(x: float, half: float, width: float) -> float:
    """Share of a width around ``x`` that lies within ``half`` of a whole number."""
    after, before = x + half + 0.5 * width, x + half - 0.5 * width
    covered = 2.0 * half * (math.floor(after) - math.floor(before))
    return (covered + min(_part(after), 2.0 * half) - min(_part(before), 2.0 * half)) / width


@rare
def on_floor(pattern: int, x: float, y: float, wide: float, deep: float) -> tuple[float, float]:
    """Share of the accent colour and brightness around a floor point.

    Everything is in periods. ``wide`` and ``deep`` are what a pixel sees of the floor along x and y: the pattern's mean
    over that rectangle keeps distant floors from flickering.
    """
    wide, deep = max(wide, 1e-3), max(deep, 1e-3)
    if pattern == CHECKER:
        return 0.5 - 0.5 * _alternation(x, wide) * _alternation(y, deep), 1.0
    if pattern == STRIPES:
        return 0.5 + 0.5 * _alternation(2.0 * x, 2.0 * wide), 1.0
    near = 1.0 / (1.0 + wide * wide + deep * deep)  # how much of the difference between tiles or boards is left
    if pattern == TILES:
        joint = 1.0 - (1.0 - _joint(x, _GROUT, wide)) * (1.0 - _joint(y, _GROUT, deep))
        return joint, 0.96 + near * 0.08 * (_tone(int(math.floor(x)), int(math.floor(y))) - 0.5)
    row = int(math.floor(x))  # planks run away from the viewer, each row shifted
    along = y / _BOARD + 0.37 * row
    joint = 1.0 - (1.0 - _joint(x, _GROUT, wide)) * (1.0 - _joint(along, _GROUT / _BOARD, deep / _BOARD))
    grain = 0.5 + near * (_wave(4.0 * _part(x) + 0.3 * _wave(0.7 * y + 0.21 * row)) - 0.5)
    return joint + (1.0 - joint) * 0.2 * grain, 0.89 + near * 0.22 * (_tone(row, int(math.floor(along))) - 0.5)
