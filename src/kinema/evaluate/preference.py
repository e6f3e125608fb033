"""Does the model find what cannot happen less likely than what does? Needs no eyes: only the model's own error.

LikePhys (arXiv 2510.11512): a valid and a violated clip of one scene get the same noise; the one whose velocity the
model predicts with the smaller error is the one that it prefers. The plausibility preference error (PPE) is the share
of pairs in which that is not the valid one: 0.5 is chance. The error is taken from the violation on, where the clips
differ, on the codec's latents, without words. A clip with less in it is easier whatever happens, so a second measure
asks by how much seeing the past, clean instead of as pure noise, lowers the error of what follows. Five controls tell
physics from other reasons to prefer a clip; docs/reality.md explains them.

Array suffixes: K clips of one scene, S noise levels, C channels, T frames or latent frames, H height, W width, N
tokens, cells or pairs.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kinema.codec.pixels import from_uint8, half_precision
from kinema.evaluate.matched import Matched, matched_clips
from kinema.evaluate.statistics import finite_mean, interval, rate
from kinema.evaluate.suite import Curve, Exam, Pixels, Strip, SuiteResult, Table
from kinema.evaluate.violations import VIOLATIONS
from kinema.flow import path
from kinema.model.layout import Layout, Segment
from kinema.model.patches import patchify, unpatchify
from kinema.model.transformer import TextToVideo
from kinema.sample.generate import draw_noise
from kinema.sample.pipeline import Pipeline
from kinema.shapes import FRAMES_PER_LATENT, PIXELS_PER_LATENT, LatentShape

NAME = "preference"
ABOUT = "Does the model find impossible clips less likely than possible ones?"

LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # above 0.95 there is no signal
PAST_LEVELS = LEVELS[1::2]  # of what follows, where the past is shown or hidden
QUICK_LEVELS = (0.3, 0.7)  # of both
PAIRS, QUICK_PAIRS = 10, 1  # of every violation
SEEDS_APART = 100_000  # every violation has scenes of its own
DIFFERENT = 8  # codes by which a pixel must differ, of 255
STRIPS = 4

VALID, VIOLATED, LEGAL, SHAKEN_VALID, SHAKEN_VIOLATED = range(5)
MATCHED = 3  # the first clips of a set, those without camera jitter
Errors = NDArray[np.float64]


@dataclass(frozen=True)
class Preferences:
    """Of one matched set: the logarithm of the second clip's error over the first's, at every noise level.

    Positive prefers the first clip; the mean over noise levels decides.
    """

    violated_S: Errors  # the valid against the violated clip
    legal_S: Errors  # the valid clip against the lawful change: what the model holds against change as such
    control_S: Errors  # the lawful change against the violated clip
    shaken_S: Errors  # the valid against the violated clip under a shaking camera; nan if not asked


def run(exam: Exam) -> SuiteResult:
    """Scores the model and an untrained network on the same clips and noise."""
    pairs, levels = (QUICK_PAIRS, QUICK_LEVELS) if exam.quick else (PAIRS, LEVELS)
    past_levels = QUICK_LEVELS if exam.quick else PAST_LEVELS
    judge, blank = exam.pipeline.model, untrained(exam.pipeline)
    found: dict[str, list[Preferences]] = {"model": [], "untrained": [], "past": []}
    sets: list[Matched] = []
    leak, total = 0.0, pairs * len(VIOLATIONS)
    exam.on_progress(0, total)
    for index, violation in enumerate(VIOLATIONS):
        for matched in matched_clips(violation, exam.worlds, pairs, index * SEEDS_APART):
            latents_KCTHW = encode(exam.pipeline, clips_of(matched))
            leak = max(leak, leak_before(latents_KCTHW[:MATCHED], matched.start))
            ask = functools.partial(velocity_errors, exam.pipeline, seed=matched.seed)
            found["model"].append(preferences(ask(judge, latents_KCTHW, levels), matched))
            latents_KCTHW = latents_KCTHW[:MATCHED]
            found["untrained"].append(preferences(ask(blank, latents_KCTHW, levels), matched))
            before = first_latent(matched.start)
            shown, hidden = (ask(judge, latents_KCTHW, past_levels, past=(before, level)) for level in (0.0, 1.0))
            found["past"].append(preferences(shown, matched, hidden))
            sets.append(matched if len(sets) % pairs == 0 else _without_pixels(matched))
            exam.on_progress(len(sets), total)
    return _result(found, sets, (levels, past_levels), leak)


def clips_of(matched: Matched) -> list[Pixels]:
    """The clips of a set in the order of ``VALID`` … ``SHAKEN_VIOLATED``."""
    return [matched.valid_THW3, matched.violated_THW3, matched.legal_THW3, *matched.shaken]


@torch.inference_mode()
def encode(pipeline: Pipeline, clips: Sequence[Pixels]) -> Tensor:
    """The codec's latents of clips of one shape, in the precision of training where the machine is fast at it."""
    device = next(pipeline.codec.parameters()).device
    with half_precision(device):
        latents_KCTHW: Tensor = pipeline.codec.encode(from_uint8(np.stack(clips)).to(device)).float().cpu()
    return latents_KCTHW


