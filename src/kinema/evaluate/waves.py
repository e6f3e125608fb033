"""Waves and light: does water answer, does wood float, do mirror images agree, does glass turn the view round?

The model continues true clips, so camera, mirror, glass and basin are known; everything else is read off the pixels.

Array suffixes: T frames, H height, W width, P points, 2 (column, row) in pixels, 3 axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.evaluate.examples import continued, frozen, unseen
from kinema.evaluate.judge import COLORS, classify, is_judged, label_pieces, segment
from kinema.evaluate.refraction import Views, seen_index, views_of
from kinema.evaluate.rings import Rings, ring_speed, rings_of
from kinema.evaluate.statistics import finite_mean, score_of
from kinema.evaluate.suite import Better, Exam, Pixels, Score, Strip, SuiteResult, Table
from kinema.worlds import palette
from kinema.worlds.families.mirror import virtual_image
from kinema.worlds.make import draw_scene, film
from kinema.worlds.narration.narrate import short_prompt
from kinema.worlds.physics.simulate import Motion
from kinema.worlds.render.film import views
from kinema.worlds.render.tracer import project
from kinema.worlds.scene import Prop, Scene

NAME = "waves"
ABOUT = (
    "Waves and light: the model continues true clips of water, mirrors and clear balls. Is as much of the water in "
    "motion, do rings run as fast, does wood float and stone sink, are reflections in place, does the view through a "
    "ball go the other way?"
)
CLIPS, QUICK_CLIPS = 8, 1  # of each family
GIVEN = {"ripple": 1, "float": 1, "mirror": 5, "lens": 5}  # frames; what moves at first needs two latent frames
STRIPS = 6
DISTURBED = 6  # codes by which a pixel of the water differs from the first frame
LEAST_PIXELS = 8  # of a piece of colour, on a picture of 64×64
LEAST_FRAMES = 4  # in which a body and its image must be seen
LEAST_WAY_PX = 8.0  # of the body behind a lens, on a picture of 64×64
_LAST_S, _FIRST = 0.75, 4  # a body has floated up or sunk by so long before the end; it is seen in a first frame
_LEGIBLE = 2 / 64  # of the picture's height: a true reflection that is read no better than that is left out
_LENS = 1  # of the bodies of a scene of that family
_LIKE_WATER = {"clear": (), "blue": ("blue", "cyan"), "green": ("green", "lime", "cyan")}

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
_SCORES: dict[str, tuple[str, str, Better]] = {
    "water_in_motion_error": (
        "ripple",
        "|share of the water's pixels in motion − the true share|, mean over frames from the splash on",
        "lower",
    ),
    "ripple_speed_error": (
        "ripple",
        "|log2 of the rings' speed by the true one|, where rings are seen",
        "lower",
    ),
    "ripple_seen": ("ripple", "share of clips in which the stone's rings are seen, at whatever speed", "higher"),
    "floats_or_sinks_right": (
        "float",
        "share of bodies that end at the surface or on the bottom as they must",
        "higher",
    ),
    "reflection_error": (
        "mirror",
        "reflection to where the body before the mirror puts it, shares of the picture",
        "lower",
    ),
    "reflection_seen": ("mirror", "share of the frames with a true reflection in which there is one", "higher"),
    "lens_error": ("lens", "|motion seen through the ball by motion beside it − that of Snell's law|", "lower"),
    "refraction_error": (
        "lens",
        "|index of refraction that the ball's picture shows − its own|, where one is seen",
        "lower",
    ),
    "refraction_seen": ("lens", "share of clips in which a view through the ball is seen, of whatever index", "higher"),
}


@dataclass(frozen=True)
class Stage:
    """A true clip, its scene, the pixels of the thing that bends light or holds water, and the shape of films."""

    clip: Clip
    scene: Scene
    mask_HW: Mask
    worlds: WorldsConfig

    @property
    def given(self) -> int:
        return GIVEN[self.clip.source.family]

    @cached_property
    def rings(self) -> Rings:
        """Films of a stone's rings at several speeds."""
        return rings_of(self.scene, self.mask_HW, self.worlds)

    @cached_property
    def views(self) -> Views:
        """Films of what is seen through balls of several indices."""
        return views_of(self.scene, _LENS, self.mask_HW, self.worlds, self.given)


