"""The moving average of weights."""

from __future__ import annotations

import torch
from torch import nn

from kinema.train.ema import MovingAverage


def test_decay_warms_up_then_holds() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    average = MovingAverage(layer, decay=0.5)
    nn.init.ones_(layer.weight)
    expected = 0.0
    for update in range(20):
        average.update()
        expected += (1 - expected) * (1 - min(0.5, (1 + update) / (10 + update)))
        assert abs(float(average.module.get_parameter("weight")) - expected) < 1e-6
    assert average.updates == 20


def test_buffers_are_copied_and_the_source_is_untouched() -> None:
    norm = nn.BatchNorm1d(3)
    average = MovingAverage(norm, decay=0.9)
    norm.get_buffer("running_mean").fill_(7.0)
    weight = norm.weight.detach().clone()
    average.update()
    assert torch.equal(average.module.get_buffer("running_mean"), torch.full((3,), 7.0))
    assert torch.equal(norm.weight, weight)
    assert not average.module.training and not average.module.get_parameter("weight").requires_grad
