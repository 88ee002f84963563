# learnann: plain make. `make help` lists the targets.
#   CXX=clang++   another compiler        XSIMD=DIR   where xsimd/xsimd.hpp lies, if not on the path
#   B=DIR         another build folder    FLAGS=...   more compiler flags    WERROR=-Werror   a warning is an error, as in CI

CXX ?= g++
CC ?= gcc
HOST_CXX ?= g++
B ?= build
FLAGS ?=
WERROR ?=
WARN := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion $(WERROR)
# Hardening: of all that is built here; not with sanitizers, which see more. CHECKED: of the tools and tests.
HARDEN ?= -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
CHECKED := -D_GLIBCXX_ASSERTIONS
# Cuts a quarter off the tests' compile time.
DOCTEST := -DDOCTEST_CONFIG_SUPER_FAST_ASSERTS
RELRO := -Wl,-z,relro,-z,now
LINK_FLAGS := $(if $(HARDEN),$(shell echo 'int main(){}' | $(CXX) -x c++ - $(RELRO) -o /dev/null 2>/dev/null && echo $(RELRO)))
ALL_FLAGS := -pthread $(if $(XSIMD),-isystem $(XSIMD)) $(FLAGS)
CXXFLAGS := -std=c++17 -O2 -ffp-contract=off $(WARN) $(HARDEN) $(ALL_FLAGS)
CFLAGS := -std=c99 -O2 $(WARN) $(HARDEN) -pedantic $(ALL_FLAGS)
LIB_FLAGS := -fPIC -fvisibility=hidden -fno-exceptions -fno-rtti

