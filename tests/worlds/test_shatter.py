"""Glass breaks once, for a reason, and never mends; pieces fill the whole and keep its momentum."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from kinema.config import WorldsConfig
from kinema.data import BodyInfo
from kinema.worlds.families import shatter
from kinema.worlds.make import make_clip
from kinema.worlds.physics.cells import ball_planes, box_planes, corners_of, cylinder_planes, planes_of, voronoi
from kinema.worlds.physics.fracture import Fracture, pieces_of, visible_with_pieces
from kinema.worlds.physics.lattice import Lattice, rotation
from kinema.worlds.physics.mjcf import GRAVITY_MPS2, scene_xml
from kinema.worlds.physics.simulate import Motion, simulate
from kinema.worlds.scene import Body, Draw, Scene

Array = NDArray[np.float64]
SEEDS = range(10)
FPS, FRAMES = 12.0, 25


@cache
def drawn(seed: int, hit: str, duration_s: float = 2.75) -> Scene:
    return shatter.draw(Draw("shatter", np.random.default_rng([7, seed]), False, duration_s), hit)


@cache
def filmed(seed: int, hit: str) -> Motion:
    return simulate(drawn(seed, hit), FRAMES, FPS)


def breaks(motion: Motion) -> list[float]:
    return [event.time_s for event in motion.events if event.kind == "shatters"]


def world_corners(scene: Scene, motion: Motion, frame: int) -> list[Array]:
    assert scene.broken is not None
    return [
        np.array(scene.bodies[body].vertices_m) @ rotation(motion.orientation_TB4[frame, body]).T
        + motion.position_TB3[frame, body]
        for body in scene.broken.pieces
    ]


# --- geometry -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outside_P4", "volume_m3"),
    [
        (box_planes(np.array([0.7, 0.02, 0.5])), 8 * 0.7 * 0.02 * 0.5),
        (ball_planes(0.4), 4 / 3 * np.pi * 0.4**3),
        (cylinder_planes(0.3, 0.4), 2 * np.pi * 0.3**2 * 0.4),
    ],
)
def test_cells_fill_the_body_and_weigh_evenly(outside_P4: Array, volume_m3: float) -> None:
    points_N3 = np.random.default_rng(0).uniform(-1, 1, (1000, 3)) * np.abs(corners_of(outside_P4)).max(axis=0)
    inside_N = (points_N3 @ outside_P4[:, :3].T < 0.95 * outside_P4[:, 3]).all(axis=1)
    cells = voronoi(points_N3[inside_N][:20], outside_P4)
    assert sum(cell.volume_m3 for cell in cells) == pytest.approx(volume_m3, rel=1e-3)
    # every face between two cells is seen from both, with the same area
    faces = {(i, face.neighbour): face.area_m2 for i, cell in enumerate(cells) for face in cell.faces}
    assert all(faces[j, i] == pytest.approx(area, rel=1e-6) for (i, j), area in faces.items() if j >= 0)
    moment_3 = sum((cell.volume_m3 * cell.center_3 for cell in cells), np.zeros(3))
    assert np.abs(moment_3 / volume_m3).max() < 2e-3


def test_planes_and_corners_are_two_forms_of_one_body() -> None:
    corners_C3 = corners_of(cylinder_planes(0.3, 0.4))
    assert len(corners_C3) == 32
    planes_P4 = planes_of(corners_C3)
    assert len(planes_P4) == 18
    assert np.linalg.norm(planes_P4[:, :3], axis=1) == pytest.approx(np.ones(18))
    assert np.abs(np.sort(corners_of(planes_P4), axis=0) - np.sort(corners_C3, axis=0)).max() < 1e-6


@pytest.mark.parametrize("seed", SEEDS[:6])
def test_pieces_fill_the_whole_and_do_not_overlap(seed: int) -> None:
    scene = drawn(seed, "hard")
    assert scene.broken is not None
    whole = scene.bodies[scene.broken.whole]
    pieces = [scene.bodies[body] for body in scene.broken.pieces]
    assert 20 <= len(pieces) <= 55
    assert all(piece.info.part_of == scene.broken.whole for piece in pieces)
    assert sum(piece.info.mass_kg for piece in pieces) == pytest.approx(whole.info.mass_kg)
    center_3 = sum(np.array(piece.position_m) * piece.info.mass_kg for piece in pieces) / whole.info.mass_kg
    assert np.abs(center_3 - np.array(whole.position_m)).max() < 2e-3
    # random points of the whole lie in exactly one piece, but for the gaps between them
    rng = np.random.default_rng(seed)
    points_N3 = rng.uniform(-1, 1, (4000, 3)) * whole.info.half_size_m
    if whole.info.shape != "slab":
        across = slice(0, 3) if whole.info.shape == "sphere" else slice(0, 2)
        points_N3 = points_N3[np.linalg.norm(points_N3[:, across], axis=1) < 0.93 * whole.info.half_size_m[0]]
    world_N3 = points_N3 @ rotation(np.array(whole.orientation)).T + np.array(whole.position_m)
    within_N = np.zeros(len(points_N3), dtype=int)
    for piece in pieces:
        planes_P4 = planes_of(np.array(piece.vertices_m))
        local_N3 = (world_N3 - np.array(piece.position_m)) @ rotation(np.array(piece.orientation))
        within_N += (local_N3 @ planes_P4[:, :3].T < planes_P4[:, 3]).all(axis=1)
        assert piece.core_m <= planes_P4[:, 3].min() + 1e-6
    assert within_N.max() == 1
    assert (within_N == 1).mean() > 0.96


# --- strength -----------------------------------------------------------------------------------------------------


def test_the_lattice_carries_a_hanging_load_like_a_bar() -> None:
    half = (0.1, 0.1, 0.5)
    bar = Body(BodyInfo("slab", "red", "glass", "large", half, 100.0), (0.3, 0.0, 2.0))
    points_N3 = np.array([(0.0, 0.0, z) for z in (-0.4, -0.2, 0.0, 0.2, 0.4)])
    pieces, welds = pieces_of(bar, 1, voronoi(points_N3, box_planes(np.array(half))), [1e4] * 5, ((0.0, 0.0, 1.0),))
    lattice = Lattice(bar, pieces, welds)
    load_N6 = np.zeros((5, 6))
    load_N6[0, 2] = -200.0  # N on the lowest piece; every weld above carries all of it: 0.04 m² at 10 kPa bear 400 N
    assert lattice.strain(load_N6) == pytest.approx(np.full(len(welds), 0.5), rel=1e-4)
    load_N6[0, 2] = -500.0
    assert lattice.crack(load_N6)
    assert not lattice.intact_W.any() and not lattice.mounted_N.any()


def test_a_hard_hit_breaks_and_a_soft_one_does_not() -> None:
    things = set()
    for seed in SEEDS:
        scene = drawn(seed, "hard")
        things.add(scene.facts["thing"])
        assert len(breaks(filmed(seed, "hard"))) == 1, seed
        assert not breaks(filmed(seed, "soft")), seed
        event = next(event for event in filmed(seed, "hard").events if event.kind == "shatters")
        assert scene.broken is not None and event.value >= 0.25 * len(scene.broken.pieces)
        assert event.bodies[0] == scene.broken.whole and event.bodies[1] in (0, -1)
        assert filmed(seed, "soft").shown_TB[:, 1].all() and not filmed(seed, "soft").shown_TB[:, 2:].any()
    assert things == set(shatter.THINGS)


def test_the_seed_decides_when_nobody_says_how_hard() -> None:
    hits = [
        str(shatter.draw(Draw("shatter", np.random.default_rng([7, seed]), False)).facts["hit"]) for seed in range(24)
    ]
    assert 0.4 < hits.count("hard") / len(hits) < 0.9


def test_a_pair_differs_in_nothing_but_the_speed() -> None:
    for seed in SEEDS:
        hard, soft = drawn(seed, "hard"), drawn(seed, "soft")
        assert hard.facts["speed_mps"] > 1.5 * soft.facts["speed_mps"]
        still = {"velocity_mps": (0.0, 0.0, 0.0), "spin_radps": (0.0, 0.0, 0.0)}
        assert [replace(body, **still) for body in hard.bodies] == [replace(body, **still) for body in soft.bodies]
        assert [kick.time_s for kick in hard.kicks] == [kick.time_s for kick in soft.kicks]
        same = {"bodies": (), "kicks": (), "facts": {}}
        assert replace(hard, **same) == replace(soft, **same)
        if hard.kicks and hard.bodies == soft.bodies:  # at rest until the kick: the same frames up to there
            calm = int(hard.kicks[0].time_s * FPS) + 1
            assert calm > 1
            assert (filmed(seed, "hard").position_TB3[:calm] == filmed(seed, "soft").position_TB3[:calm]).all()


# --- motion -------------------------------------------------------------------------------------------------------


def test_glass_never_mends(monkeypatch: pytest.MonkeyPatch) -> None:
    intact: list[int] = []
    watched = Fracture.before_step

    def counted(self: Fracture, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        watched(self, model, data)
        intact.append(int(self._lattice.intact_W.sum()))

    monkeypatch.setattr(Fracture, "before_step", counted)
    for seed in SEEDS[:4]:
        intact.clear()
        scene, motion = drawn(seed, "hard"), simulate(drawn(seed, "hard"), FRAMES, FPS)
        assert (np.diff(intact) <= 0).all() and intact[-1] < intact[0]
        assert scene.broken is not None
        pieces = list(scene.broken.pieces)
        shown_T = motion.shown_TB[:, pieces[0]]
        assert (np.diff(shown_T.astype(int)) >= 0).all()
        assert (motion.shown_TB[:, pieces] == shown_T[:, None]).all() and (motion.shown_TB[:, 1] == ~shown_T).all()
        # neighbours that have come clearly apart and turned against each other never fit together again
        first_W = np.array([weld.first for weld in scene.broken.welds if weld.second >= 0])
        second_W = np.array([weld.second for weld in scene.broken.welds if weld.second >= 0])
        apart_TW = _misfit(motion, pieces, first_W, second_W)
        was_apart_TW = np.maximum.accumulate(apart_TW, axis=0) > 0.25
        assert was_apart_TW[-1].any()
        assert apart_TW[was_apart_TW].min() > 0.01


def _misfit(
    motion: Motion, pieces: list[int], first_W: NDArray[np.int64], second_W: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How far a neighbour is from its place beside a piece, in metres."""
    position_TN3, turn_TN33 = motion.position_TB3[:, pieces], rotation(motion.orientation_TB4[:, pieces])
    way_TW3 = position_TN3[:, second_W] - position_TN3[:, first_W]
    local_TW3 = np.einsum("twji,twj->twi", turn_TN33[:, first_W], way_TW3)
    misfit_TW: NDArray[np.float64] = np.linalg.norm(local_TW3 - local_TW3[0], axis=2)
    return misfit_TW


