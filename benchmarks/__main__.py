"""``python -m benchmarks quality``: measure, and print a table."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.quality import report
from napari_ne_denoise import load_denoiser


def main() -> None:
    """Parse and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True)
    quality = commands.add_parser("quality", help="PSNR of models on the test images")
    quality.add_argument("models", nargs="*", default=["fast"], help="registered names or weight files")
    quality.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    given = parser.parse_args()
    denoisers = {"noisy": np.asarray, **{Path(model).stem: load_denoiser(model) for model in given.models}}
    for line in report(given.data, denoisers):
        print(line, flush=True)


if __name__ == "__main__":
    main()
