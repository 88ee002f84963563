#!/bin/bash
# size.sh [promise]: bytes of code by profile; with `promise` of the one that something is promised of only. Fails where that is more.
# Uses CXX and XSIMD from the environment.
set -eu
cd "$(dirname "$0")/.."
CXX=${CXX:-g++} XSIMD=${XSIMD:-}
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
promise=61440
# text NAME FLAGS...: the row of a table; the bytes are left in $bytes.
text() {
    local name=$1
    shift
    "$CXX" -std=c++17 -fno-exceptions -fno-rtti -I. ${XSIMD:+-isystem "$XSIMD"} "$@" -x c++ -c learnann.c++ -o "$T/it.o"
    bytes=$(size "$T/it.o" | awk 'NR == 2 { print $1 }')
    printf '%-72s %7d bytes\n' "$name" "$bytes"
}
promised() {
    text "reader, one instruction set (-DLEARNANN_READ_ONLY -DLEARNANN_NO_X86)" -Os -DLEARNANN_READ_ONLY -DLEARNANN_NO_X86
    [ "$bytes" -le $promise ] || { echo "that is more than $promise bytes"; exit 1; }
}
if [ "${1:-}" = promise ]; then
    promised
    exit
fi
text "reader, plain C++ (and -DLEARNANN_NO_XSIMD)" -Os -DLEARNANN_READ_ONLY -DLEARNANN_NO_X86 -DLEARNANN_NO_XSIMD
promised
text "reader, every instruction set of this kind of machine" -Os -DLEARNANN_READ_ONLY
text "the whole library, for size" -Os
text "the whole library, for speed (-O2)" -O2
