#!/bin/sh
# peers.sh probe B: writes how to compile and link the peers that are there, to B/bench/peers.cflags and peers.libs, and
#                   touches the two only where they change.
# peers.sh fetch B: gets USearch from npm into B/usearch and compiles its kernels. USEARCH_VERSION says which.
set -eu
command="$1" build="$2"
usearch="$build/usearch/package"
kernels="$build/usearch/libnumkong.a"
numkong_flags="-DNK_DYNAMIC_DISPATCH=1 -DNK_NATIVE_F16=0 -DNK_NATIVE_BF16=0"

compiles() { ${CXX:-g++} -std=c++17 -x c++ - -o /dev/null "$@" 2>/dev/null; }

# What Faiss links with: a BLAS with LAPACK, and OpenMP. Nothing where it isn't there.
faiss_libs() {
    program='int main() { faiss::IndexHNSWFlat index(omp_get_max_threads(), 4); }'
    for blas in "-lopenblas" "-llapack -lblas"; do
        # shellcheck disable=SC2086
        if printf '#include <faiss/IndexHNSW.h>\n#include <omp.h>\n%s\n' "$program" |
            compiles -fopenmp -lfaiss $blas; then
            echo "-fopenmp -lfaiss $blas" && return
        fi
    done
}

probe() {
    cflags="" libs="$(faiss_libs)"
    if [ -n "$libs" ]; then cflags="-DHAVE_FAISS -fopenmp"; fi
    if printf '#include <hnswlib/hnswlib.h>\nint main() {}\n' | compiles; then cflags="$cflags -DHAVE_HNSWLIB"; fi
    if [ -f "$kernels" ]; then
        cflags="$cflags -DHAVE_USEARCH -DUSEARCH_USE_NUMKONG=1 $numkong_flags"
        cflags="$cflags -isystem $usearch/include -isystem $usearch/numkong/include"
        libs="$libs $kernels"
    fi
    mkdir -p "$build/bench"
    keep "$cflags" "$build/bench/peers.cflags"
    keep "$libs" "$build/bench/peers.libs"
}

keep() {
    if [ ! -f "$2" ] || [ "$(cat "$2")" != "$1" ]; then echo "$1" >"$2"; fi
}

fetch() {
    if [ -f "$kernels" ]; then return; fi
    mkdir -p "$build/usearch"
    (cd "$build/usearch" && npm pack --silent "usearch@$USEARCH_VERSION" >/dev/null &&
        tar xzf "usearch-$USEARCH_VERSION.tgz")
    (cd "$usearch/numkong" && CC="${CC:-cc}" node probes/probe.js >/dev/null)
    echo "compiling USearch's kernels; minutes" >&2
    # shellcheck disable=SC2086
    find "$usearch/numkong/c" -name '*.c' -print0 | xargs -0 -P "$(nproc 2>/dev/null || echo 1)" -I '{}' \
        "${CC:-cc}" -std=c11 -O3 -w -Wno-psabi -I "$usearch/numkong/include" -include "$usearch/numkong/nk_probes.h" \
        $numkong_flags -c '{}' -o '{}.o'
    rm -f "$kernels" && ar rcs "$kernels" "$usearch"/numkong/c/*.o
}

"$command"
