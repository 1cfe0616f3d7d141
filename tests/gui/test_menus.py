from pathlib import Path

import npe2
import pytest

import napari_ne_denoise.gui as gui
from napari_ne_denoise.core.provenance import KEY

DENOISE = ("Layers", "Filter", "Denoise (NE Denoise)")
FILTER = ("Layers", "Visualize", "Adaptive filter (NE Denoise)")
COMPARE = ("Layers", "Visualize", "Compare (NE Denoise)")
MAPS = ("Layers", "Visualize", "Filter maps (NE Denoise)")
SPECTRUM = ("Layers", "Visualize", "Spectrum (NE Denoise)")
LAB = ("Layers", "Visualize", "Normalisation lab (NE Denoise)")
SAMPLE = ("File", "Open Sample", "NE Denoise", "Actin, noisy and clean")


def test_the_manifest_is_valid():
    manifest = npe2.PluginManifest.from_file(Path(gui.__file__).parents[1] / "napari.yaml")
    manifest.validate_imports()


@pytest.mark.parametrize("path", [DENOISE, FILTER, COMPARE, MAPS, SPECTRUM, LAB, SAMPLE, ("Plugins", "NE Denoise", "Denoise (NE Denoise)")])
def test_menu_entries_really_appear(viewer, menu_entry, path):
    assert menu_entry(viewer, *path).isEnabled()


def test_the_sample_opens_with_the_noisy_image_active(viewer, menu_entry):
    menu_entry(viewer, *SAMPLE).trigger()
    assert [layer.name for layer in viewer.layers] == ["actin clean", "actin noisy"]
    assert viewer.layers.selection.active.name == "actin noisy"
    assert all(layer.data.shape == (512, 512) for layer in viewer.layers)


def test_from_the_menu_to_a_result(viewer, menu_entry, until):
    menu_entry(viewer, *SAMPLE).trigger()
    menu_entry(viewer, *DENOISE).trigger()
    dock = viewer.window.dock_widgets["Denoise (NE Denoise)"]
    assert dock.layer.value.name == "actin noisy"
    dock.button.native.click()
    assert dock.button.text == "Cancel"
    until(lambda: dock.button.text == "Denoise")
    result = viewer.layers["actin noisy denoised"]
    assert result.metadata[KEY]["source_layer"] == "actin noisy"
    assert result.data.std() < viewer.layers["actin noisy"].data.std()


def test_a_dock_can_be_closed_and_opened_again(viewer, menu_entry, close_dock, no_thread_left):
    for path in (DENOISE, FILTER, COMPARE, MAPS, SPECTRUM, LAB):
        menu_entry(viewer, *path).trigger()
        close_dock(viewer.window.dock_widgets[path[-1]])
        assert path[-1] not in viewer.window.dock_widgets
        menu_entry(viewer, *path).trigger()
        assert path[-1] in viewer.window.dock_widgets
    no_thread_left()
