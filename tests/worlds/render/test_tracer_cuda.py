"""The CUDA path on numba's simulator: the kernel's code, interpreted thread by thread, against the compiled CPU one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba.cuda
import numpy as np
import pytest

from kinema.errors import InputError
from kinema.worlds.render import tracer
from kinema.worlds.render.tracer import BOX, PLANKS, SPHERE, Image, PaintLook, VoxelLook, WaterLook
from worlds.render.stills import make_look

UPRIGHT_TB4 = np.tile(np.array([1.0, 0.0, 0.0, 0.0]), (2, 2, 1))
CENTRE_TB3 = np.array([[[-0.3, 0.0, 0.4], [0.5, 0.2, 0.3]], [[-0.3, 0.0, 0.6], [0.4, 0.2, 0.3]]])


def looks() -> list[tracer.Look]:
    """A glass ball and a glossy box on wet planks, and the same in water beside cubes."""
    wavy_TXY = 0.5 + 0.02 * np.sin(np.arange(72.0)).reshape(2, 6, 6)
    look = make_look(
        [(SPHERE, (0.4, 0.4, 0.4)), (BOX, (0.3, 0.2, 0.3))],
        index_B=np.array([1.5, 0.0]),
        gloss_B=np.array([0.0, 0.3]),
        floor_pattern=PLANKS,
        paint=PaintLook(-2.0, 2.0, -2.0, 2.0, np.array([[0.0, 1.0], [np.inf, 0.0]]), np.array([0.1, 0.1, 0.8])),
    )
    voxels = VoxelLook(np.array([0.6, -0.6, 0.0]), 0.3, np.ones((1, 2, 2, 2), np.uint8), np.full((2, 3), 0.5))
    wet = make_look(
        [(SPHERE, (0.4, 0.4, 0.4)), (BOX, (0.3, 0.2, 0.3))],
        water=WaterLook(-1.0, 1.0, -1.0, 1.0, 0.5, wavy_TXY),
        voxels=voxels,
    )
    return [look, wet]


def images(device: str) -> list[Image]:
    return [tracer.render(look, CENTRE_TB3, UPRIGHT_TB4, 8, 8, depth=True, device=device) for look in looks()]


def test_cuda_agrees_with_the_cpu(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    command = [sys.executable, "-m", "worlds.render.test_tracer_cuda", str(tmp_path / "cuda.npz")]
    subprocess.run(command, env=environment, check=True)
    cuda = np.load(tmp_path / "cuda.npz")
    for index, image in enumerate(images("cpu")):
        assert (np.abs(cuda[f"pixels{index}"].astype(int) - image.pixels_THW3) <= 1).all()
        assert np.array_equal(cuda[f"ids{index}"], image.ids_THW)
        assert np.array_equal(cuda[f"visible{index}"], image.visible_TB)
        assert image.depth_THW is not None
        np.testing.assert_allclose(cuda[f"depth{index}"], image.depth_THW, rtol=1e-6)
        assert (image.ids_THW >= 0).any() and np.ptp(image.pixels_THW3) > 60


@pytest.mark.skipif(numba.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_line_says_so() -> None:
    with pytest.raises(InputError, match="use device='cpu'"):
        images("cuda")


def main(path: str) -> None:
    """What the simulator's process does."""
    arrays: dict[str, np.ndarray] = {}
    for index, image in enumerate(images("cuda")):
        assert image.depth_THW is not None
        arrays |= {f"pixels{index}": image.pixels_THW3, f"ids{index}": image.ids_THW}
        arrays |= {f"visible{index}": image.visible_TB, f"depth{index}": image.depth_THW}
    np.savez(path, **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
