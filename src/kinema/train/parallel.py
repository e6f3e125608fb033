"""One process or many: who is there, how weights are spread over them, and what they tell each other.

Started alone, a run has one process. Under ``torchrun`` it has as many as torchrun starts, one a GPU (or a CPU, with
gloo). A network is spread from outside: it does not know. Large ones are sharded (FSDP2, ``fully_shard``); small ones
are copied to every process. Either way the processes' losses are parts that add up to the loss of one process with all
the clips, and so do the gradients: FSDP2 divides by the number of processes on NCCL and not on gloo, unless told.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, Replicate
from torch.utils.checkpoint import checkpoint

from kinema.errors import InputError

SHARDED_PARAMETERS = 100_000_000  # two processes of a CPU train nano in 1.55 s a step copied, in 2.0 s sharded
COMPILED_STEPS_CPU = 300  # a step of nano on one core: 1.75 s compiled, 2.15 s not (32 clips, medians)
PATIENCE = timedelta(days=2)  # for a process that makes the latents while the others wait


@dataclass(frozen=True)
class Team:
    """The processes of a run, as one of them sees them."""

    process: int = 0
    processes: int = 1
    device: torch.device = torch.device("cpu")
    mesh: DeviceMesh | None = None  # None if there is one process

    @property
    def leads(self) -> bool:
        """Whether this process writes what is written once."""
        return self.process == 0

    def add(self, values: Sequence[float]) -> list[float]:
        """The sums of numbers over all processes."""
        if self.mesh is None:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)  # a CPU tensor: gloo
        sums: list[float] = total.tolist()
        return sums

    def add_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Replaces tensors by their sums over all processes, in place and in one exchange."""
        if self.mesh is not None:
            flat = torch.cat([tensor.flatten() for tensor in tensors])
            dist.all_reduce(flat)
            for tensor, total in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
                tensor.copy_(total.view(tensor.shape))

    def wait(self) -> None:
        """Until all processes are here."""
        self.add([0.0])


ALONE = Team()


@contextmanager
def assemble() -> Iterator[Team]:
    """The team that torchrun started this process in, or this process alone; on its GPU if the machine has any.

    Raises:
        InputError: there are more processes than GPUs on this machine, or torchrun's variables are incomplete.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if "WORLD_SIZE" not in os.environ:
        yield Team(device=torch.device("cuda", 0) if gpus else torch.device("cpu"))
        return
    try:
        process, processes = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        here, local = int(os.environ.get("LOCAL_WORLD_SIZE", processes)), int(os.environ.get("LOCAL_RANK", process))
    except (KeyError, ValueError) as error:
        raise InputError(
            "WORLD_SIZE is set, but RANK is no number: start with torchrun, or unset WORLD_SIZE"
        ) from error
    if not 0 <= process < processes:
        raise InputError(f"process {process} of {processes} is not possible: let torchrun set RANK and WORLD_SIZE")
    if gpus and here > gpus:
        raise InputError(f"{here} processes on a machine with {gpus} GPUs: give torchrun --nproc-per-node {gpus}")
    device = torch.device("cuda", local) if gpus else torch.device("cpu")
    if gpus:
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=PATIENCE)
    try:
        yield Team(process, processes, device, init_device_mesh(device.type, (processes,)))
    finally:
        dist.destroy_process_group()


def spread(module: nn.Module, team: Team) -> None:
    """Shards a network over the team, block by block; its parts that are called on their own become roots.

    Args:
        module: on the team's device; the direct children of it are what callers call.
        team: if it is of one process, nothing happens.
    """
    if team.mesh is None:
        return
    for child in module.children():
        for block in [*blocks_of(child), child]:
            fully_shard(block, mesh=team.mesh, reshard_after_forward=True)
            assert isinstance(block, FSDPModule)
            block.set_gradient_divide_factor(1.0)
            block.set_force_sum_reduction_for_comms(True)


def is_worth_sharding(module: nn.Module) -> bool:
    """Whether a network is so large that its weights are better shared out over a team than copied to every process."""
    return sum(parameter.numel() for parameter in module.parameters()) >= SHARDED_PARAMETERS


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """The equal parts that a network is a stack of."""
    return [block for name, child in module.named_modules() if name.endswith("blocks") for block in child.children()]


def recompute(module: nn.Module) -> None:
    """Lets every block forget its activations and compute them again in the backward pass."""
    for block in blocks_of(module):
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)


def is_worth_compiling(device: torch.device, steps: int) -> bool:
    """Whether a run of so many steps gains from compiled blocks: on a CPU it takes half a minute and a compiler."""
    return device.type != "cpu" or (
        steps >= COMPILED_STEPS_CPU and shutil.which(os.environ.get("CXX", "g++")) is not None
    )


def compile_blocks(module: nn.Module) -> None:
    """Compiles the parts that blocks name, which lie between their attentions and know tensors only.

    Equal blocks share one compilation, sizes may change between steps, and the attentions are faster as they are.
    """
    for block in blocks_of(module):
        for part in getattr(block, "PARTS", ()):
            setattr(block, part, torch.compile(getattr(block, part), dynamic=True))


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor that may be sharded; shares its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be sharded; every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shared_out(work: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """What a function makes of rows, each alone: every process does its part, and they tell each other.

    Rows that do not go around are done by all of them.

    Args:
        work: rows to as many rows.
        rows: the same in every process; all must ask.
    """
    processes = dist.get_world_size() if dist.is_initialized() else 1
    each = len(rows) // processes
    if processes == 1 or not each:
        return work(rows)
    mine = work(rows[dist.get_rank() * each :][:each]).contiguous()
    done = mine.new_empty(processes * each, *mine.shape[1:])
    dist.all_gather(list(torch.split(done, each)), mine)
    rest = rows[processes * each :]
    return torch.cat([done, work(rest)]) if len(rest) else done


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """A tensor that every process holds, sharded as another one is."""
    if not isinstance(like, DTensor):
        return tensor
    replicated = DTensor.from_local(tensor, like.device_mesh, [Replicate()], run_check=False)
    result: Any = replicated.redistribute(placements=like.placements)
    sharded: Tensor = result
    return sharded
