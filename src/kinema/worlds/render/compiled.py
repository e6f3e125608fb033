"""How the ray tracer is compiled: plain scalar functions, one source for CPU threads and for CUDA threads.

Numba compiles a function marked ``device`` or ``rare`` where a kernel calls it, for the CPU or for the GPU. These
functions allocate nothing and only borrow arrays, so they are compiled without reference counts, which would cost six
times the run time. Only kernels are cached on disk. Such a cache does not notice a change in another file whose
functions a kernel contains; that is why cached kernels close over ``REVISION``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")

SOURCES = (
    *("compiled", "stage", "solids", "patterns", "optics", "water_rays", "voxel_rays"),
    *("lighting", "meeting", "shading", "rays", "kernel"),
)
_SCALAR: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
_text = b"".join((Path(__file__).parent / f"{name}.py").read_bytes() for name in SOURCES)
REVISION = int.from_bytes(hashlib.sha256(_text).digest()[:6], "big")
"""A fingerprint of the source of everything that the kernels contain."""


def device(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a scalar function into its caller."""
    return cast("Callable[P, R]", njit(forceinline=True, **_SCALAR)(function))


def rare(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a scalar function and leaves it to the compiler whether the caller contains it."""
    return cast("Callable[P, R]", njit(**_SCALAR)(function))


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a function that threads call side by side; cached on disk."""
    return cast("Callable[P, R]", njit(cache=True, nogil=True, **_SCALAR)(function))
