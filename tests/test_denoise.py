"""Laws of the one function that denoises, with the packaged model on made and real images."""

import dataclasses
import json
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_ne_denoise
from napari_ne_denoise import Denoiser, NEDenoiseError, adaptive_filter, denoise, iter_denoise, load_denoiser, measure_equivariance
from napari_ne_denoise.core import device as devices
from napari_ne_denoise.core import inference, pixels, precision, run
from napari_ne_denoise.core.equivariance import with_normalisation
from napari_ne_denoise.core.errors import ComputationError, DeviceError, ImageError, SettingsError
from napari_ne_denoise.core.inference import prepare_denoising
from napari_ne_denoise.core.interruption import Interrupted, interruptible
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.models.files import write_model
from napari_ne_denoise.core.models.registry import PACKAGE_FOLDER
from napari_ne_denoise.core.networks import DRUNet, FDnCNN, NormalizedDenoiser, ShuffleUNet
from napari_ne_denoise.core.statistics import plane_statistics

SAMPLES = PACKAGE_FOLDER.parents[1] / "sample_data"


@pytest.fixture(scope="module")
def actin():
    """A real noisy image, (512, 512) uint8."""
    return tifffile.imread(SAMPLES / "actin_noisy.tif")


def noisy(*shape, seed=0):
    """Blocks with noise."""
    rng = np.random.default_rng(seed)
    clean = np.kron(rng.random([*shape[:-2], *(-(-side // 9) for side in shape[-2:])]), np.ones((9, 9)))[..., : shape[-2], : shape[-1]]
    return clean + 0.2 * rng.standard_normal(shape)


def small_model(build=ShuffleUNet, **choices):
    """An untrained small model."""
    torch.manual_seed(0)
    return Denoiser(build(**choices).eval().requires_grad_(False), ModelCard("small"))


MODELS = {
    "fast": lambda: load_denoiser("fast"),
    "FDnCNN": lambda: small_model(FDnCNN, channels=16, depth=6),
    "DRUNet": lambda: small_model(DRUNet, channels=(8, 16, 24), blocks=1),
    "ordinary": lambda: small_model(ShuffleUNet, mode="ordinary", channels=(16, 32, 60), blocks=1),
    "scale-equiv": lambda: small_model(DRUNet, mode="scale-equiv", channels=(8, 16, 24), blocks=1),
    "WNE": lambda: Denoiser(NormalizedDenoiser(FDnCNN("ordinary", channels=16, depth=6)).eval(), ModelCard("wne")),
}


@pytest.fixture(params=MODELS, ids=str)
def model(request):
    return MODELS[request.param]()


@given(exponent=st.floats(-6, 6), shift=st.floats(-1e6, 1e6), real=st.booleans())
@settings(max_examples=25, deadline=None)
def test_normalization_equivariance_of_the_default_call(exponent, shift, real):
    y = tifffile.imread(SAMPLES / "actin_noisy.tif")[100:260, 200:330].astype(float) if real else noisy(150, 131)
    scale, unit = 10**exponent, y.std()
    expected = denoise(y) + shift * unit
    found = denoise(scale * (y + shift * unit)) / scale
    assert np.abs(found - expected).max() <= 1e-4 * expected.std()


def test_it_denoises_a_real_image(actin):
    clean = tifffile.imread(SAMPLES / "actin_clean.tif").astype(float)

    def error_after_fit(image):  # the two exposures were scaled apart
        slope, offset = np.polyfit(image.ravel().astype(float), clean.ravel(), 1)
        return np.mean((slope * image + offset - clean) ** 2)

    assert error_after_fit(denoise(actin)) < 0.5 * error_after_fit(actin)


def test_flat_noise_becomes_flat():
    y = np.random.default_rng(0).standard_normal((200, 200))
    assert denoise(y).std() < 0.1


@pytest.mark.parametrize("tile_size", [1, 13, 40, 64, 200])
def test_tiled_is_whole_bit_for_bit(model, tile_size):
    y = noisy(70, 61) if tile_size == 1 else noisy(230, 211)
    whole = denoise(y, model=model, tile_size=512)
    np.testing.assert_array_equal(denoise(y, model=model, tile_size=tile_size), whole)


def test_tiled_is_whole_on_a_real_image(actin):
    np.testing.assert_array_equal(denoise(actin, tile_size=72), denoise(actin, tile_size=512))


def test_an_image_alone_is_as_in_a_stack(model):
    stack = noisy(3, 65, 80) * np.array([1, 50, 1e-3])[:, None, None] + np.array([0, 1e4, -3])[:, None, None]
    together = denoise(stack, model=model)
    for plane, found in zip(stack, together, strict=True):
        # an ordinary model's input range is that of the plane for floats
        np.testing.assert_array_equal(found, denoise(plane, model=model))


def test_axes_choose_the_planes():
    y = noisy(3, 40, 50)
    expected = denoise(y)
    np.testing.assert_array_equal(denoise(np.moveaxis(y, 0, -1), channel_axis=-1), np.moveaxis(expected, 0, -1))
    np.testing.assert_array_equal(denoise(np.moveaxis(y, 0, 1), axes="YCX"), np.moveaxis(expected, 0, 1))
    np.testing.assert_array_equal(denoise(y.transpose(0, 2, 1), axes="ZXY"), expected.transpose(0, 2, 1))


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (3, 2), (17, 33), (2, 1, 1, 5, 7)])
def test_odd_sizes(model, shape):
    y = noisy(*shape)
    found = denoise(y, model=model)
    assert found.shape == shape
    assert np.isfinite(found).all()


@pytest.mark.parametrize("value", [0, 7, 200])
def test_a_constant_image_comes_back_as_it_is(value):
    for dtype in ("u1", "i4", "f4", "f8"):
        y = np.full((20, 30), value, dtype)
        np.testing.assert_array_equal(denoise(y), y)
        np.testing.assert_array_equal(denoise(y, model=MODELS["WNE"]()), y)


def test_layout_and_byte_order_do_not_matter(actin):
    y = actin[:90, :101].astype(np.float32)
    expected = denoise(y)
    for other in (np.asfortranarray(y), y.astype(">f4"), np.repeat(np.repeat(y, 2, 0), 3, 1)[::2, ::3], y[::-1][::-1]):
        np.testing.assert_array_equal(denoise(other), expected)
    np.testing.assert_array_equal(denoise(y.astype(np.uint8)), expected)
    np.testing.assert_array_equal(denoise(y.tolist()), denoise(y.astype(float)))
    np.testing.assert_array_equal(denoise(np.ma.array(y)), expected)
    np.testing.assert_array_equal(denoise(torch.from_numpy(y).requires_grad_()), expected)
    assert denoise(y.astype(">u2"), output_dtype="input").dtype == np.dtype(">u2")


@pytest.mark.parametrize("unusual", [lambda x: x.to(torch.bfloat16), lambda x: x.to_sparse()])
def test_a_tensor_that_numpy_does_not_take_is_refused_with_what_to_do(actin, unusual):
    plain = torch.from_numpy(actin[:20, :30].astype(np.float32))
    tensor = unusual(plain)
    with pytest.raises(ImageError, match=r"give image\.to_dense\(\)\.float\(\)"):
        denoise(tensor)
    np.testing.assert_array_equal(denoise(tensor.to_dense().float()), denoise(plain))


def test_the_input_is_untouched_even_if_it_cannot_be_written(model):
    y = noisy(40, 41)
    before = y.copy()
    y.flags.writeable = False
    denoise(y, model=model)
    np.testing.assert_array_equal(y, before)


def test_results_in_the_inputs_own_type(actin):
    exact, rounded = denoise(actin, output_dtype="float64"), denoise(actin, output_dtype="input")
    np.testing.assert_array_equal(rounded, np.clip(np.rint(exact), 0, 255))


def test_lazy_arrays_give_the_same(actin):
    da = pytest.importorskip("dask.array")
    lazy = da.from_array(actin, chunks=(100, 130))
    np.testing.assert_array_equal(denoise(lazy, tile_size=160), denoise(actin, tile_size=160))
    y = actin.astype(float)
    y[300, 400] = np.nan
    with pytest.raises(ImageError, match=r"at least 1 pixel is NaN.*\(300, 400\)"):
        denoise(da.from_array(y, chunks=100))


class Slow:
    """An array-like whose parts are counted as they are read."""

    def __init__(self, pixels, error=None):
        self.pixels, self.error, self.reads = pixels, error, []
        self.shape, self.dtype = pixels.shape, pixels.dtype

    def __getitem__(self, index):
        if self.error is not None:
            raise self.error
        self.reads.append(index)
        return self.pixels[index]


def test_a_lazy_plane_is_read_once(actin):
    lazy = Slow(np.stack([actin, actin]))
    denoise(lazy, tile_size=200)
    assert len(lazy.reads) == 2


def test_a_huge_lazy_plane_is_read_in_windows(actin, monkeypatch):
    monkeypatch.setattr(pixels, "LARGEST_PLANE_READ_ONCE", 1000)
    lazy = Slow(actin.T)
    found = denoise(lazy, tile_size=200, axes="XY")
    np.testing.assert_array_equal(found.T, denoise(actin, tile_size=200))
    assert len(lazy.reads) > 9
    y = actin.astype(np.float32)
    y[300, 400] = np.inf
    with pytest.raises(ImageError, match=r"at least 1 pixel is NaN.*\(400, 300\)"):
        denoise(Slow(y.T), axes="XY")


@pytest.mark.parametrize("error", [RuntimeError("HDF5: can't read chunk"), OSError("network is gone"), KeyError("chunk")])
def test_what_cannot_be_read_is_said_and_is_no_runtime_error(actin, error):
    with pytest.raises(ImageError, match=r"could not be read.*(chunk|gone)"):
        denoise(Slow(actin, error))


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((9, 9), bool), "bool.*mask"),
        (np.zeros((9, 9), complex), "complex128.*abs"),
        (np.array([["a", "b"]]), "integers or floats"),
        (np.zeros((9, 9), object), "integers or floats"),
        (np.zeros(9), "2 to 6 axes"),
        (np.zeros((0, 9)), "empty"),
        (np.zeros((20, 20, 3)), "channel_axis=-1"),
        ("cells.tif", "read the file first"),
        ([[1, 2], [3]], "rows differ in length"),
        (scipy.sparse.csr_array(np.eye(5)), "toarray"),
        (np.ma.masked_invalid([[1.0, np.nan], [2.0, 3.0]]), r"masked pixels.*numpy\.ma\.filled"),
        ([np.ma.masked_less(np.eye(9), 1), np.eye(9)], r"masked pixels.*numpy\.ma\.filled"),
    ],
)
def test_images_that_cannot_be_denoised(image, words):
    with pytest.raises(ImageError, match=words):
        denoise(image)
    with pytest.raises(ImageError, match=words):
        iter_denoise(image)  # at once, not at the first step


