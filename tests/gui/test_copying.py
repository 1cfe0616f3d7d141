"""From a click on a result to text on the clipboard that makes it again."""

import shlex

import numpy as np
import pytest
import tifffile
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_ne_denoise import denoise
from napari_ne_denoise.core.io import ImageFile, read_image, write_image
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.denoise.copying import COMMAND, PYTHON, CopyButtons

PLACE = ("Layers", "Metadata")
TITLE = "{} (NE Denoise)"


@pytest.fixture
def seen():
    messages = []

    def note(event) -> None:
        messages.append(event.message)

    notification_manager.notification_ready.connect(note)
    yield messages
    notification_manager.notification_ready.disconnect(note)


@pytest.fixture
def opened(viewer, tmp_path, noisy):
    """A noisy image from a file, and a result in the place of the dock's."""
    path = tmp_path / "noisy cells µ.tif"
    tifffile.imwrite(path, noisy((60, 70)))
    viewer.open(str(path), plugin="napari")
    write_image(tmp_path / "result.ome.tif", ImageFile(*_denoised(path)))
    return path


def _denoised(path):
    from napari_ne_denoise.core.inference import prepare_denoising

    image = read_image(path)
    run = prepare_denoising(image.pixels)
    result = np.empty(run.shape, run.dtype)
    for step in run.steps():
        result[step.index] = step.values
    return result, "YX", {}, (), "result", {**run.provenance, "source_layer": path.stem}


def test_from_the_menu_to_the_same_result(viewer, menu_entry, opened, tmp_path, seen):
    result, _, _, _, _, record = _denoised(opened)
    viewer.add_image(result, metadata={KEY: record})
    menu_entry(viewer, *PLACE, TITLE.format(PYTHON)).trigger()
    made = {}
    exec(QApplication.clipboard().text(), made)
    np.testing.assert_array_equal(made["denoised"], result)
    np.testing.assert_array_equal(made["denoised"], denoise(tifffile.imread(opened)))
    menu_entry(viewer, *PLACE, TITLE.format(COMMAND)).trigger()
    words = shlex.split(QApplication.clipboard().text())
    assert words[:5] == ["napari-ne-denoise", "denoise", str(opened), "-o", str(opened.with_name("noisy cells µ_denoised.ome.tif"))]
    assert seen == ["Copied as Python.", "Copied as command line."]


def test_a_layer_from_a_file_remembers_too(viewer, menu_entry, opened, tmp_path):
    viewer.open(str(tmp_path / "result.ome.tif"), plugin="napari")
    menu_entry(viewer, *PLACE, TITLE.format(PYTHON)).trigger()
    assert f"read_image({str(opened)!r})" in QApplication.clipboard().text()


def test_what_was_not_denoised_cannot_be_copied(viewer, menu_entry, opened, seen):
    QApplication.clipboard().setText("mine")
    menu_entry(viewer, *PLACE, TITLE.format(PYTHON)).trigger()
    viewer.layers.clear()
    menu_entry(viewer, *PLACE, TITLE.format(COMMAND)).trigger()
    viewer.add_image(np.zeros((8, 9)), metadata={KEY: {"settings": {"wishes": 3}, "input": {"shape": [8, 9]}}})
    menu_entry(viewer, *PLACE, TITLE.format(COMMAND)).trigger()
    assert QApplication.clipboard().text() == "mine"
    assert [message.split(" ")[0] for message in seen] == ["Choose", "Choose", "record:"]


def test_what_cannot_be_said_is_told(viewer, menu_entry, opened, seen):
    result, *_, record = _denoised(opened)
    viewer.layers.clear()
    viewer.add_image(result[:30], metadata={KEY: {**record, "part": [[0, 30], [0, 70]]}})
    menu_entry(viewer, *PLACE, TITLE.format(COMMAND)).trigger()
    assert "put the name of its file in" in seen[0]
    assert "the layer holds the part 0:30, 0:70" in seen[0]


def test_on_windows_it_is_for_its_shell(viewer, menu_entry, opened, seen, monkeypatch):
    monkeypatch.setattr("napari_ne_denoise.gui.denoise.copying.sys.platform", "win32")
    result, *_, record = _denoised(opened)
    viewer.add_image(result, metadata={KEY: record})
    menu_entry(viewer, *PLACE, TITLE.format(COMMAND)).trigger()
    assert f'"{opened}"' in QApplication.clipboard().text()
    assert seen == ["Copied as command line for cmd.exe."]


def test_the_buttons_follow_the_layer(viewer, opened, qtbot):
    said, wrong = [], []
    buttons = CopyButtons(viewer, lambda: viewer.layers.selection.active, said.append, wrong.append)
    viewer.layers.selection.events.active.connect(buttons.show_state)
    viewer.window.add_dock_widget(buttons, name="under test")
    assert not buttons.enabled
    result, *_, record = _denoised(opened)
    viewer.add_image(result, metadata={KEY: record})
    assert buttons.enabled
    qtbot.mouseClick(buttons.python.native, Qt.MouseButton.LeftButton)
    assert QApplication.clipboard().text().startswith(f"# {KEY}")
    qtbot.mouseClick(buttons.command.native, Qt.MouseButton.LeftButton)
    assert QApplication.clipboard().text().startswith(f"{KEY} denoise")
    assert (len(said), wrong) == (2, [])
    viewer.layers.selection.active = viewer.layers[0]
    assert not buttons.enabled


@pytest.mark.parametrize(("scope", "strength"), [(None, 100), ("this plane", 100), (None, 60)])
def test_what_the_dock_made_is_made_again(viewer, dock, run, menu_entry, tmp_path, noisy, scope, strength):
    """Of a z-stack from a file, all of it or the plane that is shown, and at any strength."""
    tifffile.imwrite(tmp_path / "stack.tif", noisy((5, 50, 60)))
    viewer.open(str(tmp_path / "stack.tif"), plugin="napari")
    viewer.dims.set_point(0, 1)
    if scope:
        dock.form.scope.native.setCurrentText(scope)
    dock.form.strength.slider.setValue(strength)
    run()
    (result,) = [layer for layer in viewer.layers if "denoised" in layer.name]
    viewer.layers.selection.active = result
    menu_entry(viewer, *PLACE, TITLE.format(PYTHON)).trigger()
    made = {}
    exec(QApplication.clipboard().text(), made)
    if strength == 100:
        np.testing.assert_array_equal(made["denoised"], result.data)
    else:  # the dock blends what is float32 already
        np.testing.assert_allclose(made["denoised"], result.data, rtol=3e-7)
        assert "the last digit may be another" in QApplication.clipboard().text()