def run(exam: Exam) -> SuiteResult:
    """Continues true clips of every family and measures them, their codec copies and a frozen video."""
    each = QUICK_CLIPS if exam.quick else CLIPS
    total, done = len(GIVEN) * each, 0
    exam.on_progress(0, total)
    found: dict[str, dict[str, list[float]]] = {
        name: {column: [] for column in ("model", "truth", "codec", "frozen")} for name in _SCORES
    }
    strips: list[tuple[float, Strip]] = []
    for family in GIVEN:
        for clip in unseen(family, exam.worlds, each, partial(is_legible, worlds=exam.worlds), is_promising):
            stage, state = stage_of(clip, exam.worlds), clip.state
            assert state is not None
            prompt, seed = short_prompt(family, state), clip.source.seed % 2**20
            shown = {
                "model": continued(exam, clip, prompt, stage.given, seed),
                "truth": clip.pixels_THW3,
                "codec": exam.cache.coded(clip.pixels_THW3),
                "frozen": frozen(clip.pixels_THW3, stage.given),
            }
            for column, pixels_THW3 in shown.items():
                for name, value in measure(stage, pixels_THW3).items():
                    found[name][column].append(value)
            value = next(found[name]["model"][-1] for name in _SCORES if _SCORES[name][0] == family)
            strips.append((-value if family == "float" else value, _strip(prompt, clip, shown["model"])))
            done += 1
            exam.on_progress(done, total)
    strips.sort(key=lambda pair: -np.nan_to_num(pair[0], nan=1e9))
    note = "The number of bodies under water is not measured: true clips do not let it be read."
    return SuiteResult(
        *(NAME, ABOUT, scores(found), (_table(found),)), strips=tuple(s for _, s in strips[:STRIPS]), notes=(note,)
    )


def scores(found: Mapping[str, Mapping[str, Sequence[float]]]) -> tuple[Score, ...]:
    """One for each measure, with the columns beside the model's as floors."""
    return tuple(
        score_of(name, about, better, found[name]["model"], {c: found[name][c] for c in ("truth", "codec", "frozen")})
        for name, (_, about, better) in _SCORES.items()
    )


def measure(stage: Stage, pixels_THW3: Pixels) -> dict[str, float]:
    """The measures of a clip's family; nan where the video shows nothing to be measured."""
    family = stage.clip.source.family
    if family == "ripple":
        speed = ring_speed(stage.rings, pixels_THW3, _is_body(classify(pixels_THW3)[0]))
        return {
            "water_in_motion_error": water_error(stage, pixels_THW3),
            "ripple_speed_error": abs(speed),
            "ripple_seen": float(np.isfinite(speed)),
        }
    if family == "float":
        return {"floats_or_sinks_right": fates_right(stage, pixels_THW3)}
    if family == "lens":
        index = seen_index(stage.views, pixels_THW3)
        return {
            "lens_error": lens_error(stage, pixels_THW3),
            "refraction_error": abs(index - palette.MATERIALS["glass"].index),  # of which all balls are
            "refraction_seen": float(np.isfinite(index)),
        }
    true_T, error_T = (
        reflection_errors(stage, pixels)[stage.given :] for pixels in (stage.clip.pixels_THW3, pixels_THW3)
    )
    due_T = np.isfinite(true_T)
    return {"reflection_error": finite_mean(error_T), "reflection_seen": float(np.isfinite(error_T[due_T]).mean())}


def is_promising(scene: Scene) -> bool:
    """One stone falls into the pool: the first frame shows no other, so nobody could know where more will fall."""
    return scene.family != "ripple" or (scene.facts["kind"] == "stones" and len(scene.bodies) == 1)


def is_legible(clip: Clip, worlds: WorldsConfig) -> bool:
    """Whether the true clip lets its measure be read."""
    state, family = clip.state, clip.source.family
    assert state is not None
    if state.facts["camera_move"] != "fixed":
        return False
    whole = [body for body in state.bodies if body.material != "water"]
    if family == "ripple":
        return any(event.kind == "splash" and event.time_s < 1.5 for event in state.events)
    if family == "float":
        hidden = _LIKE_WATER[state.facts["water"]]
        return all(is_judged(body) and body.color not in hidden for body in whole) and len(
            {body.color for body in whole}
        ) == len(whole)
    if not is_judged(whole[0]):
        return False
    if family == "mirror":
        stage = stage_of(clip, worlds)
        error_T = reflection_errors(stage, clip.pixels_THW3)[stage.given :]
        often = int(np.isfinite(error_T).sum()) >= LEAST_FRAMES
        return len(whole) == 1 and often and finite_mean(error_T) < _LEGIBLE
    alone = len(whole) == 2 and state.facts["thing"] == "sphere" and state.facts["moves"] == "body"
    return alone and bool(np.isfinite(lens_slope(stage_of(clip, worlds), clip.pixels_THW3)))