def test_nonfinite_pixels_are_counted_and_located():
    y = noisy(2, 30, 31)
    y[0, 3, 4], y[1, 5, 6], y[1, 7, 8] = np.nan, np.inf, -np.inf
    with pytest.raises(ImageError, match=r"3 pixels are NaN or infinite, the first at \(0, 3, 4\).*nonfinite=\"keep\""):
        denoise(y)


def test_nonfinite_pixels_are_given_back():
    y = noisy(60, 61)
    clean = y.copy()
    y[20, 20], y[30, 31], y[0, 0] = np.nan, np.inf, -np.inf
    found = denoise(y, nonfinite="keep", tile_size=24)
    np.testing.assert_array_equal(found, denoise(y, nonfinite="keep"))
    bad = ~np.isfinite(y)
    np.testing.assert_array_equal(found[bad], y[bad])
    assert np.abs(found - denoise(clean))[~bad].max() < 0.5
    assert np.isnan(denoise(np.full((4, 5), np.nan), nonfinite="keep")).all()
    np.testing.assert_array_equal(denoise(clean, nonfinite="keep"), denoise(clean))


def test_floats_are_clipped_and_not_made_infinite():
    y = np.full((40, 40), 60000, np.float16)
    y[10:20, 10:20] = 65504
    assert np.isfinite(denoise(y, output_dtype="input")).all()
    huge = noisy(30, 30) * 1e300
    huge[4, 4] = np.inf
    found = denoise(huge, output_dtype="float32", nonfinite="keep")
    assert np.isinf(found[4, 4])
    assert np.isfinite(found).sum() == found.size - 1


