"""Every setting of the house: frozen dataclasses and named presets. An unknown key is an error."""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from kinema.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class WorldsConfig:
    """Which clips the simulator makes for training."""

    families: tuple[str, ...] = (
        *("fall", "throw", "collide", "ramp", "pendulum", "dominoes", "tower", "occlude"),
        *("shatter", "ripple", "float", "lens", "mirror", "orbit", "paint", "blocks"),
    )
    height: int = 64  # pixels
    width: int = 64  # pixels
    frames: int = 33  # 1 + 4k
    fps: float = 12.0
    samples_per_pixel: int = 4
    clips: int = 8000  # number of training clips, seeds first_seed … first_seed + clips - 1
    first_seed: int = 0
    # Other shapes of the model's training clips: (height, width, frames, share); the rest is as above.
    shapes: tuple[tuple[int, int, int, float], ...] = ()


@dataclass(frozen=True)
class CodecConfig:
    """The causal video autoencoder."""

    unshuffle: int = 4  # pixels folded into channels before the first convolution
    width: int = 128  # channels at 1/4 resolution
    latent_width: int = 256  # channels at 1/8 resolution and in time-compressed stages
    depth: int = 3  # residual blocks at latent resolution, in the encoder and in the decoder
    latent_noise: float = 0.1  # standard deviation of the noise on unit-variance latents in training


@dataclass(frozen=True)
class TextConfig:
    """BPE tokens and the small bidirectional transformer that reads them."""

    vocab_size: int = 1024
    width: int = 256
    depth: int = 3
    heads: int = 4
    max_tokens: int = 256  # a longer caption is cut at the end, and the user is told


@dataclass(frozen=True)
class ModelConfig:
    """The spacetime transformer."""

    width: int = 320
    depth: int = 8
    heads: int = 5
    mlp_ratio: float = 4.0
    rope_seconds_base: float = 100.0  # longest rotary period along time, in seconds
    rope_space_base: float = 100.0  # longest rotary period along rows and columns, in tokens
    detail_width: int = 0  # of the last blocks, on every latent position; a multiple of 32, and 0 is none
    detail_depth: int = 2
    tracks: bool = False  # whether it can be told where bodies go, see train_model.tracks_share


@dataclass(frozen=True)
class PlannerConfig:
    """The network that decides where bodies go, for a model that is told it, and its training."""

    width: int = 0  # 0 is no planner
    depth: int = 4
    text_depth: int = 2
    heads: int = 4
    steps: int = 3000
    batch: int = 64  # clips a step
    names_batch: int = 16  # more clips of which a step learns the bodies alone, in other colours and shapes
    muon_lr: float = 0.02
    adamw_lr: float = 1.5e-3
    recolored_share: float = 0.5  # of clips that are told in other colours, in their words and their tracks alike
    mirrored_share: float = 0.5  # of clips whose left and right are exchanged, in their words and their boxes alike
    placed_share: float = 0.3  # of clips whose words also tell which bodies begin on the left and which on the right


@dataclass(frozen=True)
class FlowConfig:
    """How noise levels are drawn in training (Esser et al. 2024, arXiv 2403.03206, section 3.1)."""

    logit_mean: float = 0.0
    logit_std: float = 1.0
    shift: float = 1.0  # σ ← shift·σ / (1 + (shift − 1)·σ), of native clips; of others by their tokens
    clean_first_share: float = 0.2  # clips with given latent frames (noise 0), at one end or both
    independent_share: float = 0.1  # clips with one level per latent frame (diffusion forcing)


