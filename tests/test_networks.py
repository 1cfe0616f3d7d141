"""Laws of the networks alone, in float64 and without any normalisation around them; then the published outputs."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.networks import (
    AffineConv2d,
    AffineConvTranspose2d,
    AffineResidual,
    DRUNet,
    FDnCNN,
    NormalizedDenoiser,
    ShuffleUNet,
    SortPool,
)
from napari_ne_denoise.core.networks.blocks import mirror_to_multiple
from napari_ne_denoise.core.networks.layers import rectified_chain, sorted_chain

NORM_EQUIV = {
    "FDnCNN": lambda: FDnCNN(channels=8, depth=5),
    "DRUNet": lambda: DRUNet(channels=(4, 8, 8), blocks=1),
    "ShuffleUNet": lambda: ShuffleUNet(channels=(8, 12), blocks=1),
    "ShuffleUNet, 4×4 blocks": lambda: ShuffleUNet(channels=(8, 12), blocks=1, scale=4),
}
ALL = {
    **NORM_EQUIV,
    "WNE": lambda: NormalizedDenoiser(ordinary()),
    "FDnCNN ordinary": lambda: ordinary(),
    "DRUNet scale-equiv": lambda: DRUNet("scale-equiv", channels=(4, 8, 8), blocks=1),
    "ShuffleUNet ordinary": lambda: ShuffleUNet("ordinary", channels=(8, 12), blocks=1),
}


def ordinary():
    return FDnCNN("ordinary", channels=8, depth=5)


def double(network):
    """Random weights large enough that every layer matters and small enough that no digit is lost, in float64."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.7 * parameter[0].numel() ** -0.5 if parameter.ndim == 4 else 0.3))
    return network.double().eval()


def image(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


@pytest.fixture(params=NORM_EQUIV, ids=str)
def norm_equiv(request):
    return double(NORM_EQUIV[request.param]())


@pytest.fixture(params=ALL, ids=str)
def network(request):
    return double(ALL[request.param]())


@given(
    scale=st.floats(1e-6, 1e6),
    shift=st.floats(-1e4, 1e4),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    name=st.sampled_from([*NORM_EQUIV, "WNE"]),
)
@settings(max_examples=60, deadline=None)
def test_normalization_equivariance(scale, shift, height, width, name):
    network = double(ALL[name]())
    y = image(2, 1, height, width, seed=height * 41 + width)
    with torch.no_grad():
        output = network(y)
        found = network(scale * y + shift * scale)
    expected = scale * (output + shift)
    spread = scale * max(1.0, float(output.std(correction=0)))
    # float64 itself loses digits at an offset of many standard deviations
    assert (found - expected).abs().max() <= 1e-9 * spread * max(1.0, abs(shift) / 100)


@pytest.mark.parametrize(
    "make", [lambda: FDnCNN(blind=False, channels=8, depth=5), lambda: DRUNet(blind=False, channels=(4, 8, 8), blocks=1)]
)
def test_equivariance_with_a_noise_level(make):
    network, y = double(make()), image(2, 1, 19, 24)
    sigma = torch.tensor([0.3, 0.7], dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(network(50 * y - 7, 50 * sigma), 50 * network(y, sigma) - 7, rtol=0, atol=1e-9 * 50)


def local_error(network, size=160):
    """Error of adding 5 std to a region, farther than the reach from its edge and from the image's border."""
    reach = network.reach
    y = image(1, 1, size + 4 * reach, size + 4 * reach)
    inside = slice(reach, y.shape[-1] // 2 + reach)
    raised = y.clone()
    raised[..., inside] += 5
    with torch.no_grad():
        change = network(raised) - network(y)
    rows = slice(reach, y.shape[-2] - reach)
    within = change[..., rows, slice(inside.start + reach, inside.stop - reach)] - 5
    beyond = change[..., rows, slice(inside.stop + reach, y.shape[-1] - reach)]
    assert within.numel()
    assert beyond.numel()
    return max(float(within.abs().max()), float(beyond.abs().max()))


def test_equivariance_is_local(norm_equiv):
    assert local_error(norm_equiv) < 1e-9


def test_a_global_wrapper_is_not_local():
    assert local_error(double(NormalizedDenoiser(ordinary()))) > 1e-3


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (2, 2), (13, 17), (24, 16), (30, 29)])
def test_filters_sum_to_one_everywhere(norm_equiv, shape):
    """J·1 = 1, borders included, when the image's mean is part of the function."""
    y, ones = image(1, 1, *shape), torch.ones(1, 1, *shape, dtype=torch.float64)
    _, sums = torch.autograd.functional.jvp(norm_equiv, y, ones)
    torch.testing.assert_close(sums, ones, rtol=0, atol=1e-10)


def test_output_is_filter_times_image(norm_equiv):
    y = image(1, 1, 21, 22)
    output, product = torch.autograd.functional.jvp(norm_equiv, y, y)
    torch.testing.assert_close(product, output, rtol=0, atol=1e-10)


def test_alone_as_in_a_batch(network):
    batch = torch.cat([image(1, 1, 18, 21, seed=seed) * (1 + seed) + 10 * seed for seed in range(3)])
    with torch.no_grad():
        together, alone = network(batch), torch.cat([network(one[None]) for one in batch])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-11)


