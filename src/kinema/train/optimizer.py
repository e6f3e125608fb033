"""Muon for hidden matrices, AdamW for the rest, one learning-rate schedule for both."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from kinema.config import TrainConfig
from kinema.errors import KinemaError

ADAMW_BETAS = (0.9, 0.99)
MUON_MOMENTUM = 0.95  # Nesterov


def split_parameters(module: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """Splits the trainable parameters by name into those for Muon and those for AdamW.

    Muon is meant for hidden matrices (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/): the weights
    of linear layers, and of convolutions as matrices of outputs × inputs. Embeddings, tables, norms and biases go to
    AdamW, and so does everything under a module that says ``no_muon = True``, as input and output projections do.

    Returns:
        Muon's and AdamW's parameters, in the order of ``module.named_parameters()``.
    """
    matrices: set[str] = set()
    excluded: list[str] = []
    for name, child in module.named_modules():
        prefix = f"{name}." if name else ""
        if getattr(child, "no_muon", False):
            excluded.append(prefix)
        if isinstance(child, (nn.Linear, nn.Conv3d)):
            matrices.add(f"{prefix}weight")
    trainable = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    muon = {n: p for n, p in trainable.items() if n in matrices and not n.startswith(tuple(excluded))}
    return muon, {n: p for n, p in trainable.items() if n not in muon}


def rate_factor(step: int, config: TrainConfig) -> float:
    """The learning rate of a step as a share of the peak: linear warm-up, constant, linear decay towards zero."""
    warmup = (step + 1) / config.warmup_steps if config.warmup_steps else 1.0
    decay_steps = config.decay_share * config.steps
    decay = (config.steps - step) / decay_steps if decay_steps else 1.0
    return min(1.0, warmup, decay)


class MuonAdamW:
    """``torch.optim.Muon`` and ``torch.optim.AdamW`` driven as one optimizer, with named state for checkpoints."""

    def __init__(self, module: nn.Module, config: TrainConfig) -> None:
        muon, adamw = split_parameters(module)
        self._parameters = [*muon.values(), *adamw.values()]
        # A convolution's weight is optimized as a matrix; its memory may be laid out otherwise, so this is a copy.
        self._folded = {p: nn.Parameter(p.detach().flatten(1).clone()) for p in muon.values() if p.ndim > 2}
        muon = {name: self._folded.get(p, p) for name, p in muon.items()}
        self._names = {parameter: name for name, parameter in (muon | adamw).items()}
        self._optimizers: list[tuple[torch.optim.Optimizer, float]] = []
        if muon:
            matrices = torch.optim.Muon(muon.values(), config.muon_lr, config.weight_decay, MUON_MOMENTUM)
            self._optimizers.append((matrices, config.muon_lr))
        if adamw:
            groups = [
                {"params": [p for p in adamw.values() if p.ndim > 1], "weight_decay": config.weight_decay},
                {"params": [p for p in adamw.values() if p.ndim <= 1], "weight_decay": 0.0},
            ]
            groups = [group for group in groups if group["params"]]
            adam = torch.optim.AdamW(groups, config.adamw_lr, ADAMW_BETAS, fused=True)
            self._optimizers.append((adam, config.adamw_lr))

    def step(self, rate: float) -> None:
        """Updates the parameters at ``rate`` times the peak learning rates and drops the gradients."""
        for parameter, matrix in self._folded.items():
            matrix.grad = None if parameter.grad is None else parameter.grad.flatten(1)
            matrix.data.copy_(parameter.detach().flatten(1))
        for optimizer, peak in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * peak
            optimizer.step()
        for parameter, matrix in self._folded.items():
            parameter.data.copy_(matrix.detach().view_as(parameter))
            matrix.grad = None
        self.zero_grad()

    def zero_grad(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    def parameters(self) -> list[nn.Parameter]:
        return self._parameters

    def state(self) -> dict[str, Tensor]:
        """Every state tensor under ``key.parameter_name``, for example ``exp_avg.blocks.0.mlp.weight``."""
        return {f"{key}.{self._names[p]}": value for p, state in self._states() for key, value in state.items()}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Restores what :meth:`state` returned.

        Raises:
            KinemaError: a tensor belongs to no parameter of this module.
        """
        owners = {name: (optimizer, p) for optimizer, p, name in self._owned()}
        for full_name, tensor in tensors.items():
            key, _, name = full_name.partition(".")
            if name not in owners:
                raise KinemaError(f"the checkpoint holds optimizer state for {name!r}, which this module lacks")
            optimizer, parameter = owners[name]
            # Fused AdamW wants the parameter's memory format; its step counter is a scalar.
            matches = tensor.shape == parameter.shape
            optimizer.state[parameter][key] = torch.empty_like(parameter).copy_(tensor) if matches else tensor.clone()

    def _owned(self) -> Iterator[tuple[torch.optim.Optimizer, nn.Parameter, str]]:
        for optimizer, _ in self._optimizers:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    yield optimizer, parameter, self._names[parameter]

    def _states(self) -> Iterator[tuple[nn.Parameter, dict[str, Tensor]]]:
        for optimizer, parameter, _ in self._owned():
            yield parameter, optimizer.state.get(parameter, {})
