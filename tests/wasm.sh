#!/bin/bash
# wasm.sh: the library as WebAssembly, with vectors and without: unit and API tests, the example for browsers, and index files
# exchanged with this machine. Uses B and NODE from the environment. Ends with "wasm: N passed, M failed".
set -u
cd "$(dirname "$0")/.."
. tests/few.sh
B=${B:-build} NODE=${NODE:-node}
A=$B/wasm
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
passed=0 failed=0
check() {
    local name=$1
    shift
    if "$@" >"$T/out" 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED: $name" && tail -n 20 "$T/out"; fi
}
there() { "$NODE" --no-warnings tests/wasi.mjs "$A/$1" "${@:2}"; }
# doctest is a header; a folder with just it keeps this machine's C library out of the way.
mkdir -p "$A/include"
ln -sfn "$(printf '#include <doctest/doctest.h>\n' | g++ -E -x c++ - | sed -n 's|^# 1 "\(.*/doctest\)/[a-z.]*".*|\1|p' | head -n 1)" "$A/include/doctest"
# What needs threads, processes, mappings or folders is left out.
mapfile -t api < <(grep -LE '<(dirent.h|thread|filesystem|sys/(wait|resource|mman).*)>|folder.hpp' tests/api/*.cpp)
mapfile -t api < <(files_with "${API:-$few}" "${api[@]}" | sed "s|tests/\(.*\).cpp|$A/\1.o|")
doctest="-D_WASI_EMULATED_SIGNAL -DDOCTEST_CONFIG_NO_EXCEPTIONS_BUT_WITH_ALL_ASSERTS -DDOCTEST_CONFIG_NO_POSIX_SIGNALS -DDOCTEST_CONFIG_NO_MULTITHREADING"
make -j2 B="$A" CXX=clang++ AR=llvm-ar HARDEN= WARN= ALL_FLAGS="--target=wasm32-wasi -msimd128 -fno-exceptions $doctest -isystem $A/include" \
    LINK_FLAGS="-lwasi-emulated-signal -Wl,-z,stack-size=1048576" API_OBJECTS="${api[*]}" "$A/unit-tests" "$A/api-tests" >"$T/log" 2>&1 ||
    { tail -n 30 "$T/log"; exit 1; }
check "unit tests" there unit-tests
# All of them take two minutes.
check "API tests" there api-tests -tc="${API:-$few}"

# Rows of this machine's making, indexed on both; each file opened on both.
"$NODE" -e '
    const fs = require("fs"), dim = 24;
    for (const [name, count] of [["rows", 4000], ["queries", 50]]) {
        const head = Buffer.from(Int32Array.of(count, dim).buffer), values = Float32Array.from({ length: count * dim }, Math.random);
        fs.writeFileSync(`${process.argv[1]}/${name}.fbin`, Buffer.concat([head, Buffer.from(values.buffer)]));
    }' "$T"
check "build here" "$B/learnann" build "$T/rows.fbin" -o "$T/here.la"
search() { "$B/learnann" search "$T/$1.la" "$T/queries.fbin" --effort 40 --out "$2"; }
same_hits() { search there "$T/hits.ivecs" && cmp "$T/hits.ivecs" "$T/there.ivecs"; }
check "search here" search here "$T/here.ivecs"
for vectors in "" -msimd128; do
    rm -f "$T/there.la"
    check "no warnings $vectors" make B="$A/web$vectors" WEB_VECTORS="$vectors" WERROR=-Werror web
    check "the example for browsers $vectors" "$NODE" tests/web.mjs "$A/web$vectors/web/learnann.wasm" "$T"
    check "the file that it wrote, read here $vectors" "$B/learnann" verify "$T/there.la"
    check "it gives the same hits here $vectors" same_hits
done
check "the reader alone, no warnings" make B="$A/reader" WEB_FLAGS=-DLEARNANN_READ_ONLY WERROR=-Werror web
echo "wasm: $passed passed, $failed failed"
[ $failed = 0 ]
