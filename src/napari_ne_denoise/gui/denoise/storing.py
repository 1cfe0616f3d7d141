"""Results that become an OME-Zarr on disk: where, and what the thread does."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_ne_denoise.core.errors import FileError
from napari_ne_denoise.core.io import ImageFile, is_zarr, writing_parts
from napari_ne_denoise.core.io.targets import require_zarr
from napari_ne_denoise.core.settings import DEFAULTS
from napari_ne_denoise.gui.base.saving import as_file_name
from napari_ne_denoise.gui.denoise.denoising import Advanced, label_of
from napari_ne_denoise.gui.layers.layer_data import Source
from napari_ne_denoise.gui.layers.layer_files import layer_as_file

if TYPE_CHECKING:
    from napari.layers import Image

ENDING = ".ome.zarr"


@dataclass(frozen=True)
class BegunOnDisk:
    """Everything is decided; so many pixels are to be written."""

    total: int


@dataclass(frozen=True)
class Stored:
    """The file is there: its sizes, the full one first, what it does not hold of the layer, its record, the seconds it took, on what."""

    path: Path
    levels: list[Any]
    lost: list[str]
    record: dict[str, Any]
    seconds: float
    device: str


def ask_for_target(parent: QWidget, layer: "Image") -> Path | None:
    """Where the result of a layer shall be; None if the user does not want it after all.

    Raises
    ------
    FileError
        If zarr is missing, or there is something of that name already.
    """
    require_zarr()
    path = layer.source.path
    folder = Path(path).parent if isinstance(path, str) and path and "://" not in path else Path.home()
    suggested = str(folder / f"{as_file_name(layer.name)} denoised{ENDING}")
    options = QFileDialog.Option.DontConfirmOverwrite  # nothing is overwritten, whatever is answered
    name, _ = QFileDialog.getSaveFileName(parent, "Result as OME-Zarr", suggested, f"OME-Zarr (*{ENDING})", options=options)
    if not name:
        return None
    target = Path(name) if is_zarr(Path(name)) else Path(f"{name}{ENDING}")
    if target.exists():
        raise FileError(f"{target}: exists already, and is not replaced; press Denoise again and give another name.")
    return target


def store_source(source: Source, strength: float, target: Path) -> Iterator[BegunOnDisk | Advanced | Stored]:
    """Denoise into an OME-Zarr, tile by tile, so that the result need not fit into memory; it is there in the end, or not at all.

    Parameters
    ----------
    source
        The image, and how to denoise it.
    strength
        Of the result, 0 to 1.
    target
        What it will be called.
    """
    from napari_ne_denoise.core.inference import prepare_denoising  # brings torch, which takes seconds
    from napari_ne_denoise.core.io.zarr_files import read_zarr_levels

    run = prepare_denoising(source.data, DEFAULTS.changed(**source.settings, strength=strength))
    image, lost = source_as_file(source)
    yield BegunOnDisk(int(source.data.size))
    begin = perf_counter()
    with writing_parts(target, image, run.dtype) as parts:
        for step in run.steps(first_side=None):
            parts.put(step.index, step.values)
            yield Advanced(step.done, step.index)
        seconds = perf_counter() - begin
        record = {**run.provenance, "source_layer": source.name, "seconds": round(seconds, 3)}
        parts.image = replace(parts.image, provenance=record)
    yield Stored(target, read_zarr_levels(target), lost, record, seconds, label_of(str(run.device)))


def source_as_file(source: Source) -> tuple[ImageFile, list[str]]:
    """What the file shall say of a result, whose axes are what the user took them for; and what of the layer it cannot hold."""
    meta = {**source.look, "name": source.name, "rgb": source.rgb, "metadata": {}}
    if source.axes is not None:
        meta["axis_labels"] = tuple(source.axes.removesuffix("S" if source.rgb else "").lower())
    return layer_as_file(source.data, meta)
