"""Weight files: what is opened, what is refused, and that nothing in them is executed."""

import hashlib
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_ne_denoise import denoise, load_denoiser
from napari_ne_denoise.core.errors import DownloadError, ModelError, SettingsError
from napari_ne_denoise.core.models import fetch, files
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.models.files import read_model, weights_to_begin_from, write_model
from napari_ne_denoise.core.models.registry import PACKAGE_FOLDER, find_model, list_models
from napari_ne_denoise.core.networks import DRUNet, FDnCNN, ShuffleUNet
from napari_ne_denoise.core.networks.layers import AffineConv2d
from napari_ne_denoise.core.training.synthetic import synthetic_image


def test_what_is_written_is_read_again(tmp_path):
    network = ShuffleUNet(channels=(8, 12), blocks=1)
    card = ModelCard("mine", "a test", limits=("small",), training={"steps": 3})
    write_model(network, card, tmp_path / "mine.safetensors")
    opened = read_model(tmp_path / "mine.safetensors")
    assert opened.card == card
    assert opened.network.config == network.config
    assert not opened.network.training
    for key, value in network.state_dict().items():
        assert torch.equal(opened.network.state_dict()[key], value)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]


def affine_kernels(network):
    """Without the inputs that are free."""
    parts = [part for part in network.modules() if isinstance(part, AffineConv2d)]
    return [part.kernel(torch.float64)[:, : part.in_channels - part.free_channels] for part in parts]


def assert_to_sum_to_one(kernels):
    for kernel in kernels:
        torch.testing.assert_close(kernel.sum((1, 2, 3)), torch.ones(len(kernel), dtype=torch.float64), rtol=0, atol=1e-12)


def trained(network):
    """A network whose kernels have been changed at random in rotated coordinates, as by training."""
    form = network.for_training()
    with torch.no_grad():
        for parameter in form.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    network.adopt(form)
    return network


@pytest.mark.parametrize(
    "network",
    [
        ShuffleUNet(channels=(32, 64), blocks=1),
        ShuffleUNet("ordinary", channels=(8, 12), blocks=1),
        DRUNet("norm-equiv", False, (8, 12), 1),
        FDnCNN("scale-equiv", True, 8, 4),
    ],
    ids=lambda network: f"{type(network).__name__} {network.equivariance}",
)
def test_half_the_bytes_hold_the_same_network(tmp_path, network):
    network, path = trained(network), tmp_path / "half.safetensors"
    write_model(network, ModelCard("half"), path, "float16")
    numbers = sum(value.numel() for value in network.state_dict().values())
    assert path.stat().st_size < 2 * numbers + 20_000
    opened = read_model(path).network
    assert {value.dtype for value in opened.state_dict().values()} == {torch.float32}
    for found, kernel in zip(affine_kernels(opened), affine_kernels(network), strict=True):
        # which rounding the weights themselves would not keep: they have become many times larger than what they differ by
        assert (found - kernel).std() <= 1e-3 * kernel.std()
        # what a kernel lacks to sum to one is borne by all of its taps alike
        assert (found - kernel)[:, 0, 0, 0].square().mean().sqrt() <= 3 * (found - kernel).std()
    assert_to_sum_to_one(affine_kernels(opened))
    image, sigma = torch.randn(1, 1, 40, 40), None if network.blind else 0.5
    expected = network(image, sigma)
    assert (opened(image, sigma) - expected).std() <= 0.01 * expected.std()


def test_fast_in_half_the_bytes_is_as_good(tmp_path):
    fast = load_denoiser("fast")
    write_model(fast.network, fast.card, tmp_path / "half.safetensors", "float16")
    half = load_denoiser(tmp_path / "half.safetensors")
    clean = synthetic_image(np.random.default_rng(20_260))[:256, :256]
    for sigma in (0.02, 0.1, 0.5):
        y = clean + sigma * np.random.default_rng(0).standard_normal(clean.shape)
        change = denoise(y, model=half, precision="float32") - denoise(y, precision="float32")
        assert 0 < np.sqrt(np.mean(np.square(change))) <= 0.001 * sigma
    moved = denoise(1e-3 * y + 50, model=half, precision="float32")
    assert np.abs((moved - 50) * 1e3 - denoise(y, model=half, precision="float32")).max() <= 1e-4 * y.std()