def test_steps_cover_the_image_once_and_can_be_stopped():
    # which tiles "auto" repeats in float32 depends on the tiles, and on whether this CPU has a fast half precision at all
    y, exactly = noisy(2, 100, 90), {"precision": "float32"}
    expected, count, last = denoise(y, **exactly), np.zeros(y.shape, int), 0
    for step in iter_denoise(y, tile_size=32, **exactly):
        count[step.index] += 1
        assert last < step.done <= step.total == y.size
        last = step.done
        np.testing.assert_array_equal(step.values, expected[step.index])
    assert (count == 1).all()
    assert last == y.size
    stopped = iter_denoise(y, tile_size=32)
    next(stopped)
    stopped.close()


def test_steps_begin_where_they_are_asked_to():
    step = next(iter_denoise(noisy(3, 100, 90), tile_size=32, start_at=(1, 70, 5)))
    assert step.index == (1, slice(64, 96), slice(0, 32))


def test_steps_cannot_begin_outside():
    with pytest.raises(SettingsError, match="outside the image"):
        iter_denoise(noisy(30, 40), start_at=(30, 0))


def test_sigma_for_those_who_need_it():
    noise_map = small_model(FDnCNN, blind=False, channels=8, depth=4)
    y = noisy(40, 40)
    with pytest.raises(SettingsError, match="blind"):
        denoise(y, sigma=0.1)
    with pytest.raises(SettingsError, match="needs the noise level"):
        denoise(y, model=noise_map, noise="none")
    np.testing.assert_allclose(denoise(50 * y - 9, model=noise_map, sigma=5.0), 50 * denoise(y, model=noise_map, sigma=0.1) - 9, atol=1e-3)


