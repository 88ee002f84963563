#!/bin/sh
# peers.sh probe B: writes how to compile and link the peers that are there, to B/bench/peers.cflags and peers.libs, and
#                   touches the two only where they change.
# peers.sh fetch B: gets USearch from npm into B/usearch and compiles its kernels. USEARCH_VERSION says which.
set -eu
command="$1" build="$2"
usearch="$build/usearch/package"
kernels="$build/usearch/libnumkong.a"

has() { printf '#include <%s>\n' "$1" | ${CXX:-g++} -std=c++17 -x c++ -fsyntax-only - 2>/dev/null; }

probe() {
    cflags="" libs=""
    if has hnswlib/hnswlib.h; then cflags="$cflags -DHAVE_HNSWLIB"; fi
    if has faiss/IndexHNSW.h && [ -n "$(blas)" ]; then
        cflags="$cflags -DHAVE_FAISS -fopenmp" libs="$libs -lfaiss $(blas) -fopenmp"
    fi
    if [ -f "$kernels" ]; then
        cflags="$cflags -DHAVE_USEARCH -DUSEARCH_USE_NUMKONG=1 -DNK_DYNAMIC_DISPATCH=1 -DNK_NATIVE_F16=0 -DNK_NATIVE_BF16=0"
        cflags="$cflags -isystem $usearch/include -isystem $usearch/numkong/include"
        libs="$libs $kernels"
    fi
    mkdir -p "$build/bench"
    keep "$cflags" "$build/bench/peers.cflags"
    keep "$libs" "$build/bench/peers.libs"
}

# The flags of a BLAS with LAPACK that links.
blas() {
    for flags in "-lopenblas" "-llapack -lblas"; do
        # shellcheck disable=SC2086
        if echo 'int main() {}' | ${CXX:-g++} -x c++ - -o /dev/null $flags 2>/dev/null; then echo "$flags" && return; fi
    done
}

keep() {
    if [ ! -f "$2" ] || [ "$(cat "$2")" != "$1" ]; then echo "$1" >"$2"; fi
}

fetch() {
    if [ -f "$kernels" ]; then return; fi
    mkdir -p "$build/usearch"
    (cd "$build/usearch" && npm pack --silent "usearch@$USEARCH_VERSION" >/dev/null && tar xzf "usearch-$USEARCH_VERSION.tgz")
    (cd "$usearch/numkong" && CC="${CC:-cc}" node probes/probe.js >/dev/null)
    echo "compiling USearch's kernels; minutes" >&2
    find "$usearch/numkong/c" -name '*.c' | xargs -P "$(nproc 2>/dev/null || echo 1)" -I '{}' "${CC:-cc}" -std=c11 -O3 -w -Wno-psabi \
        -I "$usearch/numkong/include" -include "$usearch/numkong/nk_probes.h" -DNK_DYNAMIC_DISPATCH=1 \
        -DNK_NATIVE_F16=0 -DNK_NATIVE_BF16=0 -c '{}' -o '{}.o'
    rm -f "$kernels" && ar rcs "$kernels" "$usearch"/numkong/c/*.o
}

"$command"
