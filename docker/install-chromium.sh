#!/usr/bin/env bash
# Makes sure a Chromium is there for the browser test: one on PATH, or Debian's package.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null; then exit 0; fi
done
if ! command -v apt-get >/dev/null; then
  echo "no Chromium found: install one (the browser test needs it)" >&2
  exit 1
fi
run=()
if [ "$(id -u)" != 0 ]; then run=(sudo); fi
"${run[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${run[@]}" apt-get install -y -qq --no-install-recommends chromium >/dev/null
