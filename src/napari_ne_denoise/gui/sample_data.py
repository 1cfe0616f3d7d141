"""The image pair of File ▸ Open Sample."""

from importlib.resources import files
from typing import Any

import tifffile

_FOLDER = files("napari_ne_denoise") / "sample_data"


def actin() -> list[tuple[Any, dict[str, Any], str]]:
    """Actin in cultured cells at a short and a long exposure: 512×512 pixels of 8 bit (GigaDB 100888, CC0)."""
    # the noisy image comes last: on top, and active
    return [_layer("clean", visible=False), _layer("noisy", visible=True)]


def _layer(kind: str, visible: bool) -> tuple[Any, dict[str, Any], str]:
    with (_FOLDER / f"actin_{kind}.tif").open("rb") as file:
        image = tifffile.imread(file)
    return image, {"name": f"actin {kind}", "visible": visible, "axis_labels": ("y", "x")}, "image"
