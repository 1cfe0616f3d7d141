"""Say what a wheel lacks of the package in src/: python scripts/wheel_contents.py dist/the.whl."""

import sys
import tomllib
import zipfile
from pathlib import Path

PACKAGE = Path("src/napari_ne_denoise")
REGISTRY = PACKAGE / "core" / "models" / "models.toml"


def missing_from(wheel: Path) -> list[str]:
    """Return the files of the source tree, the manifest and the weights of the registry that the wheel does not hold."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {PACKAGE.parent / name for name in archive.namelist()}
    weights = [REGISTRY.parent / row["file"] for row in tomllib.loads(REGISTRY.read_text(encoding="utf8"))["model"] if "file" in row]
    sources = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return [str(path) for path in (PACKAGE / "napari.yaml", *weights, *sources) if path not in packed]


if __name__ == "__main__":
    missing = missing_from(Path(sys.argv[1]))
    sys.exit(f"{sys.argv[1]} lacks: {', '.join(missing)}" if missing else 0)
