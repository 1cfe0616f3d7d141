"""Samples of every kind of image open from the menu, are noisy enough to show what denoising does, and name their authors."""

from importlib.resources import files

import numpy as np
import pytest

from napari_ne_denoise import denoise
from napari_ne_denoise.core.training.volumes import GAIN, OFFSET, READ_NOISE
from napari_ne_denoise.gui.layers import sample_data

FOLDER = files("napari_ne_denoise") / "sample_data"
OPENED = {
    "Actin, noisy and clean": (["actin clean", "actin noisy"], ("y", "x"), (512, 512)),
    "Nuclear envelopes, a stack, by EMBL": (["nuclear envelopes"], ("z", "y", "x"), (9, 176, 200)),
    "Membranes and nuclei, two channels, by EMBL": (["membranes", "nuclei"], ("y", "x"), (299, 340)),
    "Moving vesicles, 3-D and time, simulated": (["moving vesicles, truth", "moving vesicles"], ("t", "z", "y", "x"), (6, 9, 128, 160)),
    "Migrating nuclei, a time series, by Tinevez and Jacquemet": (["migrating nuclei"], ("t", "y", "x"), (8, 130, 130)),
}


@pytest.mark.parametrize("title", OPENED)
def test_it_opens_from_the_menu(viewer, menu_entry, title):
    menu_entry(viewer, "File", "Open Sample", "NE Denoise", title).trigger()
    names, labels, shape = OPENED[title]
    assert [layer.name for layer in viewer.layers] == names
    assert viewer.layers.selection.active.name == names[-1]
    for layer in viewer.layers:
        assert (layer.axis_labels, layer.data.shape) == (labels, shape)
        assert "CC" in layer.metadata[sample_data.SOURCE]


def noisy_ones():
    makers = (sample_data.actin, sample_data.envelopes, sample_data.membranes_nuclei, sample_data.migration, sample_data.vesicles)
    return [layer for make in makers for layer in make() if layer[1].get("visible", True)]


@pytest.mark.parametrize("layer", noisy_ones(), ids=lambda layer: layer[1]["name"])
def test_denoising_shows_something(layer):
    pixels = layer[0]
    plane = pixels[(len(pixels) // 2,) * (pixels.ndim - 2)]
    removed = (denoise(plane) - plane).std()
    low, high = np.percentile(plane, (1, 99))
    assert removed > 0.02 * (high - low)


def test_of_what_is_simulated_the_truth_is_known():
    (truth, _, _), (noisy, look, _) = sample_data.vesicles()
    assert look["units"] == ["second", *["micrometer"] * 3]
    variance = GAIN * (truth - OFFSET) + READ_NOISE**2
    residual = (noisy - truth) / np.sqrt(variance)
    assert residual.mean() == pytest.approx(0, abs=0.01)
    assert residual.std() == pytest.approx(1, abs=0.01)
    moved = np.abs(np.diff(truth, axis=0)).max((1, 2, 3))
    assert (moved > np.sqrt(variance.max())).all()  # from frame to frame, more than noise
    error = denoise(noisy, axes="TZYX") - truth
    assert error.std() < 0.5 * (noisy - truth).std()
    again = sample_data.vesicles()
    assert np.array_equal(again[1][0], noisy)


def test_they_are_small_and_their_authors_are_named():
    pictures = [file for file in FOLDER.iterdir() if file.name != "README.md"]
    told = (FOLDER / "README.md").read_text(encoding="utf8")
    assert sum(len(file.read_bytes()) for file in pictures) < 1_000_000
    assert all(f"`{file.name}`" in told for file in pictures)
    for author in ("European Molecular Biology Laboratory", "Tinevez", "Jacquemet", "Hagen"):
        assert author in told
