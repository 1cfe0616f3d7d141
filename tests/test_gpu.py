"""The same results on a GPU; skipped where there is none."""

import numpy as np
import pytest
import torch

from napari_ne_denoise import denoise, load_denoiser
from napari_ne_denoise.core import device as devices
from napari_ne_denoise.core.inference import prepare_denoising

pytestmark = pytest.mark.gpu


def noisy(*shape):
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.random([-(-side // 9) for side in shape[-2:]]), np.ones((9, 9)))[: shape[-2], : shape[-1]]
    return blocks + 0.2 * rng.standard_normal(shape)


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
    denoise(noisy(900, 900), device="cuda", precision="float32")
    assert torch.cuda.memory_allocated() <= before


def test_half_precision_on_the_gpu_is_harmless():
    y = noisy(700, 650)
    exact, auto = denoise(y, device="cpu", precision="float32"), denoise(y, device="cuda")
    assert np.sqrt(np.mean((auto - exact) ** 2)) <= 0.05 * np.sqrt(np.mean((y - exact) ** 2))


def test_a_stack_of_small_planes_is_that_of_the_cpu():
    y = noisy(40, 64, 64)
    on_cpu = denoise(y, device="cpu", precision="float32")
    assert np.abs(denoise(y, device="cuda", precision="float32") - on_cpu).max() <= 1e-4 * on_cpu.std()


def test_out_of_memory_is_survived():
    y = noisy(3000, 3000)
    expected = denoise(y, device="cuda", precision="float32", tile_size=1000)
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction(min(0.5e9, free) / total)
    try:
        run = prepare_denoising(y, device="cuda", precision="float32", tile_size=4096)
        found = np.empty(y.shape)
        for step in run.steps():
            found[step.index] = step.values
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert run.tile_size < 3000
    assert np.abs(found - expected).max() <= 1e-4 * expected.std()
