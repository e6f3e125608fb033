"""One rigid scene from many sides, and marks that stay.

Orbit clips in which nothing moves but the camera are continued from five frames. The places of the bodies and the
circle on which the camera goes are known; where on the circle it is at a frame of the model's is not, so the angle that
fits best is taken, frame by frame. What is left is how far the picture is from any view of that scene.

Paint clips are continued from nine frames. Floor that was painted in them must stay painted once the ball has left,
and the stroke must grow as far as it does in truth.

Array suffixes: T frames, B bodies, A angles, H height, W width, 2 (row, column), 3 axes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from kinema.data import Clip
from kinema.evaluate.adherence import can_be_judged, may_be_judged
from kinema.evaluate.bodies import Floats, Mask, observe
from kinema.evaluate.examples import any_scene, columns_of, means, unseen
from kinema.evaluate.judge import COLORS, classify, is_judged
from kinema.evaluate.silhouette import grown
from kinema.evaluate.statistics import finite_mean
from kinema.evaluate.suite import Better, Exam, Pixels, Strip, SuiteResult
from kinema.worlds.narration.narrate import short_prompt
from kinema.worlds.render.film import focal_length, views
from kinema.worlds.render.tracer import project

NAME = "consistency"
ABOUT = (
    "3-D consistency and changed state: bodies seen from a moving camera belong to one rigid scene, and strokes of "
    "paint stay where they are."
)
ORBIT_GIVEN, PAINT_GIVEN = 5, 9
CLIPS, QUICK_CLIPS = 16, 2  # of each family
ANGLES_DEG = np.arange(-150.0, 150.5, 0.5)  # of the camera from where it begins, anticlockwise from above
LEAST_WHOLE = 0.6  # share of the frames
LEAST_STROKE = 12  # pixels of the stroke that the given frames hold

_ORBIT: dict[str, tuple[str, Better]] = {
    "reprojection_error_px": ("distance of bodies from the best view of the true scene, pixels", "lower"),
    "turn_error_deg": ("angle of that view against the true camera's, degrees", "lower"),
    "kept_share": ("bodies and frames that truth shows whole and that are found whole", "higher"),
}
_PAINT: dict[str, tuple[str, Better]] = {
    "given_stroke_stays_share": ("pixels of the stroke in the given frames that keep its colour", "higher"),
    "painted_area_error": (
        "coloured area of the last frame, ball and stroke, against truth, as a share of it",
        "lower",
    ),
}
Measures = Mapping[str, float]


def run(exam: Exam) -> SuiteResult:
    """Continues orbits and strokes."""
    count = QUICK_CLIPS if exam.quick else CLIPS
    exam.on_progress(0, 2 * count)
    orbit: dict[str, list[Measures]] = {"truth": [], "codec": [], "frozen": [], "model": []}
    paint: dict[str, list[Measures]] = {"truth": [], "codec": [], "frozen": [], "model": []}
    strips = list[Strip]()
    work = (
        ("orbit", is_still, may_be_judged, ORBIT_GIVEN, around, orbit),
        ("paint", has_stroke, any_scene, PAINT_GIVEN, strokes, paint),
    )
    for part, (family, usable, promising, given, measure, columns) in enumerate(work):
        for index, clip in enumerate(unseen(family, exam.worlds, count, usable, promising)):
            assert clip.state is not None
            prompt = short_prompt(family, clip.state)
            shown = columns_of(exam, clip, prompt, given, seed=index)
            for name, pixels_THW3 in shown.items():
                columns[name].append(measure(clip, pixels_THW3))
            if index < 3:
                title = f"{prompt} ({clip.source.seed}). Above the truth, below the model."
                strips.append(Strip(title, np.concatenate([clip.pixels_THW3, shown["model"]], axis=1)))
            exam.on_progress(part * count + index + 1, 2 * count)
    return SuiteResult(NAME, ABOUT, (*means(_ORBIT, orbit), *means(_PAINT, paint)), strips=tuple(strips))


def is_still(clip: Clip) -> bool:
    """Whether a camera goes around bodies at rest, of which two are mostly seen whole."""
    state = clip.state
    if state is None or state.facts["moving"] or len(state.bodies) < 2 or not can_be_judged(clip):
        return False
    whole_BT = np.array([sighting.whole_T[ORBIT_GIVEN:] for sighting in observe(clip.pixels_THW3).values()])
    return len(whole_BT) > 1 and bool((whole_BT.sum(axis=0) > 1).mean() >= LEAST_WHOLE)


def around(clip: Clip, pixels_THW3: Pixels) -> Measures:
    """How far the pixels are from views of the true scene, after the given frames."""
    state = clip.state
    assert state is not None
    height, width = pixels_THW3.shape[1:3]
    place_AB2 = _places_around(clip, height, width)
    true_deg_T = _true_angles_deg(clip)
    seen, rendered = observe(pixels_THW3), observe(clip.pixels_THW3)
    errors, turns, kept = list[float](), list[float](), list[float]()
    for frame in range(ORBIT_GIVEN, len(pixels_THW3)):
        found = [
            index
            for index, body in enumerate(state.bodies)
            if body.color in seen and np.isfinite(seen[body.color].place_T2[frame, 0])
        ]
        must = [b for b, x in enumerate(state.bodies) if x.color in rendered and rendered[x.color].whole_T[frame]]
        kept += [float(index in found) for index in must]
        if len(found) > 1:  # one body fits any scene
            at_B2 = np.array([seen[state.bodies[b].color].place_T2[frame] for b in found]) * (height, width)
            error_A = np.linalg.norm(place_AB2[:, found] - at_B2, axis=2).mean(axis=1)
            best = int(error_A.argmin())
            errors.append(float(error_A[best]))
            turns.append(abs(float(ANGLES_DEG[best]) - true_deg_T[frame]))
    return {
        "reprojection_error_px": finite_mean(errors),
        "turn_error_deg": finite_mean(turns),
        "kept_share": finite_mean(kept),
    }


def _places_around(clip: Clip, height: int, width: int) -> Floats:
    """Where each body of the first frame is seen from every angle, (A, B, 2) in pixels."""
    state = clip.state
    assert state is not None
    eye_3, target_3 = state.camera_eye_T3[0], state.camera_target_T3[0]
    x, y, z = eye_3 - target_3
    angle_A = np.radians(ANGLES_DEG)
    cosine_A, sine_A = np.cos(angle_A), np.sin(angle_A)
    offset_A3 = np.stack([cosine_A * x - sine_A * y, sine_A * x + cosine_A * y, np.full_like(angle_A, z)], axis=1)
    view_A33 = views(target_3 + offset_A3, np.tile(target_3, (len(angle_A), 1)))
    from_eye_AB3 = state.position_TB3[0] - (target_3 + offset_A3)[:, None]
    across_AB, up_AB, depth_AB = np.moveaxis(np.einsum("aij,abj->abi", view_A33, from_eye_AB3), -1, 0)
    focal = focal_length(state.camera.vertical_fov_deg, height)
    place_AB2: Floats = np.stack(
        [height / 2 - focal * up_AB / depth_AB, width / 2 + focal * across_AB / depth_AB], axis=2
    )
    return place_AB2


def _true_angles_deg(clip: Clip) -> Floats:
    """How far the true camera has turned from where it begins, anticlockwise from above."""
    assert clip.state is not None
    offset_T3 = clip.state.camera_eye_T3 - clip.state.camera_target_T3
    angle_T: Floats = np.degrees(np.unwrap(np.arctan2(offset_T3[:, 1], offset_T3[:, 0])))
    angle_T -= angle_T[0]
    return angle_T


def has_stroke(clip: Clip) -> bool:
    """Whether a clip's given frames hold a stroke of a judged colour that the ball does not cover later."""
    state = clip.state
    if state is None or not is_judged(state.bodies[0]) or state.bodies[0].color in ("brown", "orange"):
        return False
    fixed = state.facts["camera_move"] == "fixed" and not np.ptp(state.camera_eye_T3, axis=0).any()
    return fixed and int(_given_stroke(clip)[-1].sum()) >= LEAST_STROKE


