"""Muon for hidden matrices, AdamW for the rest, and their common schedule."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from kinema.config import TrainConfig
from kinema.train import muon
from kinema.train.muon import Muon
from kinema.train.optimizer import MuonAdamW, rate_factor, split_parameters


class Mixed(nn.Module):
    """One parameter of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 8)
        self.table = nn.Parameter(torch.zeros(6, 8))
        self.hidden = nn.Linear(8, 24)
        self.norm = nn.LayerNorm(24)
        self.conv = nn.Conv3d(2, 2, 1)
        self.head = nn.Sequential(nn.Linear(24, 4))
        self.head.no_muon = True  # type: ignore[assignment]


def test_only_hidden_matrices_and_kernels_go_to_muon() -> None:
    muon, adamw = split_parameters(Mixed())
    assert set(muon) == {"hidden.weight", "conv.weight"}
    assert set(adamw) == {name for name, _ in Mixed().named_parameters()} - set(muon)


def test_no_muon_at_the_root_excludes_everything() -> None:
    module = Mixed()
    module.no_muon = True  # type: ignore[assignment]
    assert not split_parameters(module)[0]


def test_frozen_parameters_are_left_out() -> None:
    module = Mixed()
    module.hidden.weight.requires_grad_(False)
    muon, adamw = split_parameters(module)
    assert "hidden.weight" not in muon | adamw


@pytest.mark.parametrize("bf16", [True, False])
def test_muon_is_that_of_torch(monkeypatch: pytest.MonkeyPatch, bf16: bool) -> None:
    monkeypatch.setattr(muon, "fast_bf16", lambda device: bf16)
    torch.manual_seed(0)
    ours, theirs = nn.Linear(24, 40, bias=False), nn.Linear(24, 40, bias=False)
    theirs.load_state_dict(ours.state_dict())
    optimizer = Muon(ours.parameters(), 0.05, 0.1)
    reference = torch.optim.Muon(theirs.parameters(), 0.05, 0.1, 0.95)
    for _ in range(3):
        ours.weight.grad = torch.randn(40, 24)
        theirs.weight.grad = ours.weight.grad.clone()
        optimizer.step()
        reference.step()
    if bf16:  # as torch has it
        assert torch.equal(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.weight, theirs.weight, atol=1e-3, rtol=0)


@pytest.mark.parametrize("at_once", [1, 2, 8])
def test_matrices_that_are_orthogonalised_together_do_not_see_each_other(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(muon, "STACKED", at_once * 24 * 40)
    torch.manual_seed(0)
    together = nn.ModuleList(nn.Linear(24, 40, bias=False) for _ in range(5))
    apart = copy.deepcopy(together)
    gradients = [10.0**index * torch.randn(40, 24) for index in range(5)]
    for ours, theirs, gradient in zip(together.parameters(), apart.parameters(), gradients, strict=True):
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        Muon([theirs], 0.05, 0.1).step()
    Muon(together.parameters(), 0.05, 0.1).step()
    for ours, theirs in zip(together.parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)


def test_without_muon_all_goes_to_adamw() -> None:
    module = Mixed()
    optimizer = MuonAdamW(module, TrainConfig(muon=False))
    assert len(optimizer.parameters()) == len(list(module.parameters()))
    assert {name.partition(".")[0] for name in optimizer.state()} == {"step", "exp_avg", "exp_avg_sq"}


def test_muon_updates_are_nearly_orthogonal_whatever_the_gradient() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(32, 64, bias=False)  # 64 × 32: scaled by √(64/32)
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.randn(64, 4) @ torch.randn(4, 32) + 0.1 * torch.randn(64, 32)  # far from orthogonal
    MuonAdamW(layer, TrainConfig(muon_lr=0.1, weight_decay=0.0)).step(rate=0.5)
    update = (before - layer.weight.detach()) / (0.5 * 0.1 * 2**0.5)
    singular = torch.linalg.svdvals(update)
    assert 0.5 < singular.min() and singular.max() < 1.3


def test_kernels_are_orthogonalised_as_matrices_in_any_memory_format() -> None:
    torch.manual_seed(0)
    conv = nn.Conv3d(3, 16, 2, bias=False).to(memory_format=torch.channels_last_3d)  # as a matrix, 16 × 24
    before = conv.weight.detach().clone()
    conv.weight.grad = torch.randn_like(before)
    MuonAdamW(conv, TrainConfig(muon_lr=0.1, weight_decay=0.0)).step(rate=1.0)
    singular = torch.linalg.svdvals((before - conv.weight.detach()).flatten(1) / 0.1)
    assert 0.5 < singular.min() and singular.max() < 1.3
    assert conv.weight.is_contiguous(memory_format=torch.channels_last_3d) and conv.weight.grad is None


def test_vectors_are_not_decayed_and_matrices_are() -> None:
    module = Mixed()
    optimizer = MuonAdamW(module, TrainConfig(adamw_lr=0.1, weight_decay=0.5))
    before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(rate=1.0)
    after = dict(module.named_parameters())
    assert torch.equal(after["norm.weight"], before["norm.weight"])
    torch.testing.assert_close(after["embedding.weight"], 0.95 * before["embedding.weight"])


def test_state_survives_a_round_trip() -> None:
    torch.manual_seed(0)
    first, second = Mixed(), Mixed()
    second.load_state_dict(first.state_dict())
    config = TrainConfig(adamw_lr=0.1)
    one, other = MuonAdamW(first, config), MuonAdamW(second, config)
    gradients = [torch.randn_like(parameter) for parameter in first.parameters()]
    for parameter, gradient in zip(first.parameters(), gradients, strict=True):
        parameter.grad = gradient.clone()
    one.step(1.0)
    second.load_state_dict(first.state_dict())
    for name, tensor in other.state().items():  # made before the first step
        tensor.copy_(one.state()[name])
    for module, optimizer in ((first, one), (second, other)):
        for parameter, gradient in zip(module.parameters(), gradients, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step(1.0)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_rate_warms_up_stays_and_falls_towards_zero() -> None:
    config = TrainConfig(steps=100, warmup_steps=10, decay_share=0.2)
    rates = [rate_factor(step, config) for step in range(100)]
    assert rates[0] == 0.1 and rates[9] == 1.0
    assert set(rates[9:80]) == {1.0}
    assert all(later < earlier for earlier, later in zip(rates[80:-1], rates[81:], strict=True))
    assert rates[-1] == 1 / 20


def test_no_warm_up_and_no_decay_is_constant() -> None:
    config = TrainConfig(steps=5, warmup_steps=0, decay_share=0.0)
    assert [rate_factor(step, config) for step in range(5)] == [1.0] * 5