def _mechanical(scene: Scene, motion: Motion) -> tuple[Array, Array]:
    """Energy of everything shown (J) and its momentum (kg·m/s), frame by frame."""
    model = mujoco.MjModel.from_xml_string(scene_xml(scene, 0.002))
    mass_B = np.array([body.info.mass_kg for body in scene.bodies])
    axes_TB33 = rotation(motion.orientation_TB4) @ rotation(model.body_iquat[1:])
    spin_TB3 = np.einsum("tbji,tbj->tbi", axes_TB33, motion.angular_velocity_TB3)
    turning_TB = np.einsum("tbi,bi,tbi->tb", spin_TB3, model.body_inertia[1:], spin_TB3) / 2
    moving_TB = mass_B * np.sum(motion.velocity_TB3**2, axis=-1) / 2
    height_TB = GRAVITY_MPS2 * mass_B * motion.position_TB3[..., 2]
    energy_T = ((turning_TB + moving_TB + height_TB) * motion.shown_TB).sum(axis=1)
    return energy_T, np.einsum("tb,b,tbi->ti", motion.shown_TB, mass_B, motion.velocity_TB3)


def test_energy_never_rises_once_all_is_in_motion() -> None:
    for seed in SEEDS:
        for hit in ("hard", "soft"):
            scene, motion = drawn(seed, hit), filmed(seed, hit)
            energy_T, _ = _mechanical(scene, motion)
            begins = int(max((kick.time_s for kick in scene.kicks), default=0.0) * FPS) + 1
            # contact springs give back what they took: a little may come and go
            least_T = np.minimum.accumulate(energy_T[begins:])
            assert (energy_T[begins:] - least_T).max() < 0.06 * energy_T[begins], (seed, hit)
            assert energy_T[-1] < energy_T[begins] + 1e-6


