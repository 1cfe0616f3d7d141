import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_ne_denoise import NoiseModel, adaptive_maps, denoise
from napari_ne_denoise.core.io import read_image
from napari_ne_denoise.core.jacobian import maps
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.models.files import write_model
from napari_ne_denoise.core.networks import FDnCNN
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.denoise.denoise_widget import DenoiseWidget
from napari_ne_denoise.gui.inside import mapping
from napari_ne_denoise.gui.inside.map_layer import is_map
from napari_ne_denoise.gui.inside.maps_widget import NO_MAP, MapsWidget
from napari_ne_denoise.gui.layers.layer_data import MAP_KEY, SOURCE_KEY, read_layer

MAPS = ("Layers", "Visualize", "Filter maps (NE Denoise)")
TIMEOUT = 60  # seconds


@pytest.fixture
def dock(viewer):
    return _docked(viewer)


def _docked(viewer):
    widget = MapsWidget(viewer)
    viewer.window.add_dock_widget(widget, name="under test")
    _tick(widget, "displacement")
    return widget


def _tick(dock, *names):
    """These maps and no others; those of coordinates are the cheapest."""
    for name, box in dock.boxes.items():
        box.value = name in names


@pytest.fixture
def compute(until):
    def press(dock, where=None):
        if where is not None:
            dock.where.value = where
        dock.button.native.click()
        until(lambda: dock.button.text == "Compute")

    return press


@pytest.fixture
def tiles(monkeypatch):
    """Tiles of 32 pixels, of which each waits for a permit."""
    permits, steps = threading.Semaphore(0), maps.iter_adaptive_maps

    def gated(*arguments, **settings):
        for step in steps(*arguments, **settings):
            assert permits.acquire(timeout=TIMEOUT)
            yield step

    monkeypatch.setattr(maps, "SIDE_WATCHED", 32)
    monkeypatch.setattr(maps, "iter_adaptive_maps", gated)
    yield permits
    permits.release(1000)


def _maps(viewer):
    return {layer.metadata[MAP_KEY]["map"]: layer for layer in viewer.layers if is_map(layer)}


def _result_of(viewer, layer, source=None, **record):
    """A layer as the Denoise dock leaves it."""
    source = source or read_layer(layer)
    look = source.result_look()
    look["metadata"] |= {SOURCE_KEY: source, KEY: record}
    noisy = source.data if source.part is None else source.data[source.part]
    return viewer.add_image(noisy.astype(float), **look)


def test_the_denoise_dock_opens_the_map_of_error_bars_for_its_result(viewer, menu_entry, noisy, until):
    menu_entry(viewer, "Layers", "Filter", "Denoise (NE Denoise)").trigger()
    denoise_dock = viewer.window.dock_widgets["Denoise (NE Denoise)"]
    viewer.add_image(noisy((48, 40)), name="cells")
    assert denoise_dock.bars.native.isHidden()
    denoise_dock.button.native.click()
    until(lambda: not denoise_dock.queue.is_busy)
    viewer.layers.selection.active = viewer.layers["cells"]
    denoise_dock.bars.native.click()
    maps_dock = viewer.window.dock_widgets[MAPS[-1]]
    assert maps_dock.layer.value == viewer.layers["cells denoised"]
    assert maps_dock.names == ("error",)
    _tick(maps_dock, "width")
    denoise_dock.bars.native.click()
    assert maps_dock.names == ("error",)  # the one that is open
    maps_dock.button.native.click()
    until(lambda: maps_dock.button.text == "Compute")
    assert set(_maps(viewer)) == {"error"}


def test_units_read_as_units(dock):
    units = {name: box.tooltip.split("Unit: ")[1].split(".\n")[0].rstrip(".") for name, box in dock.boxes.items()}
    assert units["error"] == units["residual_noise"] == "that of the image"
    assert units["width"] == "pixels, or that of the layer"
    assert not [unit for unit in units.values() if unit.startswith(("in ", "a "))]