def first_latent(start: int) -> int:
    """The first latent frame that sees a pixel frame: latent k holds the frames 4k − 3 to 4k."""
    return -(-start // FRAMES_PER_LATENT)


def leak_before(latents_KCTHW: Tensor, start: int) -> float:
    """Largest difference of any clip's latents to the first one's before the violation; 0 for a causal codec."""
    before_KCTHW = latents_KCTHW[:, :, : first_latent(start)]
    return float((before_KCTHW - before_KCTHW[:1]).abs().max())


@torch.inference_mode()
def velocity_errors(
    pipeline: Pipeline,
    model: TextToVideo,
    latents_KCTHW: Tensor,
    levels: Sequence[float],
    seed: int,
    past: tuple[int, float] | None = None,
) -> Errors:
    """The squared error of the predicted velocity, without words, mean over channels; the same noise for all clips.

    Args:
        pipeline: gives the frame rate and the tokenizer.
        model: is asked.
        latents_KCTHW: the clips.
        levels: noise levels.
        seed: of the noise.
        past: so many latent frames have this noise level instead, as in training with known frames.

    Returns:
        error_KSTHW.
    """
    clips, shape = len(latents_KCTHW), LatentShape(*latents_KCTHW.shape[2:])
    device = next(model.parameters()).device
    data_NC = torch.cat([patchify(latents_CTHW) for latents_CTHW in latents_KCTHW])
    layout = Layout([Segment(shape.tokens, pipeline.card.fps)] * clips)
    silence = pipeline.tokenizer.pack([()] * clips).to(device)
    errors = []
    for level in levels:
        noise_NC = patchify(draw_noise(1000 * (seed % 2**40) + round(100 * level), shape)).repeat(clips, 1)
        sigma_KT = torch.full((clips, shape.frames), level)
        if past is not None:
            sigma_KT[:, : past[0]] = past[1]
        sigma_F = sigma_KT.flatten()
        noisy_NC = path.interpolate(data_NC, noise_NC, sigma_F[layout.frame_N, None])
        with half_precision(device):
            features = model.encode_text(silence)
            velocity_NC = model(noisy_NC.to(device), layout.to(device), sigma_F.to(device), features).cpu()
        error_NC = (velocity_NC - path.velocity(data_NC, noise_NC)).square()
        error_KCTHW = torch.stack([unpatchify(error_nC, shape) for error_nC in error_NC.chunk(clips)])
        errors.append(error_KCTHW.mean(dim=1).double().numpy())
    return np.stack(errors, axis=1)


def untrained(pipeline: Pipeline) -> TextToVideo:
    """A network of the same size with random weights, also in the matrices that training begins at zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = TextToVideo(pipeline.config.text, pipeline.config.model).eval().requires_grad_(False)
        for layer in model.modules():
            if isinstance(layer, nn.Linear) and not layer.weight.any():
                nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
    return model.to(next(pipeline.model.parameters()).device)


def cells_that_differ(first_THW3: Pixels, second_THW3: Pixels, start: int) -> NDArray[np.bool_]:
    """The latent cells (T, H, W) from a frame on in which any pixel of two clips differs visibly."""
    differs_THW = (np.abs(first_THW3.astype(np.int16) - second_THW3) > DIFFERENT).any(axis=-1)
    differs_THW[:start] = False
    frames, height, width = differs_THW.shape
    side = PIXELS_PER_LATENT
    cells_THW = differs_THW.reshape(frames, height // side, side, width // side, side).any(axis=(2, 4))
    rest = cells_THW[1:].reshape(-1, FRAMES_PER_LATENT, *cells_THW.shape[1:]).any(axis=1)
    return np.concatenate([cells_THW[:1], rest])


def preferences(error_KSTHW: Errors, matched: Matched, against_KSTHW: Errors | None = None) -> Preferences:
    """Compares the clips of a set where they differ.

    Args:
        error_KSTHW: of the clips in the order of :func:`clips_of`, or of the first ``MATCHED`` of them.
        matched: the clips.
        against_KSTHW: errors of the same clips by which each clip's error is divided first.
    """
    clips, start = clips_of(matched), matched.start

    def prefers(first: int, second: int, *cells_THW: NDArray[np.bool_]) -> Errors:
        where_THW = np.logical_or.reduce(cells_THW)
        if max(first, second) >= len(error_KSTHW) or not where_THW.any():
            return np.full(error_KSTHW.shape[1], np.nan)
        log_KS = np.log(error_KSTHW[:, :, where_THW].mean(axis=-1))
        if against_KSTHW is not None:
            log_KS -= np.log(against_KSTHW[:, :, where_THW].mean(axis=-1))
        ratio_S: Errors = log_KS[second] - log_KS[first]
        return ratio_S

    violated_THW = cells_that_differ(clips[VALID], clips[VIOLATED], start)
    legal_THW = cells_that_differ(clips[VALID], clips[LEGAL], start)
    shaken_THW = cells_that_differ(clips[SHAKEN_VALID], clips[SHAKEN_VIOLATED], start)
    return Preferences(
        violated_S=prefers(VALID, VIOLATED, violated_THW),
        legal_S=prefers(VALID, LEGAL, legal_THW),
        control_S=prefers(LEGAL, VIOLATED, violated_THW, legal_THW),
        shaken_S=prefers(SHAKEN_VALID, SHAKEN_VIOLATED, shaken_THW),
    )


def is_wrong(ratio_S: Errors) -> float:
    """1 if the second clip is preferred or neither is, 0 if the first is, nan if the two are not to be told apart."""
    mean = float(np.mean(ratio_S))
    return math.nan if math.isnan(mean) else float(mean <= 0)


def _wrong(found: Sequence[Preferences], which: str) -> list[float]:
    return [is_wrong(getattr(preference, f"{which}_S")) for preference in found]


def _result(
    found: Mapping[str, list[Preferences]],
    sets: Sequence[Matched],
    levels: tuple[Sequence[float], Sequence[float]],
    leak: float,
) -> SuiteResult:
    wrong = {(who, which): _wrong(found[who], which) for who in found for which in ("violated", "legal", "control")}
    scores = (
        rate(
            "ppe",
            "share of pairs in which the valid clip is not preferred to the violated one",
            wrong["model", "violated"],
            floors={
                "chance": 0.5,
                "untrained": wrong["untrained", "violated"],
                "lawful change": wrong["model", "legal"],
            },
            better="lower",
        ),
        rate(
            "ppe_past",
            "the same, judged by how much seeing the past helps to predict what follows",
            wrong["past", "violated"],
            floors={"chance": 0.5, "lawful change": wrong["past", "legal"]},
            better="lower",
        ),
        rate(
            "ppe_of_lawful_change",
            "share of pairs in which a lawful change is not preferred to a violation with as much motion",
            wrong["model", "control"],
            floors={"chance": 0.5, "untrained": wrong["untrained", "control"]},
            better="lower",
        ),
        rate(
            "ppe_past_of_lawful_change",
            "the same, judged by how much seeing the past helps",
            wrong["past", "control"],
            floors={"chance": 0.5},
            better="lower",
        ),
        rate(
            "ppe_camera_jitter",
            "share of pairs in which the valid clip is not preferred when the camera shakes in both",
            _wrong(found["model"], "shaken"),
            floors={"chance": 0.5, "still camera": wrong["model", "violated"]},
            better="lower",
        ),
    )
    notes = (
        f"Largest difference between the latents of two clips before the violation: {leak:.3g}.",
        "Share of wrong preferences: 0 is perfect, 0.5 chance. 'Lawful change' is the same share when the valid clip "
        "meets a lawful clip with more in it: far from 0.5, the model judges the amount of change rather than law.",
    )
    return SuiteResult(
        NAME, ABOUT, scores, _tables(found, sets), _curves(found, *levels), _strips(found["model"], sets), notes
    )


def _tables(found: Mapping[str, list[Preferences]], sets: Sequence[Matched]) -> tuple[Table, ...]:
    """A row for every violation; failures first."""
    plain: list[tuple[str | int | float | None, ...]] = []
    past: list[tuple[str | int | float | None, ...]] = []
    by_failure: dict[str, float] = {}
    for violation in VIOLATIONS:
        own = [index for index, matched in enumerate(sets) if matched.violation == violation.name]

        def share(who: str, which: str, own: Sequence[int] = own) -> Errors:
            return np.array(_wrong([found[who][index] for index in own], which))

        energy_N3 = np.array([sets[index].energy for index in own])
        ppe_N, past_N = share("model", "violated"), share("past", "violated")
        controls = (("untrained", "violated"), ("model", "shaken"), ("model", "legal"), ("model", "control"))
        row = (finite_mean(ppe_N), *interval(ppe_N), *(finite_mean(share(*key)) for key in controls))
        plain.append((violation.name, len(own), *row))
        row = (finite_mean(past_N), *interval(past_N))
        row += tuple(finite_mean(share("past", which)) for which in ("legal", "control"))
        with np.errstate(divide="ignore", invalid="ignore"):  # a clip may stand still
            motion_N2 = energy_N3[:, [VIOLATED, LEGAL]] / energy_N3[:, [VALID, VIOLATED]]
        row += tuple(np.median(motion_N2, axis=0).tolist())
        past.append((violation.name, len(own), *row))
        by_failure[violation.name] = -finite_mean(ppe_N)
    columns = ("violation", "pairs", "PPE", "low", "high")
    controls_shown = ("untrained", "camera jitter", "lawful change", "lawful / violated")
    motions = ("motion: violated / valid", "lawful / violated")
    return (
        Table(
            "Wrong preferences by violation",
            (*columns, *controls_shown),
            tuple(sorted(plain, key=lambda row: by_failure[str(row[0])])),
        ),
        Table(
            "The same, given the past; and how much motion the clips have",
            (*columns, *controls_shown[2:], *motions),
            tuple(sorted(past, key=lambda row: by_failure[str(row[0])])),
        ),
    )


def _curves(
    found: Mapping[str, list[Preferences]], levels: Sequence[float], past_levels: Sequence[float]
) -> tuple[Curve, ...]:
    """Wrong preferences at every noise level by itself."""
    series = {}
    for label, who, which, at in (
        ("valid / violated", "model", "violated", levels),
        ("untrained", "untrained", "violated", levels),
        ("lawful change / violated", "model", "control", levels),
        ("valid / violated, past", "past", "violated", past_levels),
    ):
        ratio_NS = np.array([getattr(preference, f"{which}_S") for preference in found[who]])
        wrong_S = [finite_mean(np.where(np.isnan(ratio_N), np.nan, ratio_N <= 0)) for ratio_N in ratio_NS.T]
        series[label] = tuple(zip(at, wrong_S, strict=True))
    return (Curve("Wrong preferences by noise level", "noise level", "share", series),)


def _strips(found: Sequence[Preferences], sets: Sequence[Matched]) -> tuple[Strip, ...]:
    """Valid above violated; the most wrongly judged of the sets whose pixels were kept come first."""
    kept = [index for index, matched in enumerate(sets) if len(matched.valid_THW3)]
    kept.sort(key=lambda index: float(np.nan_to_num(found[index].violated_S.mean())))
    return tuple(
        Strip(
            f"{sets[index].violation}: valid above, violated below",
            np.concatenate([sets[index].valid_THW3, sets[index].violated_THW3], axis=1),
        )
        for index in kept[:STRIPS]
    )


def _without_pixels(matched: Matched) -> Matched:
    """What tables need; hundreds of sets of clips would fill the memory."""
    none_THW3 = matched.valid_THW3[:0]
    return dataclasses.replace(
        matched, valid_THW3=none_THW3, violated_THW3=none_THW3, legal_THW3=none_THW3, shaken=(none_THW3, none_THW3)
    )
