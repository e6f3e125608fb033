"""What a smooth surface does to light: Fresnel's equations, Snell's law and absorption."""

from __future__ import annotations

import math

from kinema.worlds.render.compiled import device

ABSORPTION_M = 0.5  # a transparent body's albedo is what passes through this length of it


@device
def fresnel(cosine: float, ratio: float) -> tuple[float, float]:
    """Share of unpolarised light that a surface reflects, and the cosine of the refracted ray with the normal.

    ``cosine`` is that of the incoming ray, ``ratio`` the refractive index where it comes from over that where it goes.
    Beyond the critical angle all is reflected.
    """
    square = 1.0 - ratio * ratio * (1.0 - cosine * cosine)
    if square <= 0.0:
        return 1.0, 0.0
    through = math.sqrt(square)
    across = (ratio * cosine - through) / (ratio * cosine + through)
    within = (ratio * through - cosine) / (ratio * through + cosine)
    return 0.5 * (across * across + within * within), through


@device
def schlick(facing: float, normal_reflectance: float) -> float:
    """Reflectance of a glossy surface (Schlick 1994, equation 15)."""
    graze = min(max(1.0 - facing, 0.0), 1.0)
    return normal_reflectance + (1.0 - normal_reflectance) * graze * graze * graze * graze * graze


@device
def transmit(tint: float, path: float, unit: float) -> float:
    """What passes a length of a medium that lets ``tint`` pass per ``unit`` (Beer and Lambert)."""
    return math.exp(math.log(max(tint, 1e-4)) * path / unit)
