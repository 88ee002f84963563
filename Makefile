# learnann: plain make. `make help` lists the targets.
#   CXX=clang++   another compiler        XSIMD=DIR   where xsimd/xsimd.hpp lies, if not on the path
#   B=DIR         another build folder    FLAGS=...   more compiler flags

CXX ?= g++
CC ?= gcc
HOST_CXX ?= g++
B ?= build
FLAGS ?=
WARN := -Wall -Wextra -Wshadow
ALL_FLAGS := -pthread $(if $(XSIMD),-isystem $(XSIMD)) $(FLAGS)
CXXFLAGS := -std=c++17 -O2 -ffp-contract=off $(WARN) $(ALL_FLAGS)
CFLAGS := -std=c99 -O2 -Wall -Wextra -pedantic $(ALL_FLAGS)
LIB_FLAGS := -fPIC -fvisibility=hidden -fno-exceptions -fno-rtti

SOURCES := $(wildcard src/*/*.hpp src/*/*.cpp)
MODULES := $(patsubst src/%.cpp,$B/src/%.o,$(wildcard src/*/*.cpp))
TOOL_SOURCES := $(filter-out tools/amalgamate.cpp,$(wildcard tools/*.cpp))
TOOL_OBJECTS := $(patsubst tools/%.cpp,$B/tools/%.o,$(TOOL_SOURCES))
UNIT_OBJECTS := $(patsubst tests/unit/%.cpp,$B/unit/%.o,$(wildcard tests/unit/*.cpp))
API_OBJECTS := $(patsubst tests/api/%.cpp,$B/api/%.o,$(wildcard tests/api/*.cpp))
EXAMPLES := $(patsubst examples/%.cpp,$B/examples/%,$(wildcard examples/*.cpp)) \
            $(patsubst examples/%.c,$B/examples/%_c,$(wildcard examples/*.c))

.PHONY: all help demo test amalgamate check-fresh unit api scripts examples asan ubsan tsan fuzz-replay fuzz test-aarch64 \
        gates size coverage soak faults valgrind bench-build clean need-build need-test

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

learnann.c++: $B/amalgamate $(SOURCES)
	$B/amalgamate src $@

amalgamate: learnann.c++  ## learnann.c++ from src/

check-fresh: $B/amalgamate  ## fails where learnann.c++ is not what src/ gives
	$B/amalgamate --check src learnann.c++

$B/learnann.o: learnann.c++ learnann.h | need-build
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) $(LIB_FLAGS) -I. -x c++ -c $< -o $@

# FROM_MODULES: for coverage, which wants to know the files of src/ apart.
$B/liblearnann.a: $(if $(FROM_MODULES),$(MODULES),$B/learnann.o)
	rm -f $@ && ar rcs $@ $^

$B/liblearnann.so: $B/learnann.o
	$(CXX) $(ALL_FLAGS) -shared $< -o $@

$B/tools/%.o: tools/%.cpp $(wildcard tools/*.hpp) learnann.h
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -c $< -o $@

$B/learnann: $(TOOL_OBJECTS) $B/liblearnann.a
	$(CXX) $(ALL_FLAGS) $^ -o $@

# ---- examples ----

$B/examples/%: examples/%.cpp $(wildcard examples/*.hpp) learnann.h $B/liblearnann.a
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -I. $< $B/liblearnann.a -o $@

$B/examples/%_c: examples/%.c learnann.h $B/liblearnann.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -I. -c $< -o $@.o && $(CXX) $(ALL_FLAGS) $@.o $B/liblearnann.a -lm -o $@

examples: need-build $(EXAMPLES)  ## every example, built

DIR ?= .
demo: need-build $B/examples/textsearch  ## offline text search over this tree (or DIR=...), with its figures
	@$B/examples/textsearch $(DIR)

# ---- tests ----

$B/src/%.o: src/%.cpp $(SOURCES) learnann.h | need-build
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -Isrc -I. -c $< -o $@

$B/unit/%.o: tests/unit/%.cpp $(wildcard tests/*.hpp) $(SOURCES) learnann.h | need-test
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -Isrc -I. -Itests -c $< -o $@

$B/unit-tests: $(UNIT_OBJECTS) $(MODULES)
	$(CXX) $(ALL_FLAGS) $^ -o $@

$B/api/%.o: tests/api/%.cpp $(wildcard tests/*.hpp) learnann.h | need-test
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -I. -Itests -c $< -o $@

$B/api-tests: $(API_OBJECTS) $B/liblearnann.a
	$(CXX) $(ALL_FLAGS) $^ -o $@

unit: $B/unit-tests  ## unit and property tests, on the modules
	$B/unit-tests
api: $B/api-tests  ## tests of the public contract, on learnann.c++
	$B/api-tests
scripts: all examples $B/amalgamate  ## tests of the command line, the examples, the two-file compile and the amalgamation
	CXX="$(CXX)" CC="$(CC)" XSIMD="$(XSIMD)" B="$B" tests/run_scripts.sh

test: need-test all examples  ## everything that CI tests first; minutes on two cores
	$(MAKE) check-fresh unit api scripts faults fuzz-replay

# ---- sanitizers, fuzzing, other machines ----

# Not enum: the tests hand over values that no enum has, as callers in C can.
asan: need-test  ## unit and API tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(MAKE) B=$B/asan FLAGS="-g -fsanitize=address,undefined -fno-sanitize=enum -fno-sanitize-recover=all" unit api fuzz-replay

tsan: need-test  ## the API tests that use threads, and the threads example, under ThreadSanitizer
	$(MAKE) B=$B/tsan FLAGS="-g -fsanitize=thread" $B/tsan/api-tests $B/tsan/examples/threads
	$B/tsan/api-tests -tc="single*,*threaded*,*error names*,golden*,training gives*,threads*,processes*,peers: saving over*"
	$B/tsan/examples/threads

coverage: need-test  ## lines of src/ that unit tests, API tests and the fuzz corpus run, by folder, and those that none does; fails below 95 %
	@tools/need.sh gcovr
	@mkdir -p $B/coverage && find $B/coverage -name '*.gcda' -delete
	$(MAKE) B=$B/coverage FROM_MODULES=1 FLAGS="-O1 --coverage -fprofile-update=atomic" unit api fuzz-replay
	B="$B/coverage" tests/coverage.sh 95

SOAK_SECONDS ?= 600
SOAK_THREADS ?= 4
$B/soak: tests/soak/soak.cpp tests/testdata.hpp learnann.h $B/liblearnann.a
	$(CXX) $(CXXFLAGS) -I. -Itests $< $B/liblearnann.a -o $@

soak: need-build $B/soak  ## searches of every kind on SOAK_THREADS (4) for SOAK_SECONDS (600): the answers of one thread, and memory does not grow
	$B/soak $(SOAK_SECONDS) $(SOAK_THREADS)

FUZZ_SECONDS ?= 60
$B/open-fuzz: tests/fuzz/open_fuzz.cpp learnann.c++ learnann.h
	@tools/need.sh clang
	@mkdir -p $(@D)
	clang++ -std=c++17 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined $(ALL_FLAGS) -I. $< learnann.c++ -o $@

fuzz: need-build $B/open-fuzz  ## FUZZ_SECONDS (60) of libFuzzer on open, search and verify, from the corpus
	@mkdir -p $B/corpus
	$B/open-fuzz -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 $B/corpus tests/fuzz/corpus

$B/fuzz-replay: tests/fuzz/open_fuzz.cpp tests/fuzz/replay.cpp $B/liblearnann.a
	$(CXX) $(CXXFLAGS) -I. tests/fuzz/open_fuzz.cpp tests/fuzz/replay.cpp $B/liblearnann.a -o $@

fuzz-replay: $B/fuzz-replay  ## the fuzz corpus, once
	$B/fuzz-replay tests/fuzz/corpus

test-aarch64: all  ## unit and API tests on aarch64 under qemu; files written there and here give the same hits
	@tools/need.sh qemu-user g++-aarch64-linux-gnu doctest-dev
	B="$B" tests/aarch64.sh

valgrind: all  ## no byte of a file is memory that nobody wrote
	@tools/need.sh valgrind
	B="$B" tests/valgrind.sh

KILLS ?= 30
faults: all  ## every system call of a save fails once; KILLS (30) saves are killed: the file is always the old one or the new one
	B="$B" CC="$(CC)" tests/faults.sh $(KILLS)

size: need-build  ## bytes of code: the reader for small machines, and the whole library
	@CXX="$(CXX)" XSIMD="$(XSIMD)" tests/size.sh

gates: all  ## recall, size and build gates on the real sets, where ../shared/data is
	B="$B" tests/gates.sh

-include bench/bench.mk

clean:  ## removes build/
	rm -rf $B