def stage_of(clip: Clip, worlds: WorldsConfig) -> Stage:
    """The scene of a clip, and the pixels of its mirror, lens or water as they are without what moves."""
    scene, _ = draw_scene(clip.source.family, clip.source.seed, worlds)
    state = clip.state
    assert state is not None
    if scene.water is not None:
        return Stage(clip, scene, _water_pixels(scene, worlds), worlds)
    shown_1B = np.zeros((1, len(scene.bodies)), dtype=bool)
    if clip.source.family == "lens":
        shown_1B[0, _LENS] = True
    still = Motion(
        *(state.position_TB3[:1], state.orientation_TB4[:1], state.velocity_TB3[:1], state.angular_velocity_TB3[:1]),
        *(shown_1B, ()),
    )
    ids_HW = film(scene, still, replace(worlds, frames=1)).ids_THW[0]
    thing = _LENS if clip.source.family == "lens" else len(scene.bodies) + scene.props.index(_mirror(scene))
    return Stage(clip, scene, ids_HW == thing, worlds)


def water_error(stage: Stage, pixels_THW3: Pixels) -> float:
    """Mean difference between the shares of the water in motion, from the first splash on."""
    state = stage.clip.state
    assert state is not None
    splash_s = min(event.time_s for event in state.events if event.kind == "splash")
    start = int(splash_s * stage.clip.fps)
    share_T, true_T = (water_in_motion(stage.mask_HW, p) for p in (pixels_THW3, stage.clip.pixels_THW3))
    return float(np.abs(share_T - true_T)[start:].mean())


def water_in_motion(mask_HW: Mask, pixels_THW3: Pixels) -> Floats:
    """Share of the water's pixels that differ from the first frame; coloured bodies do not count."""
    label_THW, _ = classify(pixels_THW3)
    change_THW = np.abs(pixels_THW3.astype(np.int16) - pixels_THW3[0]).max(axis=-1)
    moved_TP = (change_THW[:, mask_HW] > DISTURBED) & ~_is_body(label_THW[:, mask_HW])
    share_T: Floats = moved_TP.mean(axis=1)
    return share_T


def _is_body(label_X: NDArray[np.int8]) -> Mask:
    """Colours that no water has."""
    watery = [COLORS.index(color) for color in ("blue", "cyan", "green", "lime")]
    return (label_X >= 0) & ~np.isin(label_X, watery)


def fates_right(stage: Stage, pixels_THW3: Pixels) -> float:
    """Share of the bodies that end where their weight puts them.

    A body floats if it is seen nearer to the surface than to the bottom in most of the last frames. Deep water tints
    what is in it until the judge does not see it, so a body that was seen at first and is not seen there has sunk.
    """
    state, scene = stage.clip.state, stage.scene
    assert state is not None and scene.water is not None
    height, width = pixels_THW3.shape[1:3]
    tracks = {track.color: track for track in segment(pixels_THW3)}
    last = round(_LAST_S * stage.clip.fps)
    right = []
    for index, body in enumerate(state.bodies):
        track = tracks.get(body.color)
        if track is None or not track.seen_T[:_FIRST].any():
            right.append(False)
            continue
        x, y, _ = state.position_TB3[-1, index]
        ends = np.array([(x, y, scene.water.level_m), (x, y, body.half_size_m[2])])
        surface, bottom = project(scene.camera, ends, height, width)[:, 1] / height
        row_T = track.centre_T2[-last:, 0]
        high_T = np.abs(row_T - surface) < np.abs(row_T - bottom)  # False where it is not seen
        right.append(bool(high_T.mean() > 0.5) == (palette.MATERIALS[body.material].density < 1000))
    return float(np.mean(right))


def reflection_errors(stage: Stage, pixels_THW3: Pixels) -> Floats:
    """Distance of the reflection from where it belongs, in shares of the picture's height, for every frame.

    Where the body is follows from its pixels outside the mirror, since it stays on the floor; the mirror's plane then
    says where its image is. nan where there is not one piece of its colour before the mirror and one in it.
    """
    state, scene = stage.clip.state, stage.scene
    assert state is not None
    height, width = pixels_THW3.shape[1:3]
    rest_m = float(state.position_TB3[0, 0, 2])
    error_T = np.full(len(pixels_THW3), np.nan)
    for frame, pieces in enumerate(_pieces(pixels_THW3, state.bodies[0].color)):
        images = [point_P2 for point_P2 in pieces if _share_in(stage.mask_HW, point_P2) > 0.9]
        bodies = [point_P2 for point_P2 in pieces if _share_in(stage.mask_HW, point_P2) <= 0.9]
        if len(images) != 1 or len(bodies) != 1 or any(_at_edge(p, height, width) for p in (*images, *bodies)):
            continue
        x, y, z = _on_level(scene, bodies[0].mean(axis=0)[None], rest_m, height, width)[0].tolist()
        image_3 = np.array([virtual_image((x, y, z), _mirror(scene))])
        due_2 = project(scene.camera, image_3, height, width)[0, :2]
        error_T[frame] = np.linalg.norm(images[0].mean(axis=0) - due_2) / height
    return error_T


def lens_error(stage: Stage, pixels_THW3: Pixels) -> float:
    """Difference of the slopes (see :func:`lens_slope`) of a video and of the true clip, which obeys Snell's law."""
    return abs(lens_slope(stage, pixels_THW3) - lens_slope(stage, stage.clip.pixels_THW3))