def test_momentum_is_handed_on_when_a_free_body_breaks_and_the_striker_slows() -> None:
    checked = 0
    for seed in range(30):
        scene = drawn(seed, "hard")
        if scene.facts["thing"] == "pane":
            continue
        # in the air, so that the floor takes nothing
        lifted = [replace(body, position_m=(*body.position_m[:2], body.position_m[2] + 3.0)) for body in scene.bodies]
        flying = replace(scene, bodies=tuple(lifted), kicks=())
        if scene.kicks:
            kick = scene.kicks[0]
            lifted[kick.body] = replace(lifted[kick.body], velocity_mps=kick.velocity_mps)
            flying = replace(flying, bodies=tuple(lifted))
        motion = simulate(flying, 120, 500.0)
        if not breaks(motion):
            continue  # what falls has nothing to fall on
        _, momentum_T3 = _mechanical(flying, motion)
        fallen_T = (
            momentum_T3[:, 2] + sum(body.info.mass_kg for body in lifted[:2]) * GRAVITY_MPS2 * np.arange(120) / 500
        )
        scale = np.linalg.norm(momentum_T3[0])
        assert np.abs(momentum_T3[:, :2] - momentum_T3[0, :2]).max() < 2e-3 * scale
        assert np.abs(fallen_T - fallen_T[0]).max() < 2e-3 * scale
        assert np.linalg.norm(motion.velocity_TB3[-1, 0, :2]) <= np.linalg.norm(motion.velocity_TB3[0, 0, :2]) + 0.05
        checked += 1
        if checked == 3:
            return
    raise AssertionError("too few free bodies were struck")


