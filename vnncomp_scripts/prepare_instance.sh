#!/bin/bash
# prepare_instance.sh v1 CATEGORY ONNX VNNLIB: nothing to convert; 1 skips an instance whose files are not there.
set -euo pipefail
if [ "${1:-}" != v1 ] || [ $# -lt 4 ]; then
    echo "usage: prepare_instance.sh v1 CATEGORY ONNX VNNLIB" >&2
    exit 1
fi
for file in "$3" "$4"; do
    if [ ! -r "$file" ]; then
        echo "cannot read $file" >&2
        exit 1
    fi
done
