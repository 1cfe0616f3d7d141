"""Save image layers as OME-TIFF and OME-Zarr, with what napari's own writer leaves out: scale, units, axes and how they were made."""

from pathlib import Path
from typing import Any

from napari.utils.notifications import show_warning

from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.core.io import write_image
from napari_ne_denoise.gui.layers.layer_files import layer_as_file

TIFF_ENDINGS = (".ome.tif", ".ome.tiff", ".tif", ".tiff")
ZARR_ENDINGS = (".ome.zarr", ".zarr")


def write_ome_tiff(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write an image layer as OME-TIFF; napari calls it."""
    return _write(path, data, meta, TIFF_ENDINGS)


def write_ome_zarr(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write an image layer as OME-Zarr 0.5, shard by shard; napari calls it."""
    return _write(path, data, meta, ZARR_ENDINGS)


def _write(path: str, data: Any, meta: dict[str, Any], endings: tuple[str, ...]) -> list[str]:
    """Write a layer and give the name of its file.

    Raises
    ------
    OSError
        If it cannot be written.  Ours are ``ValueError``, which napari takes for "no writer fits", and says nothing else.
    """
    complete = path.lower().endswith(endings)
    target = Path(path if complete else path + endings[0])
    image, lost = layer_as_file(data, meta)
    try:
        # that this very name may be replaced, napari has asked; another one, nobody has
        write_image(target, image, overwrite=complete)
    except NEDenoiseError as error:
        raise OSError(str(error)) from error
    if lost:
        show_warning(f"{target.name} does not hold the {' and the '.join(lost)} of {image.name}.")
    return [str(target)]