def test_a_ball_that_breaks_a_pane_loses_speed_and_the_mount_takes_only_what_slows_it() -> None:
    for seed in SEEDS:
        scene, motion = drawn(seed, "hard"), filmed(seed, "hard")
        if scene.facts["thing"] != "pane":
            continue
        begins = int(max((kick.time_s for kick in scene.kicks), default=0.0) * FPS) + 1
        speed_T = np.linalg.norm(motion.velocity_TB3[:, 0, :2], axis=1)
        after = int(breaks(motion)[0] * FPS) + 3
        assert speed_T[after] < 0.97 * scene.facts["speed_mps"]
        _, momentum_T3 = _mechanical(scene, motion)
        way_2 = momentum_T3[begins, :2] / np.linalg.norm(momentum_T3[begins, :2])
        along_T = momentum_T3[begins:after, :2] @ way_2
        assert (np.diff(along_T) < 1e-3 * along_T[0]).all()  # never more than the ball brought


def test_a_pane_may_break_off_its_mount_in_one_piece_and_fall_as_one() -> None:
    scene = next(
        scene for seed in range(30) if (scene := drawn(seed, "hard")).facts["thing"] == "pane" and len(scene.props) < 3
    )
    assert scene.broken is not None
    strength = {True: 1e-3, False: 1e6}  # a rotten mount, and glass that nothing breaks
    welds = tuple(replace(w, strength_n=w.strength_n * strength[w.second < 0]) for w in scene.broken.welds)
    scene = replace(scene, broken=replace(scene.broken, welds=welds))
    motion = simulate(scene, FRAMES, FPS)
    assert len(breaks(motion)) == 1 and motion.shown_TB[-1, 2:].all()
    pieces = list(scene.broken.pieces)
    links = [weld for weld in welds if weld.second >= 0]
    misfit_TW = _misfit(motion, pieces, np.array([w.first for w in links]), np.array([w.second for w in links]))
    assert misfit_TW.max() < 0.01  # what one step adds before it is put right
    assert np.linalg.norm(motion.position_TB3[-1, 1] - motion.position_TB3[0, 1]) > 0.3  # the ball took it along