HEADERS := $(wildcard src/*/*.hpp)
SOURCES := $(HEADERS) $(wildcard src/*/*.cpp)
MODULES := $(patsubst src/%.cpp,$B/src/%.o,$(wildcard src/*/*.cpp))
TOOL_SOURCES := $(filter-out tools/amalgamate.cpp,$(wildcard tools/*.cpp))
TOOL_OBJECTS := $(patsubst tools/%.cpp,$B/tools/%.o,$(TOOL_SOURCES))
UNIT_OBJECTS := $(patsubst tests/unit/%.cpp,$B/unit/%.o,$(wildcard tests/unit/*.cpp))
API_OBJECTS := $(patsubst tests/api/%.cpp,$B/api/%.o,$(wildcard tests/api/*.cpp))
# shards_mpi: where there is an MPI.
EXAMPLES := $(patsubst examples/%.cpp,$B/examples/%,$(filter-out examples/shards_mpi.cpp,$(wildcard examples/*.cpp))) \
            $(patsubst examples/%.c,$B/examples/%_c,$(wildcard examples/*.c)) $(if $(shell command -v mpicxx),$B/examples/shards_mpi)

.PHONY: all help demo test amalgamate check-fresh unit api api-half api-others scripts examples asan tsan msan fuzz-targets fuzz-replay fuzz fuzz-afl \
        test-aarch64 test-armhf test-i386 test-s390x test-windows test-wasm web web-flags gates size coverage soak faults valgrind lint mpi clean need-build need-test

all: need-build $B/learnann $B/liblearnann.a $B/liblearnann.so  ## the command line and the library, in build/

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

need-build:
	@CXX="$(CXX)" XSIMD="$(XSIMD)" tools/need.sh libxsimd-dev
need-test: need-build
	@CXX="$(CXX)" tools/need.sh doctest-dev

# ---- the library: one file, generated from src/ ----

$B/amalgamate: tools/amalgamate.cpp
	@mkdir -p $(@D)
	$(HOST_CXX) -std=c++17 -O1 $(WARN) $< -o $@

# Order-only: each build folder makes its own amalgamate, and a newer one must not have the others generate the file again.
learnann.c++: $(SOURCES) | $B/amalgamate
	$B/amalgamate src $@

amalgamate: learnann.c++  ## learnann.c++ from src/

check-fresh: $B/amalgamate  ## fails where learnann.c++ is not what src/ gives
	$B/amalgamate --check src learnann.c++

$B/learnann.o: learnann.c++ learnann.h | need-build
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) $(LIB_FLAGS) -I. -x c++ -c $< -o $@

# FROM_MODULES: for coverage, which wants to know the files of src/ apart.
$B/liblearnann.a: $(if $(FROM_MODULES),$(MODULES),$B/learnann.o)
	rm -f $@ && $(AR) rcs $@ $^

$B/liblearnann.so: $B/learnann.o
	$(CXX) $(ALL_FLAGS) $(LINK_FLAGS) -shared $< -o $@

$B/tools/%.o: tools/%.cpp $(wildcard tools/*.hpp) learnann.h
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) $(CHECKED) -c $< -o $@

$B/learnann: $(TOOL_OBJECTS) $B/liblearnann.a
	$(CXX) $(ALL_FLAGS) $(LINK_FLAGS) $^ -o $@

# ---- examples ----

$B/examples/%: examples/%.cpp $(wildcard examples/*.hpp) learnann.h $B/liblearnann.a
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) $(LINK_FLAGS) -I. $< $B/liblearnann.a -o $@

$B/examples/%_c: examples/%.c learnann.h $B/liblearnann.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -I. -c $< -o $@.o && $(CXX) $(ALL_FLAGS) $(LINK_FLAGS) $@.o $B/liblearnann.a -lm -o $@

examples: need-build $(EXAMPLES)  ## every example, built

$B/examples/shards_mpi: examples/shards_mpi.cpp examples/shards_data.hpp learnann.h $B/liblearnann.a
	@mkdir -p $(@D)
	OMPI_CXX="$(CXX)" MPICH_CXX="$(CXX)" mpicxx -DOMPI_SKIP_MPICXX $(CXXFLAGS) $(LINK_FLAGS) -I. $< $B/liblearnann.a -o $@

mpi: need-build  ## the example of an index in shards, one a rank: installs Open MPI, runs on RANKS (4) ranks
	@tools/need.sh libopenmpi-dev openmpi-bin
	@$(MAKE) $B/examples/shards_mpi
	B="$B" tests/mpi.sh $(RANKS)
RANKS ?= 4

# WEB_FLAGS=-DLEARNANN_READ_ONLY: a module that searches only, of a third of the size. WEB_VECTORS=: for browsers of before 2021
# (Safari: 2023), which have no vectors.
WEB_NEEDS := clang lld wasi-libc libclang-rt-dev-wasm32 libc++-dev-wasm32
WEB_VECTORS ?= -msimd128
WEB_FLAGS ?=
WEB_TARGET := --target=wasm32-wasi -O2 -fno-exceptions -fvisibility=hidden $(WARN)
# Rewritten only where the flags are others than those of the last time: the module is made again then.
web-flags:
	@mkdir -p $B/web
	@echo '$(WEB_VECTORS) $(WEB_FLAGS)' | cmp -s - $B/web/flags || echo '$(WEB_VECTORS) $(WEB_FLAGS)' >$B/web/flags
$B/web/flags: web-flags ;

$B/web/learnann.wasm: learnann.c++ learnann.h examples/web/web.c $B/web/flags
	clang++ $(WEB_TARGET) $(WEB_VECTORS) $(WEB_FLAGS) -std=c++17 -fno-rtti -I. -x c++ -c learnann.c++ -o $(@D)/learnann.o
	clang $(WEB_TARGET) $(WEB_VECTORS) $(WEB_FLAGS) -std=c11 -I. -c examples/web/web.c -o $(@D)/web.o
	clang++ --target=wasm32-wasi -fno-exceptions -mexec-model=reactor -Wl,-z,stack-size=1048576,--strip-all $(@D)/learnann.o $(@D)/web.o -o $@

web: need-build  ## the example for browsers, in build/web/: the library as WebAssembly, its JavaScript, a page
	@tools/need.sh $(WEB_NEEDS)
	@$(MAKE) $B/web/learnann.wasm
	cp examples/web/learnann.mjs examples/web/index.html $B/web/

DIR ?= .
demo: need-build $B/examples/textsearch  ## offline text search over this tree (or DIR=...), with its figures
	@$B/examples/textsearch $(DIR)

# ---- tests ----

$B/src/%.o: src/%.cpp $(HEADERS) learnann.h | need-build
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -Isrc -I. -c $< -o $@

$B/unit/%.o: tests/unit/%.cpp $(wildcard tests/*.hpp) $(HEADERS) learnann.h | need-test
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) $(CHECKED) $(DOCTEST) -Isrc -I. -Itests -c $< -o $@

$B/unit-tests: $(UNIT_OBJECTS) $(MODULES)
	$(CXX) $(ALL_FLAGS) $(LINK_FLAGS) $^ -o $@

$B/api/%.o: tests/api/%.cpp $(wildcard tests/*.hpp) learnann.h | need-test
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) $(CHECKED) $(DOCTEST) -I. -Itests -c $< -o $@

$B/api/collection_test.o: examples/growing_collection.hpp

$B/api-tests: $(API_OBJECTS) $B/liblearnann.a
	$(CXX) $(ALL_FLAGS) $(LINK_FLAGS) $^ -o $@

unit: $B/unit-tests  ## unit and property tests, on the modules
	$B/unit-tests
# In two halves that take as long, side by side under -j2.
API_HALF := *answers_test*,*build_test*,*memory_test*
api: api-half api-others  ## tests of the public contract, on learnann.c++
api-half: $B/api-tests
	$B/api-tests -sf="$(API_HALF)"
api-others: $B/api-tests
	$B/api-tests -sfe="$(API_HALF)"
scripts: all examples $B/amalgamate  ## tests of the command line, the examples, the two-file compile and the amalgamation
	CXX="$(CXX)" CC="$(CC)" XSIMD="$(XSIMD)" B="$B" tests/run_scripts.sh

test: need-test  ## everything that CI tests first; minutes on two cores, both of which it uses
	$(MAKE) $(if $(findstring -j,$(MAKEFLAGS)),,-j2) -Otarget all examples check-fresh unit api scripts faults fuzz-replay

# ---- sanitizers, fuzzing, other machines ----

# Compiling takes half of the time: lines are enough of debugging, and the tests themselves need not be fast.
SANITIZED = HARDEN= CHECKED="$(CHECKED) -O1" FLAGS="-g1 -fsanitize=$(1)"
# Not enum: the tests hand over values that no enum has, as callers in C can.
ASAN_TESTS ?= unit api fuzz-replay
asan: need-test  ## unit and API tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(MAKE) B=$B/asan $(call SANITIZED,address -fsanitize=undefined -fsanitize=float-cast-overflow -fno-sanitize-recover=all) $(ASAN_TESTS)

TSAN_TESTS := single*,*threaded*,*error names*,golden*,training gives*,threads*,processes*,peers: saving over*
TSAN_FILES = $(shell bash -c '. tests/few.sh && files_with "$(TSAN_TESTS)" tests/api/*.cpp')
tsan: need-test  ## the API tests that use threads, and the threads example, under ThreadSanitizer
	$(MAKE) B=$B/tsan $(call SANITIZED,thread) API_OBJECTS="$(patsubst tests/%.cpp,$B/tsan/%.o,$(TSAN_FILES))" $B/tsan/api-tests $B/tsan/examples/threads
	$B/tsan/api-tests -tc="$(TSAN_TESTS)"
	$B/tsan/examples/threads

# On one core: counters that two cores share take longer than the second core saves.
COVERED = B=$B/coverage HARDEN= FROM_MODULES=1 FLAGS="-O1 --coverage -fprofile-update=atomic"
coverage: need-test  ## lines of src/ that unit tests, API tests and the fuzz corpus run, by folder, and those that none does; fails below 95 %
	@tools/need.sh gcovr
	@mkdir -p $B/coverage && find $B/coverage -name '*.gcda' -delete
	$(MAKE) $(COVERED) $B/coverage/unit-tests $B/coverage/api-tests
	taskset -c 0 $(MAKE) $(COVERED) unit api fuzz-replay
	B="$B/coverage" tests/coverage.sh 95

SOAK_SECONDS ?= 600
SOAK_THREADS ?= 4
$B/soak: tests/soak/soak.cpp tests/testdata.hpp learnann.h $B/liblearnann.a
	$(CXX) $(CXXFLAGS) $(LINK_FLAGS) -I. -Itests $< $B/liblearnann.a -o $@

soak: need-build $B/soak  ## searches of every kind on SOAK_THREADS (4) for SOAK_SECONDS (600): the answers of one thread, and memory does not grow
	$B/soak $(SOAK_SECONDS) $(SOAK_THREADS)

# Of the C++ library, which nobody instruments, nothing but templates may be used here: C programs, and the fuzz target.
MSAN_FLAGS := -g -O1 -fsanitize=memory $(ALL_FLAGS) -I.
MSAN_RUNS ?= 3000
msan: need-build  ## builds, searches and the fuzz corpus under MemorySanitizer, on every instruction set of this machine
	@tools/need.sh clang
	@mkdir -p $B/msan/corpus
	clang++ -std=c++17 $(MSAN_FLAGS) -fno-exceptions -fno-rtti -x c++ -c learnann.c++ -o $B/msan/learnann.o
	clang++ -std=c++17 $(MSAN_FLAGS) -fsanitize=fuzzer tests/fuzz/open_fuzz.cpp $B/msan/learnann.o -o $B/msan/open-fuzz
	for example in hello allocator; do clang $(MSAN_FLAGS) -c examples/$$example.c -o $B/msan/$$example.o && \
	    clang++ $(MSAN_FLAGS) $B/msan/$$example.o $B/msan/learnann.o -lm -o $B/msan/$$example || exit 1; done
	cd $B/msan && for isa in scalar sse2 ssse3 avx2 avx512 neon dotprod; do export LEARNANN_ISA=$$isa; ./hello && ./allocator && \
	    ./open-fuzz -runs=$(MSAN_RUNS) -max_len=65536 corpus $(CURDIR)/tests/fuzz/corpus/open >fuzz.log 2>&1 || { cat fuzz.log; exit 1; }; done
	@echo "msan: ok"

-include tests/fuzz/fuzz.mk

test-aarch64: all  ## unit and API tests on aarch64 under qemu; files written there and here give the same hits
	@tools/need.sh qemu-user g++-aarch64-linux-gnu doctest-dev
	B="$B" tests/cross.sh aarch64
test-armhf: all  ## the same on 32-bit ARM
	@tools/need.sh qemu-user g++-arm-linux-gnueabihf doctest-dev
	B="$B" tests/cross.sh armhf
test-i386: all  ## the same on 32-bit x86, nearly all tests, on this machine where it is an x86
	@tools/need.sh qemu-user g++-i686-linux-gnu doctest-dev
	B="$B" tests/cross.sh i386
test-s390x: need-build  ## that a big-endian machine is refused, with the reason
	@tools/need.sh g++-s390x-linux-gnu
	B="$B" tests/cross.sh s390x

test-windows: all  ## the same on Windows, with MinGW's compiler under Wine
	@tools/need.sh g++-mingw-w64-x86-64-posix wine64 doctest-dev
	B="$B" tests/cross.sh windows

test-wasm: all  ## the same as WebAssembly, in Node: unit and API tests, the example for browsers, files exchanged
	@tools/need.sh $(WEB_NEEDS) llvm nodejs doctest-dev
	B="$B" tests/wasm.sh

valgrind: all  ## no byte of a file is memory that nobody wrote
	@tools/need.sh valgrind
	B="$B" tests/valgrind.sh

KILLS ?= 30
STRIDE ?= 9
faults: all  ## every system call of a save fails once, every STRIDE-th (9) allocation of a command; KILLS (30) saves are killed: the file is always the old one or the new one
	B="$B" CC="$(CC)" tests/faults.sh $(KILLS) $(STRIDE)

size: need-build  ## bytes of code: the reader for small machines, and the whole library
	@CXX="$(CXX)" XSIMD="$(XSIMD)" tests/size.sh

gates: all  ## recall, size and build gates on the real sets, where ../shared/data is
	B="$B" tests/gates.sh

# clang-tidy reads the library as one file: its lines are those of learnann.c++. cppcheck: one configuration, that of Linux on x86-64.
LINT_CPPCHECK := --std=c++17 --language=c++ --enable=warning,performance,portability --inline-suppr --error-exitcode=1 --max-configs=1 \
    -D__GNUC__=12 -D__x86_64__=1 -D__linux__=1 -D__BYTE_ORDER__=1 -D__ORDER_LITTLE_ENDIAN__=1 \
    --suppress=uninitMemberVar --suppress=memsetClassFloat
lint: need-build  ## clang-tidy (.clang-tidy) on the library and the tools, cppcheck on these and the examples
	@tools/need.sh clang-tidy cppcheck
	cppcheck -q -j2 $(LINT_CPPCHECK) -Isrc -I. src tools examples
	printf '%s\n' learnann.c++ tools/*.cpp | xargs -P2 -I{} clang-tidy --quiet {} -- -x c++ -std=c++17 -I. $(ALL_FLAGS)

-include bench/bench.mk

clean:  ## removes build/
	rm -rf $B
