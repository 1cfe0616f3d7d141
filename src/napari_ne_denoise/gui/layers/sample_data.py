"""The images of File ▸ Open Sample."""

from importlib.resources import as_file, files
from typing import Any, TypeAlias

import numpy as np

from napari_ne_denoise.core.io import ImageFile, read_image
from napari_ne_denoise.core.training.volumes import moving_vesicles
from napari_ne_denoise.gui.layers.layer_files import file_as_layer

LayerTuple: TypeAlias = tuple[Any, dict[str, Any], str]

SOURCE = "source"  # of an image, in a layer's metadata
_EMBL = "© European Molecular Biology Laboratory, CC BY 4.0, https://github.com/NEUBIAS/training-resources"
# napari shows 8 bit in its full range, of which these channels use a small part
_LOOKS = ({"colormap": "magenta", "contrast_limits": (0, 45)}, {"colormap": "green", "contrast_limits": (0, 20)})


def actin() -> list[LayerTuple]:
    """Actin in cultured cells at a short and a long exposure: 512×512 pixels of 8 bit (GigaDB 100888, CC0)."""
    source = "GigaDB 100888, Hagen et al. 2021, CC0, http://gigadb.org/dataset/100888"
    clean = _layer("actin_clean.tif", source, name="actin clean", visible=False)
    # on top, and active
    noisy = _layer("actin_noisy.tif", source, name="actin noisy")
    return [clean, noisy]


def envelopes() -> list[LayerTuple]:
    """Nuclear envelopes in a Drosophila embryo, a stack of 9 planes of 176×200 pixels of 8 bit (EMBL, CC BY 4.0)."""
    return [_layer("envelopes.ome.tif", _EMBL)]


def membranes_nuclei() -> list[LayerTuple]:
    """Membranes and nuclei, two channels of 299×340 pixels of 8 bit, a layer each (EMBL, CC BY 4.0)."""
    image = _read("membranes_nuclei.ome.tif")
    channels = zip(image.pixels, image.channel_names, _LOOKS, strict=True)
    return [_as_layer(ImageFile(pixels, "YX", name=name), _EMBL, blending="additive", **look) for pixels, name, look in channels]


def migration() -> list[LayerTuple]:
    """Nuclei of migrating cancer cells, 8 frames of 130×130 pixels of 16 bit (Tinevez and Jacquemet, CC BY 4.0)."""
    source = "J.-Y. Tinevez and G. Jacquemet, CC BY 4.0, https://zenodo.org/record/5206107"
    return [_layer("migration.ome.tif", source, contrast_limits=(1000, 34000))]


def vesicles() -> list[LayerTuple]:
    """Vesicles that move along filaments: 6 frames of 9 planes of 128×160 pixels of 16 bit, simulated, with the truth."""
    source = "Simulated by napari-ne-denoise, CC0"
    truth, noisy = moving_vesicles(np.random.default_rng(0))
    sizes = {"T": (2.0, "s"), "Z": (0.3, "µm"), "Y": (0.1, "µm"), "X": (0.1, "µm")}
    limits = [float(limit) for limit in np.percentile(noisy, (1, 99.9))]
    named = ((truth, "moving vesicles, truth", False), (noisy, "moving vesicles", True))
    layers = [(ImageFile(pixels, "TZYX", sizes, name=name), visible) for pixels, name, visible in named]
    return [_as_layer(image, source, visible=visible, contrast_limits=limits) for image, visible in layers]


def _layer(file: str, source: str, **look: Any) -> LayerTuple:
    return _as_layer(_read(file), source, **look)


def _as_layer(image: ImageFile, source: str, **look: Any) -> LayerTuple:
    pixels, meta, kind = file_as_layer(image)
    return pixels, {**meta, "metadata": {SOURCE: source}, **look}, kind


def _read(file: str) -> ImageFile:
    with as_file(files("napari_ne_denoise") / "sample_data" / file) as path:
        return read_image(path)
