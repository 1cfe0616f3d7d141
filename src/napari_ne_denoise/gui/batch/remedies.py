"""What to do in the Batch dock about what cannot be done, by what mends it; the fields are called as they are labelled."""

REMEDIES = {
    "existing": 'choose at "If there" whether it stays or is replaced',
    "busy": 'wait for it, or choose another folder at "Results"',
    "out": 'choose another folder at "Results"',
    "model": 'choose another one at "Model"',
    "axes": 'choose what fits at "Axes"',
    "channel_axis": 'choose what fits at "Axes"',
    "noise": 'choose something else at "Noise", under "Advanced"',
    "output_dtype": 'choose another one at "Result type", under "Advanced"',
    "device": 'choose another one at "Device", under "Advanced"',
    "tile_size": 'choose another one at "Tile size", under "Advanced"',
}
UNNAMED = 'tell at "Axes"'
