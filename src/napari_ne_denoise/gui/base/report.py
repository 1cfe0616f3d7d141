"""A report about a fault, on the clipboard: what the window knows of this machine, to be pasted where one asks for help."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from napari.utils.notifications import show_info, show_warning
from qtpy.QtWidgets import QApplication

from napari_ne_denoise.gui.base.workers import Task

if TYPE_CHECKING:
    import napari


def copy_report(viewer: "napari.viewer.Viewer") -> None:
    """Copy versions, devices, memory, models and a check of denoising; a menu entry.  It takes seconds, in a thread."""
    show_info("Looking at versions, devices and models; the report will be on the clipboard in some seconds.")
    Task("making a report", find_report, found=_copy, failed=show_warning).start()


def find_report() -> Iterator[str]:
    """The work of a thread."""
    from napari_ne_denoise.core.doctor import as_text, examine

    report = examine()
    yield as_text(report)


def _copy(text: str) -> None:
    clipboard = QApplication.clipboard()
    assert clipboard is not None  # there is one as long as there is a window
    clipboard.setText(text)
    *_, problems = text.splitlines()
    found = problems.removeprefix("problems").strip()
    show_info("Copied a report; paste it where you ask for help. " + ("All is well here." if found == "none" else f"Found: {found}."))
