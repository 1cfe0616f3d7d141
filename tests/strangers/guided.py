"""Changed files chosen by what they reach in our code and in tifffile: nothing but our own errors may come of them.

    pip install atheris
    nice -n 19 python -m tests.strangers.guided NAME MINUTES  # a name of `tests.strangers.fuzz.BYTES`, such as tiff

What was found is kept under the name that libFuzzer prints, in the folder in which it runs.
"""

import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["napari_ne_denoise", "tifffile"]):
    from napari_ne_denoise.core.errors import NEDenoiseError
    from tests.strangers.fuzz import BYTES, HANG, MEMORY


def main(name: str, minutes: float) -> None:
    """Begin with the valid files of a target, and change what reaches something new."""
    warnings.simplefilter("ignore")  # of libraries, about what is read
    target = BYTES[name]

    def attempt(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder, suppress(NEDenoiseError):
            target.read(Path(folder), content)

    with tempfile.TemporaryDirectory() as corpus:
        for number, base in enumerate(target.bases()):
            (Path(corpus) / f"{number}").write_bytes(base)
        limits = [f"-max_total_time={round(60 * minutes)}", f"-timeout={HANG}", f"-rss_limit_mb={MEMORY // 2**20}"]
        atheris.Setup([sys.argv[0], corpus, *limits], attempt)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