def test_warns_once_where_the_dtype_is_too_coarse():
    coarse = (noisy(2, 40, 40) + 1e7).astype(np.float32)
    with pytest.warns(UserWarning, match="float32 can tell only steps of 1") as caught:
        denoise(coarse)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        denoise(coarse.astype(float) + noisy(2, 40, 40))
        denoise((noisy(40, 40) * 30 + 100).astype(np.uint8))
        denoise(np.arange(15, dtype=np.uint16).reshape(3, 5))  # whose noise is what rounding leaves of a slope
        denoise(np.full((30, 30), 1e9, np.float32))
    with pytest.warns(UserWarning, match="int64 can tell only steps of 16"):
        denoise((noisy(40, 40) * 50).astype(np.int64) + 10**17)


def test_an_ordinary_model_gets_a_declared_range():
    ordinary = MODELS["ordinary"]()
    y = (noisy(64, 64) * 60 + 90).clip(0, 255).astype(np.uint8)
    as_floats = denoise(y.astype(float), model=ordinary)
    assert np.abs(denoise(y, model=ordinary) - as_floats).max() > 1e-3  # 0…255 against min…max: the choice matters
    decided = prepare_denoising(y, model=ordinary).provenance["decided"]
    assert decided["input_range"] == (0, 255)


class FailsOn(torch.nn.Module):
    """A stand-in for a device that cannot compute large windows."""

    def __init__(self, network, most, error):
        super().__init__()
        self.network, self.most, self.error = network, most, error

    def forward(self, x, *others):
        if x.shape[-1] * x.shape[-2] > self.most:
            raise self.error
        return self.network(x, *others)


def failing(monkeypatch, most, error):
    model = small_model(FDnCNN, channels=8, depth=4)
    on = Denoiser.on
    monkeypatch.setattr(Denoiser, "on", lambda self, *where: FailsOn(on(self, *where), most, error))
    return model


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("[enforce] can't allocate memory")]
)
def test_out_of_memory_means_smaller_tiles(monkeypatch, error):
    y = noisy(2, 100, 130)
    expected = denoise(y, model=small_model(FDnCNN, channels=8, depth=4))
    run = prepare_denoising(y, model=failing(monkeypatch, 50 * 50, error), tile_size=200)
    result = np.zeros(y.shape)
    for step in run.steps():
        result[step.index] += step.values
    np.testing.assert_array_equal(result, expected)
    assert run.tile_size <= 50
    assert run.provenance["decided"]["tile_size"] == run.tile_size


def test_out_of_memory_first_means_fewer_planes_at_once(monkeypatch):
    class FailsOnMany(torch.nn.Module):
        def forward(self, x, *_):
            if len(x) > 2:
                raise MemoryError
            counts.append(len(x))
            return 0.9 * x

    counts = []
    monkeypatch.setattr(Denoiser, "on", lambda *_: FailsOnMany())
    y = noisy(5, 30, 31)
    run = prepare_denoising(y, model=small_model(FDnCNN, channels=8, depth=4), tile_size=64)
    assert [step.index[0] for step in run.steps()] == [0, 1, 2, 3, 4]
    assert counts == [2, 2, 2]  # a single small plane is computed twice
    assert run.tile_size == 64


