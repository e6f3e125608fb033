"""Waves on the water of a rectangular basin: exact linear theory, mode by mode.

Between vertical walls that reflect, the surface height is a sum of standing waves ψ = cos(kx·x) cos(ky·y) with
kx = mπ / width and ky = nπ / length. Each is an oscillator of its own, η'' = −ω² η, with the dispersion relation of
water of depth h (Airy 1841; Lamb, Hydrodynamics, 1932, art. 228)

    ω² = g k tanh(k h),    k² = kx² + ky²,

which is √(g h) k for waves long against the depth and √(g k) for short ones. A mode turns by ω·Δt a step, so any step
is exact and stable. Bodies kick the modes, see :func:`exchange`, which follows from a mode's Lagrangian: kinetic energy
½ρ‖ψ‖² η'² / (k tanh kh), potential energy ½ρg‖ψ‖² η², where ‖ψ‖² = ∫ψ² over the basin.

Legend: M, N modes along x and y, X, Y grid points. Amplitudes are metres; x and y count from the basin's corner.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")
Floats = NDArray[np.float64]

GRAVITY_MPS2 = 9.81
DENSITY = 1000.0  # kg/m³
MODES = (32, 24)  # the shortest wave is a fifteenth of the basin's width, 0.2 m
DAMPING_PER_S = 0.12  # of every wave's amplitude, by the walls
EDDY_VISCOSITY = 1.5e-3  # m²/s; amplitudes fade by 2νk² (Lamb, art. 348): short waves first


def serial(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a function of plain arrays for one thread; typed, which numba's own decorator is not."""
    return cast("Callable[P, R]", njit(cache=True, error_model="numpy")(function))


@dataclass(frozen=True)
class Basin:
    """The modes of a basin; they never change."""

    width_m: float
    length_m: float
    depth_m: float
    modes_3MN: Floats  # wave numbers k (rad/m), frequencies ω (rad/s) and norms ‖ψ‖² (m²)
    damping_MN: Floats  # 1/s

    @property
    def frequency_MN(self) -> Floats:
        """ω of every mode, rad/s."""
        frequency_MN: Floats = self.modes_3MN[1]
        return frequency_MN


def basin(
    width_m: float,
    length_m: float,
    depth_m: float,
    modes: tuple[int, int] = MODES,
    damping_per_s: float = DAMPING_PER_S,
    viscosity: float = EDDY_VISCOSITY,
    gravity_mps2: float = GRAVITY_MPS2,
) -> Basin:
    """The modes of a rectangular basin; ``damping_per_s`` and ``viscosity`` of 0 keep a wave's energy for ever."""
    kx_M = np.pi / width_m * np.arange(modes[0])
    ky_N = np.pi / length_m * np.arange(modes[1])
    k_MN = np.hypot(kx_M[:, None], ky_N[None, :])
    frequency_MN = np.sqrt(gravity_mps2 * k_MN * np.tanh(k_MN * depth_m))
    norm_MN = np.full(modes, width_m * length_m / 4)
    norm_MN[0, :] *= 2
    norm_MN[:, 0] *= 2
    damping_MN = damping_per_s + 2 * viscosity * k_MN**2
    damping_MN[0, 0] = 0.0  # the mean height is the water's volume and stays
    return Basin(width_m, length_m, depth_m, np.stack([k_MN, frequency_MN, norm_MN]), damping_MN)


@dataclass(frozen=True)
class Turn:
    """What a stretch of time does to the modes: a turn by ω·Δt and a little fading."""

    cosine_MN: Floats
    sine_MN: Floats


def turn(basin: Basin, span_s: float) -> Turn:
    fade_MN = np.exp(-basin.damping_MN * span_s)
    angle_MN = basin.frequency_MN * span_s
    return Turn(fade_MN * np.cos(angle_MN), fade_MN * np.sin(angle_MN))


class Surface:
    """The state of the water: every mode's height η and its rate as η' / ω, both in metres."""

    def __init__(self, basin: Basin) -> None:
        self.basin = basin
        self.height_MN: Floats = np.zeros_like(basin.frequency_MN)
        self.rate_MN: Floats = np.zeros_like(basin.frequency_MN)

    def advance(self, turn: Turn) -> None:
        """The waves run on freely."""
        _advance(self.height_MN, self.rate_MN, turn.cosine_MN, turn.sine_MN)

    def on_grid(self, columns: int, rows: int) -> Floats:
        """``height_XY`` above the level of rest, on a grid that includes the walls."""
        return _synthesis(self.height_MN, columns, rows)

    def energy_j(self) -> float:
        """½ρg ∑ ‖ψ‖² (η² + (η'/ω)²); the mean height, which is no wave, does not count."""
        square_MN = self.height_MN**2 + self.rate_MN**2
        square_MN[0, 0] = 0.0
        return float(0.5 * DENSITY * GRAVITY_MPS2 * (self.basin.modes_3MN[2] * square_MN).sum())


