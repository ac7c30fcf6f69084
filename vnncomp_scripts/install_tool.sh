#!/bin/bash
# install_tool.sh v1: a virtual environment beside this folder with glscert and what it needs, on the CPU.
set -euo pipefail
if [ "${1:-}" != v1 ]; then
    echo "expected the version v1, found '${1:-}'" >&2
    exit 1
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ ! -x "$root/.venv/bin/python" ]; then
    "${PYTHON:-python3}" -m venv "$root/.venv"
fi
"$root/.venv/bin/python" -m pip install --upgrade pip
"$root/.venv/bin/python" -m pip install -e "$root"
"$root/.venv/bin/python" -m compileall -q "$root/verifier" "$root/cli"
"$root/.venv/bin/glscli" --version
