# Shared by the scripts beside it; source it, do not run it.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=${M3COMPRESS_VENV:-.venv}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
export PIP_DISABLE_PIP_VERSION_CHECK=1
START=$SECONDS
SECTION=""
SECTION_START=$SECONDS

# What the CPU build of torch is on Linux; without the pin, pip fetches gigabytes of CUDA.
TORCH="torch==2.13.0"

end_section() {
  if [ -n "$SECTION" ]; then
    printf '   %s: %d s\n' "$SECTION" $((SECONDS - SECTION_START))
  fi
  SECTION=""
}

section() {
  end_section
  SECTION=$1
  SECTION_START=$SECONDS
  printf '\n== %s\n' "$1"
}

finish() {
  end_section
  printf '\n%s (%d s)\n' "$1" $((SECONDS - START))
}

report_failure() {
  local code=$?
  if [ "$code" -ne 0 ]; then
    printf '\nFAILED in: %s (exit code %d, after %d s)\n' "${SECTION:-start}" "$code" $((SECONDS - START)) >&2
  fi
}
trap report_failure EXIT

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "error: no Python 3.11 or later found (set PYTHON)" >&2
  return 2
}

# install NAME PACKAGE...: the packages into $VENV, once for every state of pyproject.toml and this list.
install() {
  local name=$1 stamp state python
  shift
  section "install $name into $VENV"
  if [ ! -x "$VENV/bin/python" ]; then
    python=$(find_python)
    "$python" -m venv "$VENV"
  fi
  stamp="$VENV/.m3compress-$name"
  state=$({ cat pyproject.toml; pwd -P; echo "$TORCH $*"; } | cksum)
  if [ "$(cat "$stamp" 2>/dev/null)" = "$state" ]; then
    echo "   up to date"
    return
  fi
  # What is imported is compiled then; most of it never is.
  "$VENV/bin/python" -m pip install -qq --no-compile --upgrade pip "setuptools>=77"
  "$VENV/bin/python" -m pip install -qq --no-compile "$TORCH"
  "$VENV/bin/python" -m pip install -qq --no-compile "$@"
  if [ "$name" = dev ]; then
    # MatterSim asks for far more than its network needs, which is all that the parity tests use.
    "$VENV/bin/python" -m pip install -qq --no-compile --no-deps mattersim==1.2.3
  fi
  echo "$state" >"$stamp"
}
