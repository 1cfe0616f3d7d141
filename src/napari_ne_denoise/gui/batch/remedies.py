"""What to do in the Batch dock about what cannot be done, where that is not what any dock would say."""

from napari_ne_denoise.gui.base.remedies import REMEDIES

BATCH_REMEDIES = REMEDIES | {
    "existing": 'choose at "Old results" whether it stays or is replaced',
    "busy": 'wait for it, or choose another folder at "Results"',
    "out": 'choose another folder at "Results"',
}
UNNAMED = 'tell at "Axes"'
