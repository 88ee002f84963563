#!/bin/bash
# cross.sh MACHINE: the library on aarch64, armhf or i386, mostly under qemu, or on Windows under Wine: unit and API tests, and index
# files exchanged with this machine. On s390x, whose bytes are in the other order: that it doesn't compile, and says why.
# Ends with "MACHINE: N passed, M failed".
set -u
cd "$(dirname "$0")/.."
. tests/few.sh
machine=$1 B=${B:-build}
case $machine in
aarch64) triple=aarch64-linux-gnu run=qemu-aarch64 flags="" bits=64 ;;
# Of the 32-bit machines one has an off_t of 64 bits, the other one of 32: each says in its own way that a file is too large.
armhf) triple=arm-linux-gnueabihf run=qemu-arm flags="-D_FILE_OFFSET_BITS=64" bits=32 ;;
i386) triple=i686-linux-gnu run=qemu-i386 flags="-msse2 -mfpmath=sse" bits=32 ;;
s390x) triple=s390x-linux-gnu ;;
windows) triple=x86_64-w64-mingw32 run=$(command -v wine64 || echo /usr/lib/wine/wine64) flags="" bits=64 ;;
*) echo "usage: cross.sh aarch64|armhf|i386|s390x|windows" && exit 2 ;;
esac
[ "$machine:$(uname -m)" = i386:x86_64 ] && run=""
A=$B/$machine
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
passed=0 failed=0
check() {
    local name=$1
    shift
    if "$@" >"$T/out" 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED: $name" && tail -n 20 "$T/out"; fi
}
finish() {
    echo "$machine: $passed passed, $failed failed"
    [ $failed = 0 ]
    exit
}
# xsimd and doctest are header-only; a folder with just them keeps this machine's C library out of the way.
mkdir -p "$A/include"
for header in xsimd doctest; do
    path=$(printf '#include <%s/%s>\n' $header $([ $header = xsimd ] && echo xsimd.hpp || echo doctest.h) |
        g++ -E -x c++ - | sed -n "s|^# 1 \"\(.*/$header\)/[a-z.]*\".*|\1|p" | head -n 1)
    ln -sfn "$path" "$A/include/$header"
done
model="" settings=() exe=""
api_tests=(tests/api/*.cpp)
if [ $machine = windows ]; then     # tests with fork, or rlimits, are left out there; doctest wants std::mutex
    model=-posix settings=(HARDEN=) exe=.exe
    export WINEPREFIX=$(realpath -m "$A/wine") WINEDEBUG=-all
    mapfile -t api_tests < <(grep -LE '<(dirent.h|sys/(wait|resource))|folder.hpp' "${api_tests[@]}")
fi
patterns=${API:-$few} but=""
[ "${run-emulator}${API:-}" ] || patterns='*' but=$slow       # on this machine itself
mapfile -t api_tests < <(files_with "$patterns" "${api_tests[@]}")
api_objects=("${api_tests[@]#tests/}")
api_objects=("${api_objects[@]%.cpp}")
there() { $run "$A/$1$exe" "${@:2}"; }
compile() { $triple-g++$model -std=c++17 "$@" -isystem "$A/include" -I. -x c++ -c learnann.c++ -o "$T/learnann.o"; }
if [ $machine = s390x ]; then
    refused() { ! compile 2>"$T/err" && grep -q "#error.*little-endian machines only" "$T/err"; }
    check "a big-endian machine is refused" refused
    finish
fi
# With 32 bits these see every size that might not fit.
check "no warnings" compile -O2 $flags -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Werror
make -j2 B="$A" CXX=$triple-g++$model CC=$triple-gcc$model XSIMD="$A/include" FLAGS="-static $flags" WARN= "${settings[@]}" \
    API_OBJECTS="$(printf "$A/%s.o " "${api_objects[@]}")" "$A/unit-tests" "$A/api-tests" "$A/learnann" >"$T/log" 2>&1 || { tail -n 30 "$T/log"; exit 1; }
check "unit tests" there unit-tests
if [ $machine = aarch64 ]; then
    # The processor above has all there is; this one has no dot products of bytes, and must be told from it at run time.
    check "kernels without dotprod" $run -cpu cortex-a53 "$A/unit-tests" -sf="*kernels_test.cpp"
    for cpu in max:dotprod cortex-a53:neon; do
        check "the best kernels of ${cpu%:*}" test "$($run -cpu "${cpu%:*}" "$A/learnann" --version | sed 's/.*, //')" = "${cpu#*:}"
    done
fi
# All of them take half an hour under emulation.
check "API tests" there api-tests -tc="$patterns" ${but:+-tce="$but"}

# Rows of this machine's making, indexed on both; each file searched on both.
head -c 480000 /dev/urandom >"$T/bytes"
{ printf '\x40\x1f\x00\x00\x20\x00\x00\x00'; head -c 256000 "$T/bytes"; } >"$T/rows.u8bin"
{ printf '\x64\x00\x00\x00\x20\x00\x00\x00'; tail -c 3200 "$T/bytes"; } >"$T/queries.u8bin"
check "build here" "$B/learnann" build "$T/rows.u8bin" -o "$T/here.la"
check "build there" there learnann build "$T/rows.u8bin" -o "$T/there.la"
for file in here there; do
    "$B/learnann" search "$T/$file.la" "$T/queries.u8bin" --effort 40 --out "$T/$file-here.ivecs" >/dev/null
    there learnann search "$T/$file.la" "$T/queries.u8bin" --effort 40 --out "$T/$file-there.ivecs" >/dev/null
    check "the file written $file gives the same hits on both" cmp "$T/$file-here.ivecs" "$T/$file-there.ivecs"
    check "the file written $file verifies there" there learnann verify "$T/$file.la"
done
# Input of more than 2 GiB, of which nothing is on the disk.
large() { truncate -s 3G "$T/large.u8bin" && ! there learnann build "$T/large.u8bin" -o "$T/x.la" 2>"$T/err" && grep -q "address space" "$T/err"; }
[ $bits = 32 ] && check "input larger than the address space" large
finish
