"""The Jacobian of a patch of an image: a row for each pixel that is made, a column for each that is seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from napari_ne_denoise.core import device as devices
from napari_ne_denoise.core.errors import ComputationError
from napari_ne_denoise.core.interruption import check_if_wanted
from napari_ne_denoise.core.models.opened import OpenModel
from napari_ne_denoise.core.networks.linear import keep_choices, use_choices
from napari_ne_denoise.core.tiling import Window, inside, read_window, round_up

PIXELS_AT_ONCE = 2**18  # of fields that go through the network together


class PatchJacobian:
    """The linear map that a network is around an image, from a patch of it to the same patch of its result.

    What is around the patch makes the choices too, but is left as it is: it is read as far as the network looks.  A field that is zero
    outside the patch need not be followed so far: what gets farther than half of the network's reach never comes back.

    Parameters
    ----------
    model
        A blind norm-equiv or scale-equiv model.
    device
        Where to compute.
    pixels
        (Y, X) of `read`, in the units of the network.
    mean
        Of the plane, in these units.
    read
        Window of the plane that is read for the patch, from `read_window`.
    patch
        Window of the plane.

    Attributes
    ----------
    shape
        Of the patch.
    output
        (Y, X) of the patch: what the network makes of it.
    """

    def __init__(self, model: OpenModel, device: torch.device, pixels: np.ndarray, mean: float, read: Window, patch: Window) -> None:
        self._device = device
        self.shape = patch[0].stop - patch[0].start, patch[1].stop - patch[1].start
        self._pixels = devices.pixels_at_once(device, model.network.floats_per_pixel, PIXELS_AT_ONCE)
        with devices.computing_on(device):
            self._network = model.network.for_products().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._kept = inside(patch, read)
        keep_choices(self._network, True)
        self.output = self._run(pixels[None], mean)[0]
        keep_choices(self._network, False)
        near = _around(patch, model.reach // 2 + 1, model.stride, read)
        use_choices(self._network, inside(near, read), (round_up(pixels.shape[0], model.stride), round_up(pixels.shape[1], model.stride)))
        self._kept = inside(patch, near)
        self._field_shape = near[0].stop - near[0].start, near[1].stop - near[1].start

    @property
    def at_once(self) -> int:
        """How many fields go through the network together."""
        return int(max(1, self._pixels // (self._field_shape[0] * self._field_shape[1])))

    def times(self, fields: np.ndarray) -> np.ndarray:
        """The Jacobian times fields (N, Y, X) of the patch; float64, of the same shape.  Any number of them, in parts."""
        return np.concatenate(list(self.in_parts(fields)))

    def in_parts(self, fields: np.ndarray) -> Iterator[np.ndarray]:
        """The same, a few at a time."""
        for first in range(0, len(fields), self.at_once):
            check_if_wanted()
            part = fields[first : first + self.at_once]
            whole = np.zeros((len(part), *self._field_shape), np.float32)
            whole[:, self._kept[0], self._kept[1]] = part
            yield self._run(whole, 0.0)  # the plane's mean, with which a DRUNet continues it, is none of the patch's pixels

    def _run(self, batch: np.ndarray, mean: float) -> np.ndarray:
        try:
            x = torch.from_numpy(np.ascontiguousarray(batch, np.float32))[:, None]
            with torch.inference_mode(), devices.computing_on(self._device):
                x = x.to(self._device)
                found: np.ndarray = (
                    self._network(x, None, mean, self._kept)[:, 0].cpu().double().numpy()
                )  # float64 is unknown to an Apple GPU
        except RuntimeError as error:  # which a worker thread would lose
            said = f"spectrum: failed on {self._device}: {error}."
            raise ComputationError(said, mend="failing_device_inside", python="try device='cpu'") from error
        return found


def window_to_read(patch: Window, model: OpenModel, plane: tuple[int, int]) -> Window:
    """What must be read of a plane for a patch of it."""
    return read_window(plane, patch, model.grid)


def _around(patch: Window, margin: int, stride: int, read: Window) -> Window:
    """A patch with so many pixels more on each side, at multiples of the stride or where `read` ends."""
    rows, columns = (
        slice(
            max(whole.start, (part.start - margin) // stride * stride),
            min(whole.stop, round_up(part.stop + margin, stride)),
        )
        for part, whole in zip(patch, read, strict=True)
    )
    return rows, columns
