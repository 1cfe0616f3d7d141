"""The same results on a GPU; skipped where there is none."""

import numpy as np
import pytest
import torch

from napari_ne_denoise import denoise, load_denoiser
from napari_ne_denoise.core import device as devices

pytestmark = pytest.mark.gpu


def noisy(*shape):
    rng = np.random.default_rng(0)
    return np.kron(rng.random([-(-side // 9) for side in shape]), np.ones((9, 9)))[: shape[0], : shape[1]] + 0.2 * rng.standard_normal(
        shape
    )


def test_float32_on_the_gpu_is_that_of_the_cpu():
    y = noisy(700, 650)
    on_cpu = denoise(y, device="cpu", precision="float32")
    on_gpu = denoise(y, device="cuda", precision="float32")
    assert np.abs(on_gpu - on_cpu).max() <= 1e-4 * on_cpu.std()


def test_auto_takes_the_gpu():
    assert devices.choose_device("auto").type == "cuda"
    assert devices.list_devices()[0].problem is None


def test_memory_is_given_back():
    load_denoiser("fast").on(torch.device("cuda:0"), torch.float32)
    before = torch.cuda.memory_allocated()
    denoise(noisy(900, 900), device="cuda")
    assert torch.cuda.memory_allocated() <= before
