"""Convex solids as a ray meets them: a ray's interval inside, the normal, and how far away the surface is.

Every solid is convex, so that a ray is inside it for one interval: one function serves rays that enter (where the
interval begins), rays inside glass (where it ends) and shadows (whether there is one). A body is a row of a table.
A point is ``x, y, z`` and a direction ``dx, dy, dz``: tuples cost time here.

Array suffixes: B bodies, K columns of a body's row, P planes, 3 axis, 4 plane (normal, offset).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kinema.worlds.render.compiled import device, rare

Floats = NDArray[np.float64]

SPHERE, BOX, CYLINDER, CAPSULE, CONE, CONVEX = range(6)
FAR = 1e30

# Columns of the table of bodies. What every ray looks at comes first and fills one line of the processor's cache.
CENTRE, RADIUS, REACH, KIND, INDEX, ID = 0, 3, 4, 5, 6, 7
ROTATION, HALF, FIRST_PLANE, PAST_PLANE = 8, 17, 20, 21
ALBEDO, ACCENT, PATTERN, PERIOD, GLOSS, METALLIC = 22, 25, 28, 29, 30, 31
COLUMNS = 32


@device
def to_body(bodies_BK: Floats, b: int, x: float, y: float, z: float) -> tuple[float, float, float]:
    """World vector → body axes."""
    return (
        bodies_BK[b, ROTATION] * x + bodies_BK[b, ROTATION + 3] * y + bodies_BK[b, ROTATION + 6] * z,
        bodies_BK[b, ROTATION + 1] * x + bodies_BK[b, ROTATION + 4] * y + bodies_BK[b, ROTATION + 7] * z,
        bodies_BK[b, ROTATION + 2] * x + bodies_BK[b, ROTATION + 5] * y + bodies_BK[b, ROTATION + 8] * z,
    )


@device
def to_world(bodies_BK: Floats, b: int, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Vector in body axes → world."""
    return (
        bodies_BK[b, ROTATION] * x + bodies_BK[b, ROTATION + 1] * y + bodies_BK[b, ROTATION + 2] * z,
        bodies_BK[b, ROTATION + 3] * x + bodies_BK[b, ROTATION + 4] * y + bodies_BK[b, ROTATION + 5] * z,
        bodies_BK[b, ROTATION + 6] * x + bodies_BK[b, ROTATION + 7] * y + bodies_BK[b, ROTATION + 8] * z,
    )


@device
def _slab(origin: float, direction: float, half: float) -> tuple[float, float]:
    """The interval of a ray between the planes at ±half."""
    if abs(direction) < 1e-12:
        if abs(origin) <= half:
            return -FAR, FAR
        return FAR, -FAR
    a = (-half - origin) / direction
    b = (half - origin) / direction
    return min(a, b), max(a, b)


@device
def _roots(a: float, half_b: float, c: float) -> tuple[float, float]:
    """Where a t² + 2 half_b t + c ≤ 0, for a ≥ 0."""
    if a < 1e-12:
        if c > 0.0:
            return FAR, -FAR
        return -FAR, FAR
    discriminant = half_b * half_b - a * c
    if discriminant < 0.0:
        return FAR, -FAR
    root = math.sqrt(discriminant)
    return (-half_b - root) / a, (-half_b + root) / a


@rare
def _in_capsule(
    radius: float, straight: float, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float
) -> tuple[float, float]:
    """A cylinder of half length ``straight`` between two balls: the hull of three intervals, as the whole is convex."""
    near, far = _slab(oz, dz, straight)
    enter, leave = _roots(dx * dx + dy * dy, ox * dx + oy * dy, ox * ox + oy * oy - radius * radius)
    near, far = max(near, enter), min(far, leave)
    if near > far:
        near, far = FAR, -FAR
    for end in range(2):
        z = oz - straight if end == 1 else oz + straight
        enter, leave = _roots(1.0, ox * dx + oy * dy + z * dz, ox * ox + oy * oy + z * z - radius * radius)
        if enter <= leave:
            near, far = min(near, enter), max(far, leave)
    return near, far