def test_other_dtypes_are_not_written(tmp_path):
    network, path = ShuffleUNet(channels=(8, 12), blocks=1), tmp_path / "x.safetensors"
    for dtype in ("bfloat16", "float32", torch.float16, ""):
        with pytest.raises(SettingsError, match="must be 'float16'"):
            write_model(network, ModelCard("x"), path, dtype)
    with torch.no_grad():
        network.backbone.m_tail.weight[0, 0, 0, 0] = 1e5
    with pytest.raises(ModelError, match=r"m_tail\.weight has weights beyond ±65504"):
        write_model(network, ModelCard("x"), path, "float16")
    assert not list(tmp_path.iterdir())


def test_float16_weights_of_others_are_opened_as_the_weights_they_are(tmp_path):
    network, metadata = ShuffleUNet(channels=(8, 12), blocks=1), {"architecture": "ShuffleUNet", "card": '{"name": "x"}'}
    metadata["config"] = '{"channels": [8, 12], "blocks": 1}'
    state = {key: value.half() for key, value in network.state_dict().items()}
    save_file(state, tmp_path / "theirs.safetensors", metadata)
    opened = read_model(tmp_path / "theirs.safetensors").network
    for key, value in opened.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, state[key].float())
    assert_to_sum_to_one(affine_kernels(opened))


def test_a_card_says_what_training_began_from(tmp_path, monkeypatch):
    fast = weights_to_begin_from("fast")
    assert fast == {"name": "fast", "sha256": hashlib.sha256((PACKAGE_FOLDER / "fast.safetensors").read_bytes()).hexdigest()}
    path = tmp_path / "mine.safetensors"
    write_model(ShuffleUNet(channels=(8, 12), blocks=1), ModelCard("mine", began_from=fast), path)
    assert read_model(path).card.began_from == fast
    assert weights_to_begin_from(str(path)) == {"name": "mine.safetensors", "sha256": read_model(path).sha256}
    with pytest.raises(ModelError, match="no such file"):
        weights_to_begin_from("fastest")
    with pytest.raises(DownloadError, match="not on this machine"):
        weights_to_begin_from("drunet-norm-equiv-blind")
    monkeypatch.setattr(files, "list_models", lambda: (replace(find_model("fast"), sha256="0" * 64),))
    with pytest.raises(DownloadError, match="changed or damaged"):
        weights_to_begin_from("fast")


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("fdncnn_norm_equiv_sigma25_blind", FDnCNN("norm-equiv", True, 8, 5)),
        ("fdncnn_scale_equiv_noisemap", FDnCNN("scale-equiv", False, 8, 4)),
        ("fdncnn_ordinary_noisemap", FDnCNN("ordinary", False, 8, 4)),
        ("renamed", DRUNet("norm-equiv", True, (4, 6, 8), 1)),
        ("renamed", DRUNet("scale-equiv", False, (4, 6), 2)),
        ("renamed", DRUNet("ordinary", True, (4, 6, 8, 10), 3)),
    ],
)
def test_published_files_say_what_they_are(tmp_path, name, network):
    path = tmp_path / f"{name}.pth"
    torch.save(network.state_dict(), path)
    model = load_denoiser(path)
    assert type(model.network) is type(network)
    assert model.network.config == network.config
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_could_be_two_things_asks(tmp_path):
    path = tmp_path / "renamed.pth"
    torch.save(FDnCNN(channels=8, depth=4).state_dict(), path)
    with pytest.raises(ModelError, match='mode="norm-equiv"'):
        load_denoiser(path)
    assert load_denoiser(path, mode="scale-equiv").equivariance == "scale-equiv"


