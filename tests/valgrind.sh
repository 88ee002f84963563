#!/bin/bash
# valgrind.sh: under valgrind a build, a training and a search read and write no memory that nobody wrote: none gets into a file.
# Uses B from the environment.
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
L=$B/learnann
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
check() { valgrind -q --error-exitcode=9 "$@" >"$T/out" 2>&1 || { cat "$T/out"; echo "FAILED: $*"; exit 1; }; }
# 1,400 rows of 32 bytes.
{ printf '\x78\x05\0\0\x20\0\0\0' && head -c $((1400 * 32)) "$L"; } >"$T/rows.u8bin"
for metric in l2 ip cos; do check "$L" build "$T/rows.u8bin" --metric $metric -o "$T/$metric.la" --threads 1; done
check "$L" build "$T/rows.u8bin" --exact none -o "$T/none.la" --threads 1
check "$L" train "$T/ip.la" --queries "$T/rows.u8bin" --threads 1
check "$L" search "$T/ip.la" "$T/rows.u8bin"
echo "valgrind: ok"
