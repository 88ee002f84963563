#!/bin/sh
# need.sh NAME...: installs what is missing of the packages that a target needs, by Debian's names, and says how to get
# them elsewhere. Prints nothing where all is there.
set -u

present() {
    case "$1" in
        libxsimd-dev) printf '#include <xsimd/xsimd.hpp>\n' | ${CXX:-g++} ${XSIMD:+-I"$XSIMD"} -std=c++17 -x c++ -fsyntax-only - 2>/dev/null ;;
        doctest-dev) printf '#include <doctest/doctest.h>\n' | ${CXX:-g++} -std=c++17 -x c++ -fsyntax-only - 2>/dev/null ;;
        libhnswlib-dev) printf '#include <hnswlib/hnswlib.h>\n' | ${CXX:-g++} -std=c++17 -x c++ -fsyntax-only - 2>/dev/null ;;
        libfaiss-dev) printf '#include <faiss/IndexHNSW.h>\n' | ${CXX:-g++} -std=c++17 -x c++ -fsyntax-only - 2>/dev/null ;;
        npm) command -v npm >/dev/null ;;
        g++) command -v g++ >/dev/null ;;
        clang-tidy | cppcheck) command -v "$1" >/dev/null ;;
        clang) command -v clang++ >/dev/null ;;
        lld) command -v wasm-ld >/dev/null ;;
        llvm) command -v llvm-ar >/dev/null ;;
        nodejs) command -v node >/dev/null ;;
        afl++) command -v afl-clang-fast++ >/dev/null ;;
        qemu-user) command -v qemu-aarch64 >/dev/null ;;
        g++-mingw-w64-x86-64-posix) command -v x86_64-w64-mingw32-g++-posix >/dev/null ;;
        g++-*-linux-gnu*) command -v "${1#g++-}-g++" >/dev/null ;;
        *) dpkg -s "$1" >/dev/null 2>&1 ;;
    esac
}

missing=""
for package in "$@"; do present "$package" || missing="$missing $package"; done
[ -z "$missing" ] && exit 0

by_hand() {
    echo "Needed:$missing. Install them by hand:" >&2
    echo "  Debian, Ubuntu:  apt-get install$missing" >&2
    echo "  macOS:           brew install xsimd doctest hnswlib   (then make XSIMD=\$(brew --prefix)/include)" >&2
    echo "  elsewhere:       xsimd and doctest are header-only: put their include folders on the path (make XSIMD=DIR)" >&2
    exit 1
}

command -v apt-get >/dev/null || by_hand
sudo=""
[ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && sudo="sudo" || by_hand; }
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
$sudo apt-get install -y -q --no-install-recommends $missing >/dev/null 2>&1 ||
    { $sudo apt-get update -q >/dev/null 2>&1 && $sudo apt-get install -y -q --no-install-recommends $missing >/dev/null; } || by_hand