def strokes(clip: Clip, pixels_THW3: Pixels) -> Measures:
    """Does paint stay? The given frames' stroke where the true ball has left it, and how much there is at the end."""
    assert clip.state is not None
    colored_THW = classify(pixels_THW3)[0] == COLORS.index(clip.state.bodies[0].color)
    given_THW = _given_stroke(clip)
    stays = colored_THW[PAINT_GIVEN:][given_THW[PAINT_GIVEN:]]
    true_HW = classify(clip.pixels_THW3[-1:])[0][0] == COLORS.index(clip.state.bodies[0].color)
    return {
        "given_stroke_stays_share": float(stays.mean()) if stays.size else math.nan,
        "painted_area_error": abs(int(colored_THW[-1].sum()) - int(true_HW.sum())) / max(int(true_HW.sum()), 1),
    }


def _given_stroke(clip: Clip) -> Mask:
    """Pixels of the true stroke of the given frames, at every frame where no body is in front, (T, H, W)."""
    state = clip.state
    assert state is not None and state.paint is not None
    paint, (height, width) = state.paint, clip.pixels_THW3.shape[1:3]
    cells_x, cells_y = paint.time_XY.shape
    x_X = paint.x_m[0] + (np.arange(cells_x) + 0.5) / cells_x * (paint.x_m[1] - paint.x_m[0])
    y_Y = paint.y_m[0] + (np.arange(cells_y) + 0.5) / cells_y * (paint.y_m[1] - paint.y_m[0])
    painted = np.argwhere(paint.time_XY < (PAINT_GIVEN - 1) / clip.fps)
    floor_N3 = np.stack([x_X[painted[:, 0]], y_Y[painted[:, 1]], np.zeros(len(painted))], axis=1)
    place_N3 = project(state.camera, floor_N3, height, width)
    column_N, row_N = place_N3[:, 0].astype(int), place_N3[:, 1].astype(int)
    inside_N = (column_N >= 0) & (column_N < width) & (row_N >= 0) & (row_N < height)
    stroke_HW = np.zeros((height, width), dtype=bool)
    stroke_HW[row_N[inside_N], column_N[inside_N]] = True
    inner_HW = ~grown(~stroke_HW[None])[0]  # the rim is half floor
    row_HW, column_HW = np.mgrid[:height, :width] + 0.5
    free_THW = np.repeat(inner_HW[None], len(clip.pixels_THW3), axis=0)
    camera = state.camera
    for index, body in enumerate(state.bodies):
        centre_T3 = project(camera, state.position_TB3[:, index], height, width)
        reach_T = 1.2 * max(body.half_size_m) * focal_length(camera.vertical_fov_deg, height) / centre_T3[:, 2] + 1.5
        for frame, (column, row, _) in enumerate(centre_T3):
            free_THW[frame] &= (row_HW - row) ** 2 + (column_HW - column) ** 2 > reach_T[frame] ** 2
    return free_THW
