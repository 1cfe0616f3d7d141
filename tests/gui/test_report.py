"""A report for help is a menu entry away, and comes from a thread."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import qtpy
from napari.settings import get_plugin_settings
from qtpy.QtWidgets import QApplication

from napari_ne_denoise.core.models import fetch
from napari_ne_denoise.core.models.registry import list_models
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.base import choices

COPY = ("Layers", "Metadata", "Copy report for help (NE Denoise)")


def test_the_report_is_on_the_clipboard_after_some_seconds(viewer, menu_entry, until):
    QApplication.clipboard().setText("before")
    menu_entry(viewer, *COPY).trigger()
    until(lambda: QApplication.clipboard().text() != "before")
    text = QApplication.clipboard().text()
    assert text.startswith("versions\n")
    for told in ("napari-ne-denoise", qtpy.API_NAME, "as it should be", "SHA-256"):
        assert told in text
    assert text.splitlines()[-1].split() == ["problems", "none"]


@pytest.mark.parametrize(("platform", "menu"), [("darwin", "napari"), ("linux", "File"), ("win32", "File")])
def test_the_preferences_are_told_of_where_they_are(qapp, monkeypatch, platform, menu):
    monkeypatch.setattr(choices, "sys", SimpleNamespace(platform=platform))
    assert f"chosen in {menu} ▸ Preferences ▸ NE Denoise." in choices.model_box().tooltip


def test_models_in_the_folder_of_the_preferences_are_offered(viewer, tmp_path, monkeypatch):
    monkeypatch.delenv(fetch.CACHE_VARIABLE)
    published = next(row for row in list_models() if not row.packaged and row.blind)
    other = replace(published, name="shared", url="https://127.0.0.1/shared.pth")
    monkeypatch.setattr(choices, "list_models", lambda: (*list_models(), other))
    (tmp_path / "shared.pth").write_bytes(b"weights")
    assert "shared" not in {row.name for row in choices.usable_models()}
    get_plugin_settings(KEY).denoise.models_folder = str(tmp_path)
    try:
        assert "shared" in {row.name for row in choices.usable_models()}
    finally:
        get_plugin_settings(KEY).denoise.models_folder = ""
        fetch.choose_cache_folder(None)