@rare
def _in_cone(
    radius: float, half: float, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float
) -> tuple[float, float]:
    """Apex at z = half, base at z = −half: x² + y² ≤ k² (half − z)² below the apex."""
    near, far = _slab(oz, dz, half)
    k = radius / (2.0 * half)
    below = half - oz
    a = dx * dx + dy * dy - k * k * dz * dz
    half_b = ox * dx + oy * dy + k * k * below * dz
    c = ox * ox + oy * oy - k * k * below * below
    if a > 1e-12:
        enter, leave = _roots(a, half_b, c)
        if oz + 0.5 * (enter + leave) * dz > half:  # both on the mirrored cone above the apex
            return FAR, -FAR
        return max(near, enter), min(far, leave)
    if a < -1e-12:  # steeper than the side: inside from one root on, or until it
        root = math.sqrt(max(half_b * half_b - a * c, 0.0))
        if dz < 0.0:
            return max(near, (-half_b - root) / a), far
        return near, min(far, (-half_b + root) / a)
    if abs(half_b) < 1e-12:
        return (near, far) if c <= 0.0 else (FAR, -FAR)
    if half_b > 0.0:
        return near, min(far, -0.5 * c / half_b)
    return max(near, -0.5 * c / half_b), far


@rare
def _in_planes(
    planes_P4: Floats,
    first: int,
    past: int,
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
) -> tuple[float, float]:
    """Inside all half-spaces n·p ≤ d (Kay and Kajiya 1986)."""
    near, far = -FAR, FAR
    for p in range(first, past):
        towards = planes_P4[p, 0] * dx + planes_P4[p, 1] * dy + planes_P4[p, 2] * dz
        room = planes_P4[p, 3] - (planes_P4[p, 0] * ox + planes_P4[p, 1] * oy + planes_P4[p, 2] * oz)
        if abs(towards) < 1e-12:
            if room < 0.0:
                return FAR, -FAR
        elif towards < 0.0:
            near = max(near, room / towards)
        else:
            far = min(far, room / towards)
        if near > far:
            return FAR, -FAR
    return near, far


@device
def interval(
    bodies_BK: Floats, planes_P4: Floats, b: int, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float
) -> tuple[float, float]:
    """Distances along a unit ray between which it is inside body ``b``; the first is larger if it never is."""
    cx, cy, cz = bodies_BK[b, CENTRE] - ox, bodies_BK[b, CENTRE + 1] - oy, bodies_BK[b, CENTRE + 2] - oz
    along = cx * dx + cy * dy + cz * dz
    radius = bodies_BK[b, RADIUS]
    room = radius * radius - (cx * cx + cy * cy + cz * cz - along * along)
    if room < 0.0 or along < -radius:
        return FAR, -FAR
    if bodies_BK[b, KIND] == SPHERE:
        root = math.sqrt(room)
        return along - root, along + root
    lox, loy, loz = to_body(bodies_BK, b, -cx, -cy, -cz)
    ldx, ldy, ldz = to_body(bodies_BK, b, dx, dy, dz)
    hx, hz = bodies_BK[b, HALF], bodies_BK[b, HALF + 2]
    if bodies_BK[b, KIND] > CYLINDER:
        if bodies_BK[b, KIND] == CONVEX:
            first, past = int(bodies_BK[b, FIRST_PLANE]), int(bodies_BK[b, PAST_PLANE])
            return _in_planes(planes_P4, first, past, lox, loy, loz, ldx, ldy, ldz)
        if bodies_BK[b, KIND] == CONE:
            return _in_cone(hx, hz, lox, loy, loz, ldx, ldy, ldz)
        return _in_capsule(hx, hz - hx, lox, loy, loz, ldx, ldy, ldz)
    near, far = _slab(loz, ldz, hz)
    if bodies_BK[b, KIND] == BOX:
        near_x, far_x = _slab(lox, ldx, hx)
        near_y, far_y = _slab(loy, ldy, bodies_BK[b, HALF + 1])
        return max(near, near_x, near_y), min(far, far_x, far_y)
    enter, leave = _roots(ldx * ldx + ldy * ldy, lox * ldx + loy * ldy, lox * lox + loy * loy - hx * hx)
    return max(near, enter), min(far, leave)


