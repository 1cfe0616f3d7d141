#!/usr/bin/env bash
# Run a command with a screen of its own, and with napari settings that are thrown away afterwards.
set -euo pipefail

settings=$(mktemp -d)
trap 'rm -rf "$settings"' EXIT
export NAPARI_CONFIG="$settings/settings.yaml"

if command -v xvfb-run >/dev/null; then
  # The size matters: in a smaller or shallower screen napari's canvas gets no OpenGL context, or no room.
  xvfb-run -a -s "-screen 0 1600x1000x24" "$@"
elif [ "$(uname)" != Linux ] || [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
  "$@"
else
  echo "with-display: no screen and no xvfb-run: install xvfb, or set DISPLAY." >&2
  exit 1
fi