@dataclass(frozen=True)
class TrainConfig:
    """One training run of the codec or of the model."""

    steps: int = 2000
    batch: int = 24  # clips a step; the model fills a budget of as many tokens with clips of any shape
    muon: bool = True  # for matrices; False gives them to AdamW
    muon_lr: float = 0.02  # matrices
    adamw_lr: float = 1.5e-3  # everything else
    weight_decay: float = 0.01
    image_share: float = 0.0  # of clips of which a step sees the first latent frame alone
    image_steps: int = 0  # first steps, on the clips' first latent frames alone
    short_steps: int = 0  # steps after those, on the first half of the clips; steps of all stages have equal tokens
    first_clips: int = 0  # latents that the first step needs, if others are made while the model trains; 0 is all
    grow_steps: int = 0  # steps by which all latents must be there; until then clips join in one by one
    warmup_steps: int = 100
    decay_share: float = 0.3  # last share of the steps over which the rate falls to zero
    skipped_share: float = 0.0  # of tokens that skip the model's middle blocks, until the rate falls (TREAD)
    grad_clip: float = 1.0
    ema_decay: float = 0.999
    ema_long_decay: float = 0.0  # of a second, longer average of the weights; 0 is none
    ema_export: str = "short"  # which of the two is exported: short or long; may be chosen afterwards
    text_dropout: float = 0.1  # share of clips trained without any text, for guidance
    short_share: float = 0.5  # share of clips trained with the short captions, the others with the long ones
    summary_dropout: float = 0.0  # share of clips trained without their summary, on their beats alone
    beats_dropout: float = 0.4  # share of clips trained without beats
    tracks_share: float = 0.0  # of clips with words whose tracks the model is told as well; model.tracks takes them in
    shadow_share: float = 0.0  # of noisy clips that hold a shadow of another clip, to learn to leave it away
    shadow_strength: float = 0.6  # how much of the other clip, at most
    bf16: bool = True  # autocast
    compile: bool = True  # the model's blocks, if all clips have one shape; on the CPU in runs of some length only
    recompute: bool = False  # activations of the model's blocks in the backward pass: slower, in less memory
    checkpoint_every: int = 250  # steps
    validate_every: int = 0  # steps; 0 is at every checkpoint
    log_every: int = 10  # steps
    seed: int = 0
    data_share: float = 0.5  # of the codec's crops that come from a folder of videos, if one is given; 1 is all
    decoder_only: bool = False  # the codec's decoder learns alone: latents, and what a model knows of them, stay valid
    anchor_weight: float = 0.0  # of how far the codec's latents move from those of --init, in its loss; 0 is free
    adversarial_weight: float = 0.0  # of the critic's verdict in the codec's loss; 0 is no critic
    adversarial_from: int = 0  # step of the codec from which the critic learns and judges