def test_pieces_stay_above_the_floor_and_in_the_room() -> None:
    for seed in SEEDS[:8]:
        scene, motion = drawn(seed, "hard"), filmed(seed, "hard")
        for frame in range(4, FRAMES, 4):
            if motion.shown_TB[frame, 2]:
                corners_N3 = np.concatenate(world_corners(scene, motion, frame))
                assert corners_N3[:, 2].min() > -0.06, (seed, frame)
                assert np.abs(corners_N3[:, 0]).max() < 1.9 and np.abs(corners_N3[:, 1]).max() < 1.65
        rise = motion.position_TB3[..., 2].max()
        assert rise < 4.0  # nothing is flung about


def test_hidden_bodies_are_where_they_belong() -> None:
    scene, motion = drawn(3, "hard"), filmed(3, "hard")
    assert scene.broken is not None
    pieces, mass_N = list(scene.broken.pieces), np.array([scene.bodies[i].info.mass_kg for i in scene.broken.pieces])
    center_T3 = np.einsum("n,tni->ti", mass_N / mass_N.sum(), motion.position_TB3[:, pieces])
    assert center_T3 == pytest.approx(motion.position_TB3[:, 1], abs=2e-3)
    visible_TB = np.arange(float(FRAMES))[:, None] * np.ones(len(scene.bodies))
    assert visible_with_pieces(scene, visible_TB)[:, 1] == pytest.approx(np.arange(FRAMES) * (1 + len(pieces)))


@pytest.mark.parametrize("fps", [6.0, 30.0])
def test_any_frame_rate(fps: float) -> None:
    for seed in (0, 1, 2):
        frames = int(1.5 * fps) + 1
        assert len(breaks(simulate(drawn(seed, "hard"), frames, fps))) == 1
        assert not breaks(simulate(drawn(seed, "soft"), frames, fps))


def test_long_clips_keep_happening_and_the_spared_stay_whole() -> None:
    for hit in ("hard", "soft"):
        scene = drawn(2, hit, 9.0)
        motion = simulate(scene, 108, FPS)
        launches = [event.time_s for event in motion.events if event.kind == "launch"]
        assert len(launches) >= 2 and launches[-1] > 3.0
        assert bool(breaks(motion)) == (hit == "hard")


def test_the_same_seed_gives_the_same_clip() -> None:
    small = WorldsConfig(height=32, width=32, samples_per_pixel=1, frames=17)
    first, again = (make_clip("shatter", 5, small) for _ in range(2))
    assert first.pixels_THW3.tobytes() == again.pixels_THW3.tobytes()
    assert first.state is not None and again.state is not None
    assert first.state.position_TB3.tobytes() == again.state.position_TB3.tobytes()
    assert first.state.events == again.state.events
