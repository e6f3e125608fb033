"""Compares refraction with Mitsuba 3, a physically based renderer, on a few frames. For development only.

    pip install mitsuba
    python benchmarks/renderer_mitsuba.py OUT.json OUT.png

Glass bodies hang before a checkered board under an even sky. Board and sky shine by themselves in Mitsuba and are lit
evenly by ours, so that only refraction, reflection and absorption matter. Ours follows the refracted path and one
reflection; Mitsuba's path tracer follows all of them. The picture holds ours, Mitsuba's and their difference.
"""

from __future__ import annotations

import json
import math
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from kinema.worlds.render.tracer import BOX, CHECKER, SPHERE, Look, render

SIDE, OUR_SAMPLES, THEIR_SAMPLES = 128, 64, 256
EYE, TARGET, FOV_DEG = (0.6, -5.0, 50.4), (0.0, 0.0, 50.0), 32.0
BOARD_Y, BOARD_HALF, SQUARES = 2.5, 2.0, 8
LIGHT, DARK, SKY = (0.85, 0.80, 0.70), (0.08, 0.12, 0.30), (0.55, 0.65, 0.75)
BODIES: dict[str, tuple[int, tuple[float, float, float], float]] = {  # kind, half size, turn about z in degrees
    "ball": (SPHERE, (0.8, 0.8, 0.8), 0.0),
    "slab": (BOX, (0.9, 0.25, 0.9), 35.0),
    "cube": (BOX, (0.6, 0.6, 0.6), 20.0),
}


def ours(kind: int, half: tuple[float, float, float], turn_deg: float) -> NDArray[np.float64]:
    """Linear light of our tracer."""
    board_half = (BOARD_HALF, 0.05, BOARD_HALF)
    look = Look(
        kind_B=np.array([kind, BOX], np.int32),
        half_size_B3=np.array([half, board_half]),
        albedo_B3=np.array([(1.0, 1.0, 1.0), LIGHT]),
        accent_B3=np.array([(0.0, 0.0, 0.0), DARK]),
        pattern_B=np.array([0, CHECKER], np.int32),
        pattern_scale_B=np.full(2, 4 * BOARD_HALF / SQUARES),
        index_B=np.array([1.5, 0.0]),
        floor_albedo_3=np.ones(3),
        sky_top_3=np.array(SKY),
        sky_horizon_3=np.array(SKY),
        sun_direction_3=np.array([0.0, 1.0, 0.0]),
        ambient=1.0,
        eye_T3=np.array([EYE]),
        target_T3=np.array([TARGET]),
        vertical_fov_deg=FOV_DEG,
    )
    half_turn = math.radians(turn_deg) / 2
    turn_TB4 = np.array([[(math.cos(half_turn), 0, 0, math.sin(half_turn)), (1, 0, 0, 0)]])
    centre_TB3 = np.array([[(0.0, 0.0, 50.0), (0.0, BOARD_Y + 0.05, 50.0)]])
    code = render(look, centre_TB3, turn_TB4, SIDE, SIDE, OUR_SAMPLES).pixels_THW3[0] / 255
    return np.asarray(np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4))


def theirs(kind: int, half: tuple[float, float, float], turn_deg: float) -> NDArray[np.float64]:
    """Linear light of Mitsuba's path tracer."""
    at = mi.ScalarTransform4f
    place = at().translate([0, 0, 50]).rotate([0, 0, 1], turn_deg).scale(list(half))
    checkers = {
        "type": "checkerboard",
        "color0": {"type": "rgb", "value": list(DARK)},
        "color1": {"type": "rgb", "value": list(LIGHT)},
        "to_uv": at().scale([SQUARES / 2, SQUARES / 2, 1]),
    }
    facing = at().translate([0, BOARD_Y, 50]).rotate([1, 0, 0], 90).scale(BOARD_HALF)
    scene: dict[str, Any] = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 24},
        "sensor": {
            "type": "perspective",
            "fov": FOV_DEG,
            "fov_axis": "y",
            "to_world": at().look_at(list(EYE), list(TARGET), [0, 0, 1]),
            "film": {"type": "hdrfilm", "width": SIDE, "height": SIDE, "rfilter": {"type": "box"}},
            "sampler": {"type": "independent", "sample_count": THEIR_SAMPLES},
        },
        "sky": {"type": "constant", "radiance": {"type": "rgb", "value": list(SKY)}},
        "board": {
            "type": "rectangle",
            "to_world": facing,
            "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": 0.0}},
            "emitter": {"type": "area", "radiance": checkers},
        },
        "glass": {
            "type": "sphere" if kind == SPHERE else "cube",
            "to_world": place,
            "bsdf": {"type": "dielectric", "int_ior": 1.5, "ext_ior": 1.0},
        },
    }
    return np.asarray(mi.render(mi.load_dict(scene), seed=0), dtype=np.float64)[..., :3].clip(0, 1)


def main() -> None:
    """Renders every body twice and writes numbers and pictures."""
    mi.set_variant("scalar_rgb")
    report: dict[str, Any] = {"mitsuba": version("mitsuba"), "side": SIDE, "bodies": {}}
    rows = []
    for name, body in BODIES.items():
        one_HW3, other_HW3 = ours(*body), theirs(*body)
        error_HW = np.abs(one_HW3 - other_HW3).mean(axis=-1)
        report["bodies"][name] = {
            "mean_absolute_error": round(float(error_HW.mean()), 4),
            "share_of_pixels_within_0.05": round(float((error_HW < 0.05).mean()), 4),
            "correlation": round(float(np.corrcoef(one_HW3.ravel(), other_HW3.ravel())[0, 1]), 4),
        }
        rows.append(np.concatenate([one_HW3, other_HW3, np.abs(one_HW3 - other_HW3)], axis=1))
    Path(sys.argv[1]).write_text(json.dumps(report, indent=2) + "\n")
    Picture.fromarray((255 * np.concatenate(rows) ** (1 / 2.2)).round().astype(np.uint8)).save(sys.argv[2])
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
