"""``python -m benchmarks.speed.pages SIDE PRECISION RUNS``: seconds that `fast` takes for an image in this process, as JSON.

torch reads THP_MEM_ALLOC_ENABLE once, so that large and small pages of memory can only be compared between processes.
"""

from __future__ import annotations

import json
import sys

from benchmarks.images import noisy_plane
from benchmarks.ours import denoised
from benchmarks.speed.timing import seconds
from napari_ne_denoise import load_denoiser


def main(side: int, precision: str, runs: int) -> None:
    """Print what each run took, after one that is not timed."""
    image, fast = noisy_plane((side, side)), load_denoiser("fast")
    denoised(image, fast, precision=precision)
    print(json.dumps({"seconds": [seconds(lambda: denoised(image, fast, precision=precision)) for _ in range(runs)]}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
