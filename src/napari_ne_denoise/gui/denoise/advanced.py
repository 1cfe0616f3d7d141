"""The fields of the Denoise dock that are folded away: each has a default that suits nearly every image."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QSpinBox

from napari_ne_denoise.core.pixels import result_dtype
from napari_ne_denoise.core.settings import DEFAULTS, PROFILE_SUFFIX
from napari_ne_denoise.gui.base.boxes import choice_box, ignore_wheel, offer
from napari_ne_denoise.gui.base.choices import device_box, offer_devices
from napari_ne_denoise.gui.base.docks import Rows

if TYPE_CHECKING:
    from napari_ne_denoise.core.device import DeviceReport

ADVANCED = "Advanced"
ADVANCED_TOOLTIP = "Noise, hot pixels, type of the result, device, tile size: each has a default that suits nearly every image."
CHOOSE_PROFILE = "choose a profile"  # a choice of noise that asks for a file
LARGEST_TILE = 8192  # pixels
AUTO_TILE = "auto"

# text, value, explanation
NOISE = (
    (
        "auto",
        "auto",
        "Our models get the image as it is. For models that know Gaussian noise only,\n"
        "the noise is made the same at every brightness first.",
    ),
    ("none", "none", "Nothing is done about noise before the network."),
    (
        "photon noise evened out",
        "poisson-gaussian",
        "Gain and read noise are found in the image, and the noise is made the same at every brightness.\n"
        "Adaptive filters are then those of the image with noise made even, and their dock says so.",
    ),
    (
        "self-calibrated",
        "self-calibrated",
        "How the noise depends on brightness is learned from the image through the model, in about ten seconds.\n"
        "Adaptive filters are then those of the image with noise made even, and their dock says so.",
    ),
    (
        "microscope profile…",
        CHOOSE_PROFILE,
        "A file that the Noise dock saved, for all images of a microscope at these settings.\n"
        "The noise is made the same at every brightness by what it says.",
    ),
)
HOT_PIXELS = (
    ("keep", "keep", "Hot and dead pixels of the detector stay where they are; the network keeps them too."),
    (
        "repair",
        "repair",
        "The median of their neighbours is put in the place of hot and dead pixels first.\n"
        "Over time and slices, if the axes say so, they are those that stand out in most planes; else those of each plane.",
    ),
)
OUTPUT = (
    (
        "auto",
        "auto",
        "32-bit floats; 64-bit ones for images of float64 or of 32 or 64-bit integers,\nwhich float32 would make coarser.",
    ),
    ("same as the image", "input", "Rounded, and cut off at the limits of the image's own type."),
    ("float32", "float32", "32-bit floats, always."),
)
TILE_TOOLTIP = (
    "Side in pixels of the square that is kept of each piece the network computes. It does not change the result.\n"
    "Auto takes it from the free memory; smaller ones need less of it."
)


class Advanced(Rows):
    """Noise, hot pixels, type of the result, device and tile size."""

    changed = Signal()  # by the user or by a program

    def __init__(self) -> None:
        super().__init__()
        self._profiles: dict[str, str] = {}  # path → text
        self._values: dict[str, Any] = {}  # what was wished, also where it is not offered (yet)
        self.noise = choice_box("noise", "Noise", "What is done about the noise before the network sees the image.")
        self.hot_pixels = choice_box("hot_pixels", "Hot pixels", "What is done about hot and dead pixels of the detector.")
        self.output = choice_box("output", "Result type", "Type of the numbers in the result. Colours keep that of their image.")
        self.device, self.tile = device_box(), _tile_field()
        self._offer_noise()
        offer(self.hot_pixels, HOT_PIXELS)
        self.offer_output(None)
        for box in (self.noise, self.hot_pixels, self.output, self.device):
            self.add(box.label, box.native, str(box.tooltip))
        self.add("Tile size", self.tile, TILE_TOOLTIP)
        self._listen()

    @property
    def values(self) -> dict[str, Any]:
        """The settings of `denoise` that these fields choose."""
        return {
            "noise": self.noise.value,
            "hot_pixels": self.hot_pixels.value,
            "output_dtype": self.output.value,
            "device": self.device.value,
            "tile_size": self.tile.value() or None,
        }

    @property
    def differing(self) -> int:
        """How many fields are not at their defaults."""
        return sum(value != getattr(DEFAULTS, name) for name, value in self.values.items())

    @property
    def title(self) -> str:
        """What to call these fields where they are folded away: what is not as usual must not be overlooked."""
        return f"{ADVANCED} ({self.differing} changed)" if self.differing else ADVANCED

    def show_values(self, values: Mapping[str, Any]) -> None:
        """Show settings of `denoise`; what is not offered becomes the default."""
        self._values = dict(values)
        noise = values.get("noise")
        if isinstance(noise, str) and noise.lower().endswith(PROFILE_SUFFIX) and _is_here(noise):
            self._add_profile(Path(noise))
        boxes = {"noise": self.noise, "hot_pixels": self.hot_pixels, "output_dtype": self.output, "device": self.device}
        for name, box in boxes.items():
            value = values.get(name)
            box.value = value if value in box.choices and value != CHOOSE_PROFILE else getattr(DEFAULTS, name)
        self.tile.setValue(values.get("tile_size") or 0)

    def offer_devices(self, reports: "tuple[DeviceReport, ...]") -> None:
        """Offer the devices that were found, and choose the one that was wished before they were known."""
        offer_devices(self.device, reports)
        usable = [report.name for report in reports if report.problem is None]
        if self._values.get("device") in usable:
            self.device.value = self._values["device"]

    def offer_output(self, dtype: "np.dtype[Any] | None", rgb: bool = False) -> None:
        """Say what "auto" is for an image of a type; None for no image.  Colours keep that of their image."""
        auto = OUTPUT[0][0]
        if dtype is not None:
            auto += f": {result_dtype(dtype, 'input' if rgb else 'auto')}"
        offer(self.output, ((auto, *OUTPUT[0][1:]), *OUTPUT[1:]))

    def _listen(self) -> None:
        self.noise.changed.connect(self._notice_noise)
        for box in (self.hot_pixels, self.output, self.device):
            box.changed.connect(lambda *_: self.changed.emit())
        self.tile.valueChanged.connect(lambda _: self.changed.emit())

    def _notice_noise(self, value: str) -> None:
        if value == CHOOSE_PROFILE:
            self._ask_for_profile()
        else:
            self._values["noise"] = value
            self.changed.emit()

    def _ask_for_profile(self) -> None:
        kinds = f"Microscope profile (*{PROFILE_SUFFIX})"
        path, _ = QFileDialog.getOpenFileName(self, "Microscope profile", "", kinds)
        if path:
            self._add_profile(Path(path))
            self.noise.value = path
        else:
            before = self._values.get("noise", DEFAULTS.noise)
            self.noise.value = before if before in self.noise.choices else DEFAULTS.noise

    def _add_profile(self, path: Path) -> None:
        self._profiles[str(path)] = f"profile: {path.stem}"
        self._offer_noise()

    def _offer_noise(self) -> None:
        profiles = tuple((text, path, path) for path, text in self._profiles.items())
        offer(self.noise, NOISE[:-1] + profiles + NOISE[-1:])


def _tile_field() -> QSpinBox:
    field = QSpinBox()
    field.setRange(0, LARGEST_TILE)
    field.setSingleStep(64)
    field.setSuffix(" px")
    field.setSpecialValueText(AUTO_TILE)
    field.setToolTip(TILE_TOOLTIP)
    ignore_wheel(field)
    return field


def _is_here(profile: str) -> bool:
    """Whether a profile that a record names is a file of this machine; a record may be a stranger's, and others are not asked."""
    return not profile.startswith(("//", "\\\\")) and os.path.isfile(profile)
