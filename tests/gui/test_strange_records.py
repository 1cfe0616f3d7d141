"""Layers whose record is a stranger's: the dock shows what it can of it, and nothing breaks."""

from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.denoise.denoise_widget import DenoiseWidget

JUNK = [None, 7, -1, 10**400, float("nan"), "", "x" * 5000 + ".json", "\0.json", [], [1], {}, {"a": 1}, True]
NAMES = ("model", "axes", "channel_axis", "noise", "hot_pixels", "output_dtype", "strength", "device", "tile_size", "smell")


def records_of(junk):
    yield {"settings": dict.fromkeys(NAMES, junk)}
    yield {"settings": {"noise": junk}, "source_layer": junk, "decided": junk, "model": junk, "input": junk, "part": junk}
    yield {"settings": junk}
    yield junk


def test_records_of_nonsense_break_nothing(viewer, noisy):
    dock = DenoiseWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Denoise")
    plain, strange = (viewer.add_image(noisy((20, 20)), name=name) for name in ("plain", "strange"))
    for record in (record for junk in JUNK for record in records_of(junk)):
        dock.layer.value = plain
        strange.metadata[KEY] = record
        dock.layer.value = strange
        assert dock.button.enabled
    dock.layer.value = plain
    assert dock.form.settings["model"] == "fast"