@serial
def _advance(height_MN: Floats, rate_MN: Floats, cosine_MN: Floats, sine_MN: Floats) -> None:
    for m in range(height_MN.shape[0]):
        for n in range(height_MN.shape[1]):
            height, rate = height_MN[m, n], rate_MN[m, n]
            height_MN[m, n] = cosine_MN[m, n] * height + sine_MN[m, n] * rate
            rate_MN[m, n] = cosine_MN[m, n] * rate - sine_MN[m, n] * height


@serial
def _synthesis(height_MN: Floats, columns: int, rows: int) -> Floats:
    """Sums the modes, first along y, then along x. Loops in a fixed order, so that all machines get the same bits."""
    modes, others = height_MN.shape
    wave_I = np.cos(np.pi / (columns - 1) * np.arange(2 * (columns - 1)))
    wave_J = np.cos(np.pi / (rows - 1) * np.arange(2 * (rows - 1)))
    half_MY = np.zeros((modes, rows))
    for m in range(modes):
        for n in range(others):
            for j in range(rows):
                half_MY[m, j] += height_MN[m, n] * wave_J[(n * j) % (2 * (rows - 1))]
    grid_XY = np.zeros((columns, rows))
    for i in range(columns):
        for m in range(modes):
            for j in range(rows):
                grid_XY[i, j] += wave_I[(m * i) % (2 * (columns - 1))] * half_MY[m, j]
    return grid_XY


@serial
def exchange(
    height_MN: Floats,
    rate_MN: Floats,
    share_MN: Floats,
    modes_3MN: Floats,
    size_3: Floats,
    x: float,
    y: float,
    z: float,
    volume: float,
    impulse: float,
) -> tuple[float, float, float, float]:
    """A small body at a point and the water act on each other.

    * The surface rises by the room that the body takes. A source of strength q raises a mode by
      q·ψ(x, y)·cosh(kz) / (cosh(kh)·‖ψ‖²); the mean rises by the volume over the basin's area, so no water is lost.
      The waves of a ball are exactly those of a source at its centre, because the potential is harmonic.
    * A downward impulse J changes η' by −J·ψ·k tanh(kh)·sinh(kz) / (sinh(kh)·ρ‖ψ‖²).
    * The body feels the waves with the same factors: a pressure ρgη·cosh(kz) / cosh(kh), and a water that moves up with
      η'·sinh(kz) / sinh(kh). That both ways share their factors is what keeps energy from being made.

    Args:
        height_MN, rate_MN: the surface's state, changed in place.
        share_MN: what the body has added to the heights so far, changed in place.
        modes_3MN: wave numbers, frequencies and norms of the modes.
        size_3: width, length and depth of the basin, metres.
        x, y, z: the point; z counts from the basin's floor.
        volume: of the body below the surface, m³.
        impulse: N·s.

    Returns:
        The height that the body feels (m), its slopes along x and y, and the water's upward velocity (m/s).
    """
    modes, others = height_MN.shape
    ky_N = np.pi / size_3[1] * np.arange(others)
    cos_N, sin_N = np.cos(ky_N * y), np.sin(ky_N * y)
    height, slope_x, slope_y, rise = 0.0, 0.0, 0.0, 0.0
    for m in range(modes):
        kx = math.pi / size_3[0] * m
        cx, sx = math.cos(kx * x), math.sin(kx * x)
        for n in range(others):
            k, frequency, norm = modes_3MN[0, m, n], modes_3MN[1, m, n], modes_3MN[2, m, n]
            # cosh(kz) / cosh(kh) and sinh(kz) / sinh(kh), without large numbers
            fade, up, whole = math.exp(-k * (size_3[2] - z)), math.exp(-2 * k * z), math.exp(-2 * k * size_3[2])
            near = fade * (1 + up) / (1 + whole)
            far = fade * (1 - up) / (1 - whole) if k > 0.0 else 0.0
            mode = cx * cos_N[n]
            share = near * mode * volume / norm
            height_MN[m, n] += share - share_MN[m, n]
            share_MN[m, n] = share
            rate_MN[m, n] -= impulse * far * mode * frequency / (norm * DENSITY * GRAVITY_MPS2)
            height += near * height_MN[m, n] * mode
            slope_x -= near * height_MN[m, n] * kx * sx * cos_N[n]
            slope_y -= near * height_MN[m, n] * ky_N[n] * cx * sin_N[n]
            rise += far * frequency * rate_MN[m, n] * mode
    return height, slope_x, slope_y, rise