class Bomb:
    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('exploded').touch()",)


def damaged(folder):
    """Files that are not what they claim to be, by what is said of them."""
    state = FDnCNN(channels=8, depth=4).state_dict()
    good = folder / "norm_equiv.pth"
    torch.save(state, good)
    intact = folder / "intact.safetensors"
    write_model(ShuffleUNet(channels=(8, 12), blocks=1), ModelCard("x"), intact)

    def saved(name, content):
        path = folder / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        return path

    yield saved("bomb_norm_equiv.pth", pickle.dumps(Bomb())), "nothing in it was executed"
    yield saved("bomb2_norm_equiv.pth", {"fdncnn.0.weight": Bomb()}), "nothing in it was executed"
    yield saved("short_norm_equiv.pth", good.read_bytes()[:700]), "cannot be opened"
    yield saved("list_norm_equiv.pth", [1, 2]), "no table of weights"
    yield saved("empty_norm_equiv.pth", {}), "no table of weights"
    yield saved("other_norm_equiv.pth", {"layer.weight": torch.zeros(3)}), "neither"
    yield saved("flat_norm_equiv.pth", {"fdncnn.0.weight": torch.zeros(3)}), "neither"
    yield saved("hole_norm_equiv.pth", {key: value for key, value in state.items() if "2" not in key}), "do not fit"
    yield saved("nan_norm_equiv.pth", {key: value * np.nan for key, value in state.items()}), "not finite"
    yield saved("wrong.txt", b"hello"), "end in .safetensors or .pth"
    yield saved("cut.safetensors", intact.read_bytes()[:-50]), "no intact safetensors"
    yield saved("text.safetensors", b"hello"), "no intact safetensors"
    nameless = folder / "nameless.safetensors"
    save_file({"a": torch.zeros(2)}, nameless)
    yield nameless, "does not name a network"
    foreign = folder / "foreign.safetensors"
    save_file({"a": torch.zeros(2)}, foreign, {"architecture": "os.system", "config": "{}", "card": "{}"})
    yield foreign, "does not name a network"
    for number, (architecture, config) in enumerate(
        (
            ("ShuffleUNet", '{"channels": []}'),
            ("ShuffleUNet", '{"channels": [-4, 8]}'),
            ("ShuffleUNet", '{"channels": [10000000, 10000000]}'),
            ("ShuffleUNet", "[]"),
            ("ShuffleUNet", '{"depth": 3}'),
            ("ShuffleUNet", '{"scale": 0}'),
            ("ShuffleUNet", '{"scale": -2}'),
            ("ShuffleUNet", '{"blocks": -1}'),
            ("DRUNet", '{"blocks": -1}'),
            ("DRUNet", '{"channels": [0, 8]}'),
            ("FDnCNN", '{"depth": -1}'),
        )
    ):
        absurd = folder / f"absurd{number}.safetensors"
        save_file({"a": torch.zeros(2)}, absurd, {"architecture": architecture, "config": config, "card": '{"name": "x"}'})
        yield absurd, "does not name a network|do not fit"
    # whose weights would fit
    for name, network, config in (
        ("mirrored", ShuffleUNet(channels=(8, 12), blocks=1), {"channels": (8, 12), "blocks": 1, "scale": -2}),
        ("inside_out", ShuffleUNet(channels=(8, 12), blocks=0), {"channels": (8, 12), "blocks": -1}),
        ("shallow", FDnCNN(channels=8, depth=2), {"channels": 8, "depth": -1}),
    ):
        path = folder / f"{name}.safetensors"
        save_file(
            network.state_dict(), path, {"architecture": type(network).__name__, "config": json.dumps(config), "card": '{"name": "x"}'}
        )
        yield path, "must be a whole number"
    yield saved("odd_norm_equiv.pth", {"fdncnn.0.weight": torch.zeros(7, 1, 3, 3)}), "have shapes no FDnCNN or DRUNet has"
    metadata = {"architecture": "ShuffleUNet", "config": '{"channels": [8, 12], "blocks": 1}', "card": '{"name": "x"}'}
    whole = {key: torch.ones(value.shape) for key, value in ShuffleUNet(channels=(8, 12), blocks=1).state_dict().items()}
    for name, weights, more, words in (
        ("whole_numbers", {key: value.short() for key, value in whole.items()}, {}, "as torch.int16; weights are float16, bfloat16"),
        ("infinite", {key: (1e9 * value).half() for key, value in whole.items()}, {}, "not finite"),
        ("infinite_kernels", {key: (1e9 * value).half() for key, value in whole.items()}, {"affine_convolutions": "kernels"}, "not finite"),
        ("short_kernels", {**whole, "backbone.m_head.weight": torch.ones(3)}, {"affine_convolutions": "kernels"}, "do not fit"),
        ("later", whole, {"affine_convolutions": "spectra"}, "'spectra', which this version does not know"),
    ):
        strange = folder / f"{name}.safetensors"
        save_file(weights, strange, {**metadata, **more})
        yield strange, words
    misfit = folder / "misfit.safetensors"
    save_file({"a": torch.zeros(2)}, misfit, {"architecture": "ShuffleUNet", "config": "{}", "card": '{"name": "x"}'})
    yield misfit, "do not fit"


