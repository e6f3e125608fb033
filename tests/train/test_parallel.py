"""Several processes do what one does: forked, with gloo, on the CPU."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as processes
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from kinema.captions.tokenizer import CaptionTokenizer
from kinema.config import Config, FlowConfig, ModelConfig, TextConfig, TrainConfig
from kinema.data import Beat, Caption, Source
from kinema.errors import InputError, KinemaError
from kinema.model.transformer import TextToVideo
from kinema.train import parallel
from kinema.train.checkpoint import newest_checkpoint
from kinema.train.latents import LatentDataset
from kinema.train.loop import Number, fit, generator_of
from kinema.train.metrics import read_metrics
from kinema.train.model import held_out_loss, train_step
from kinema.train.packs import Plan, draw_step, grids_of, make_pack, noisy_tokens, share
from kinema.train.parallel import ALONE, Team, assemble, blocks_of, recompute, shared_out, spread, whole

TEXT = TextConfig(vocab_size=280, width=16, depth=1, heads=1)
MODEL = ModelConfig(width=32, depth=1, heads=1, mlp_ratio=2.0)
TRAIN = TrainConfig(
    steps=20, warmup_steps=2, checkpoint_every=10, decay_share=0.2, bf16=False, ema_long_decay=0.99, validate_every=20
)


def data() -> LatentDataset:
    rng = torch.Generator().manual_seed(0)
    clips = LatentDataset([], [], [], [], [], list(range(10)), 10)
    for clip in range(10):
        frames, height, width = ((3, 4, 4), (2, 4, 8), (1, 4, 4))[clip % 3]
        latents = 2 + 0.1 * torch.randn(16, frames, height, width, generator=rng)
        clips.latents_CTHW.append(latents.bfloat16())
        clips.captions.append(Caption(f"a red ball {clip}", "a ball", (Beat(0.0, 0.3, "it falls"),)))
        clips.fps.append(12.0)
        clips.sources.append(Source("fall", clip, 1))
    return clips


def train(out: Path, team: Team, bad: tuple[int, ...] = (), crash: int = -1) -> None:
    """A run of the real network on mixed packs; the loss of the ``bad`` steps is not finite in the last process."""
    config = TRAIN
    torch.manual_seed(0)
    clips, model = data(), TextToVideo(TEXT, MODEL)
    tokenizer = CaptionTokenizer.train(["a red ball falls"], TEXT.vocab_size)
    plan = Plan(grids_of(clips, range(8)), 40, config)

    def loss_fn(step: int) -> tuple[Tensor, dict[str, Number]]:
        if step == crash:
            raise Interruption
        rng = generator_of(config.seed, step)
        drawn = draw_step(clips, plan.clips(step), plan.parts(step), config, FlowConfig(), rng)
        mine = share(drawn, team.process, team.processes)
        loss, values = train_step(make_pack(clips, mine, tokenizer, 64), model, noisy_tokens(drawn))
        broken = step in bad and team.process == team.processes - 1
        return loss * float("nan") if broken else loss, values

    def score(step: int, averaged: nn.Module) -> dict[str, float]:
        assert isinstance(averaged, TextToVideo)
        return held_out_loss(averaged, clips, [8, 9], tokenizer, Config(text=TEXT, model=MODEL, train_model=config))

    fit(model, loss_fn, config, out, on_validation=score, team=team, shard=True)
    is_sharded = all(isinstance(parameter, DTensor) for parameter in model.parameters())
    assert is_sharded == (team.mesh is not None and parallel.SHARDED_PARAMETERS == 0)


def _process(index: int, count: int, port: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(index), "WORLD_SIZE": str(count), "LOCAL_RANK": str(index)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with assemble() as team:
        work(team, *arguments)


def together(count: int, work: Callable[..., None], *arguments: Any) -> None:
    """Runs a function in processes that torchrun might have started; forked, because torch is loaded already."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes.start_processes(_process, (count, port, work, arguments), count, start_method="fork")  # type: ignore[no-untyped-call]


def gradients(team: Team, out: Path, config: TrainConfig = TRAIN) -> None:
    """The gradients of the first step, whole, from the momentum of an optimizer that has seen nothing else."""
    torch.manual_seed(0)
    model = TextToVideo(TEXT, MODEL)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    if config.recompute:
        recompute(model)
    spread(model, team)
    clips, tokenizer = data(), CaptionTokenizer.train(["a red ball falls"], TEXT.vocab_size)
    drawn = draw_step(
        clips, range(8), grids_of(clips, range(8)), config, FlowConfig(), torch.Generator().manual_seed(3)
    )
    mine = share(drawn, team.process, team.processes)
    loss, _ = train_step(make_pack(clips, mine, tokenizer, 64), model, noisy_tokens(drawn))
    loss.backward()
    found = {name: whole(p.grad) for name, p in model.named_parameters() if p.grad is not None}
    if team.leads:
        torch.save({"loss": loss.detach(), **found}, out)


def test_gradients_of_two_processes_are_those_of_one(tmp_path: Path) -> None:
    gradients(ALONE, tmp_path / "one")
    together(2, gradients, tmp_path / "two")
    one, two = (torch.load(tmp_path / name, weights_only=True) for name in ("one", "two"))
    assert len(one) == len(list(TextToVideo(TEXT, MODEL).parameters())) + 1 and one.keys() == two.keys()
    for name in one.keys() - {"loss"}:
        assert (one[name] - two[name]).norm() <= 1e-5 * one[name].norm(), name
    assert two["loss"] < 0.9 * one["loss"]  # a part of the whole


