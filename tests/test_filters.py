"""Laws of filters: what made a pixel, whatever the model is and whatever was done about noise before it."""

import threading
from itertools import product

import numpy as np
import pytest
import torch

from napari_ne_denoise import Denoiser, NEDenoiseError, NoiseModel, adaptive_filter, adaptive_filters, denoise, load_denoiser
from napari_ne_denoise.core.axes import plan_planes
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.interruption import Interrupted, interruptible
from napari_ne_denoise.core.jacobian.filters import grid_positions, iter_adaptive_filters, prepare_filters
from napari_ne_denoise.core.jacobian.weights import centred, change_of
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.networks import DRUNet, FDnCNN, NormalizedDenoiser, ShuffleUNet
from napari_ne_denoise.core.noise.anscombe import VarianceStabilizer
from napari_ne_denoise.core.noise.whitening import Whitener
from napari_ne_denoise.core.run import DenoisingRun
from napari_ne_denoise.core.statistics import plane_statistics

SHAPE = (77, 83)  # fits no stride
UNIT, OFFSET = 300.0, 5000.0
PLACES = ((0, 0), (76, 82), (40, 37))
# of an image in these units
LIGHT = NoiseModel(gain=9.0, offset=OFFSET - 900, read_noise=30.0)
SHARED = NoiseModel(gain=0.0, offset=0.0, read_noise=60.0, correlation=((0.5, 0.2, 0.05), (0.4, 0.1, 0.0)))
BOTH = NoiseModel(gain=9.0, offset=OFFSET - 900, read_noise=30.0, correlation=((0.5, 0.2, 0.05), (0.4, 0.1, 0.0)))


