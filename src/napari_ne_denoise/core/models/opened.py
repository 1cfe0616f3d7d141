"""A model ready for use: its network in the forms that computing and looking inside need."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from threading import Lock

import numpy as np
import torch

from napari_ne_denoise.core.device import computing_on
from napari_ne_denoise.core.interruption import check_between_layers
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.networks import DenoisingNetwork, NormalizedDenoiser
from napari_ne_denoise.core.tiling import Grid


class OpenModel:
    """A network with its weights, and what is known of it.

    Parameters
    ----------
    network
        In evaluation mode, on the CPU.
    card
        What is said of the model.
    sha256
        Of its weight file; None for a network that came from no file.
    origin
        What opens it again: its registered name, or the path of its file.  None: the card's name.
    """

    def __init__(self, network: DenoisingNetwork, card: ModelCard, sha256: str | None = None, origin: str | None = None) -> None:
        self.network, self.card, self.sha256 = network, card, sha256
        self.origin = card.name if origin is None else origin
        # the window's threads and the API share one model
        self._making = Lock()
        self._ready: dict[tuple[str, torch.dtype], DenoisingNetwork] = {}
        self._differentiable: dict[torch.dtype, DenoisingNetwork] = {}
        self._in_float64: DenoisingNetwork | None = None

    @property
    def name(self) -> str:
        """Registered name, or the file's."""
        return self.card.name

    @property
    def reach(self) -> int:
        """Pixels around an output pixel that it may depend on; `DenoisingNetwork.reach` has the one exception."""
        return self.network.reach

    @property
    def stride(self) -> int:
        """Tiles start at multiples of this."""
        return self.network.stride

    @property
    def equivariance(self) -> str:
        """The law that holds: "norm-equiv", "scale-equiv" or "ordinary" (none)."""
        return self.network.equivariance

    @property
    def half_errors(self) -> Mapping[str, float]:
        """By dtype, the error of half precision as a share of a plane's standard deviation, where that was measured.

        That is what pixels are divided by, and the mean is subtracted, for norm-equiv models only.
        """
        return self.card.half_errors if self.equivariance == "norm-equiv" else {}

    @property
    def blind(self) -> bool:
        """Whether the model finds the noise level itself."""
        return self.network.blind

    @property
    def is_wrapped(self) -> bool:
        """Whether the plane's mean and std are part of the function (WNE), which returns constant planes as they are."""
        return isinstance(self.network, NormalizedDenoiser)

    @property
    def grid(self) -> Grid:
        """What the network demands of tiles."""
        return Grid(self.reach, self.stride)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.equivariance}, {'blind' if self.blind else 'needs sigma'})"

    @property
    def in_float64(self) -> DenoisingNetwork:
        """A float64 copy of the network as it was trained; made once, and kept."""
        with self._making, torch.inference_mode(False):
            if self._in_float64 is None:
                self._in_float64 = copy.deepcopy(local_network(self.network)).double()
        return self._in_float64

    def differentiable(self, precision: torch.dtype) -> DenoisingNetwork:
        """Its inference form on the CPU, frozen: gradients of the image flow through it; made once for each precision, and kept."""
        # a copy made inside the caller's inference mode could never have gradients
        with self._making, torch.inference_mode(False):
            if precision not in self._differentiable:
                # converted first: kernels that were rounded before would not sum to one
                frozen = copy.deepcopy(local_network(self.network)).to(precision).for_inference()
                self._differentiable[precision] = frozen.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
                check_between_layers(frozen)
        return self._differentiable[precision]

    def without_numerics(self, image: np.ndarray, precision: str = "float64") -> np.ndarray:
        """The bare network on a whole image (Y, X), with nothing subtracted or divided before; to measure its law with.

        Parameters
        ----------
        image
            Of finite numbers.
        precision
            "float64", or "float32": in its inference form, several times faster.  A wrapped model takes float64 in any case.

        Returns
        -------
        ndarray
            (Y, X), of that precision.

        Raises
        ------
        SettingsError
            If the network needs a noise level, which would have to follow the image.
        """
        if precision == "float32" and not self.is_wrapped:
            network = self.on(torch.device("cpu"), torch.float32)
        else:
            network, precision = copy.deepcopy(self.network).double() if self.is_wrapped else self.in_float64, "float64"
        with torch.inference_mode():
            output: np.ndarray = network(torch.from_numpy(np.array(image, precision))[None, None])[0, 0].numpy()
        return output

    def on(self, device: torch.device, precision: torch.dtype) -> DenoisingNetwork:
        """The network in its inference form on a device; made once and kept."""
        key = (str(device), precision)
        with self._making:
            if key not in self._ready:
                local = local_network(self.network)
                with computing_on(device):
                    ready = local.for_inference().to(device, precision, memory_format=torch.channels_last)  # type: ignore[call-overload]
                check_between_layers(ready)
                self._ready[key] = ready
        return self._ready[key]


def local_network(network: DenoisingNetwork) -> DenoisingNetwork:
    """What acts on a tile once the plane's statistics are taken.

    Of a `NormalizedDenoiser` that is the network inside: its mean and std are those of the whole plane, which `Numerics` has
    taken already; a tile's own would leave seams.
    """
    inner = network.net if isinstance(network, NormalizedDenoiser) else network
    return inner if isinstance(inner, DenoisingNetwork) else network