def lens_slope(stage: Stage, pixels_THW3: Pixels) -> float:
    """By how many pixels the image in the ball moves when the body beside it moves by one; negative turns round.

    Of the frames that were not given; nan if too few of them show the body both inside and outside the ball.
    """
    state = stage.clip.state
    assert state is not None
    height = pixels_THW3.shape[1]
    inside, beside = [], []
    for pieces in _pieces(pixels_THW3[stage.given :], state.bodies[0].color):
        images = [p for p in pieces if _share_in(stage.mask_HW, p) > 0.9]
        bodies = [p for p in pieces if _share_in(stage.mask_HW, p) < 0.1 and not _at_edge(p, *stage.mask_HW.shape)]
        if len(images) == 1 and len(bodies) == 1:
            inside.append(float(images[0][:, 0].mean()))
            beside.append(float(bodies[0][:, 0].mean()))
    if len(inside) < LEAST_FRAMES or np.ptp(beside) < LEAST_WAY_PX * height / 64:
        return float("nan")
    return float(np.polyfit(beside, inside, 1)[0])


def _pieces(pixels_THW3: Pixels, color: str) -> list[list[Floats]]:
    """For every frame the connected pieces of a colour that are large enough, as middles of pixels (column, row)."""
    label_THW, _ = classify(pixels_THW3)
    least = LEAST_PIXELS * pixels_THW3[0, ..., 0].size / 64**2
    frames: list[list[Floats]] = []
    for label_HW in label_THW:
        piece_HW = label_pieces(label_HW == COLORS.index(color))
        sizes = np.bincount(piece_HW.ravel())
        numbers = [number for number in range(1, len(sizes)) if sizes[number] >= least]
        frames.append([(np.argwhere(piece_HW == number)[:, ::-1] + 0.5).astype(np.float64) for number in numbers])
    return frames


def _share_in(mask_HW: Mask, point_P2: Floats) -> float:
    column_P, row_P = point_P2.astype(int).T
    return float(mask_HW[row_P, column_P].mean())


def _at_edge(point_P2: Floats, height: int, width: int) -> bool:
    return bool((point_P2 < 1).any() or (point_P2[:, 0] > width - 1).any() or (point_P2[:, 1] > height - 1).any())


def _mirror(scene: Scene) -> Prop:
    return next(prop for prop in scene.props if prop.mirror)


def _on_level(scene: Scene, pixel_P2: Floats, z_m: float, height: int, width: int) -> Floats:
    """The points (P, 3) of the plane z = ``z_m`` that pixels show."""
    camera = scene.camera
    eye_3 = np.array(camera.position_m)
    view_33 = views(eye_3[None], np.array(camera.target_m)[None])[0]
    reach = np.tan(np.radians(camera.vertical_fov_deg) / 2)
    across_P, up_P = 2 * pixel_P2[:, 0] / width - 1, 1 - 2 * pixel_P2[:, 1] / height
    ray_P3 = np.stack([across_P * reach * width / height, up_P * reach, np.ones(len(pixel_P2))], axis=1) @ view_33
    point_P3: Floats = eye_3 + ray_P3 * (z_m - eye_3[2]) / ray_P3[:, 2:]
    return point_P3


def _water_pixels(scene: Scene, worlds: WorldsConfig) -> Mask:
    """The pixels that show the surface of the water at rest."""
    water = scene.water
    assert water is not None
    pixel_P2 = np.argwhere(np.ones((worlds.height, worlds.width)))[:, ::-1].astype(np.float64) + 0.5
    x_P, y_P, _ = _on_level(scene, pixel_P2, water.level_m, worlds.height, worlds.width).T
    inside_P = (water.x_m[0] < x_P) & (x_P < water.x_m[1]) & (water.y_m[0] < y_P) & (y_P < water.y_m[1])
    mask_HW: Mask = inside_P.reshape(worlds.height, worlds.width)
    return mask_HW


def _strip(prompt: str, clip: Clip, video_THW3: Pixels) -> Strip:
    return Strip(f"{prompt}: true above, model below", np.concatenate([clip.pixels_THW3, video_THW3], axis=1))


def _table(found: Mapping[str, Mapping[str, Sequence[float]]]) -> Table:
    columns = ("model", "truth", "codec", "frozen")
    rows: list[tuple[str | int | float | None, ...]] = []
    for name, (family, _, _) in _SCORES.items():
        measured = int(np.isfinite(found[name]["model"]).sum())
        means = (finite_mean(found[name][column]) for column in columns)
        rows.append((name, family, len(found[name]["model"]), measured, *means))
    return Table("By measure", ("measure", "family", "clips", "measured", *columns), tuple(rows))
