#!/usr/bin/env bash
# The system libraries a napari viewer needs, and a screen for it where there is none. Does nothing where they are, or
# where it may not install.
set -euo pipefail

packages=(
  xvfb xauth libegl1 libgl1 libopengl0 libgl1-mesa-dri libglib2.0-0 libfontconfig1 libdbus-1-3 libxkbcommon0
  libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0
)

command -v apt-get >/dev/null || exit 0

# Debian 13 gave some of these a new name (libglib2.0-0t64) that provides the old one, so ask apt, not dpkg, what is missing.
if plan=$(apt-get install --simulate --no-install-recommends --no-upgrade "${packages[@]}" 2>/dev/null) && ! grep -q '^Inst ' <<<"$plan"; then
  exit 0
fi
if [ "$(id -u)" != 0 ]; then
  echo "make: some of these system packages are missing, and only root can install them: ${packages[*]}"
  exit 0
fi
echo "make: installing system packages for a viewer without a screen"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends --no-upgrade "${packages[@]}" >/dev/null