@rare
def _normal_in_body(
    bodies_BK: Floats, planes_P4: Floats, b: int, x: float, y: float, z: float
) -> tuple[float, float, float]:
    """Outward unit normal in body axes for everything but spheres."""
    kind, hx, hz = bodies_BK[b, KIND], bodies_BK[b, HALF], bodies_BK[b, HALF + 2]
    over_z = abs(z) - hz
    if kind == BOX:
        over_x, over_y = abs(x) - hx, abs(y) - bodies_BK[b, HALF + 1]
        if over_x > over_y and over_x > over_z:
            return math.copysign(1.0, x), 0.0, 0.0
        if over_y > over_z:
            return 0.0, math.copysign(1.0, y), 0.0
        return 0.0, 0.0, math.copysign(1.0, z)
    if kind == CONVEX:
        widest, best = -FAR, int(bodies_BK[b, FIRST_PLANE])
        for p in range(int(bodies_BK[b, FIRST_PLANE]), int(bodies_BK[b, PAST_PLANE])):
            over = planes_P4[p, 0] * x + planes_P4[p, 1] * y + planes_P4[p, 2] * z - planes_P4[p, 3]
            if over > widest:
                widest, best = over, p
        return planes_P4[best, 0], planes_P4[best, 1], planes_P4[best, 2]
    across = max(math.sqrt(x * x + y * y), 1e-12)
    if kind == CYLINDER:
        if over_z > across - hx:
            return 0.0, 0.0, math.copysign(1.0, z)
        return x / across, y / across, 0.0
    if kind == CAPSULE:
        straight = hz - hx
        z -= min(max(z, -straight), straight)
        length = math.sqrt(x * x + y * y + z * z)
        return x / length, y / length, z / length
    slope = hx / (2.0 * hz)  # cone
    cosine = 1.0 / math.sqrt(1.0 + slope * slope)
    if -z - hz > (across - slope * (hz - z)) * cosine:
        return 0.0, 0.0, -1.0
    return x / across * cosine, y / across * cosine, slope * cosine


@device
def normal(bodies_BK: Floats, planes_P4: Floats, b: int, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Outward unit normal of body ``b`` at a point of its surface."""
    px, py, pz = x - bodies_BK[b, CENTRE], y - bodies_BK[b, CENTRE + 1], z - bodies_BK[b, CENTRE + 2]
    if bodies_BK[b, KIND] == SPHERE:
        r = bodies_BK[b, HALF]
        return px / r, py / r, pz / r
    lx, ly, lz = to_body(bodies_BK, b, px, py, pz)
    nx, ny, nz = _normal_in_body(bodies_BK, planes_P4, b, lx, ly, lz)
    return to_world(bodies_BK, b, nx, ny, nz)


@device
def gap(bodies_BK: Floats, planes_P4: Floats, b: int, px: float, py: float, pz: float) -> float:
    """Distance from body ``b`` to a point given relative to its centre, 0 inside; a lower bound for cone and convex."""
    kind = bodies_BK[b, KIND]
    if kind == SPHERE:
        return max(math.sqrt(px * px + py * py + pz * pz) - float(bodies_BK[b, HALF]), 0.0)
    x, y, z = to_body(bodies_BK, b, px, py, pz)
    out_z = max(abs(z) - bodies_BK[b, HALF + 2], 0.0)
    if kind == BOX:
        out_x = max(abs(x) - bodies_BK[b, HALF], 0.0)
        out_y = max(abs(y) - bodies_BK[b, HALF + 1], 0.0)
        return math.sqrt(out_x * out_x + out_y * out_y + out_z * out_z)
    if kind == CYLINDER:
        out_r = max(math.sqrt(x * x + y * y) - bodies_BK[b, HALF], 0.0)
        return math.sqrt(out_r * out_r + out_z * out_z)
    return _gap_of_the_others(bodies_BK, planes_P4, b, x, y, z)


@rare
def _gap_of_the_others(bodies_BK: Floats, planes_P4: Floats, b: int, x: float, y: float, z: float) -> float:
    """Like :func:`gap` in body axes, for capsule, cone and convex."""
    radius, half = float(bodies_BK[b, HALF]), float(bodies_BK[b, HALF + 2])
    if bodies_BK[b, KIND] == CAPSULE:
        straight = half - radius
        z -= min(max(z, -straight), straight)
        return max(math.sqrt(x * x + y * y + z * z) - radius, 0.0)
    if bodies_BK[b, KIND] == CONE:
        slope = radius / (2.0 * half)
        side = (math.sqrt(x * x + y * y) - slope * (half - z)) / math.sqrt(1.0 + slope * slope)
        return max(side, -z - half, 0.0)
    widest = 0.0
    for p in range(int(bodies_BK[b, FIRST_PLANE]), int(bodies_BK[b, PAST_PLANE])):
        widest = max(widest, planes_P4[p, 0] * x + planes_P4[p, 1] * y + planes_P4[p, 2] * z - planes_P4[p, 3])
    return widest
