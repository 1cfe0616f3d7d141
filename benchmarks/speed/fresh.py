"""``python -m benchmarks.speed.fresh SIDE``: what a process that has done nothing yet waits for, as JSON."""

from __future__ import annotations

import json
import sys
import time


def main(side: int) -> None:
    """Seconds to load the model beyond torch, and from the call to the first tile of an image."""
    import torch  # noqa: F401  # what the model's load is counted beyond

    began = time.perf_counter()
    from napari_ne_denoise import load_denoiser

    fast = load_denoiser("fast")
    load = time.perf_counter() - began

    from benchmarks.images import noisy_plane
    from benchmarks.ours import steps_of

    image = noisy_plane((side, side), "uint16")
    began = time.perf_counter()
    next(iter(steps_of(image, fast)))
    print(json.dumps({"load": load, "first": time.perf_counter() - began}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
