"""What to do about a layer that exists already and computes what it shows: fields of the dock act on the next result, not on that one."""

from napari_ne_denoise.gui.base.remedies import REMEDIES

_TRY_AGAIN = "To try again, hide this layer and show it"
_ON_CPU = 'denoise the image again with the CPU at "Device", under "Advanced"'

SHOWN_REMEDIES = REMEDIES | {
    "failing_device": _ON_CPU,
    "full_device": f"close other programs that use it. {_TRY_AGAIN}; or {_ON_CPU}",
    "failing_cpu": "denoise the image again with another model",
    "memory": f"close other programs. {_TRY_AGAIN}",
    "unreadable": f"see whether its files are all there and whole. {_TRY_AGAIN}",
    "nonfinite": "repair them, and denoise the image again; where that is in memory they come back as they are",
}
