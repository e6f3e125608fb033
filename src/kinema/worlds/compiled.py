"""How the ray tracer is compiled: plain scalar functions, one source for CPU threads and for CUDA threads.

Numba turns a function marked ``device`` or ``rare`` into machine code where a kernel calls it; a CUDA kernel that calls
the same function gets it compiled for the GPU. Only kernels are cached on disk. A kernel's cache does not notice a
change in another file whose functions it contains, so the cached kernels close over ``REVISION``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")

SOURCES = ("compiled", "solids", "patterns", "optics", "water_rays", "voxel_rays", "rays", "kernel", "bins")
REVISION = int.from_bytes(
    hashlib.sha256(b"".join((Path(__file__).parent / f"{name}.py").read_bytes() for name in SOURCES)).digest()[:6], "big"
)
"""A fingerprint of the source of everything that the kernels contain."""


def device(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a scalar function into its caller; typed, which numba's own decorator is not."""
    return cast("Callable[P, R]", njit(error_model="numpy", forceinline=True, _nrt=False)(function))


def rare(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a function that most scenes never call, and keeps it out of the caller's way."""
    return cast("Callable[P, R]", njit(error_model="numpy", _nrt=False)(function))


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a function whose ``prange`` runs on all threads; cached on disk."""
    return cast("Callable[P, R]", njit(cache=True, error_model="numpy", parallel=True)(function))
