"""``python -m napari_ne_denoise`` is the command line."""

from napari_ne_denoise.cli import main

main()
