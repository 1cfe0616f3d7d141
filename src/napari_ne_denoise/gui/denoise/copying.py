"""Copy as Python, copy as command: what made a result, on the clipboard, as text that makes it again."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from magicgui.widgets import Container, PushButton
from napari.utils.notifications import show_info, show_warning
from qtpy.QtWidgets import QApplication

from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.repeat import as_command, as_python, part_of
from napari_ne_denoise.gui.base.remedies import in_window
from napari_ne_denoise.gui.layers.records import record_of, source_path

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

PYTHON, COMMAND = "Copy as Python", "Copy as command"


class CopyButtons(Container):
    """Two buttons that copy what made a layer.

    Parameters
    ----------
    viewer
        Where the layer it was made from may be.
    layer_now
        Gives the layer whose making is copied; None if there is none.
    say, complain
        Show a message, or an error; napari's notifications if they are left out.
    """

    def __init__(
        self,
        viewer: "napari.viewer.Viewer",
        layer_now: Callable[[], "Layer | None"],
        say: Callable[[str], None] = show_info,
        complain: Callable[[str], None] = show_warning,
    ) -> None:
        self._viewer, self._layer_now, self._say, self._complain = viewer, layer_now, say, complain
        self.python = PushButton(text=PYTHON, tooltip="Copy Python code that makes this result again, from the file of the noisy image.")
        self.command = PushButton(text=COMMAND, tooltip="Copy a command line, for a shell, that makes this result again.")
        super().__init__(widgets=[self.python, self.command], layout="horizontal", labels=False)
        self.margins = (0, 0, 0, 0)
        self.python.changed.connect(lambda: self._copy(python_of))
        self.command.changed.connect(lambda: self._copy(command_of))
        self.show_state()

    def show_state(self) -> None:
        """Offer to copy only what was made by this program; to be called when another layer is chosen, or made.

        Looks at metadata only, never at pixels.
        """
        layer = self._layer_now()
        self.enabled = layer is not None and record_of(layer) is not None

    def _copy(self, text_of: Callable[["napari.viewer.Viewer", dict[str, Any]], tuple[str, str]]) -> None:
        _copy(self._viewer, self._layer_now(), text_of, self._say, self._complain)


def copy_python(viewer: "napari.viewer.Viewer") -> None:
    """Copy Python code that makes the active layer again; a menu entry."""
    _copy(viewer, viewer.layers.selection.active, python_of, show_info, show_warning)


def copy_command(viewer: "napari.viewer.Viewer") -> None:
    """Copy a line for a shell that makes the active layer again; a menu entry."""
    _copy(viewer, viewer.layers.selection.active, command_of, show_info, show_warning)


def python_of(viewer: "napari.viewer.Viewer", record: dict[str, Any]) -> tuple[str, str]:
    """Python code that repeats a run, and what to say of it.

    Raises
    ------
    SettingsError
        If the record is none, or of a version with other settings.
    """
    path = source_path(viewer, record)
    return as_python(record, path), f"Copied as Python.{_about_file(path)}"


def command_of(viewer: "napari.viewer.Viewer", record: dict[str, Any]) -> tuple[str, str]:
    """A line for a shell that repeats a run, and what to say of it.

    Raises
    ------
    SettingsError
        As `python_of`.
    """
    path, part = source_path(viewer, record), part_of(record)
    whole = f" It denoises all of the image; the layer holds the part {part} of that." if part else ""
    shell = " for cmd.exe" if sys.platform == "win32" else ""
    return as_command(record, path, windows=sys.platform == "win32"), f"Copied as command line{shell}.{_about_file(path)}{whole}"


def _about_file(path: str | None) -> str:
    return "" if path else " The noisy layer is gone or came from no file: put the name of its file in."


def _copy(
    viewer: "napari.viewer.Viewer",
    layer: "Layer | None",
    text_of: Callable[["napari.viewer.Viewer", dict[str, Any]], tuple[str, str]],
    say: Callable[[str], None],
    complain: Callable[[str], None],
) -> None:
    record = None if layer is None else record_of(layer)
    if record is None:
        complain("Choose a layer that was denoised with this plugin; how it was made can then be copied.")
        return
    try:
        text, remark = text_of(viewer, record)
    except SettingsError as error:
        complain(in_window(error))
        return
    clipboard = QApplication.clipboard()
    assert clipboard is not None  # there is one as long as there is a window
    clipboard.setText(text)
    say(remark)
