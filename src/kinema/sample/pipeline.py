"""``load("nano").generate("a red ball bounces")``: the weights in memory, and the one call that uses them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from kinema.captions.tokenizer import CaptionTokenizer
from kinema.captions.vocabulary import Vocabulary
from kinema.card import Card
from kinema.codec.autoencoder import VideoAutoencoder
from kinema.config import Config
from kinema.flow.schedule import shift_for_tokens
from kinema.model.transformer import TextToVideo
from kinema.sample.generate import OnStep, decode_pixels, read_text, sample_latents
from kinema.sample.request import Request, make_request, parse_size
from kinema.sample.video import Video
from kinema.sample.weights import WeightsFolder
from kinema.shapes import VideoShape


@dataclass(frozen=True)
class Pipeline:
    """A model that is ready to generate."""

    card: Card
    config: Config
    codec: VideoAutoencoder
    model: TextToVideo
    tokenizer: CaptionTokenizer
    vocabulary: Vocabulary

    def generate(
        self,
        prompt: str,
        seconds: float | None = None,
        size: str | tuple[int, int] | None = None,
        fps: float | None = None,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        negative: str = "",
        solver: str | None = None,
        on_step: OnStep | None = None,
    ) -> Video:
        """Makes one video. What is left out comes from the weights' card.

        Args:
            prompt: what to show.
            seconds: duration; the nearest possible one is taken.
            size: ``"WIDTHxHEIGHT"`` or (width, height) in pixels, multiples of 16.
            fps: frames per second.
            seed: same seed, same machine, same bytes.
            steps: solver steps.
            guidance: how strongly to follow the text; 1 is none.
            negative: what to stay away from.
            solver: euler, heun or dpmpp.
            on_step: called with (steps done, steps in all).

        Raises:
            InputError: a value that is not possible, or a video too large for this machine.
        """
        request = make_request(
            self.card,
            prompt,
            seconds=seconds,
            size=parse_size(size) if isinstance(size, str) else size,
            fps=fps,
            seed=seed,
            steps=steps,
            guidance=guidance,
            negative=negative,
            solver=solver,
        )
        return self.make(request, on_step)

    def make(self, request: Request, on_step: OnStep | None = None) -> Video:
        """Makes the video of a checked request."""
        usual = self.card.sampling.shift
        native = VideoShape(self.card.frames, self.card.height, self.card.width).tokens.count
        shift = max(usual, shift_for_tokens(request.shape.tokens.count, native, usual))
        text = read_text(self.tokenizer, request, self.config.text.max_tokens)
        latents_CTHW = sample_latents(self.model, text, request, shift, on_step)
        return Video(decode_pixels(self.codec, latents_CTHW), request.fps, request.facts())

    def tokens_cut(self, prompt: str) -> int:
        """How many tokens at the end of a prompt are too many to be read."""
        return self.tokenizer.pack([((prompt, -math.inf, math.inf),)], self.config.text.max_tokens).cut[0]


def load(name_or_folder: str | Path = "nano") -> Pipeline:
    """Loads the built-in model of that name, or a folder that ``kinema train`` exported.

    Raises:
        InputError: no such weights.
        KinemaError: a file is damaged or does not fit its config.
    """
    folder = WeightsFolder.find(name_or_folder)
    return Pipeline(
        folder.card(), folder.config(), folder.codec(), folder.model(), folder.tokenizer(), folder.vocabulary()
    )
