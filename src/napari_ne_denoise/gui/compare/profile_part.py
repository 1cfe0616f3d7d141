"""The part of the compare dock that draws a line profile."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QApplication, QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_ne_denoise.core.errors import FileError, ImageError
from napari_ne_denoise.core.io import complete_or_absent
from napari_ne_denoise.gui.base.plots import LINE
from napari_ne_denoise.gui.base.remedies import in_window
from napari_ne_denoise.gui.base.saving import TABLE_ENCODING, as_file_name, with_ending
from napari_ne_denoise.gui.base.workers import Task
from napari_ne_denoise.gui.compare.comparing import Pair
from napari_ne_denoise.gui.compare.profile import (
    ERROR_BAR,
    GREEN,
    NOISE,
    ErrorOf,
    Profile,
    error_bars,
    error_map_of,
    noise_band,
    profile_along,
)
from napari_ne_denoise.gui.compare.profile_line import ProfileLine
from napari_ne_denoise.gui.compare.profile_view import ProfileView
from napari_ne_denoise.gui.layers.layer_data import channel_of
from napari_ne_denoise.gui.layers.places import ShownPlane, shown_plane
from napari_ne_denoise.gui.noise.noise_finding import Found, find_noise_of

if TYPE_CHECKING:
    from napari.viewer import Viewer

SUFFIX = ".csv"
HINT = "Shift-drag on the image: another line."
HINT_OF_BARS = "Error bars: Filter maps ▸ error."
SAVED = {
    NOISE: "and the standard deviation of a pixel's noise before denoising, once it is found",
    ERROR_BAR: "and the error bar of the denoised one",
}


class ProfilePart(QWidget):
    """A plot of two images along a line on the canvas; hidden until there is a pair to draw.

    Parameters
    ----------
    viewer
        Where the line is.
    complain
        Called with what went wrong.
    """

    def __init__(self, viewer: "Viewer", complain: Callable[[str], None]) -> None:
        super().__init__()
        self._viewer, self._complain = viewer, complain
        self._pair: Pair | None = None
        self._line: ProfileLine | None = None
        self._planes: tuple[ShownPlane, tuple[Any, Any]] | None = None
        self._errors: dict[int | None, ErrorOf | None] = {}
        self._bars: Any = None  # the map of error bars that is heard
        self._task: Task | None = None
        self._sought: int | None = None  # the channel whose noise the task is looking for
        self.current: Profile | None = None
        self.view, self.legend = ProfileView(), QLabel()
        self.legend.setWordWrap(True)
        self.copy, self.save = QPushButton("Copy"), QPushButton("Save as CSV…")
        self.copy.setToolTip("Copy the numbers, to be pasted into a table.")
        self._explain_save(NOISE)
        self.copy.clicked.connect(self._copy)
        self.save.clicked.connect(self._ask_where)
        self._lay_out()
        self.hide()

    @property
    def is_shown(self) -> bool:
        """Whether there is a line."""
        return self._line is not None

    @property
    def was_removed(self) -> bool:
        """Whether the user has taken the line away."""
        return self._line is not None and not self._line.is_alive

    def show_pair(self, pair: Pair | None) -> None:
        """Draw the profile of a pair, along the same line as before if it is as large; None for none."""
        ends = None if self._line is None or not _same_planes(self._pair, pair) else self._line.ends
        self.stop()
        self._errors = {}
        if pair is not None:
            try:
                self._line = ProfileLine(self._viewer, pair.after, self._draw, ends)
                self._pair = pair
                pair.after.events.set_data.connect(self._draw)  # tiles of a result come one by one
                for event in self._events_of_layers:
                    event.connect(self._maps_changed)
                self._maps_changed()
            except ImageError as error:
                self._complain(in_window(error))
        self.setVisible(self.is_shown)
        self._draw()

    def stop(self) -> None:
        """Take the line away, and look for no noise any more."""
        pair, line, task = self._pair, self._line, self._task
        self._pair = self._line = self._task = self._planes = None
        if pair is not None:
            pair.after.events.set_data.disconnect(self._draw)
            for event in self._events_of_layers:
                event.disconnect(self._maps_changed)
            self._hear(None)
        if task is not None:
            task.stop()
        if line is not None:
            line.leave()

    def keep(self, path: Path) -> None:
        """Write the numbers as a table."""
        assert self.current is not None
        try:
            path = with_ending(path, SUFFIX)
            with complete_or_absent(path) as temporary:
                temporary.write_text(self.current.as_table(), encoding=TABLE_ENCODING)
        except FileError as error:
            self._complain(in_window(error))
        except OSError as error:
            self._complain(f"{path}: could not be written ({error.strerror or error}); choose another place.")

    @property
    def _events_of_layers(self) -> tuple[Any, ...]:
        """What tells that a map of error bars may have come or gone."""
        return self._viewer.layers.events.inserted, self._viewer.layers.events.removed

    def _maps_changed(self, *_: object) -> None:
        """Draw anew, also as a map of error bars fills."""
        bars = None if self._pair is None else error_map_of(self._viewer, self._pair.after)
        if bars is not self._bars:
            self._hear(bars)
            self._draw()

    def _hear(self, bars: Any) -> None:
        """Draw anew whenever this map of error bars changes, and no other one."""
        if self._bars is not None:
            self._bars.events.set_data.disconnect(self._draw)
        self._bars = bars
        if bars is not None:
            bars.events.set_data.connect(self._draw)

    def _lay_out(self) -> None:
        column, row = QVBoxLayout(self), QHBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        for button in (self.copy, self.save):
            row.addWidget(button)
        for part in (self.view, self.legend):
            column.addWidget(part)
        column.addLayout(row)

    def _draw(self, *_: object) -> None:
        """Read the pixels under the line, and draw them."""
        self.current = None
        if self._pair is not None and self._line is not None:
            try:
                shown = shown_plane(self._viewer, self._pair.after)
            except ImageError:
                return  # another view: the last profile stays
            error_of = self._error_in(self._pair, shown)
            what = NOISE if error_map_of(self._viewer, self._pair.after) is None else ERROR_BAR
            found = profile_along(self._pair, shown, self._read(self._pair, shown), self._line.ends, error_of)
            self.current = None if found is None else replace(found, error_name=what)
            self._explain(self._pair, error_of is not None, what)
        self.view.show_profile(self.current)
        for button in (self.copy, self.save):
            button.setEnabled(self.current is not None)

    def _read(self, pair: Pair, shown: ShownPlane) -> tuple[Any, Any]:
        """Both planes; those of arrays that are not in memory are read once."""
        if self._planes is None or self._planes[0] != shown:
            before, after = (shown.flat(shown.read(array)) for array in (pair.noisy, pair.denoised))
            self._planes = shown, (before, after)
        return self._planes[1]

    def _error_in(self, pair: Pair, shown: ShownPlane) -> ErrorOf | None:
        """What is drawn around the line: error bars if there is a map of them, else the noise of the channel, once it is found."""
        bars = error_map_of(self._viewer, pair.after)
        if bars is not None:
            return error_bars(bars, pair.after)
        place = (*shown.position, GREEN) if pair.rgb else shown.position
        channel = channel_of(pair.source, tuple(at + start for at, start in zip(place, pair.origin, strict=True)))
        if channel not in self._errors and (self._task is None or channel != self._sought):
            self._look_for_noise(pair, channel)
        return self._errors.get(channel)

    def _look_for_noise(self, pair: Pair, channel: int | None) -> None:
        if self._task is not None:
            self._task.stop()

        def take(found: Found) -> None:
            self._task = None
            self._errors[channel] = None if found.noise.kind == "none" else noise_band(found.noise)
            self._draw()

        def fail(reason: str) -> None:
            self._task, self._errors[channel] = None, None
            self._complain(reason)

        self._sought = channel
        self._task = Task(f"noise of {pair.before.name}", find_noise_of, pair.source, channel, found=take, failed=fail)
        self._task.start()

    def _explain_save(self, what: str) -> None:
        self.save.setToolTip(f"Distance, place in pixels, both values, {SAVED[what]}: one row a pixel.")

    def _explain(self, pair: Pair, with_error: bool, what: str) -> None:
        self._explain_save(what)
        name = what.replace(" ", "&nbsp;")
        band = f' &nbsp; <span style="color:{LINE}">▒</span>&nbsp;±&nbsp;{name}' if with_error else ""
        colour = " (green)" if pair.rgb else ""
        hint = HINT if what == ERROR_BAR else f"{HINT}<br>{HINT_OF_BARS}"
        self.legend.setText(f'● before &nbsp; <span style="color:{LINE}">━</span> after{colour}{band}<br>{hint}')

    def _copy(self) -> None:
        assert self.current is not None
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self.current.as_table("\t"))

    def _ask_where(self) -> None:
        assert self._pair is not None
        suggested = f"{as_file_name(self._pair.after.name)} profile{SUFFIX}"
        path, _ = QFileDialog.getSaveFileName(self, "Save the profile", suggested, f"Table (*{SUFFIX})")
        if path:
            self.keep(Path(path))


def _same_planes(one: Pair | None, other: Pair | None) -> bool:
    return one is not None and other is not None and tuple(one.noisy.shape) == tuple(other.noisy.shape)
