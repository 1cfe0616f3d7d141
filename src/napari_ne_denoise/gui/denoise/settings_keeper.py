"""Which settings the form shows: those of the chosen layer's record where it has one, else those that the user chose last."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from napari_ne_denoise.core.io import ImageFile
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.core.settings import DEFAULTS
from napari_ne_denoise.gui.base.preferences import remember, remembered
from napari_ne_denoise.gui.base.workers import Task
from napari_ne_denoise.gui.denoise.denoise_form import DenoiseForm
from napari_ne_denoise.gui.denoise.restoring import Notes, made_by, path_of, read_notes, settings_known_of
from napari_ne_denoise.gui.layers.records import settings_in

if TYPE_CHECKING:
    from napari.viewer import Viewer


class SettingsKeeper:
    """Shows settings in a form, and remembers them.

    Parameters
    ----------
    viewer, form
        Whose layers and fields.
    say
        Told where settings came from, if not from the user; an empty text for another layer.
    noticed
        Called when a file was read, which may tell of other things than settings.
    """

    def __init__(self, viewer: "Viewer", form: DenoiseForm, say: Callable[[str], None], noticed: Callable[[], None]) -> None:
        self._viewer, self._form, self._say, self._noticed = viewer, form, say, noticed
        self._in_files: WeakKeyDictionary[Any, Notes] = WeakKeyDictionary()
        self._shown_for: Callable[[], Any] = lambda: None
        self._search: Task | None = None
        self._has_chosen = False  # whether the user has changed a setting since the layer was chosen
        kept = remembered()
        kept["tile_size"] = kept.get("tile_size") or None
        self._own = {**form.settings, **kept, "strength": DEFAULTS.strength}
        form.show_settings(self._own)
        self._last = self._chosen()
        form.fold.head.setChecked(bool(kept.get("advanced")))
        form.changed.connect(self._take)
        form.strength_moved.connect(self._take)
        form.fold.toggled.connect(self._take_fold)

    def follow(self, layer: Any) -> None:
        """Show the settings of another layer; nothing changes for the one whose settings are shown."""
        if layer is self._shown_for():
            return
        self._shown_for = (lambda: None) if layer is None else ref(layer)
        self._stop_search()
        self._has_chosen = False
        self._say("")
        if layer is None:
            return
        self._show(layer, settings_known_of(self._viewer, layer) or settings_in(self.record_of(layer)))
        if layer not in self._in_files and (path := path_of(layer)) is not None:
            found = lambda notes: self._take_from_file(layer, notes)  # noqa: E731
            self._search = Task(f"reading the record of {layer.name}", read_notes, path, found=found, failed=lambda _: None)
            self._search.start()

    def record_of(self, layer: Any) -> dict[str, Any] | None:
        """The record of the run that made a layer, in its metadata or, once that was read, in its file; None without a usable one."""
        notes = self._in_files.get(layer)
        records = (layer.metadata.get(KEY), None if notes is None else notes.record)
        return next((record for record in records if settings_in(record)), None)

    def image_told_of(self, layer: Any) -> ImageFile | None:
        """What the file of a layer tells of its axes, sizes and place, once it was read."""
        notes = self._in_files.get(layer)
        return None if notes is None else notes.image

    def let_go(self) -> None:
        """Stop what is at work."""
        self._stop_search()

    def _show(self, layer: Any, known: dict[str, Any]) -> None:
        self._form.show_settings({**self._own, **known})
        self._last = self._chosen()
        if known:
            self._form.show_reading(known.get("axes"))
            self._say(self._where_from(layer))

    def _where_from(self, layer: Any) -> str:
        record = self.record_of(layer)
        if record is None:
            return f"{layer.name} was last denoised with these settings."
        return f"{layer.name} is already denoised ({made_by(record)}); the settings are those of its record."

    def _take_from_file(self, layer: Any, notes: Notes) -> None:
        self._search = None
        self._in_files[layer] = notes
        if layer is not self._shown_for():
            return
        if not self._has_chosen and not settings_known_of(self._viewer, layer) and (settings := settings_in(notes.record)):
            self._show(layer, settings)
        self._noticed()

    def _stop_search(self) -> None:
        if self._search is not None:
            self._search.stop()
            self._search = None

    def _take(self) -> None:
        """What the user chose is kept for other layers; all but the strength, which belongs to an image, for other days too.

        What a record says is the layer's own, and not kept with what the user changes of it.
        """
        self._has_chosen = True
        last, self._last = self._last, self._chosen()
        changed = {name: value for name, value in self._last.items() if value != last[name]}
        self._own.update(changed)
        remember({name: 0 if name == "tile_size" and value is None else value for name, value in changed.items()})

    def _chosen(self) -> dict[str, Any]:
        return {**self._form.settings, "strength": self._form.strength.share}

    def _take_fold(self, unfolded: bool) -> None:
        remember({"advanced": unfolded})
