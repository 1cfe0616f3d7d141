"""What GPUs are asked for, as far as a machine without one can tell: a device without numbers stands for them."""

import threading
import weakref

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from napari_ne_denoise import Denoiser, adaptive_maps, denoise, patch_spectrum
from napari_ne_denoise.core import device as devices
from napari_ne_denoise.core import precision, run
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.networks import DRUNet, FDnCNN, ShuffleUNet

NETWORKS = {
    "FDnCNN": lambda: FDnCNN(channels=8, depth=4),
    "ShuffleUNet": lambda: ShuffleUNet(channels=(8, 12, 16), blocks=1),
    "ShuffleUNet ordinary": lambda: ShuffleUNet("ordinary", channels=(8, 12), blocks=1),
    "DRUNet": lambda: DRUNet(channels=(4, 8), blocks=1),
}
MOVES = ("to", "_to_copy", "copy_")
FAKE = torch.device("meta")


def model(name):
    torch.manual_seed(0)
    return Denoiser(NETWORKS[name]().eval().requires_grad_(False), ModelCard(name))


def noisy(*shape):
    return np.random.default_rng(0).standard_normal(shape) + np.indices(shape)[-1] / 10


class FakeGPU(TorchDispatchMode):
    """Lets torch's device without numbers be as strict as an Apple GPU."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, func.overloadpacket.__name__
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        if name in MOVES and given[0].is_meta and torch.device("cpu") in (*args, kwargs.get("device")):
            return torch.full(given[0].shape, 0.5, dtype=kwargs.get("dtype") or given[0].dtype)
        assert name in MOVES or len({x.device for x in given if x.ndim}) < 2, f"{name}: two devices"
        if "conv" in name and given[0].is_meta:
            assert given[0].is_contiguous() or given[0].is_contiguous(memory_format=torch.channels_last), f"{name}: rows with gaps"
        found = func(*args, **kwargs)
        for x in tree_leaves(found):
            if isinstance(x, torch.Tensor) and x.is_meta:
                assert x.dtype != torch.float64, f"{name}: float64"
                assert name != "arange", "is not safe beside another thread"
                self.seen.add(name)
        return found


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(devices, "list_devices", lambda: (devices.DeviceReport("meta", "fake"),))
    with FakeGPU() as mode:
        yield mode


@pytest.mark.parametrize("name", NETWORKS)
def test_a_gpu_is_given_what_any_can_compute(name, gpu):
    denoise(noisy(101, 90), model=model(name), tile_size=40)
    denoise(noisy(3, 33, 30), model=model(name))
    assert "conv2d" in gpu.seen
    if name == "ShuffleUNet":
        denoise(noisy(60, 50), model=model(name), return_std=True)
        adaptive_maps(noisy(60, 50), model=model(name))
        patch_spectrum(noisy(40, 40), (slice(8, 20), slice(8, 20)), model=model(name))


def test_threads_take_turns_on_a_gpu():
    inside, most = [], []

    def compute():
        for _ in range(50):
            with devices.computing_on(torch.device("mps")):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=compute) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 200
    assert max(most) == 1


CHOSEN_BY_OTHERS = {
    "nothing": lambda: None,
    "no TF32": lambda: setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee"),
    "no TF32 in cuDNN": lambda: setattr(torch.backends.cudnn, "fp32_precision", "ieee"),
    "TF32 everywhere": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    "as before torch 2.9": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
    "trials": lambda: setattr(torch.backends.cudnn, "benchmark", True),
}


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="torch before 2.9 has one switch, which it sets back itself")
@pytest.mark.parametrize("choose", CHOSEN_BY_OTHERS.values(), ids=CHOSEN_BY_OTHERS)
def test_cuda_computes_float32_whatever_others_have_chosen(choose):
    cudnn = torch.backends.cudnn
    at_first = torch.backends.fp32_precision, cudnn.fp32_precision, cudnn.conv.fp32_precision, cudnn.benchmark

    def switches():
        return torch.backends.fp32_precision, cudnn.conv.fp32_precision, cudnn.benchmark, cudnn.deterministic

    try:
        choose()
        before = switches()
        with devices.computing_on(torch.device("cuda")):
            assert switches()[1:] == ("ieee", False, True)
        assert switches() == before
        with devices.computing_on(torch.device("cpu")):
            assert switches() == before
    finally:
        torch.backends.fp32_precision, cudnn.fp32_precision, cudnn.conv.fp32_precision, cudnn.benchmark = at_first


def test_a_smoke_test_gives_a_reason():
    assert devices.smoke_test("cpu") is None
    assert "failed" in devices.smoke_test("xpu:7")


def test_a_device_that_computes_wrongly_is_refused(monkeypatch):
    down_and_up = devices._down_and_up
    results = iter([down_and_up, lambda *given: 1.01 * down_and_up(*given)])
    monkeypatch.setattr(devices, "_down_and_up", lambda *given: next(results)(*given))
    assert "wrong result" in devices.smoke_test("cpu")


def test_a_device_that_is_full_is_looked_at_again(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "card")
    problems = iter([devices.FULL, None])
    monkeypatch.setattr(devices, "smoke_test", lambda _: next(problems))
    devices._found_devices.cache_clear()
    try:
        assert devices.list_devices()[0].problem == devices.FULL
        assert [devices.list_devices()[0].problem for _ in range(2)] == [None, None]
    finally:
        devices._found_devices.cache_clear()


def test_a_cuda_that_does_not_start_leaves_the_cpu(monkeypatch):
    def fail(*_):
        raise RuntimeError("CUDA unknown error")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", fail)
    devices._found_devices.cache_clear()
    try:
        assert devices.choose_device("auto") == torch.device("cpu")
        assert "CUDA unknown error" in devices.list_devices()[0].problem
        monkeypatch.setattr(devices, "list_devices", fail)
        assert devices.choose_device("cpu") == torch.device("cpu")
    finally:
        devices._found_devices.cache_clear()


@pytest.mark.parametrize(
    ("cuda", "hip", "visible", "said"),
    [
        (None, None, None, "is a CPU-only build"),
        (None, "6.4", None, "is a build for AMD cards"),
        ("12.6", None, "", "CUDA_VISIBLE_DEVICES hides it"),
        ("12.6", None, None, "cannot use it (driver too old (found version 11040))"),
    ],
)
def test_why_torch_does_not_see_an_nvidia_card_is_said(monkeypatch, cuda, hip, visible, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", lambda: (_ for _ in ()).throw(RuntimeError("driver too old (found version 11040).")))
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(devices.shutil, "which", lambda name: "/usr/bin/" + name)
    (report,) = devices._cuda_devices()
    assert said in report.problem


def test_half_precision_that_is_summed_in_half_is_not_taken(monkeypatch):
    assert precision._is_right(torch.bfloat16, torch.device("cpu"))
    convolve = precision.F.conv2d

    def summed_in_half(x, kernel, **how):
        if x.dtype == torch.float32:
            return convolve(x, kernel, **how)
        parts = [convolve(x[:, one : one + 1], kernel[:, one : one + 1], **how) for one in range(x.shape[1])]
        return sum(parts[1:], start=parts[0])

    monkeypatch.setattr(precision.F, "conv2d", summed_in_half)
    assert not precision._is_right(torch.bfloat16, torch.device("cpu"))


def test_a_full_device_does_not_decide_about_half_precision_for_good(monkeypatch):
    def trial(dtype, _device):
        if not full:
            full.append(1)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return {torch.float32: 2.0, torch.bfloat16: 1.0}[dtype]

    full = []
    monkeypatch.setattr(precision, "_trial", trial)
    precision._found_faster.cache_clear()
    try:
        assert [precision.is_faster(torch.bfloat16, torch.device("cpu")) for _ in range(2)] == [False, True]
    finally:
        precision._found_faster.cache_clear()


def test_planes_that_did_not_fit_are_gone_before_fewer_are_tried(monkeypatch):
    class Kept:
        pass

    alive, sizes, compute = [], [], run.DenoisingRun._run_network

    def full(self, pixels, *how):
        sizes.append(len(pixels))
        assert not any(kept() for kept in alive)
        if len(pixels) > 1:
            kept = Kept()
            alive.append(weakref.ref(kept))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return compute(self, pixels, *how)

    monkeypatch.setattr(run.DenoisingRun, "_run_network", full)
    denoise(noisy(4, 30, 30), model=model("FDnCNN"))
    assert sizes == [4, 2, 1, 1, 2, 1, 1]


def test_maps_take_no_more_of_a_gpu_than_is_free(monkeypatch):
    monkeypatch.setattr(devices, "free_memory", lambda _: 4 * 10**9)
    assert devices.pixels_at_once(torch.device("cuda"), 400.0, 1.6e6) == pytest.approx(625_000)
    assert devices.pixels_at_once(torch.device("cuda"), 10.0, 1.6e6) == 1.6e6
    assert devices.pixels_at_once(torch.device("cpu"), 400.0, 1.6e6) == 1.6e6
