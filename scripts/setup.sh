#!/usr/bin/env bash
# Installs what a checkout needs besides Node.js: a C++20 compiler, CMake, make, binutils (strip, nm, objdump),
# clang-format and python3 (only for binding.gyp). Debian and Ubuntu. Users of the published package need none of it.
# `--chromium` adds the browser that test/serve opens the pages in, `--onnx` ONNX's own tests; without them those tests are skipped.
# Run by hand, by scripts/build-native.mjs on a fresh machine, and by .ci/run. The rule easy to break: running it
# twice must be harmless, so it asks dpkg first and touches apt only for what is missing.
set -euo pipefail

packages=(g++ cmake make binutils clang-format python3)
for wish in "$@"; do
  [ "$wish" = --chromium ] && packages+=(chromium fonts-dejavu-core)
  [ "$wish" = --onnx ] && packages+=(libonnx-testdata)
done

if ! command -v apt-get >/dev/null 2>&1; then
  echo "setup: this script knows Debian and Ubuntu only; install by hand: a C++20 compiler, CMake >= 3.20, make, binutils" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
if [ "${#missing[@]}" -eq 0 ]; then
  echo "setup: nothing to do, already installed: ${packages[*]}"
  exit 0
fi

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "setup: needs root to install: ${missing[*]}; there is no sudo, so run it as root" >&2
    exit 1
  fi
  sudo=(sudo)
fi

echo "setup: installing with apt-get: ${missing[*]}"
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}"
echo "setup: done; $(cmake --version | head -n 1), $(c++ --version | head -n 1)"
