"""A folder of exported weights: which files it holds, and how they become modules, strictly.

``config.json``, ``codec.safetensors``, ``model.safetensors``, ``tokenizer.json``, ``vocabulary.json``, ``card.json``
and, for people, ``card.md``. A model that can be told where bodies go may have a ``planner.safetensors``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinema import config as configs
from kinema.captions.vocabulary import Vocabulary
from kinema.card import Card, load_card
from kinema.config import Config
from kinema.errors import InputError, KinemaError

if TYPE_CHECKING:  # torch takes seconds to import; `kinema info` and every check of a command need only the JSON files
    from kinema.captions.tokenizer import CaptionTokenizer
    from kinema.codec.autoencoder import VideoAutoencoder
    from kinema.model.planner import Planner
    from kinema.model.transformer import TextToVideo

BUILT_IN = Path(__file__).parent.parent / "weights"
FILES = ("config.json", "codec.safetensors", "model.safetensors", "tokenizer.json", "vocabulary.json", "card.json")
PLANNER = "planner.safetensors"
HASHED = (*FILES[:4], PLANNER)


@dataclass(frozen=True)
class WeightsFolder:
    """The files of one model; nothing is read until it is asked for."""

    path: Path

    @classmethod
    def find(cls, name_or_folder: str | Path) -> WeightsFolder:
        """The built-in model of that name, or a folder.

        Raises:
            InputError: neither exists, or the folder is not one of weights.
            KinemaError: a built-in model is incomplete.
        """
        built_in = BUILT_IN / name_or_folder
        is_name = len(Path(name_or_folder).parts) == 1 and built_in.is_dir()
        path = built_in if is_name else Path(name_or_folder)
        if not path.is_dir():
            names = ", ".join(sorted(file.parent.name for file in BUILT_IN.glob("*/model.safetensors"))) or "none"
            raise InputError(f"no weights {str(name_or_folder)!r}: give a folder or a built-in name ({names})")
        missing = [name for name in FILES if not (path / name).is_file()]
        if missing == list(FILES[2:]):
            raise InputError(f"{name_or_folder} is a codec alone: it is for `kinema codec` and `kinema train`")
        if missing and is_name:
            raise KinemaError(f"the built-in weights {path.name!r} lack {missing[0]}: install kinema again")
        if missing:
            raise InputError(f"{path} lacks {missing[0]}: give a folder that `kinema train` exported")
        return cls(path)

    @classmethod
    def find_codec(cls, name_or_folder: str | Path) -> WeightsFolder:
        """A folder of which only the codec is asked for: a built-in name, a codec's run folder, or exported weights.

        Raises:
            InputError: there is no codec, or nothing beside it that tells its configuration.
        """
        path = codec_folder(name_or_folder)
        if not (path / "codec.safetensors").is_file():
            return cls.find(name_or_folder)  # says what is wrong
        if not (path / "config.json").is_file():
            raise InputError(
                f"{path} has no config.json beside codec.safetensors: give a run folder or exported weights"
            )
        return cls(path)

    def config(self) -> Config:
        """The recipe of these weights."""
        with self._reading("config.json"):
            return configs.load(self.path / "config.json")

    def card(self) -> Card:
        """Native shape, usual settings, training and scores."""
        with self._reading("card.json"):
            return load_card(self.path / "card.json")

    def vocabulary(self) -> Vocabulary:
        """The words of the training captions."""
        with self._reading("vocabulary.json"):
            return Vocabulary.load(self.path / "vocabulary.json")

    def tokenizer(self) -> CaptionTokenizer:
        """Prompt → token ids."""
        from kinema.captions.tokenizer import CaptionTokenizer

        with self._reading("tokenizer.json"):
            return CaptionTokenizer.load(self.path / "tokenizer.json")

    def codec(self) -> VideoAutoencoder:
        """The video autoencoder, ready to use."""
        from kinema.codec.autoencoder import load_codec

        config = self.config()
        with self._reading("codec.safetensors"):
            return load_codec(config.codec, self.path)

    def model(self) -> TextToVideo:
        """Text encoder and denoiser, ready to use."""
        from safetensors.torch import load_file

        from kinema.model.transformer import TextToVideo

        config = self.config()
        model = TextToVideo(config.text, config.model).eval().requires_grad_(False)
        with self._reading("model.safetensors"):
            model.load_state_dict(load_file(self.path / "model.safetensors"))  # bfloat16 → the modules' float32
        return model

    def planner(self) -> Planner | None:
        """What decides where bodies go, ready to use, or None if these weights have none."""
        from safetensors.torch import load_file

        from kinema.model.planner import planner_of

        if not (self.path / PLANNER).is_file():
            return None
        planner = planner_of(self.config(), self.tokenizer().vocab_size).eval().requires_grad_(False)
        with self._reading(PLANNER):
            planner.load_state_dict(load_file(self.path / PLANNER))
        return planner

    def sha256(self) -> str:
        """Checksum of the tensors, the tokenizer and the config: all that a video's bytes depend on."""
        digest = hashlib.sha256()
        for path in (self.path / name for name in HASHED):
            if path.name != PLANNER or path.is_file():
                digest.update(path.read_bytes())
        return digest.hexdigest()

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Whatever fails while a file is read means that the file is damaged; says which, in one line."""
        try:
            yield
        except Exception as error:
            cause = " ".join(str(error).split())[:200]
            raise KinemaError(f"{self.path / name} is damaged or does not fit its config ({cause})") from error


def codec_folder(name_or_folder: str | Path) -> Path:
    """Where a codec should be: in the folder of a built-in name, else in the folder itself; it may be missing."""
    built_in, path = BUILT_IN / name_or_folder, Path(name_or_folder)
    return built_in if len(path.parts) == 1 and (built_in / "codec.safetensors").is_file() else path
