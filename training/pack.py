"""``python -m training.pack FILE``: put all clean images that recipes train and validate on into one file that travels.

A pack stands for the data folder: ``python -m training fast --data FILE``, to the bit.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_ne_denoise.core.training.dataset import read_clean_images, write_pack
from training.recipes import DATA, read_recipe


def main() -> None:
    """Parse, read, write, print."""
    parser = argparse.ArgumentParser(prog="python -m training.pack", description=__doc__)
    parser.add_argument("file", type=Path, help="what to write; ends in .tif")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with files.csv")
    parser.add_argument("--recipe", default="fast", help="whose [data] table says which images are clean enough")
    given = parser.parse_args()
    wanted = read_recipe(given.recipe)["data"]
    demands = {key: wanted[key] for key in ("largest_grain", "smallest_side")}
    training, validation = read_clean_images(given.data, **demands)
    write_pack(given.file, training, validation, **demands)
    print(
        f"{given.file}: {len(training)} images to train on, {len(validation)} for validation, {given.file.stat().st_size / 2**20:.1f} MiB"
    )


if __name__ == "__main__":
    main()
