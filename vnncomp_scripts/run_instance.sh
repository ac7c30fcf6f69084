#!/bin/bash
# run_instance.sh v1 CATEGORY ONNX VNNLIB RESULTS TIMEOUT: the answer, with a witness after sat, into RESULTS.
# The category is not looked at. Exit 0 where RESULTS holds an answer, of whatever kind.
set -uo pipefail
if [ "${1:-}" != v1 ] || [ $# -lt 6 ]; then
    echo "usage: run_instance.sh v1 CATEGORY ONNX VNNLIB RESULTS TIMEOUT" >&2
    exit 1
fi
onnx=$3 vnnlib=$4 results=$5 timeout=$6
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
glscli=$root/.venv/bin/glscli
[ -x "$glscli" ] || glscli=glscli

echo timeout >"$results" || exit 1 # stands if this is killed
"$glscli" verify "$onnx" --vnnlib "$vnnlib" --timeout "$timeout" --arithmetic real --result-file "$results"
code=$?
case $code in
    0 | 1 | 3) exit 0 ;; # unsat, sat, unknown or timeout: written
    4) echo unknown >"$results" ;; # it says on stderr what it does not support
    *) echo error >"$results" ;;
esac
exit 0
