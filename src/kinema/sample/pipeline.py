"""``load("nano").generate("a red ball bounces")``: the weights in memory, and the calls that use them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import kinema
from kinema.captions.tokenizer import CaptionTokenizer
from kinema.captions.vocabulary import Vocabulary
from kinema.card import Card
from kinema.codec.autoencoder import VideoAutoencoder
from kinema.config import Config, WorldsConfig
from kinema.data import Tracks
from kinema.model.layout import Layout, Segment
from kinema.model.planner import Planner, plan
from kinema.model.transformer import TextToVideo
from kinema.sample.compose import Frame, compose
from kinema.sample.condition import condition_of
from kinema.sample.generate import OnStep, Words, always, decode_frames, draw_noise, encode_pixels
from kinema.sample.order import Order
from kinema.sample.request import Request, make_request
from kinema.sample.rollout import Native, lead_back, sample
from kinema.sample.task import Run
from kinema.sample.video import Video
from kinema.sample.weights import WeightsFolder
from kinema.shapes import FRAMES_PER_LATENT, MIN_SIDE, TokenGrid, VideoShape

BRIDGE_SEED = 2**62  # added to a clip's seed for the noise of the part that leads back to its start


@dataclass(frozen=True)
class Pipeline:
    """A model that is ready to generate.

    Attributes:
        card: what the weights were made for.
        config: their recipe.
        codec: pixels ↔ latents.
        model: text encoder and denoiser.
        tokenizer: prompt → tokens.
        vocabulary: the words that the model knows.
        sha256: checksum of the weights' files.
        planner: decides where bodies go before anything is drawn, if the model can be told it.
    """

    card: Card
    config: Config
    codec: VideoAutoencoder
    model: TextToVideo
    tokenizer: CaptionTokenizer
    vocabulary: Vocabulary
    sha256: str = ""
    planner: Planner | None = None

    def generate(
        self,
        prompt: str = "",
        seconds: float | None = None,
        size: str | tuple[int, int] | None = None,
        fps: float | None = None,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        negative: str = "",
        solver: str | None = None,
        on_step: OnStep | None = None,
        **options: Any,
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
            solver: euler, heun, dpmpp or unipc.
            on_step: called with (steps done, steps in all).
            **options: image, extend, connect, loop, remix, storyboard …: see :class:`kinema.sample.order.Order`. Clips
                and pictures are files or arrays of frames (T, H, W, 3).

        Raises:
            InputError: a value that is not possible, or a video too large for this machine.
        """
        asked = {"prompt": prompt, "seconds": seconds, "size": size, "fps": fps, "seed": seed, "steps": steps}
        asked |= {"guidance": guidance, "negative": negative, "solver": solver}
        return self.make(self.request(Order.of(asked | options)), on_step)

    def request(self, order: Order, index: int = 0) -> Request:
        """Checks what is asked; see :func:`kinema.sample.request.make_request`."""
        return make_request(self.card, self.config, order, index)

    def make(self, request: Request, on_step: OnStep | None = None) -> Video:
        """Makes the video of a checked request: of several variations the one with its index."""
        latents_CTHW = self.sample(request, on_step)[request.index]
        return Video(np.stack(list(self.frames(request, latents_CTHW))), request.fps, self.facts(request))

    @torch.inference_mode()
    def sample(self, request: Request, on_step: OnStep | None = None) -> list[Tensor]:
        """The latents (C, T, H, W) of all variations; as many as a pack holds are sampled together."""
        task = request.task
        condition = condition_of(task, lambda pixels_THW3: encode_pixels(self.codec, pixels_THW3))
        condition = condition.extended(request.sampled)
        packs = request.packs
        rounds = len(packs) * (1 + (task.bridge > 0))
        latents: list[Tensor] = []
        for place, pack in enumerate(packs):
            report = _part_of(on_step, place * (1 + (task.bridge > 0)), rounds)
            seeds = [request.seed + index for index in pack]
            noise_BCTHW = torch.stack([draw_noise(seed, condition.shape) for seed in seeds])
            known = condition.repeated(len(pack))
            words = dataclasses.replace(self._words(request), tracks=self._plans(request, seeds))
            latents_BCTHW = sample(self.model, words, request, known, noise_BCTHW, self.native, report)
            latents_BCTHW = latents_BCTHW[:, :, : task.shape.latent.frames]
            if task.bridge:
                report = _part_of(on_step, place * 2 + 1, rounds)
                latents_BCTHW = torch.cat([latents_BCTHW, self._bridge(request, latents_BCTHW, seeds, report)], dim=2)
            latents += latents_BCTHW.unbind(0)
        return latents

    def frames(self, request: Request, latents_CTHW: Tensor) -> Iterator[Frame]:
        """The finished frames of one variation, one by one: decoded, and with what is given in its place."""
        task = request.task
        if task.bridge:  # the frame after the last one is the first one again
            decoded_1HW3 = np.stack(list(decode_frames(self.codec, latents_CTHW[:, :1])))
            first_1HW3 = next((run.pixels_THW3[:1] for run in task.given if run.first == 0), decoded_1HW3)
            task = dataclasses.replace(task, given=(*task.given, Run(task.kept + task.bridge - 1, first_1HW3)))
        return compose(decode_frames(self.codec, latents_CTHW), task, request.fps)

    def facts(self, request: Request) -> dict[str, Any]:
        """What is kept in the video's file."""
        weights = {"name": self.card.name, "sha256": self.sha256}
        return request.facts() | {"weights": weights, "kinema": kinema.__version__}

    def seconds(self, request: Request) -> float:
        """About how long a request will take on this machine.

        A call of the denoiser takes a constant plus what its operations take. Both follow from a call on small pictures
        (the second: the first is slower) and one on a native clip.
        """
        small, native = self._probe(MIN_SIDE, MIN_SIDE), self._probe(self.card.width, self.card.height)
        self._timed(small)
        small_s, native_s = self._timed(small), self._timed(native)
        more_flops = max(1.0, native.cost.model_flops - small.cost.model_flops)
        per_flop_s = max(0.0, native_s[0] - small_s[0]) / more_flops
        per_call_s = max(0.0, native_s[0] - native.cost.model_flops * per_flop_s)
        sampling_s = request.cost.calls * per_call_s + request.cost.model_flops * per_flop_s
        return sampling_s + native_s[1] / native.cost.pixels * request.cost.pixels

    def _probe(self, width: int, height: int) -> Request:
        order = Order("a", self.card.seconds, (width, height), self.card.fps)
        return self.request(dataclasses.replace(order, guidance=2.0, steps=1, solver="euler", rollout=False))

    def _timed(self, request: Request) -> tuple[float, float]:
        """Seconds to sample and to decode a request."""
        start_s = time.perf_counter()
        latents_CTHW = self.sample(request)[0]
        sampled_s = time.perf_counter()
        for _ in self.frames(request, latents_CTHW):
            pass
        return sampled_s - start_s, time.perf_counter() - sampled_s

    def tokens_cut(self, request: Request) -> int:
        """How many tokens at the end of the text are too many to be read."""
        return self.tokenizer.pack([self._words(request).lines], self.config.text.max_tokens).cut[0]

    @property
    def worlds(self) -> WorldsConfig:
        """How to make true clips of the model's native shape."""
        card = self.card
        return dataclasses.replace(
            self.config.worlds, height=card.height, width=card.width, frames=card.frames, fps=card.fps
        )

    @property
    def native(self) -> Native:
        """What the model was trained on."""
        shape = VideoShape(self.card.frames, self.card.height, self.card.width)
        return Native(shape.tokens.count, self.card.sampling.shift)

    def _words(self, request: Request) -> Words:
        beats = tuple((beat.text, beat.start_s, beat.end_s) for beat in request.beats)
        negative = always(request.negative) if request.negative.strip() else ()
        return Words((*always(request.prompt), *beats), negative, self.tokenizer, self.config.text.max_tokens)

    def _plans(self, request: Request, seeds: list[int]) -> tuple[Tracks, ...]:
        """Where the bodies of each variation go, if nothing but words that hold all the time says what is to be seen.

        A planner knows the frame rate and the proportions of its clips alone, and nothing of given frames and of times.
        """
        card, task, shape = self.card, request.task, request.shape
        is_native = request.fps == card.fps and shape.height * card.width == shape.width * card.height
        is_seen = task.base_THW3 is not None and (task.strength < 1 or task.mask_HW is not None)
        if self.planner is None or not is_native or task.given or is_seen or task.begin or request.beats:
            return ()
        latent_frames = VideoShape(card.frames, card.height, card.width).latent.frames
        text = self._words(request).pack(1, False, Layout([Segment(TokenGrid(latent_frames, 1, 1), card.fps)]))
        return tuple(plan(self.planner, text, seed) for seed in seeds)

    def _bridge(self, request: Request, latents_BCTHW: Tensor, seeds: list[int], on_step: OnStep | None) -> Tensor:
        """The latent frames that lead from the end of a clip back to its start."""
        length = request.task.bridge // FRAMES_PER_LATENT
        condition = lead_back(latents_BCTHW, length, request.context).extended(request.sampled)
        noise_BCTHW = torch.stack([draw_noise(seed + BRIDGE_SEED, condition.shape) for seed in seeds])
        before = latents_BCTHW.shape[2] - int(condition.known_T.long().argmin())  # latent frames before the window
        together = dataclasses.replace(request, window=condition.shape.frames)
        words = self._words(request)
        window_BCTHW = sample(self.model, words, together, condition, noise_BCTHW, self.native, on_step, max(1, before))
        begin = int(condition.known_T.long().argmin())
        return window_BCTHW[:, :, begin : begin + length]


def _part_of(on_step: OnStep | None, place: int, parts: int) -> OnStep | None:
    """Progress of one of several equal parts of the work."""
    return None if on_step is None else lambda step, steps: on_step(place * steps + step, parts * steps)


def load(name_or_folder: str | Path = "nano") -> Pipeline:
    """Loads the built-in model of that name, or a folder that ``kinema train`` exported.

    Raises:
        InputError: no such weights.
        KinemaError: a file is damaged or does not fit its config.
    """
    folder = WeightsFolder.find(name_or_folder)
    return Pipeline(
        folder.card(),
        folder.config(),
        folder.codec(),
        folder.model(),
        folder.tokenizer(),
        folder.vocabulary(),
        folder.sha256(),
        folder.planner(),
    )