def test_files_that_are_not_what_they_claim(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    count = 0
    for path, words in damaged(tmp_path):
        with pytest.raises(ModelError, match=words) as caught:
            load_denoiser(path)
        assert str(path) in str(caught.value)
        count += 1
    assert count == 35
    assert not (tmp_path / "exploded").exists()


def test_every_row_is_complete():
    names = [row.name for row in list_models()]
    assert len(set(names)) == len(names)
    for row in list_models():
        assert row.packaged != bool(row.url)
        assert row.summary.endswith(".")
        assert row.packaged or "AGPL-3.0" in row.licence


@pytest.mark.parametrize("row", [row for row in list_models() if row.packaged], ids=lambda row: row.name)
def test_packaged_models_are_what_their_row_and_card_say(row):
    model = load_denoiser(row.name)
    assert model.sha256 == row.sha256
    assert (type(model.network).__name__, model.equivariance, model.blind) == (row.architecture, row.equivariance, row.blind)
    card = model.card
    assert card.name == row.name
    assert card.licence == "BSD-3-Clause"
    assert {"data", "degradation", "hardware", "recipes", "steps_done"} <= set(card.training)
    assert card.scores
    assert card.limits
    assert (PACKAGE_FOLDER / row.file).stat().st_size <= {"fast": 5e6, "quality": 9e6, "ordinary-twin": 1e6}[row.name]


def test_a_changed_packaged_file_is_refused():
    row = replace(find_model("fast"), sha256="0" * 64)
    with pytest.raises(ModelError, match="changed or damaged"):
        fetch.fetch(row)


@pytest.mark.parametrize(
    ("seconds", "cost", "words"),
    [
        (None, None, ""),
        (0.37, None, "0.4 s/MPix"),
        (1.15, 3.1, "3× the time of fast"),
        (None, 1.42, "1.4× the time of fast"),
        (None, 12.3, "12× the time of fast"),
    ],
)
def test_speed_in_plain_words(seconds, cost, words):
    row = replace(find_model("fast"), quality="", seconds_per_megapixel=seconds, relative_cost=cost)
    assert row.speed == row.character == words
    assert replace(row, quality="good").character == f"good, {words}".removesuffix(", ")


def test_nothing_is_said_of_published_models_that_nobody_measured():
    assert not any(row.character for row in list_models() if not row.packaged)
    assert find_model("fast").character.startswith("good, 0.")
