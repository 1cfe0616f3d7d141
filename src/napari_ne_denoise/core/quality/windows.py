"""Which windows of an image are looked at."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from napari_ne_denoise.core.axes import Index, PlaneLayout
from napari_ne_denoise.core.tiling import Window

SIDE_LOOKED_AT, UNCUT = 512, 768  # pixels of a window, and of a plane that is looked at as a whole
MOST_WINDOWS = 4


def windows_to_look_at(layout: PlaneLayout, fixed: Mapping[int, int]) -> list[tuple[Index, Window]]:
    """At most four windows of 512×512 pixels, or up to 768×768 of a single one; fixed by the shape alone.

    Parameters
    ----------
    layout
        Of the image.
    fixed
        Places of the planes by number of axis; along all other axes they are spread.
    """
    counts = [1 if axis in (layout.rows, layout.columns, *fixed) else length for axis, length in enumerate(layout.shape)]
    total = int(np.prod(counts))
    wanted = min(total, MOST_WINDOWS)
    found = []
    for number in range(wanted):
        # in the middle of equal parts: the ends of a stack are often empty
        place = np.unravel_index((2 * number + 1) * total // (2 * wanted), counts)
        plane = layout.plane_at(tuple(fixed.get(axis, int(at)) for axis, at in enumerate(place)))
        rows, columns = (_spans(length, alone=wanted == 1) for length in layout.plane_shape)
        found += [(plane, (span, across)) for span in rows for across in columns]
    return found


def _spans(length: int, alone: bool) -> list[slice]:
    """Several along a side of the only plane, or one in the middle of each of several planes."""
    if length <= (UNCUT if alone else SIDE_LOOKED_AT):
        return [slice(0, length)]
    middles = (length // 4, 3 * length // 4) if alone else (length // 2,)
    starts = (min(max(middle - SIDE_LOOKED_AT // 2, 0), length - SIDE_LOOKED_AT) for middle in middles)
    return [slice(start, start + SIDE_LOOKED_AT) for start in starts]
