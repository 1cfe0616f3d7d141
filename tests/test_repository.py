"""Laws of the repository itself: what an import costs and brings in, and that what is used is declared."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_ne_denoise"
GUI = {"napari", "magicgui", "qtpy", "superqt", "pyqtgraph", "PyQt5", "PyQt6", "PySide2", "PySide6"}
NO_TORCH = ["axes", "equivariance", "errors", "io", "metrics", "numerics", "pixels", "settings", "statistics", "tiling"]


def _modules_of(room: str) -> list[str]:
    sources = sorted((PACKAGE / room).rglob("*.py"))
    return [".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__") for path in sources]


def _python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def _loaded_by(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after running code."""
    return set(
        _python(f"{code}\nimport sys; print('\\n' + ' '.join({{name.split('.')[0] for name in sys.modules}}))").splitlines()[-1].split()
    )


def _imports(modules: list[str]) -> str:
    return "\n".join(f"import {module}" for module in modules)


def test_importing_the_package_is_quick():
    code = "import time; start = time.perf_counter(); import napari_ne_denoise; print(time.perf_counter() - start)"
    assert min(float(_python(code)) for _ in range(3)) < 0.15  # s


def test_importing_the_package_loads_nothing_heavy():
    assert not _loaded_by("import napari_ne_denoise") & {"torch", "numpy", "scipy", "skimage", "dask", *GUI}


def test_core_loads_no_gui():
    assert not _loaded_by(_imports(_modules_of("core"))) & GUI


def test_geometry_numbers_and_noise_load_no_torch():
    leaves = [f"napari_ne_denoise.core.{name}" for name in NO_TORCH]
    assert "torch" not in _loaded_by(_imports(leaves + _modules_of("core/noise")))


def test_widget_modules_load_no_torch():
    assert "torch" not in _loaded_by(_imports(_modules_of("gui")))


def test_help_loads_neither_torch_nor_a_gui():
    code = "import sys; sys.argv[1:] = ['--help']\nfrom napari_ne_denoise.cli import main\ntry: main()\nexcept SystemExit: pass"
    assert not _loaded_by(code) & {"torch", *GUI}


def _imported_by(source: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _declared() -> set[str]:
    """Names of the project and of all its dependencies at run time, extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["zarr"], *extras["cluster"], *extras["bench"]]
    return {_canonical(Requirement(line).name) for line in lines} | {project["name"]}


def test_what_is_imported_is_declared():
    declared, providers = _declared(), packages_distributions()
    undeclared = {
        f"{source.relative_to(PACKAGE)}: {name}"
        for source in PACKAGE.rglob("*.py")
        for name in _imported_by(source)
        if not declared & {_canonical(provider) for provider in providers.get(name, [name])}
    }
    assert not undeclared


def test_the_citation_names_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf8")