@pytest.mark.parametrize("shape", [(1, 1), (1, 23), (40, 1), (31, 18)])
def test_any_size_and_inference_form(network, shape):
    y = image(2, 1, *shape)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    fast = network.for_inference()
    with torch.no_grad():
        expected = network(y)
        torch.testing.assert_close(fast(y), expected, rtol=0, atol=1e-10)
    assert expected.shape == y.shape
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    assert not any(isinstance(module, SortPool) for module in fast.modules())


@pytest.mark.parametrize(("rows", "columns"), [((0, 61), (0, 50)), ((13, 14), (49, 50)), ((20, 47), (5, 31)), ((0, 9), (40, 50))])
def test_a_window_is_that_of_the_whole(network, rows, columns):
    y, window = image(2, 1, 61, 50), (slice(*rows), slice(*columns))
    with torch.no_grad():
        for form in (network, network.for_inference()):
            torch.testing.assert_close(form(y, window=window), form(y)[..., window[0], window[1]], rtol=0, atol=1e-11)


def test_training_form_is_the_same_function(network):
    y = image(2, 1, 17, 20)
    with torch.no_grad():
        torch.testing.assert_close(network.for_training()(y), network(y), rtol=0, atol=1e-11)
        torch.testing.assert_close(network.for_training().for_inference()(y), network(y), rtol=0, atol=1e-11)


@pytest.mark.parametrize("shape", [(17, 20), (1, 9), (2, 2), (1, 1)])
def test_gradients_of_the_training_form(norm_equiv, shape):
    """By the image, as those of the published form; by the weights, as finite differences have them."""
    y = image(2, 1, *shape).requires_grad_()
    form = norm_equiv.for_training()
    expected, found = (torch.autograd.grad(one(y).pow(3).sum(), y)[0] for one in (norm_equiv, form))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    loss = form(y).pow(3).sum()
    loss.backward()
    for parameter in form.parameters():
        step = 1e-7 * torch.randn_like(parameter)
        with torch.no_grad():
            parameter += step
            change = form(y).pow(3).sum()
            parameter -= 2 * step
            change = (change - form(y).pow(3).sum()) / 2
            parameter += step
        assert float(change) == pytest.approx(float((parameter.grad * step).sum()), rel=1e-4, abs=1e-12 * float(loss.detach().abs()))


def test_what_was_learned_comes_back(norm_equiv):
    form, y = norm_equiv.for_training(), image(2, 1, 18, 23)
    with torch.no_grad():
        for parameter in form.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
        learned = form(y)
        assert (learned - norm_equiv(y)).abs().max() > 1e-3
        norm_equiv.adopt(form)
        torch.testing.assert_close(norm_equiv(y), learned, rtol=0, atol=1e-11)
        torch.testing.assert_close(form(3 * y - 5), 3 * learned - 5, rtol=0, atol=1e-10)


