"""Muon for hidden matrices, AdamW for the rest, one learning-rate schedule for both."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kinema.config import TrainConfig
from kinema.train.muon import Muon

ADAMW_BETAS = (0.9, 0.99)


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
    """Muon and AdamW driven as one optimizer, with named state for checkpoints."""

    def __init__(self, module: nn.Module, config: TrainConfig) -> None:
        muon, adamw = split_parameters(module)
        if not config.muon:
            muon, adamw = {}, adamw | muon
        self._names = {parameter: name for name, parameter in (muon | adamw).items()}
        self._optimizers: list[tuple[torch.optim.Optimizer, float]] = []
        if muon:
            self._optimizers.append((Muon(muon.values(), config.muon_lr, config.weight_decay), config.muon_lr))
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
        for optimizer, peak in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * peak
            optimizer.step()
        self.zero_grad()

    def zero_grad(self) -> None:
        for parameter in self._names:
            parameter.grad = None

    def parameters(self) -> list[nn.Parameter]:
        return list(self._names)

    def state(self) -> dict[str, Tensor]:
        """Every state tensor under ``key.parameter_name``, for example ``exp_avg.blocks.0.mlp.weight``.

        The tensors are the optimizer's own, made on the first call or step: whoever changes them changes its state.
        """
        state: dict[str, Tensor] = {}
        for optimizer, _ in self._optimizers:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    owned = optimizer.state[parameter]
                    if not owned:
                        owned |= _fresh_state(optimizer, parameter)
                    state |= {f"{key}.{self._names[parameter]}": tensor for key, tensor in owned.items()}
        return state


def _fresh_state(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> dict[str, Tensor]:
    """What an optimizer would make for a parameter on its first step."""
    if isinstance(optimizer, Muon):
        return {"momentum_buffer": torch.zeros_like(parameter)}
    step = torch.zeros((), dtype=torch.float32, device=parameter.device)  # where fused AdamW wants it
    return {"step": step} | {key: torch.zeros_like(parameter) for key in ("exp_avg", "exp_avg_sq")}