def test_a_model_that_looks_at_everything_gets_whole_planes():
    everything = Denoiser(NormalizedDenoiser(torch.nn.Conv2d(1, 1, 3, padding=1)).eval(), ModelCard("everything"))
    run = prepare_denoising(noisy(150, 90), model=everything)
    assert len(list(run.steps(first_side=None))) == 1


def test_out_of_memory_for_the_smallest_tile_is_an_error(monkeypatch):
    with pytest.raises(DeviceError, match="smallest tile"):
        denoise(noisy(40, 40), model=failing(monkeypatch, 0, MemoryError()))


def test_no_runtime_error_leaves_the_core(monkeypatch):
    """superqt drops a RuntimeError that a generator worker raises."""
    with pytest.raises(ComputationError, match="device went away"):
        denoise(noisy(40, 40), model=failing(monkeypatch, 0, RuntimeError("device went away")))


def test_devices(monkeypatch):
    assert devices.choose_device("cpu") == torch.device("cpu")
    assert devices.list_devices()[-1].name == "cpu"
    with pytest.raises(DeviceError, match=r"no such device; choose from .*'cpu'"):
        devices.choose_device("tpu")
    broken = devices.DeviceReport("cuda:0", "NVIDIA card", "a test computation on it failed (boom); use 'cpu'.")
    monkeypatch.setattr(devices, "list_devices", lambda: (broken, devices.DeviceReport("cpu", "CPU")))
    assert devices.choose_device("auto") == torch.device("cpu")
    with pytest.raises(DeviceError, match="boom"):
        devices.choose_device("cuda")


@pytest.mark.parametrize(
    "words",
    [
        "DefaultCPUAllocator: not enough memory: you tried",
        "Invalid buffer size: 20.00 GiB",
        "CUBLAS_STATUS_ALLOC_FAILED",
        "HIP out of memory",
    ],
)
def test_every_wording_of_out_of_memory_is_understood(words):
    assert devices.is_out_of_memory(RuntimeError(words))
    assert not devices.is_out_of_memory(RuntimeError("device went away"))


def test_threads_share_one_model_and_its_results():
    inference._open_registered.cache_clear()
    y = noisy(60, 60)
    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(lambda _: load_denoiser("fast"), range(4)))
        results = list(pool.map(lambda model: denoise(y, model=model), models))
        filters = list(pool.map(lambda model: adaptive_filter(y, (30, 30), model=model).weights, models))
    assert len({id(model) for model in models}) == 1
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])
    for other in filters[1:]:
        np.testing.assert_array_equal(other, filters[0])


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_is_close(precision, actin):
    exact, half = denoise(actin, precision="float32"), denoise(actin, precision=precision)
    assert 0 < np.sqrt(np.mean((half - exact) ** 2)) < 0.03 * actin.std()


@pytest.fixture
def every_half_is_fast(monkeypatch):
    """As on a machine that computes half precision in hardware."""
    monkeypatch.setattr(precision, "is_faster", lambda *_: True)


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def precision_of(y, **choices):
    run = prepare_denoising(y, **choices)
    list(run.steps())
    return run.provenance["decided"]["precision"]


@pytest.mark.parametrize("noise", [0.003, 0.01, 0.03, 0.1, 0.3, 1, 3])
@pytest.mark.parametrize("halves", [["float16", "bfloat16"], ["bfloat16"]])
def test_auto_takes_half_only_where_it_is_harmless(every_half_is_fast, actin, noise, halves):
    model = load_denoiser("fast")
    errors = {name: model.card.half_errors[name] for name in halves}
    model = Denoiser(model.network, dataclasses.replace(model.card, half_errors=errors))
    clean = tifffile.imread(SAMPLES / "actin_clean.tif")[:256, :256].astype(float)
    y = clean + noise * clean.std() * np.random.default_rng(0).standard_normal(clean.shape)
    exact, auto = denoise(y, model=model, precision="float32"), denoise(y, model=model)
    taken = precision_of(y, model=model)
    if noise > 200 * errors[halves[0]]:
        assert taken == halves[0]
    assert rms(auto - exact) <= 0.05 * rms(y - exact)
    assert 10 * np.log10(rms(auto - clean) / rms(exact - clean)) <= 0.01  # half of 0.02 dB: these are no squares
    if taken == "float32":
        np.testing.assert_array_equal(auto, exact)


