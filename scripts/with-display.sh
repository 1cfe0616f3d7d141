#!/usr/bin/env bash
# Run a command with a screen of its own, and with napari settings that are thrown away afterwards. Given twice, there are two screens:
# the other one is OTHER_SCREEN, display and authority, for a second process that must not share a mouse with the first.
set -euo pipefail

settings=$(mktemp -d)
trap 'rm -rf "$settings"' EXIT
export NAPARI_CONFIG="$settings/settings.yaml"

if command -v xvfb-run >/dev/null; then
  if [ -n "${IN_OWN_SCREEN:-}" ]; then
    export OTHER_SCREEN="$DISPLAY $XAUTHORITY"
  fi
  export IN_OWN_SCREEN=1
  # The size matters: in a smaller or shallower screen napari's canvas gets no OpenGL context, or no room.
  xvfb-run -a -s "-screen 0 1600x1000x24" "$@"
elif [ "$(uname)" != Linux ] || [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
  "$@"
else
  echo "with-display: no screen and no xvfb-run: install xvfb, or set DISPLAY." >&2
  exit 1
fi
