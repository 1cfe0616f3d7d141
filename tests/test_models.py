"""Weight files: what is opened, what is refused, and that nothing in them is executed."""

import hashlib
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_ne_denoise import load_denoiser
from napari_ne_denoise.core.errors import ModelError
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.models.files import read_model, write_model
from napari_ne_denoise.core.models.registry import PACKAGE_FOLDER, find_model, list_models
from napari_ne_denoise.core.networks import DRUNet, FDnCNN, ShuffleUNet


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
    for number, config in enumerate(
        ('{"channels": []}', '{"channels": [-4, 8]}', '{"channels": [10000000, 10000000]}', "[]", '{"depth": 3}')
    ):
        absurd = folder / f"absurd{number}.safetensors"
        save_file({"a": torch.zeros(2)}, absurd, {"architecture": "ShuffleUNet", "config": config, "card": '{"name": "x"}'})
        yield absurd, "does not name a network|do not fit"
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
    assert count == 20
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
    assert {"data", "degradation", "seed", "steps", "hardware"} <= set(card.training)
    assert card.scores
    assert card.limits
    assert (PACKAGE_FOLDER / row.file).stat().st_size <= {"fast": 5e6, "ordinary-twin": 1e6}[row.name]


def test_a_changed_packaged_file_is_refused(monkeypatch):
    from napari_ne_denoise.core.models import fetch

    row = replace(find_model("fast"), sha256="0" * 64)
    with pytest.raises(ModelError, match="changed or damaged"):
        fetch.fetch(row)
