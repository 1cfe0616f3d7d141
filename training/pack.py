"""``python -m training.pack FILE``: put all clean images that recipes train and validate on into one file that travels.

A pack stands for the data folder: ``python -m training fast --data FILE``.  Images are kept in 12 bits, a step of 0.04 % of their range.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_ne_denoise.core.training.dataset import read_clean_images, write_pack
from training.__main__ import DATA, read_recipe


def main() -> None:
    """Parse, read, write, print."""
    parser = argparse.ArgumentParser(prog="python -m training.pack", description=__doc__)
    parser.add_argument("file", type=Path, help="what to write; ends in .tif")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with files.csv")
    parser.add_argument("--recipe", default="fast", help="whose [data] table says which images are clean enough")
    given = parser.parse_args()
    wanted = read_recipe(given.recipe)["data"]
    training, validation = read_clean_images(given.data, largest_grain=wanted["largest_grain"], smallest_side=wanted["smallest_side"])
    write_pack(given.file, training, validation)
    print(
        f"{given.file}: {len(training)} images to train on, {len(validation)} for validation, {given.file.stat().st_size / 2**20:.1f} MiB"
    )


if __name__ == "__main__":
    main()