@dataclass(frozen=True)
class Config:
    """A whole recipe. ``name`` is the preset it began as."""

    name: str = "nano"
    worlds: WorldsConfig = field(default_factory=WorldsConfig)
    codec: CodecConfig = field(default_factory=CodecConfig)
    text: TextConfig = field(default_factory=TextConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    planner: PlannerConfig = field(default_factory=PlannerConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    train_codec: TrainConfig = field(default_factory=TrainConfig)
    train_model: TrainConfig = field(default_factory=TrainConfig)

    @property
    def learns_images(self) -> bool:
        """Whether the model learns single frames to the end, and not just as a beginning of its curriculum."""
        return self.train_model.image_share > 0 or any(frames == 1 for _, _, frames, _ in self.worlds.shapes)


def nano() -> Config:
    """64×64: 50 minutes for the codec, one hour for the planner and some four for the model on two CPU cores."""
    codec = TrainConfig(
        steps=3600,
        batch=10,
        adamw_lr=2e-3,
        warmup_steps=50,
        decay_share=0.45,
        ema_decay=0.998,
        text_dropout=0.0,
        beats_dropout=0.0,
    )
    model = TrainConfig(
        steps=4000,
        batch=32,
        image_share=0.4,
        image_steps=150,
        short_steps=350,
        decay_share=0.35,
        ema_decay=0.995,
        short_share=0.75,
        beats_dropout=0.6,
        tracks_share=0.8,
    )
    return Config(
        model=ModelConfig(detail_width=160, tracks=True),
        planner=PlannerConfig(width=192),
        flow=FlowConfig(shift=1.5, logit_std=1.5, clean_first_share=0.3, independent_share=0.3),
        train_codec=codec,
        train_model=model,
    )


def _scaled(name: str, side: int, width: int, depth: int, codec_width: int, steps: int) -> Config:
    """A preset on the size dial: heads of 64 channels, a text encoder half as wide as the model, images first."""
    recipe = nano()
    codec = dataclasses.replace(recipe.train_codec, steps=steps * 2 // 3, batch=16)
    images = steps // 15
    model = dataclasses.replace(
        recipe.train_model, steps=steps, batch=64, image_steps=images, short_steps=2 * images, ema_decay=0.998
    )
    return Config(
        name=name,
        worlds=WorldsConfig(height=side, width=side, clips=100_000),
        codec=CodecConfig(width=codec_width, latent_width=2 * codec_width),
        text=TextConfig(vocab_size=4096, width=width // 2, depth=6, heads=width // 128),
        model=ModelConfig(width=width, depth=depth, heads=width // 64, tracks=True),
        planner=recipe.planner,
        flow=recipe.flow,
        train_codec=codec,
        train_model=model,
    )


def small() -> Config:
    """About 50M parameters, 128×128: one GPU for half an hour."""
    return _scaled("small", 128, 512, 12, 128, steps=6_000)


def base() -> Config:
    """About 0.5B parameters, 256×256: one node."""
    return _scaled("base", 256, 1280, 20, 192, steps=60_000)


def large() -> Config:
    """About 3B parameters, 512×512: a cluster."""
    return _scaled("large", 512, 2560, 30, 256, steps=300_000)


PRESETS = {"nano": nano, "small": small, "base": base, "large": large}


def preset(name: str) -> Config:
    """The named preset.

    Raises:
        InputError: no such preset; names the nearest.
    """
    if name not in PRESETS:
        raise InputError(f"no preset {name!r}: did you mean {nearest(name, list(PRESETS))}?")
    return PRESETS[name]()


def override(config: Config, settings: list[str]) -> Config:
    """Applies ``section.key=value`` settings, for example ``train_model.steps=500``.

    Raises:
        InputError: malformed setting, unknown key (names the nearest) or a value of the wrong type.
    """
    tree = to_dict(config)
    for setting in settings:
        path, equals, text = setting.partition("=")
        section, _, key = path.partition(".")
        if not equals:
            raise InputError(f"setting {setting!r} needs the form section.key=value")
        known = [f"{s}.{k}" for s, keys in tree.items() if isinstance(keys, dict) for k in keys]
        if path not in known:
            raise InputError(f"no setting {path!r}: did you mean {nearest(path, known)}?")
        try:
            tree[section][key] = json.loads(text)
        except json.JSONDecodeError:
            tree[section][key] = text.split(",") if isinstance(tree[section][key], list) else text
    return from_dict(Config, tree)


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass as plain JSON types (tuples become lists)."""
    tree: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return tree


def from_dict(cls: type[T], tree: dict[str, Any]) -> T:
    """Builds a config dataclass from plain JSON types, checking names and types.

    Raises:
        InputError: unknown key (names the nearest) or a value of the wrong type.
    """
    hints = typing.get_type_hints(cls)
    unknown = [key for key in tree if key not in hints]
    if unknown:
        near = nearest(unknown[0], list(hints))
        raise InputError(f"unknown key {unknown[0]!r} in {cls.__name__}: did you mean {near}?")
    return cls(**{key: _coerce(f"{cls.__name__}.{key}", hints[key], value) for key, value in tree.items()})


def save(config: Config, path: Path) -> None:
    """Writes a resolved config as JSON."""
    path.write_text(json.dumps(to_dict(config), indent=2) + "\n")


def load(path: Path) -> Config:
    """Reads what :func:`save` wrote."""
    return from_dict(Config, json.loads(path.read_text()))


def nearest(name: str, known: list[str]) -> str:
    """The known names closest to a wrong one, for error messages."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)[:3]
    return " or ".join(close)


def _coerce(where: str, hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise InputError(f"{where} must be a table of keys, not {value!r}")
        return from_dict(hint, value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if typing.get_origin(hint) is dict:
        if not isinstance(value, dict):
            raise InputError(f"{where} must be a table of keys, not {value!r}")
        return value
    if isinstance(hint, types.GenericAlias):
        if not isinstance(value, list):
            raise InputError(f"{where} must be a list, not {value!r}")
        items = typing.get_args(hint)
        if items[-1] is ...:
            items = items[:1] * len(value)
        if len(items) != len(value):
            raise InputError(f"{where} must hold lists of {len(items)}, not {value!r}")
        return tuple(_coerce(where, item, entry) for item, entry in zip(items, value, strict=True))
    if type(value) is not hint:
        raise InputError(f"{where} must be {hint.__name__}, not {value!r}")
    return value
