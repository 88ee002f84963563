#!/bin/bash
# aarch64.sh: the library on aarch64 under qemu: unit and API tests, and index files exchanged with this machine.
# Ends with "aarch64: N passed, M failed".
set -u
cd "$(dirname "$0")/.."
B=${B:-build}
A=$B/aarch64
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
# xsimd and doctest are header-only; a folder with just them keeps this machine's C library out of the way.
mkdir -p "$A/include"
for header in xsimd doctest; do
    path=$(printf '#include <%s/%s>\n' $header $([ $header = xsimd ] && echo xsimd.hpp || echo doctest.h) |
        g++ -E -x c++ - | sed -n "s|^# 1 \"\(.*/$header\)/[a-z.]*\".*|\1|p" | head -n 1)
    ln -sfn "$path" "$A/include/$header"
done
make -j2 B="$A" CXX=aarch64-linux-gnu-g++ CC=aarch64-linux-gnu-gcc XSIMD="$A/include" FLAGS="-static" \
    "$A/unit-tests" "$A/api-tests" "$A/learnann" >"$T/log" 2>&1 || { tail -n 30 "$T/log"; exit 1; }
run=qemu-aarch64
passed=0 failed=0
check() {
    local name=$1
    shift
    if "$@" >"$T/out" 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED: $name" && tail -n 20 "$T/out"; fi
}
check "unit tests" $run "$A/unit-tests"
# The processor above has all there is; this one has no dot products of bytes, and must be told from it at run time.
check "kernels without dotprod" $run -cpu cortex-a53 "$A/unit-tests" -sf="*kernels_test.cpp"
for cpu in max:dotprod cortex-a53:neon; do
    check "the best kernels of ${cpu%:*}" test "$($run -cpu "${cpu%:*}" "$A/learnann" --version | sed 's/.*, //')" = "${cpu#*:}"
done
# All API tests take half an hour under emulation (AARCH64_API='*' runs them); these cover every kernel and the golden files.
check "API tests" $run "$A/api-tests" -tc="${AARCH64_API:-golden*,keys*,very few rows,queries of any*,signed bytes*,F1*,single*}"

# Rows of this machine's making, indexed on both; each file searched on both.
head -c 480000 /dev/urandom >"$T/bytes"
{ printf '\x40\x1f\x00\x00\x20\x00\x00\x00'; head -c 256000 "$T/bytes"; } >"$T/rows.u8bin"
{ printf '\x64\x00\x00\x00\x20\x00\x00\x00'; tail -c 3200 "$T/bytes"; } >"$T/queries.u8bin"
check "build here" "$B/learnann" build "$T/rows.u8bin" -o "$T/here.la"
check "build there" $run "$A/learnann" build "$T/rows.u8bin" -o "$T/there.la"
for file in here there; do
    "$B/learnann" search "$T/$file.la" "$T/queries.u8bin" --effort 40 --out "$T/$file-x86.ivecs" >/dev/null
    $run "$A/learnann" search "$T/$file.la" "$T/queries.u8bin" --effort 40 --out "$T/$file-arm.ivecs" >/dev/null
    check "the file written $file gives the same hits on both" cmp "$T/$file-x86.ivecs" "$T/$file-arm.ivecs"
    check "the file written $file verifies there" $run "$A/learnann" verify "$T/$file.la"
done
echo "aarch64: $passed passed, $failed failed"
[ $failed = 0 ]