def test_from_the_menu_to_maps_in_place_and_in_units(viewer, menu_entry, noisy, compute):
    image = noisy((48, 40))
    layer = viewer.add_image(image, name="cells", scale=(0.2, 0.2), translate=(5, -3), rotate=20, units=("um", "um"))
    menu_entry(viewer, *MAPS).trigger()
    dock = viewer.window.dock_widgets[MAPS[-1]]
    _tick(dock, "displacement", "self_weight")
    compute(dock)
    found = _maps(viewer)
    expected = adaptive_maps(image, ["displacement", "self_weight"])
    np.testing.assert_allclose(found["displacement"].data, 0.2 * expected["displacement"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["self_weight"].data, expected["self_weight"], rtol=1e-4, atol=1e-5)
    assert found["displacement"].name == "cells displacement (µm)"
    assert found["self_weight"].name == "cells self weight"
    for each in found.values():
        assert each.units == layer.units
        np.testing.assert_allclose(each.data_to_world((7, 3)), layer.data_to_world((7, 3)))
        assert each.colorbar.visible
    assert [each.visible for each in found.values()].count(True) == 1
    assert viewer.layers.selection.active == layer
    assert found["self_weight"].metadata[MAP_KEY] | {"model": "fast", "probes": 16, "seed": 0} == found["self_weight"].metadata[MAP_KEY]


def test_pixels_with_unlike_sides_give_no_length(viewer, dock, noisy, compute):
    viewer.add_image(noisy((32, 32)), name="cells", scale=(0.2, 0.3), units=("um", "um"))
    compute(dock)
    assert _maps(viewer)["displacement"].name == "cells displacement (px)"


def test_maps_are_no_images_to_denoise(viewer, dock, noisy, compute):
    layer = viewer.add_image(noisy((32, 32)))
    compute(dock)
    other = DenoiseWidget(viewer)
    viewer.window.add_dock_widget(other, name="another")
    viewer.layers.selection.active = _maps(viewer)["displacement"]
    assert dock.layer.choices == other.layer.choices == (layer,)
    assert dock.layer.value == layer


def test_what_is_visible_is_computed_and_lies_where_it_is(make_napari_viewer_proxy, noisy, compute, drawn):
    viewer = make_napari_viewer_proxy(show=True)
    image = noisy((120, 140))
    layer = viewer.add_image(image, scale=(2, 2), translate=(10, 20))
    dock = _docked(viewer)
    viewer.scene.camera.center, viewer.scene.camera.zoom = layer.data_to_world((60, 80)), 12
    drawn(viewer)
    assert "140" not in dock.cost.value
    compute(dock)
    found = _maps(viewer)["displacement"]
    (top, bottom), (left, right) = found.metadata[MAP_KEY]["window"]
    assert 0 < top < 60 < bottom < 120
    assert 0 < left < 80 < right < 140
    assert found.data.shape == (bottom - top, right - left)
    np.testing.assert_allclose(found.data_to_world((0, 0)), layer.data_to_world((top, left)))
    whole = adaptive_maps(image, ["displacement"])["displacement"]
    np.testing.assert_allclose(found.data, whole[top:bottom, left:right], rtol=1e-3, atol=1e-4)


def test_a_plane_or_the_whole_of_a_stack(viewer, dock, noisy, compute):
    image = noisy((3, 32, 32))
    layer = viewer.add_image(image, scale=(5, 1, 1), axis_labels=("z", "y", "x"))
    viewer.dims.set_point(0, 10)
    expected = adaptive_maps(image, ["displacement"], axes="ZYX")["displacement"]
    compute(dock, mapping.PLANE)
    plane = _maps(viewer)["displacement"]
    assert plane.data.shape == (1, 32, 32)
    np.testing.assert_allclose(plane.data_to_world((0, 0, 0)), layer.data_to_world((2, 0, 0)))
    np.testing.assert_allclose(plane.data[0], expected[2], rtol=1e-3, atol=1e-4)
    compute(dock, mapping.WHOLE)
    both = [other for other in viewer.layers if is_map(other)]
    assert [other.data.shape for other in both] == [(1, 32, 32), (3, 32, 32)]
    np.testing.assert_allclose(both[1].data, expected, rtol=1e-3, atol=1e-4)
    compute(dock, mapping.WHOLE)
    assert len(_maps(viewer)) + 1 == len([other for other in viewer.layers if is_map(other)]) == 2


def test_rows_and_columns_need_not_be_the_last_axes(viewer, dock, noisy, compute):
    image = np.ascontiguousarray(noisy((2, 32, 40)).transpose(2, 1, 0))
    viewer.add_image(image, axis_labels=("x", "y", "z"))
    compute(dock, mapping.WHOLE)
    expected = adaptive_maps(image, ["displacement"], axes="XYZ")["displacement"]
    np.testing.assert_allclose(_maps(viewer)["displacement"].data, expected, rtol=1e-3, atol=1e-4)


def test_of_colours_the_green_one(viewer, dock, noisy, compute):
    image = (np.moveaxis(noisy((3, 32, 40)), 0, -1) // 4).astype(np.uint8)
    viewer.add_image(image)
    compute(dock, mapping.PLANE)
    expected = adaptive_maps(image[..., 1], ["displacement"])["displacement"]
    np.testing.assert_allclose(_maps(viewer)["displacement"].data, expected, rtol=1e-3, atol=1e-4)


def test_of_a_result_its_plane_and_its_strength_count(viewer, dock, noisy, compute):
    image = noisy((2, 32, 32))
    layer = viewer.add_image(image, scale=(5, 1, 1), axis_labels=("z", "y", "x"))
    source = replace(read_layer(layer), part=(slice(1, 2), slice(0, 32), slice(0, 32)))
    viewer.layers.selection.active = result = _result_of(viewer, layer, source, settings={"strength": 0.5})
    assert list(dock.where.choices) == [mapping.VISIBLE, mapping.PLANE]
    compute(dock, mapping.PLANE)
    found = _maps(viewer)["displacement"]
    expected = adaptive_maps(image[1], ["displacement"])["displacement"]
    np.testing.assert_allclose(found.data[0], expected / 2, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.data_to_world((0, 4, 5)), result.data_to_world((0, 4, 5)))
    assert found.metadata[MAP_KEY]["strength"] == 0.5


def test_where_the_network_saw_stabilised_noise_it_says_so(viewer, dock, noisy, compute):
    image = noisy((64, 64)).astype(float)
    layer = viewer.add_image(image)
    noise = NoiseModel(gain=1.0, offset=0.0, read_noise=1.0)
    record = {"settings": {"noise": noise.as_record()}, "decided": {"noise": [{"stabilised": True}]}}
    viewer.layers.selection.active = _result_of(viewer, layer, **record)
    _tick(dock, "self_weight", "residual_noise")
    compute(dock)
    found = _maps(viewer)
    expected = adaptive_maps(image, ["self_weight", "residual_noise"], noise=noise)
    for name, layer in found.items():
        np.testing.assert_allclose(layer.data, expected[name], rtol=1e-3, atol=1e-5)
    dock.map.value = found["self_weight"]
    assert "same at every brightness" in dock.meaning.value
    dock.map.value = found["residual_noise"]
    assert "same at every brightness" not in dock.meaning.value
    assert found["residual_noise"].metadata[MAP_KEY]["noise"] == [noise.as_record()]


def test_a_model_that_was_told_the_noise_is_told_it_again(viewer, dock, noisy, compute, tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "told.safetensors"
    write_model(FDnCNN(blind=False, channels=8, depth=4).eval(), ModelCard("told"), path)
    image = noisy((48, 48))
    viewer.add_image(image, name="cells")
    settings = {"model": str(path), "sigma": 15.0}
    record = {"source_layer": "cells", "settings": settings}
    dock.layer.value = viewer.add_image(denoise(image, **settings), metadata={KEY: record})
    _tick(dock, "self_weight")
    compute(dock)
    expected, found = (adaptive_maps(image, ["self_weight"], model=path, **of)["self_weight"] for of in ({"sigma": 15.0}, {}))
    np.testing.assert_allclose(_maps(viewer)["self_weight"].data, expected, rtol=1e-3, atol=1e-5)
    assert np.abs(found - expected).max() > 1e-3  # of the noise that would be found


def test_a_transform_that_was_learned_is_not_learned_again(viewer, noisy):
    layer = viewer.add_image(noisy((48, 48)))
    decided = {"noise": [{"found": {"kind": "learned"}}]}
    result = _result_of(viewer, layer, settings={"noise": "self-calibrated"}, decided=decided)
    plan = mapping.plan_maps(viewer, result, ("displacement",), mapping.PLANE)
    assert plan.noise == {"noise": {"kind": "learned"}}


def test_the_contrast_of_chosen_stripes_in_the_unit_of_the_layer(viewer, dock, noisy, compute):
    image = noisy((48, 48))
    assert dock.stripes.rows.isHidden()
    layer = viewer.add_image(image, name="cells", scale=(0.1, 0.1), units=("um", "um"))
    _tick(dock, "contrast")
    assert not dock.stripes.rows.isHidden()
    assert dock.stripes.period.native.suffix() == " µm"
    assert dock.stripes.period.value == pytest.approx(0.6)
    dock.stripes.period.value = 0.8
    dock.stripes.direction.value = 90.0
    compute(dock)
    found = _maps(viewer)["contrast"]
    expected = adaptive_maps(image, ["contrast"], period=8.0, direction=90.0)["contrast"]
    np.testing.assert_allclose(found.data, expected, rtol=1e-3, atol=1e-4)
    assert found.name == "cells contrast at 0.8 µm, 90°"
    assert "0.8 µm, 90°" in dock.meaning.value
    dock.stripes.direction.value = "every"
    compute(dock)  # another contrast is another map
    assert len([layer for layer in viewer.layers if is_map(layer)]) == 2
    viewer.layers.remove(layer)
    viewer.add_image(image)
    assert dock.stripes.period.value == pytest.approx(8)
    assert dock.stripes.period.native.suffix() == " px"


def test_directions_are_drawn_as_lines_along_them(viewer, dock, noisy, compute):
    y, x = np.mgrid[:64, :64]
    image = 100 + 60 * np.exp(-(((y - 32) / 2) ** 2)) + 8 * np.random.default_rng(0).standard_normal(x.shape)
    layer = viewer.add_image(image, name="fibre", scale=(0.5, 0.5), units=("um", "um"))
    _tick(dock, "orientation")
    compute(dock)
    assert not dock.lines.native.isHidden()
    dock.lines.native.click()
    lines = viewer.layers["fibre orientation (°) lines"]
    np.testing.assert_allclose(lines.data_to_world((7, 3)), layer.data_to_world((7, 3)))
    middles = lines.data[:, 0] + lines.data[:, 1] / 2
    directions = _maps(viewer)["orientation"].data
    for (row, column), (down, across) in zip(middles, lines.data[:, 1], strict=True):
        angle = np.degrees(np.arctan2(down, across)) % 180
        expected = directions[int(row), int(column)]
        assert (angle - expected + 90) % 180 - 90 == pytest.approx(0, abs=0.1)
    dock.lines.native.click()  # the same ones again
    assert sum("lines" in each.name for each in viewer.layers) == 1
    assert viewer.layers.selection.active == layer


def test_pixels_without_a_value_are_counted(viewer, dock, noisy, compute):
    image = noisy((32, 32)).astype(float)
    image[:8] = np.nan
    viewer.add_image(image)
    compute(dock)
    assert dock.readout.value("No value") == "25.0 % of the pixels"


def test_a_map_that_is_saved_keeps_how_it_was_made(viewer, dock, noisy, compute, tmp_path):
    viewer.add_image(noisy((64, 64)), name="cells", scale=(0.2, 0.2), units=("um", "um"))
    _tick(dock, "error")
    compute(dock)
    _maps(viewer)["error"].save(str(tmp_path / "error.ome.tif"), plugin=KEY)
    saved = read_image(tmp_path / "error.ome.tif")
    assert saved.pixel_size["X"] == (0.2, "µm")
    assert (saved.provenance["map"], saved.provenance["unit"], saved.provenance["of_layer"]) == ("error", "image", "cells")
    assert saved.provenance["noise"]


def test_a_model_that_cannot_be_opened_is_told(viewer, dock, noisy, until):
    layer = viewer.add_image(noisy((32, 32)))
    source = replace(read_layer(layer), model="gone.safetensors")
    viewer.layers.selection.active = _result_of(viewer, layer, source)
    dock.button.native.click()
    until(lambda: dock.button.text == "Compute")
    assert dock.message.is_error


def test_without_a_map_there_is_nothing_to_compute(viewer, dock, noisy):
    assert not dock.button.enabled
    viewer.add_image(noisy((32, 32)))
    assert dock.button.enabled
    assert "pixels: about" in dock.cost.value
    _tick(dock)
    assert not dock.button.enabled
    assert dock.cost.value == NO_MAP


def test_tiles_stream_in_and_cancel_keeps_them(viewer, dock, noisy, tiles, until, no_thread_left):
    image = noisy((64, 64))
    viewer.add_image(image, name="cells")
    dock.button.native.click()
    tiles.release()
    until(lambda: bool(_maps(viewer)))
    found = _maps(viewer)["displacement"]
    assert np.isfinite(found.data).sum() == 32 * 32
    assert dock.button.text == "Cancel"
    assert dock.bar.native.value() == 25
    dock.button.native.click()
    assert found.name == "cells displacement (px) (25 % done)"
    assert found.metadata[MAP_KEY]["finished_share"] == 0.25
    tiles.release(10)
    no_thread_left()
    assert np.isfinite(found.data).sum() == 32 * 32


def test_removing_the_layers_ends_the_work(viewer, dock, noisy, tiles, until, no_thread_left):
    viewer.add_image(noisy((64, 64)))
    _tick(dock, "displacement", "self_weight")
    dock.button.native.click()
    tiles.release()
    until(lambda: len(_maps(viewer)) == 2)
    viewer.layers.remove(_maps(viewer)["self_weight"])
    tiles.release()
    until(lambda: dock.bar.native.value() == 50)
    viewer.layers.remove(_maps(viewer)["displacement"])
    assert dock.button.text == "Compute"
    assert "removed" in dock.message.value
    tiles.release(10)
    no_thread_left()
    assert not _maps(viewer)


def test_removing_the_image_does_not_end_it(viewer, dock, noisy, tiles, until):
    layer = viewer.add_image(noisy((64, 64)))
    dock.button.native.click()
    tiles.release()
    until(lambda: bool(_maps(viewer)))
    viewer.layers.remove(layer)
    tiles.release(3)
    until(lambda: dock.button.text == "Compute")
    assert np.isfinite(_maps(viewer)["displacement"].data).all()


def test_a_closed_dock_takes_what_is_unfinished_along(viewer, dock, noisy, tiles, until, close_dock, no_thread_left, qtbot):
    viewer.add_image(noisy((64, 64)))
    dock.button.native.click()
    tiles.release()
    until(lambda: bool(_maps(viewer)))
    close_dock(dock)
    assert not _maps(viewer)
    tiles.release(10)
    no_thread_left()
    qtbot.wait(200)  # late slots would raise here
    viewer.scene.camera.zoom = 3
    viewer.add_image(noisy((64, 64)))


def test_the_chosen_map_is_shown_and_told(viewer, dock, noisy, compute):
    viewer.add_image(noisy((32, 32)), scale=(0.5, 0.5), units=("um", "um"))
    _tick(dock, "displacement", "self_weight", "residual_noise")
    compute(dock)
    found = _maps(viewer)
    units = (("displacement", "self_weight", " µm"), ("self_weight", "displacement", ""), ("residual_noise", "self_weight", " image units"))
    for name, other, unit in units:
        dock.map.value = found[name]
        assert found[name].visible
        assert not found[other].visible
        assert viewer.layers.selection.active == found[name]
        assert maps.MAPS[name].meaning in dock.meaning.value
        assert dock.readout.value("Median") == f"{np.median(found[name].data):.3g}{unit}"
    viewer.layers.selection.active = found["displacement"]
    assert dock.map.value == found["displacement"]


def test_contrast_that_was_set_by_hand_stays(viewer, dock, noisy, tiles, until):
    viewer.add_image(noisy((64, 64)))
    dock.button.native.click()
    tiles.release()
    until(lambda: bool(_maps(viewer)))
    found = _maps(viewer)["displacement"]
    found.contrast_limits = (0.25, 0.5)
    tiles.release(3)
    until(lambda: dock.button.text == "Compute")
    assert found.contrast_limits == [0.25, 0.5]


def test_a_round_filter_has_no_direction(viewer, dock, noisy, compute, monkeypatch):
    monkeypatch.setattr(mapping, "ROUND", 1.3)
    image = noisy((32, 32))
    viewer.add_image(image)
    _tick(dock, "orientation")
    compute(dock)
    found = _maps(viewer)["orientation"]
    round_ones = adaptive_maps(image, ["elongation"])["elongation"] < 1.3
    assert round_ones.any()
    assert np.array_equal(np.isnan(found.data), round_ones)
    assert found.contrast_limits == [0, 180]
    assert dock.readout.is_hidden("Median")  # directions have no order
    assert dock.readout.value("No value") == f"{100 * round_ones.mean():.1f} % of the pixels"


def test_the_noise_that_was_found_is_in_the_record(viewer, dock, noisy, compute):
    viewer.add_image(noisy((64, 64)))
    _tick(dock, "residual_noise")
    compute(dock)
    (noise,) = _maps(viewer)["residual_noise"].metadata[MAP_KEY]["noise"]
    assert noise["read_noise"] > 0 or noise["gain"] > 0


def test_an_image_that_denoising_made_elsewhere_needs_its_source(viewer, dock, noisy):
    viewer.add_image(denoise(noisy((32, 32))), metadata={KEY: {"source_layer": "cells", "settings": {"model": "fast"}}})
    dock.button.native.click()
    assert "'cells'" in dock.message.value