def test_strong_noise_is_computed_in_half(every_half_is_fast):
    y = noisy(100, 90)
    assert precision_of(y) == precision_of(1e-4 * y + 1e3) == "float16"
    assert precision_of(y, precision="float32") == "float32"
    # nobody has measured what it would cost this model
    assert precision_of(y, model=MODELS["FDnCNN"]()) == "float32"


def test_a_dim_field_beside_a_bright_one_is_computed_in_float32(every_half_is_fast):
    y = noisy(256, 300)
    y[:, 150:] = 1e4 * noisy(256, 150, seed=1)
    assert precision_of(y) == precision_of(y + 1e5) == "float32"
    # even if the dim one is small, or the only one that is not constant
    y[:, 140:] = 1e4 * noisy(256, 160, seed=1)
    assert precision_of(y[:, 20:]) == "float32"


def test_each_plane_has_its_own_precision(every_half_is_fast):
    strong, weak = noisy(40, 41), np.kron(np.arange(30.0).reshape(5, 6), np.ones((8, 8)))[:40, :41] + 1e-3 * noisy(40, 41)
    stack = np.stack([strong, weak, strong])
    assert precision_of(stack) == "float16 (66.67 %), float32 (33.33 %)"
    for plane, found in zip(stack, denoise(stack), strict=True):
        np.testing.assert_array_equal(found, denoise(plane))


def test_half_precision_is_dropped_where_it_overflows(every_half_is_fast):
    y = noisy(1200, 1200)
    y[140, 140] = 1e7  # not in any block that statistics are taken from
    assert plane_statistics(lambda r, c: y[r, c], y.shape).std < 1
    found = denoise(y, precision="float16")
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, denoise(y, precision="float32"))


def test_float16_has_room_for_features_far_larger_than_the_image(every_half_is_fast, monkeypatch):
    y = noisy(60, 70)
    monkeypatch.setattr(Denoiser, "on", lambda self, *_: lambda x, *_: (x * 60000) * (0.5 / 60000))
    run = prepare_denoising(y)
    (step,) = run.steps()
    assert run.precisions.used[torch.float16] == y.size
    np.testing.assert_allclose(step.values - y.mean(), (y - y.mean()) / 2, atol=2e-3 * y.std())


def test_float16_leaves_the_unit_of_a_wrapped_ordinary_network_alone():
    twin = load_denoiser("ordinary-twin")
    wrapped = Denoiser(NormalizedDenoiser(twin.network), dataclasses.replace(twin.card, name="wrapped"))
    y = noisy(60, 70)
    exact, half = (denoise(y, model=wrapped, precision=precision) for precision in ("float32", "float16"))
    assert rms(half - exact) < 0.02 * rms(y - exact)


@pytest.mark.parametrize("halves", [["float16"], ["bfloat16"]])
@pytest.mark.parametrize("brightness", [300, 3000])
def test_half_precision_is_dropped_beside_a_bright_object_that_statistics_missed(every_half_is_fast, halves, brightness):
    model, y = load_denoiser("fast"), np.random.default_rng(0).standard_normal((1200, 1200))
    model = Denoiser(model.network, dataclasses.replace(model.card, half_errors={name: model.card.half_errors[name] for name in halves}))
    y[130:150, 130:150] += brightness  # between the blocks
    assert plane_statistics(lambda r, c: y[r, c], y.shape).std < 1.1
    exact, auto = (denoise(y[:400, :400], model=model, precision=precision) for precision in ("float32", "auto"))
    run = prepare_denoising(y, model=model, tile_size=400)
    corner = next(step.values for step in run.steps() if step.index[0].start == step.index[1].start == 0)
    assert rms(corner - denoise(y, model=model, precision="float32", tile_size=400)[: len(corner), : corner.shape[1]]) <= 0.01
    assert rms(auto - exact) <= 0.05 * rms(y[:400, :400] - exact)


def test_half_precision_is_dropped_where_hardly_anything_is_removed(every_half_is_fast, monkeypatch):
    y = noisy(60, 70)
    monkeypatch.setattr(Denoiser, "on", lambda self, *_: lambda x, *_: 0.998 * x)
    run = prepare_denoising(y)
    list(run.steps())
    assert run.precisions.used[torch.float16] == 0