def noisy(*shape, seed=0):
    """Blocks with noise."""
    rng = np.random.default_rng(seed)
    clean = np.kron(rng.random([*shape[:-2], *(-(-side // 9) for side in shape[-2:])]), np.ones((9, 9)))[..., : shape[-2], : shape[-1]]
    return clean + 0.2 * rng.standard_normal(shape)


def small_model(network, **card):
    """An untrained small model; its weights are drawn anew, the same for each."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_uniform_(parameter, a=5**0.5)
        elif parameter.numel() > 1:  # biases, which begin small
            torch.nn.init.uniform_(parameter, -0.1, 0.1)
    return Denoiser(network.eval().requires_grad_(False), ModelCard("small", **card))


def chain(mode="norm-equiv", **choices):
    return FDnCNN(mode, channels=8, depth=4, **choices)


# a model, what is to be done about noise, and whether Σw is 1
CASES = {
    "fast": (lambda: load_denoiser("fast"), {}, True),
    "FDnCNN": (lambda: small_model(chain()), {}, True),
    "DRUNet": (lambda: small_model(DRUNet(channels=(4, 8, 8), blocks=1)), {}, True),
    "scale-equiv": (lambda: small_model(chain("scale-equiv")), {}, False),
    "ordinary": (lambda: small_model(ShuffleUNet("ordinary", channels=(8, 16), blocks=1)), {}, False),
    "told sigma": (lambda: small_model(chain(blind=False)), {"sigma": 50.0}, True),
    "WNE": (lambda: small_model(NormalizedDenoiser(chain("ordinary"))), {}, True),
    "WNE told sigma": (lambda: small_model(NormalizedDenoiser(chain("ordinary", blind=False))), {"sigma": 50.0}, True),
    "stabilised": (lambda: small_model(chain(), gaussian_only=True), {"noise": LIGHT}, True),
    "stabilised, told sigma": (lambda: small_model(chain(blind=False), gaussian_only=True), {"noise": LIGHT}, True),
    "whitened": (lambda: small_model(chain(), gaussian_only=True), {"noise": SHARED}, True),
    "whitened DRUNet": (lambda: small_model(DRUNet(channels=(4, 8, 8), blocks=1), gaussian_only=True), {"noise": SHARED}, True),
    "stabilised and whitened": (lambda: small_model(chain(blind=False), gaussian_only=True), {"noise": BOTH}, True),
}


@pytest.fixture(params=CASES)
def case(request):
    """An open model, settings, and whether weights sum to one."""
    build, settings, sums_to_one = CASES[request.param]
    return {"model": build(), **settings}, sums_to_one


@pytest.fixture(scope="module")
def image():
    return UNIT * noisy(*SHAPE) + OFFSET


def explained(found):
    return found.weighted_sum + found.from_sigma + found.from_spread + found.constant


@pytest.mark.parametrize("strength", [1, 0.6])
@pytest.mark.parametrize("place", PLACES)
def test_a_filter_and_what_else_it_names_are_the_pixel(case, image, place, strength):
    settings, sums_to_one = case
    found = adaptive_filter(image, place, strength=strength, **settings)
    assert explained(found) == pytest.approx(found.value, rel=1e-9)
    assert found.output == pytest.approx(denoise(image, precision="float32", strength=strength, **settings)[place], rel=1e-5)
    if found.domain == "image":
        assert found.value == found.output
    if sums_to_one:
        assert found.total == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("place", PLACES)
def test_weights_say_what_a_small_change_of_the_image_does(case, image, place):
    settings, _ = case
    found = adaptive_filter(image, place, **settings)
    change = 1e-7 * UNIT * np.random.default_rng(1).standard_normal(SHAPE)
    change.flat[[image.argmin(), image.argmax()]] = 0  # the range that an ordinary network's input is mapped from is held
    more, less = (adaptive_filter(image + side * change, place, **settings).value for side in (1, -1))
    changed = _seen(image + change, found, settings) - _seen(image - change, found, settings)
    expected = (found.weights * changed[found.window]).sum() + found.mean_weight * changed.mean()
    if found.from_spread:
        std = plane_statistics(lambda rows, columns: image[rows, columns], SHAPE).std
        expected += found.from_spread * (image - image.mean()).ravel() @ changed.ravel() / (std**2 * image.size)
    assert more - less == pytest.approx(expected, rel=1e-3, abs=1e-9)


def _seen(image, found, settings):
    """The image in the domain of a filter."""
    return image if found.domain == "image" else VarianceStabilizer(settings["noise"]).forward(image)


@pytest.mark.parametrize("name", [name for name, (_, settings, sums_to_one) in CASES.items() if sums_to_one and not settings])
def test_filters_of_norm_equiv_models_do_not_depend_on_unit_and_offset(name, image):
    build, settings, _ = CASES[name]
    model = build()
    one, other = (adaptive_filter(seen, (40, 37), model=model, **settings).weights for seen in (image, 1e-3 * image + 77))
    assert change_of(one, other) < 1e-7


def test_filters_of_ordinary_models_do(image):
    model = load_denoiser("ordinary-twin")
    # told as 16-bit integers, whose range it is normalised by
    one, other = (adaptive_filter(seen.astype(np.uint16), (40, 37), model=model) for seen in (image, 4 * image))
    assert change_of(one.weights, other.weights) > 0.05
    assert abs(one.total - 1) > 1e-3
    assert abs(one.constant) > 1e-3 * abs(one.output)


def test_with_unit_and_offset_the_noise_level_changes_too(image):
    for name in ("told sigma", "WNE told sigma", "whitened"):
        build, settings, _ = CASES[name]
        model = build()
        scaled = {"sigma": 0.1 * settings["sigma"]} if "sigma" in settings else {"noise": settings["noise"].mapped(0.1, 7.0)}
        one, other = (
            adaptive_filter(image, (9, 9), model=model, **settings),
            adaptive_filter(0.1 * image + 7, (9, 9), model=model, **scaled),
        )
        assert change_of(one.weights, other.weights) < 1e-7
        assert other.from_sigma == pytest.approx(0.1 * one.from_sigma)


def test_only_models_that_are_told_the_noise_get_a_part_of_the_pixel_from_it(image):
    for name, (build, settings, _) in CASES.items():
        found = adaptive_filter(image, (40, 37), model=build(), **settings)
        assert bool(found.from_sigma) == ("sigma" in name or name == "stabilised and whitened")
        assert bool(found.from_spread) == name.startswith("WNE")
        assert bool(found.constant) == (name == "ordinary")
        assert (found.domain == "stabilised") == name.startswith("stabilised")
        assert (found.slope == 1) == (found.domain == "image")


def test_the_slope_is_that_of_the_way_back(image):
    build, settings, _ = CASES["stabilised"]
    found = adaptive_filter(image, (40, 37), model=build(), **settings)
    back = VarianceStabilizer(LIGHT).back
    assert back(np.array(found.value)) == pytest.approx(found.output)
    assert (back(np.array(found.value + 0.1)) - back(np.array(found.value - 0.1))) / 0.2 == pytest.approx(found.slope, rel=1e-2)


def test_a_constant_plane_comes_back_as_it_is():
    build, settings, _ = CASES["WNE"]
    found = adaptive_filter(np.full((20, 20), 7.0), (3, 4), model=build(), **settings)
    assert found.weights.tolist() == [[1.0]]
    assert (found.origin, found.total, found.output, found.value, found.weighted_sum) == ((3, 4), 1, 7, 7, 7)


def test_the_ways_to_white_noise_and_back_have_their_transposes():
    rng, whitener = np.random.default_rng(0), Whitener(SHARED.correlation)
    for shape in ((40, 31), (9, 3), (1, 17)):
        x, y = rng.standard_normal((2, *shape))
        assert (whitener.forward(x) * y).sum() == pytest.approx((x * whitener.forward_transposed(y)).sum())
        assert (whitener.back(x) * y).sum() == pytest.approx((x * whitener.back_transposed(y)).sum())


def test_many_filters_are_each_as_if_alone(case, image):
    settings, _ = case
    places = [(0, 0), (39, 38), (40, 37), (76, 82), (41, 36), (33, 44)]
    for found, place in zip(adaptive_filters(image, places, **settings), places, strict=True):
        alone = adaptive_filter(image, place, **settings)
        assert found.position == alone.position == place
        assert found.origin == alone.origin
        np.testing.assert_allclose(found.weights, alone.weights, atol=1e-10)
        assert found.weighted_sum == pytest.approx(alone.weighted_sum)


def test_many_filters_of_a_stack_come_from_their_planes():
    stack = noisy(3, 40, 50)
    places = [(2, 3, 4), (0, 20, 20), (2, 21, 20), (1, 0, 49)]
    for found, place in zip(adaptive_filters(stack, places, support=9), places, strict=True):
        np.testing.assert_allclose(found.weights, adaptive_filter(stack[place[0]], place[1:], support=9).weights, atol=1e-10)


def test_who_asks_for_many_can_stop_between_two():
    model, seen = small_model(chain()), noisy(60, 61)
    stop = threading.Event()
    with interruptible(stop):
        filters = iter_adaptive_filters(seen, [(1, 1), (40, 40)], model=model)
        next(filters)
        stop.set()
        with pytest.raises(Interrupted):
            next(filters)


def test_a_plane_is_read_once_for_many_filters(monkeypatch):
    filters = prepare_filters(noisy(60, 61), model=small_model(chain()))
    opened, open_planes = [], DenoisingRun.open_planes
    monkeypatch.setattr(DenoisingRun, "open_planes", lambda run, planes: opened.append(planes) or open_planes(run, planes))
    for column in range(5):
        filters.at((3, column))
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("shape", "count", "expected"), [((60, 60), 3, (3, 3)), ((60, 30), 4, (4, 2)), ((5, 90), 3, (1, 3)), ((2, 2), 9, (2, 2))]
)
def test_a_grid_is_spread_evenly_over_the_plane(shape, count, expected):
    layout = plan_planes((4, *shape))
    places = grid_positions(layout, (2, 0, 0), count)
    rows, columns = sorted({row for _, row, _ in places}), sorted({column for _, _, column in places})
    assert (len(rows), len(columns)) == expected
    assert places == list(product([2], rows, columns))
    for line, length in zip((rows, columns), shape, strict=True):
        steps = np.diff(line)
        assert steps.size == 0 or steps.max() - steps.min() <= 1
        assert abs(line[0] - (length - 1 - line[-1])) <= length / len(line) / 2


def test_a_grid_stays_in_its_window_and_needs_pixels():
    layout = plan_planes((60, 60))
    places = grid_positions(layout, (0, 0), 2, (slice(10, 20), slice(30, 40)))
    assert places == [(12, 32), (12, 37), (17, 32), (17, 37)]
    assert grid_positions(layout, (0, 0), np.int64(2)) == grid_positions(layout, (0, 0), 2)
    with pytest.raises(SettingsError, match="positive whole number"):
        grid_positions(layout, (0, 0), 0)


def test_a_centred_filter_has_its_pixel_in_the_middle():
    found = adaptive_filter(noisy(60, 61), (1, 58))
    weights = centred(found, (1, 58), 11)
    assert weights.shape == (11, 11)
    assert weights[5, 5] == found.weights[1 - found.origin[0], 58 - found.origin[1]]
    assert not weights[:4].any()
    assert not weights[:, 8:].any()


@pytest.mark.parametrize("position", [(0, 0), (149, 0), (80, 75), (149, 130)])
def test_a_filter_is_what_made_the_pixel(position):
    y = 300 * noisy(150, 131) + 5000
    found = adaptive_filter(y, position)
    assert found.total == pytest.approx(1, abs=1e-9)
    assert found.weighted_sum == pytest.approx(found.output, rel=1e-9)
    assert found.output == pytest.approx(denoise(y, precision="float32")[position], rel=1e-6)
    row, column = found.origin
    window = y[row : row + found.weights.shape[0], column : column + found.weights.shape[1]]
    assert (found.weights * window).sum() + found.mean_weight * y.mean() == pytest.approx(found.output, rel=1e-3)


def test_a_filter_in_float32_is_that_in_float64_to_five_digits():
    y = noisy(60, 60)
    exact, quick = adaptive_filter(y, (30, 20)), adaptive_filter(y, (30, 20), precision="float32")
    assert quick.origin == exact.origin
    np.testing.assert_allclose(quick.weights, exact.weights, atol=1e-4 * np.abs(exact.weights).max())
    assert quick.total == pytest.approx(1, abs=1e-5)
    assert quick.output == pytest.approx(exact.output, rel=1e-4)
    with pytest.raises(NEDenoiseError, match="float64, float32"):
        adaptive_filter(y, (30, 20), precision="half")


def test_a_filter_has_weight_on_the_mean_only_where_a_network_continues_the_image_with_it():
    y, drunet = noisy(77, 83), small_model(DRUNet(channels=(4, 8, 8), blocks=1))
    assert adaptive_filter(y, (0, 0)).mean_weight == 0
    assert adaptive_filter(y, (0, 0), model=drunet).mean_weight == 0
    at_the_end = adaptive_filter(y, (76, 82), model=drunet)
    assert abs(at_the_end.mean_weight) > 1e-4
    assert at_the_end.total == pytest.approx(1, abs=1e-9)


def test_a_filter_does_not_depend_on_units():
    y = noisy(100, 90)
    np.testing.assert_allclose(adaptive_filter(1e-4 * y + 7, (50, 40)).weights, adaptive_filter(y, (50, 40)).weights, atol=1e-8)


def test_the_filter_of_a_plane_of_a_stack():
    y = noisy(3, 60, 50)
    found, alone = adaptive_filter(y, (1, 30, 20)), adaptive_filter(y[1], (30, 20))
    np.testing.assert_array_equal(found.weights, alone.weights)
    turned = adaptive_filter(y.transpose(1, 2, 0), (30, 20, 1), channel_axis=-1)
    np.testing.assert_array_equal(turned.weights, alone.weights)


def test_a_filter_beside_missing_pixels_is_that_of_the_filled_image():
    y = noisy(60, 61)
    y[20, 20] = np.nan
    found = adaptive_filter(y, (22, 21))
    assert found.total == pytest.approx(1, abs=1e-9)
    assert found.output == pytest.approx(denoise(y, nonfinite="keep", precision="float32")[22, 21], abs=1e-5)


def test_support_crops_the_filter_only():
    y = noisy(120, 121)
    whole, cropped = adaptive_filter(y, (60, 3)), adaptive_filter(y, (60, 3), support=11)
    assert cropped.weights.shape == (11, 9)
    assert cropped.origin == (55, 0)
    assert cropped.total == whole.total
    row, column = (a - b for a, b in zip(cropped.origin, whole.origin, strict=True))
    np.testing.assert_array_equal(cropped.weights, whole.weights[row : row + 11, column : column + 9])


@pytest.mark.parametrize(
    ("position", "words"),
    [
        ((0,), "2 whole numbers"),
        (3, "2 whole numbers"),
        (None, "2 whole"),
        ((3.7, 4), "2 whole"),
        ((0, 60), "outside"),
        ((-1, 3), "outside"),
    ],
)
def test_positions_that_are_none(position, words):
    with pytest.raises(SettingsError, match=words):
        adaptive_filter(noisy(60, 60), position)


@pytest.mark.parametrize("support", [0, 2.5, "wide"])
def test_supports_that_are_none(support):
    with pytest.raises(SettingsError, match="positive number of pixels"):
        adaptive_filter(noisy(60, 60), (3, 3), support=support)


def test_filters_are_computed_whatever_mode_the_caller_is_in():
    y, model = noisy(60, 61), small_model(chain())
    with torch.inference_mode():
        inside = adaptive_filter(y, (20, 20), model=model)
    np.testing.assert_array_equal(adaptive_filter(y, (20, 20), model=model).weights, inside.weights)


def test_only_a_model_with_a_law_gives_the_same_filter_in_another_unit_and_with_another_offset(case, image):
    settings, _ = case
    filters = prepare_filters(image, **settings)
    one, other = filters.at((40, 37)), filters.rescaled(0.6, -30).at((40, 37))
    law = filters.run.denoiser.network.equivariance
    assert (change_of(one.weights, other.weights) < 1e-6) == (law == "norm-equiv" and not filters.run.denoiser.is_wrapped)
    assert explained(other) == pytest.approx(other.value, rel=1e-9)
    if law == "scale-equiv":
        assert change_of(one.weights, filters.rescaled(0.6, 0).at((40, 37)).weights) < 1e-6


def test_strength_can_be_chosen_for_each_filter(image):
    filters = prepare_filters(image)
    expected = adaptive_filter(image, (40, 37), strength=0.3)
    np.testing.assert_array_equal(filters.at((40, 37), strength=0.3).weights, expected.weights)