def test_forgetting_activations_changes_no_gradient(tmp_path: Path) -> None:
    gradients(ALONE, tmp_path / "kept")
    gradients(ALONE, tmp_path / "forgotten", dataclasses.replace(TRAIN, recompute=True))
    kept, forgotten = (torch.load(tmp_path / name, weights_only=True) for name in ("kept", "forgotten"))
    assert all(torch.equal(kept[name], forgotten[name]) for name in kept)


def losses(out: Path, key: str = "loss") -> list[float]:
    return [line[key] for line in read_metrics(out) if key in line]


class Interruption(Exception):
    """Stands for a crash."""


def three_runs(team: Team, folder: Path) -> None:
    """A whole run with two steps that one process cannot use, one that crashes, and one that diverges."""
    train(folder / "two", team, bad=(4, 5))
    with pytest.raises(Interruption):
        train(folder / "crashed", team, bad=(4, 5), crash=10)
    with pytest.raises(KinemaError, match="20 steps in a row"):
        train(folder / "diverged", team, bad=tuple(range(20)))


@pytest.mark.parametrize("sharded", [True, False])
def test_twenty_steps_of_two_processes_are_those_of_one(
    sharded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sharded:
        monkeypatch.setattr(parallel, "SHARDED_PARAMETERS", 0)
    together(2, three_runs, tmp_path)
    train(tmp_path / "one", ALONE, bad=(4, 5))
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == len(two) == 20
    finite = [step for step in range(20) if step not in (4, 5)]
    assert [one[s] for s in finite] == pytest.approx([two[s] for s in finite], rel=1e-4)  # Muon rounds to bfloat16
    assert one[finite[-1]] < one[0]
    assert losses(tmp_path / "two", "skipped")[-1] == 2
    for key in ("grad_norm", "held_out", "held_out_ema_long", "text_tokens", "loss_0.75"):
        found = losses(tmp_path / "two", key)
        assert found and found == pytest.approx(losses(tmp_path / "one", key), rel=1e-3, nan_ok=True), key

    # What two processes wrote, one process goes on with.
    crashed = newest_checkpoint(tmp_path / "crashed")
    assert crashed is not None and crashed.facts["step"] == 10
    assert len(list(crashed.path.glob("*.distcp"))) == 2
    train(tmp_path / "crashed", ALONE)
    resumed = losses(tmp_path / "crashed")
    assert [resumed[s] for s in finite[:9]] == pytest.approx([two[s] for s in finite[:9]], rel=1e-6)
    assert [resumed[s] for s in finite] == pytest.approx([two[s] for s in finite], rel=1e-4)
    assert losses(tmp_path / "crashed", "held_out") == pytest.approx(losses(tmp_path / "two", "held_out"), rel=1e-4)


def test_a_copied_network_learns_from_all_shares(tmp_path: Path) -> None:
    together(2, copied, tmp_path / "two")
    copied(ALONE, tmp_path / "one")
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)


def copied(team: Team, out: Path) -> None:
    """A network that every process has, as the codec is trained."""
    torch.manual_seed(0)
    module = nn.Linear(6, 6)

    def loss_fn(step: int) -> tuple[Tensor, dict[str, Number]]:
        x = torch.randn(8, 6, generator=generator_of(TRAIN.seed, step))
        mine = x[team.process :: team.processes]
        return len(mine) / len(x) * (module(mine) - mine.flip(1)).square().mean(), {}

    fit(module, loss_fn, TRAIN, out, team=team)


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"WORLD_SIZE": "2"}, "RANK is no number"),
        ({"WORLD_SIZE": "two", "RANK": "0"}, "no number"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "process 2 of 2"),
    ],
)
def test_a_wrong_number_of_processes_is_told(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=told), assemble():
        pass


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in {"WORLD_SIZE": "3", "RANK": "0", "LOCAL_WORLD_SIZE": "3"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="3 processes on a machine with 2 GPUs"), assemble():
        pass


def test_blocks_are_those_of_the_reader_and_of_the_denoiser() -> None:
    model = TextToVideo(TEXT, MODEL)
    assert blocks_of(model) == [*model.text_encoder.blocks, *model.transformer.blocks]


def tripled_in_turns(team: Team, out: Path) -> None:
    """Rows done by the processes together, and how many of them this one did."""
    rows, done = torch.arange(10.0).view(5, 2).bfloat16(), list[float]()

    def triple(part: Tensor) -> Tensor:
        done.extend(part[:, 0].tolist())
        return (3 * part).mT.contiguous().mT

    result = shared_out(triple, rows)
    torch.save({"result": result, "done": torch.tensor(done)}, out / str(team.process))


@pytest.mark.parametrize(
    ("count", "done"), [(1, [[0, 2, 4, 6, 8]]), (2, [[0, 2, 8], [4, 6, 8]]), (3, [[0, 6, 8], [2, 6, 8], [4, 6, 8]])]
)
def test_rows_are_shared_out_over_processes(tmp_path: Path, count: int, done: list[list[float]]) -> None:
    together(count, tripled_in_turns, tmp_path)
    for process in range(count):
        found = torch.load(tmp_path / str(process), weights_only=True)
        assert torch.equal(found["result"], 3 * torch.arange(10.0).view(5, 2).bfloat16())
        assert found["done"].tolist() == done[process]