def test_a_device_that_cannot_compute_in_half_is_not_made_to(monkeypatch):
    monkeypatch.setattr(precision, "_trial", lambda dtype, device: {torch.float32: 1.0, torch.float16: 0.9, torch.bfloat16: 0.3}[dtype])
    precision._found_faster.cache_clear()
    try:
        errors = {"float16": 0.001, "bfloat16": 0.01}
        assert list(precision.choose_precisions("auto", torch.device("cpu"), errors).halves) == [torch.bfloat16]
        monkeypatch.setattr(precision, "_trial", lambda *_: (_ for _ in ()).throw(RuntimeError("not implemented for Half")))
        precision._found_faster.cache_clear()
        assert not precision.choose_precisions("auto", torch.device("cpu"), errors).halves
    finally:
        precision._found_faster.cache_clear()


def test_a_busy_machine_chooses_no_other_precision(monkeypatch):
    now, count = 0.0, 0

    def convolve(y, *_, **__):
        nonlocal now, count
        count += 1
        suspended = y.dtype == torch.float16 and count % 3  # two times of three another process has the processor
        now += {torch.float32: 2.0, torch.float16: 1.0}[y.dtype] + 10.0 * bool(suspended)
        return y

    monkeypatch.setattr(precision, "F", SimpleNamespace(conv2d=convolve))
    monkeypatch.setattr(precision, "time", SimpleNamespace(perf_counter=lambda: now))
    precision._found_faster.cache_clear()
    try:
        assert precision.is_faster(torch.float16, torch.device("cpu"))
    finally:
        precision._found_faster.cache_clear()


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("tile_size", [40, 96])
def test_tiles_are_exact_in_half_precision_too(half, tile_size):
    """On a CPU that computes half precision in hardware; in particular the strided convolutions."""
    if not precision.is_faster(half, torch.device("cpu")):
        pytest.skip(f"this CPU has no fast {half}: precision='auto' never takes it here, and how torch emulates it is not ours to promise")
    y, settings = noisy(230, 211), {"device": "cpu", "precision": str(half).removeprefix("torch.")}
    np.testing.assert_array_equal(denoise(y, tile_size=tile_size, **settings), denoise(y, tile_size=512, **settings))


def test_many_small_planes_are_computed_together(monkeypatch):
    sizes, run_network = [], run.DenoisingRun._run_network
    monkeypatch.setattr(
        run.DenoisingRun, "_run_network", lambda self, pixels, *how: sizes.append(len(pixels)) or run_network(self, pixels, *how)
    )
    monkeypatch.setattr(run, "PIXELS_AT_ONCE", 5 * 30 * 31)
    stack = noisy(2, 6, 30, 31)
    together = denoise(stack)
    assert sizes == [5, 5, 2]
    np.testing.assert_array_equal(together[1, 4], denoise(stack[1, 4]))
    denoise(noisy(3, 90, 90))
    assert sizes[4:] == [1, 1, 1]


def test_a_small_piece_comes_first_and_large_ones_follow():
    y = noisy(1500, 1400)
    steps = list(iter_denoise(y, start_at=(700, 1390), tile_size=1500))
    assert [step.values.shape for step in steps] == [(512, 512), (512, 888), (440, 1400), (548, 1400)]
    assert steps[0].index == (slice(440, 952), slice(888, 1400))
    count, result = np.zeros(y.shape, int), np.empty(y.shape)
    for step in steps:
        count[step.index] += 1
        result[step.index] = step.values
    assert (count == 1).all()
    np.testing.assert_array_equal(result, denoise(y))
    assert len(list(prepare_denoising(y, tile_size=1500).steps(first_side=None))) == 1


def test_work_that_nobody_wants_any_more_ends_within_a_layer():
    model, stop, layers = small_model(FDnCNN, channels=8, depth=9), threading.Event(), []
    network = model.on(torch.device("cpu"), torch.float32)

    def third(*_):
        layers.append(1)
        if len(layers) == 3:
            stop.set()

    for part in network.fdncnn:
        part.register_forward_hook(third)
    with interruptible(stop), pytest.raises(Interrupted):
        denoise(noisy(60, 60), model=model)
    assert 3 <= len(layers) <= 4
    assert denoise(noisy(60, 60), model=model).shape == (60, 60)  # others go on


