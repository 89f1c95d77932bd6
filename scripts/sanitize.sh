#!/usr/bin/env bash
# Run the tests of the native core under AddressSanitizer with UndefinedBehaviorSanitizer, and under
# ThreadSanitizer. Each builds a library of its own, with AVX2 where there is any, in place of three
# instruction sets. PYTHON names the interpreter, SANITIZERS which of "address thread" are wanted (both), and
# arguments go to pytest in place of all these tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python}
CXX=${CXX:-g++}
M3COMPRESS_CACHE=$(mktemp -d)
export M3COMPRESS_CACHE CXX
trap 'rm -rf "$M3COMPRESS_CACHE"' EXIT

wide=()
if grep -qs avx2 /proc/cpuinfo; then wide=(-mavx2 -mfma); fi

build() { # build FLAG...: a library with these flags, in place of the one that would be built
  rm -f "$M3COMPRESS_CACHE"/libm3c-*
  "$PYTHON" - "${wide[@]}" "$@" <<'PY'
import sys

from m3compress.engines.native.build import build_library, cache_folder

# As for an unknown processor: one build of the engine, with the vectors that the flags allow.
build_library(cache_folder(), machine="this", extra=("-g", "-O1", *sys.argv[1:]))
PY
}

check() { # check RUNTIME OPTIONS: the tests, with the runtime of a sanitizer loaded before Python
  # The runtime looks for the functions that throw when it begins, so their library comes with it.
  # Nothing is captured: a report ends the process.
  local both="$("$CXX" -print-file-name="$1") $("$CXX" -print-file-name=libstdc++.so)"
  env "$2" LD_PRELOAD="$both" OMP_NUM_THREADS=2 \
    "$PYTHON" -m pytest -q -n 0 -p no:cacheprovider --capture=no "${arguments[@]}"
}

(($#)) || set -- tests/engines/native
arguments=("$@")
for sanitizer in ${SANITIZERS:-address thread}; do
  case $sanitizer in
    address) # Python and NumPy keep what they allocate until the end.
      build -fsanitize=address,undefined -fno-sanitize-recover=all
      check libasan.so ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 ;;
    thread)
      build -fsanitize=thread -DM3C_STD_THREADS
      check libtsan.so TSAN_OPTIONS=halt_on_error=1:report_bugs=1:ignore_noninstrumented_modules=1 ;;
    *) echo "SANITIZERS: $sanitizer, expected address or thread" >&2 && exit 2 ;;
  esac
done