def test_the_narrowest_network():
    network, y = double(ShuffleUNet(channels=(2, 2), blocks=1)), image(1, 1, 20, 24)
    with torch.no_grad():
        torch.testing.assert_close(network.for_inference()(y), network(y), rtol=0, atol=1e-11)


def test_noise_maps_come_back_too():
    network = double(FDnCNN(blind=False, channels=8, depth=4))
    form, y = network.for_training(), image(1, 1, 12, 13)
    with torch.no_grad():
        for parameter in form.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
        network.adopt(form)
        torch.testing.assert_close(network(y, 0.4), form(y, 0.4), rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", [*NORM_EQUIV, "DRUNet scale-equiv", "ShuffleUNet ordinary"])
def test_reach_is_enough_and_not_much_more(name):
    """No pixel beyond the reach has weight in a filter; the declared reach is at most a stride too long."""
    network = double(ALL[name]())
    size = 2 * network.reach + 4 * network.stride
    farthest = 0
    for offset in range(network.stride):
        y = image(1, 1, size, size).requires_grad_()
        at = size // 2 // network.stride * network.stride + offset
        (weights,) = torch.autograd.grad(network(y, mean=0.0)[0, 0, at, at], y)
        rows, columns = np.nonzero(weights[0, 0].numpy())
        farthest = max(farthest, *(abs(found - at) for found in (*rows, *columns)))
    assert network.reach - network.stride < farthest <= network.reach


@pytest.mark.parametrize("side", [1, 2, 7, 20, 41])
def test_our_network_sees_nothing_but_the_image(side):
    """No filter has weight on the image's mean, at borders and in small images neither."""
    network, y = double(ShuffleUNet(channels=(8, 12), blocks=1)), image(1, 1, side, 24)
    with torch.no_grad():
        assert torch.equal(network(y, mean=3.0), network(y, mean=-1e6))


def test_a_dim_part_does_not_depend_on_a_bright_one_out_of_reach():
    network = double(ShuffleUNet(channels=(8, 12), blocks=1))
    y = image(1, 1, 40, 4 * network.reach)
    brighter = torch.cat((y[..., : 2 * network.reach], 1e6 * y[..., 2 * network.reach :]), -1)
    seen = slice(0, network.reach)
    with torch.no_grad():
        assert torch.equal(network(brighter)[..., seen], network(y)[..., seen])


def test_a_side_that_does_not_fit_is_continued_by_its_mirror_image():
    y = torch.arange(5.0).reshape(1, 1, 1, 5)
    assert mirror_to_multiple(y, 8)[0, 0].tolist() == [[0.0, 1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0]] * 8
    assert mirror_to_multiple(y[..., :2], 8)[0, 0, 0].tolist() == [0.0, 1.0] * 4
    assert mirror_to_multiple(y.expand(1, 1, 8, 5)[..., :4], 4).shape == (1, 1, 8, 4)


def test_drunet_pads_with_each_images_own_mean_differentiably():
    network = double(DRUNet(channels=(4, 8, 8), blocks=1))
    y = image(1, 1, 13, 11).requires_grad_()
    (weights,) = torch.autograd.grad(network(y)[0, 0, 12, 10], y)
    assert float(weights.sum()) == pytest.approx(1, abs=1e-10)


def test_constant_images_come_back_from_the_wrapper():
    network = NormalizedDenoiser(ordinary())
    x = torch.full((2, 1, 9, 8), 0.1)
    x[1] = -3e7
    assert torch.equal(network(x), x)


def test_the_wrapper_takes_any_module():
    network, y = NormalizedDenoiser(torch.nn.Sequential(torch.nn.Conv2d(2, 2, 3, padding=1), torch.nn.Tanh())).double(), image(3, 2, 12, 13)
    with torch.no_grad():
        torch.testing.assert_close(network(40 * y - 9), 40 * network(y) - 9, rtol=0, atol=1e-9)


def test_wrapper_takes_tiny_units():
    network, y = NormalizedDenoiser(ordinary()).eval(), image(1, 1, 16, 16).float()
    with torch.no_grad():
        torch.testing.assert_close(network(y * 1e-20) * 1e20, network(y), rtol=0, atol=1e-4)


def test_sort_pool_sorts_pairs_of_neighbouring_channels():
    x = torch.tensor([3.0, 1.0, -2.0, 5.0]).reshape(1, 4, 1, 1)
    assert SortPool()(x).flatten().tolist() == [1, 3, -2, 5]


def test_affine_layers_keep_constants():
    torch.manual_seed(0)
    ones = torch.ones(1, 6, 5, 7, dtype=torch.float64)
    for layer in (AffineConv2d(6, 4), AffineConv2d(6, 4, 2, stride=2), AffineConvTranspose2d(6, 4)):
        with torch.no_grad():
            assert (layer.double()(ones) - 1).abs().max() < 1e-12
    assert AffineResidual().alpha.item() == 0.5


def test_noise_map_weights_are_free():
    layer = AffineConv2d(3, 5, free_channels=1)
    kernel = layer.kernel()
    assert torch.equal(kernel[:, 2:], layer.weight[:, 2:])
    torch.testing.assert_close(kernel[:, :2].sum((1, 2, 3)), torch.ones(5))


def test_sigma_is_asked_for_or_refused():
    with pytest.raises(SettingsError, match="blind"):
        FDnCNN(channels=4, depth=3)(torch.zeros(1, 1, 4, 4), 0.1)
    with pytest.raises(SettingsError, match="needs the noise level"):
        FDnCNN(blind=False, channels=4, depth=3)(torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize("build", [FDnCNN, DRUNet, ShuffleUNet])
def test_unknown_mode(build):
    with pytest.raises(SettingsError, match="'ordinary', 'scale-equiv', 'norm-equiv'"):
        build("normal")


def test_chains_alternate():
    parts = [torch.nn.Conv2d(2, 2, 1) for _ in range(3)]
    assert [type(part).__name__ for part in sorted_chain(*parts)] == ["Conv2d", "SortPool", "Conv2d", "SortPool", "Conv2d"]
    assert [type(part).__name__ for part in rectified_chain(*parts)] == ["Conv2d", "ReLU", "Conv2d", "ReLU", "Conv2d"]


def published(name):
    architecture, rest = name.split("_", 1)
    mode, kind = rest.rsplit("_", 1)
    return {"fdncnn": FDnCNN, "drunet": DRUNet}[architecture], mode.replace("_", "-"), kind == "blind"


def test_published_keys_and_shapes(data_dir):
    for name, expected in json.loads((data_dir / "published_state_dicts.json").read_text()).items():
        build, mode, blind = published(name)
        with torch.device("meta"):
            state = build(mode, blind).state_dict()
        assert {key: list(value.shape) for key, value in state.items()} == expected, name


NAMES = [f"{a}_{m}_{k}" for a in ("fdncnn", "drunet") for m in ("ordinary", "scale_equiv", "norm_equiv") for k in ("blind", "noisemap")]


@pytest.mark.parametrize("name", NAMES)
def test_published_outputs(data_dir, name):
    build, mode, blind = published(name)
    network = build(mode, blind, 16, 6) if build is FDnCNN else build(mode, blind, [8, 16, 24, 32], 2)
    with np.load(data_dir / f"{name}.npz") as golden:
        arrays = {key: torch.from_numpy(golden[key]) for key in golden}
    network.load_state_dict({key.removeprefix("state_dict/"): value for key, value in arrays.items() if key.startswith("state_dict/")})
    for case in range(2):
        x, expected = arrays[f"input/{case}"], arrays[f"output/{case}"]
        sigma = None if blind else float(arrays[f"sigma/{case}"])
        with torch.no_grad():
            assert (network.float()(x, sigma) - expected).abs().max() <= 1e-5 * expected.std()
            exact = network.double()(x.double(), sigma)
            assert (network.for_inference()(x.double(), sigma) - exact).abs().max() <= 1e-10 * expected.std()
