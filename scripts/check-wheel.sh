#!/usr/bin/env bash
# Build the wheel, and see that a user who installs it gets everything: in a new environment with our package from the
# wheel and nothing of the source tree. Its dependencies are borrowed from the environment given, which saves 1.8 GB.
# Usage: check-wheel.sh path/to/python
set -euo pipefail

python=$(realpath -s "$1")
source_tree=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "check-wheel: building"
"$python" -m build --wheel --outdir "$work" . >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
wheel=("$work"/*.whl)

echo "check-wheel: comparing with the source tree"
"$python" scripts/wheel_contents.py "${wheel[0]}"

echo "check-wheel: installing into a new environment"
"$python" -m venv --without-pip "$work/venv"
"$python" -m pip --python "$work/venv/bin/python" install -qq --no-deps --no-index "${wheel[0]}"
mkdir "$work/borrowed"
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
for entry in "$site"/*; do
  case "${entry##*/}" in
    napari_ne_denoise* | _napari_ne_denoise* | __pycache__ | *.pth) ;; # not the source tree, whose editable install is here too
    *) ln -s "$entry" "$work/borrowed/" ;;
  esac
done
echo "$work/borrowed" >"$(echo "$work"/venv/lib/python3*/site-packages)/borrowed.pth"

cd "$work" # nothing may be found by its place
export NAPARI_CONFIG="$work/settings.yaml" QT_QPA_PLATFORM=offscreen
echo "check-wheel: npe2 validate"
venv/bin/python -m npe2 validate --imports napari-ne-denoise
echo "check-wheel: napari-ne-denoise --help"
venv/bin/napari-ne-denoise --help >/dev/null
venv/bin/python -c "import napari_ne_denoise, sys; sys.exit('$source_tree' in napari_ne_denoise.__file__)"
echo "check-wheel: passed"