def test_provenance_repeats_the_run(actin):
    run = prepare_denoising(actin, tile_size=100, precision="float32")
    record = json.loads(json.dumps(run.provenance))
    assert record["model"]["sha256"] == load_denoiser("fast").sha256
    decided = {"device": "cpu", "precision": "float32", "tile_size": 100, "output_dtype": "float32", "noise": []}
    assert record["decided"] == decided or record["decided"]["device"] != "cpu"
    assert record["input"] == {"shape": [512, 512], "dtype": "uint8"}
    repeated = prepare_denoising(actin, **record["settings"])
    np.testing.assert_array_equal(next(repeated.steps()).values, next(run.steps()).values)


def test_provenance_names_the_file_of_a_model_and_holds_plain_numbers(tmp_path):
    path = tmp_path / "mine.safetensors"
    write_model(ShuffleUNet(channels=(8, 12), blocks=1), ModelCard("fast"), path)
    y = noisy(2, 40, 41)
    for model in (path, str(path), load_denoiser(path)):
        run = prepare_denoising(y, model=model, tile_size=np.int64(24), channel_axis=np.int8(0))
        record = json.loads(json.dumps(run.provenance))
        assert record["settings"]["model"] == str(path)
        np.testing.assert_array_equal(denoise(y, **record["settings"]), denoise(y, model=model))


def test_a_model_is_not_given_to_a_model():
    with pytest.raises(SettingsError, match="leave model out"):
        load_denoiser("fast")(noisy(9, 9), model="fast")


def test_a_model_that_is_none():
    with pytest.raises(NEDenoiseError, match="fast"):
        denoise(noisy(9, 9), model="faster")
    with pytest.raises(NEDenoiseError, match="no such file"):
        denoise(noisy(9, 9), model="nowhere/model.pth")
    for nothing in (3, None, ""):
        with pytest.raises(NEDenoiseError, match="registered model"):
            denoise(noisy(9, 9), model=nothing)
        with pytest.raises(NEDenoiseError, match="registered model"):
            load_denoiser(nothing)


def test_measure_equivariance_tells_the_laws_apart():
    y = noisy(48, 50)
    norm, scale = measure_equivariance(load_denoiser("fast"), y), measure_equivariance(MODELS["scale-equiv"](), y)
    assert max(norm.scale, norm.shift, norm.both) < 1e-4
    assert scale.scale < 1e-4
    assert scale.shift > 1e-2
    blur = measure_equivariance(lambda image: np.sqrt(np.abs(image)), y)
    assert min(blur.scale, blur.shift, blur.both) > 1e-2


def test_measure_equivariance_of_the_identity_and_of_constants():
    for y in (noisy(8, 9), np.zeros((4, 4)), np.full((3, 3), 7)):
        found = measure_equivariance(lambda image: image.copy(), y)
        assert max(found.scale, found.shift, found.both) < 1e-9


def test_measuring_leaves_the_image_alone_and_refuses_what_is_no_number():
    y = noisy(8, 9)
    before = y.copy()
    measure_equivariance(lambda image: np.add(image, 1, out=image), y)
    np.testing.assert_array_equal(y, before)
    y[0, 0] = np.nan
    with pytest.raises(ImageError, match="NaN"):
        measure_equivariance(lambda image: image, y)


def test_normalisation_changes_only_what_is_not_equivariant():
    y = noisy(40, 40) * 100 + 30
    norm, square = load_denoiser("fast"), np.square
    np.testing.assert_allclose(with_normalisation(norm, y, -1, 5), norm(y), atol=1e-3)
    assert np.abs(with_normalisation(square, y, 0, 1) - with_normalisation(square, y, 0, 255)).max() > 1
    np.testing.assert_array_equal(with_normalisation(square, np.full((2, 2), 3.0), 0, 1), 3)


def test_all_that_takes_long_can_be_followed():
    takes_long = {"adaptive_maps", "denoise", "normalisation_study", "patch_spectrum"}
    assert {f"iter_{name}" for name in takes_long} <= set(napari_ne_denoise.__all__)


def test_public_names_load_and_are_listed():
    for name in napari_ne_denoise.__all__:
        assert getattr(napari_ne_denoise, name)
        assert name in dir(napari_ne_denoise)
    with pytest.raises(AttributeError):
        assert napari_ne_denoise.nothing
