"""The filters of clicked pixels, as a thread computes them: of the model that denoised, and of another to compare with."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.inside.filtering import Pixel
from napari_ne_denoise.gui.layers.layer_data import Source
from napari_ne_denoise.gui.layers.records import learned_noise, told_of_noise

if TYPE_CHECKING:
    from napari_ne_denoise.core.jacobian.rows import PixelFilters
    from napari_ne_denoise.core.jacobian.weights import Filter

# unit and offset in which the network is given the image once more, to see what its law is worth: [0, 1] becomes [0.2, 0.8]
OTHER_UNIT = (0.6, 0.2)
MOST_KEPT = 4


@dataclass(frozen=True, eq=False)
class Found:
    """A filter of a pixel.

    Attributes
    ----------
    pixel
        Whose.
    filter
        Of its model.
    numbers
        As `numbers_of` gives them; empty while the mouse passes.
    change
        How far weights change with unit and offset; None where nobody compares, and while the mouse passes.
    model
        Its name.
    """

    pixel: Pixel
    filter: "Filter"
    numbers: Mapping[str, float]
    change: float | None
    model: str


class FilterMaking:
    """Keeps what was decided and read of a few images, so that the next pixel costs what the network costs.

    Its methods run in threads.
    """

    def __init__(self) -> None:
        # with their images, as long as whose id no other image has it
        self._kept: dict[tuple[Any, ...], tuple[Any, PixelFilters]] = {}
        self._preparing = Lock()

    def source(self, pixel: Pixel, model: str | None = None) -> "PixelFilters":
        """What computes the filters of a pixel's image, with its model or another."""
        from napari_ne_denoise.core.jacobian.filters import prepare_filters  # brings torch

        settings = _settings(pixel)
        if model is not None:
            settings |= {"model": model}
        key = (id(pixel.source.data), *(repr(settings[name]) for name in sorted(settings)))
        with self._preparing:
            if key not in self._kept:
                while len(self._kept) >= MOST_KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[key] = pixel.source.data, prepare_filters(pixel.source.data, **settings)
            return self._kept[key][1]

    def compute(self, pixel: Pixel, beside: str | None) -> Iterator[tuple[Found, Found | None]]:
        """Work of a thread: the filter of a pixel, and that of another model beside it.

        Where the mouse is passing they come from a pass in float32, which takes a fifth of the time; where it rests or clicks, in float64,
        with all that there is to say.
        """
        compared = beside is not None
        one = self._found(pixel, None, compared)
        yield one, self._found(pixel, beside, compared) if compared else None

    def several(self, pixels: Sequence[Pixel]) -> Iterator[Found]:
        """Work of a thread: the exact filters of several pixels of one image, one by one, with what there is to say of each."""
        source = self.source(pixels[0])
        found = source.of([pixel.position for pixel in pixels], strength=pixels[0].strength)
        for pixel, each in zip(pixels, found, strict=True):
            yield Found(pixel, each, _numbers(source, pixel, each), None, source.run.denoiser.name)

    def quickly(self, pixels: Sequence[Pixel]) -> Iterator[Found]:
        """Work of a thread: the same in float32, with nothing to say."""
        source = self.source(pixels[0])
        found = source.of([pixel.position for pixel in pixels], _precision(True), pixels[0].strength)
        for pixel, each in zip(pixels, found, strict=True):
            yield Found(pixel, each, {}, None, source.run.denoiser.name)

    def write(self, path: Path, found: Sequence[Found], side: int) -> Iterator[str]:
        """Work of a thread: write filters to a file; yields its name."""
        from napari_ne_denoise.core.jacobian.filter_files import write_filters

        pixel = found[0].pixel
        write_filters(path, self.source(pixel), [each.filter for each in found], side, name=pixel.source.name, overwrite=True)
        yield path.name

    def _found(self, pixel: Pixel, model: str | None, compared: bool) -> Found:
        source = self.source(pixel, model)
        found = source.at(pixel.position, _precision(pixel.is_live), pixel.strength)
        if pixel.is_live:
            return Found(pixel, found, {}, None, source.run.denoiser.name)
        change = _change(source, pixel, found) if compared else None
        return Found(pixel, found, _numbers(source, pixel, found), change, source.run.denoiser.name)


def _precision(is_live: bool) -> Any:
    from napari_ne_denoise.core.jacobian.filters import checked_precision

    return checked_precision("float32" if is_live else "float64")


def _numbers(source: "PixelFilters", pixel: Pixel, found: "Filter") -> dict[str, float]:
    from napari_ne_denoise.core.jacobian.telling import numbers_of

    return numbers_of(found, source.noise_of(pixel.position))


def _change(source: "PixelFilters", pixel: Pixel, found: "Filter") -> float:
    """How far the weights are from those that the network would give in another unit and with another offset."""
    from napari_ne_denoise.core.jacobian.weights import change_of

    other = source.rescaled(*OTHER_UNIT).at(pixel.position, strength=pixel.strength)
    return change_of(found.weights, other.weights)


def _settings(pixel: Pixel) -> dict[str, Any]:
    """Of the denoising that made the pixel; of a noisy image those it would be denoised with."""
    source, record = pixel.source, pixel.layer.metadata.get(KEY)
    # the record tells where nothing was remembered of the session it was made in
    settings = told_of_noise(record) | _decided(source) if pixel.value is not None else _decided(source)
    return settings | learned_noise(record, settings)


def _decided(source: Source) -> dict[str, Any]:
    return {name: value for name, value in source.settings.items() if name not in ("device", "precision", "tile_size", "output_dtype")}
