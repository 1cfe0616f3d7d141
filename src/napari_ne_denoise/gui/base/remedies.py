"""Errors in words of the window: fields are called as they are labelled, and what mends an error is something that can be done there."""

from collections.abc import Mapping

from napari_ne_denoise.core.errors import NEDenoiseError

# what settings are called in the Denoise dock and in that for many files
LABELS = {
    "model": "Model",
    "axes": "Axes",
    "channel_axis": "Axes",
    "strength": "Strength",
    "noise": "Noise",
    "hot_pixels": "Hot pixels",
    "output_dtype": "Result type",
    "device": "Device",
    "tile_size": "Tile size",
}
_ADVANCED = {"noise": "something else", "hot_pixels": "something else", "output_dtype": "another one", "device": "another one"}

# what to do, by what mends it
REMEDIES = {
    "model": 'choose another one at "Model"',
    "axes": 'choose what fits at "Axes"',
    "channel_axis": 'choose what fits at "Axes"',
    "last_axis": 'choose what it is at "Axes"',
    **{name: f'choose {what} at "{LABELS[name]}", under "Advanced"' for name, what in _ADVANCED.items()},
    "tile_size": 'choose another one at "Tile size", under "Advanced"',
    "own_filters": "denoise with another model, and take that result",
    "noise_level": "choose another model",
    "nonfinite": "repair them; where an image is in memory they come back as they are",
    "masked": "give the layer an array without a mask: pixels that are NaN there come back as they are",
    "failing_device": 'choose the CPU at "Device", under "Advanced"',
    "full_device": 'close other programs that use it, or choose the CPU at "Device", under "Advanced"',
    "failing_cpu": 'choose another one at "Model"',
    "memory": "close other programs, or take a part of the image",
    "unreadable": "see whether its files are all there and whole",
    "failing_device_inside": "close other programs that use it",
    "precision_of_filters": "close other programs",
    "region": "choose another part of the image",
}


def in_window(error: NEDenoiseError, remedies: Mapping[str, str] = REMEDIES) -> str:
    """What an error says, and what to do about it in the window."""
    return error.with_remedy(remedies, LABELS)
