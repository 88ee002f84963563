# The benchmark. Included by the top Makefile; peers that are not installed are left out, by name.
#   BENCH=...   more options for it, as BENCH="--sets gowalla --passes 3 --fresh" (build/learnann-bench --help)

BENCH ?=
BENCH_SPEED := -O3 -march=native
USEARCH_VERSION ?= 2.25.3
BENCH_OBJECTS := $(patsubst bench/%.cpp,$B/bench/%.o,$(filter-out bench/scale.cpp,$(wildcard bench/*.cpp)))
BENCH_TOOLS := $(patsubst %,$B/tools/%.o,cli file npyheader system vectorfile)

.PHONY: bench bench-deps bench-probe ablation scale

bench: $B/learnann-bench  ## learnann, hnswlib, Faiss, USearch and brute force side by side; see also bench-deps
	@$B/learnann-bench --cache $B/bench-cache --json $B/bench.json --svg $B/bench.svg $(BENCH)
	@echo "all figures: $B/bench.json; picture: $B/bench.svg"

bench-deps:  ## installs the systems that `make bench` compares with
	@CXX="$(CXX)" tools/need.sh libhnswlib-dev libfaiss-dev libopenblas-dev npm
	@CC="$(CC)" USEARCH_VERSION="$(USEARCH_VERSION)" bench/peers.sh fetch $B

bench-probe:
	@CXX="$(CXX)" bench/peers.sh probe $B
$B/bench/peers.cflags $B/bench/peers.libs: bench-probe ;

# Without the hardening flags, for the peers' sake; our library keeps them.
$B/bench/%.o: bench/%.cpp $(wildcard bench/*.hpp tools/*.hpp) learnann.h $B/bench/peers.cflags
	@mkdir -p $(@D)
	$(CXX) $(filter-out $(HARDEN),$(CXXFLAGS)) $(BENCH_SPEED) -DBENCH_FLAGS='"$(BENCH_SPEED)"' $$(cat $B/bench/peers.cflags) -c $< -o $@

# Sums of floats in any order, as the peers' kernels do.
$B/bench/sys_brute.o: BENCH_SPEED += -ffast-math

$B/learnann-bench: $(BENCH_OBJECTS) $(BENCH_TOOLS) $B/liblearnann.a $B/bench/peers.libs
	$(CXX) $(ALL_FLAGS) $(filter %.o %.a,$^) $$(cat $B/bench/peers.libs) -o $@

SCALE ?=
$B/learnann-scale: bench/scale.cpp bench/scale_fit.hpp $(patsubst %,$B/tools/%.o,cache cli file measure npyheader system vectorfile) $B/liblearnann.a
	$(CXX) $(CXXFLAGS) $(CHECKED) $(LINK_FLAGS) $(filter-out %.hpp,$^) -o $@

scale: need-build $B/learnann-scale  ## how distances, hops, pages and build time grow with the rows, foretold to 100 million (SCALE=options)
	@$B/learnann-scale --folder $B $(SCALE)

# ---- what each part of an index is worth ----
#   ABLATION=...   more options for it, as ABLATION="--sets gowalla --builds '--graph adaptive; --degree 16'"

ABLATION ?=
ABLATION_PARTS := $B/bench/ablation/ablation.o $B/bench/dataset.o $B/bench/chart.o \
                  $(patsubst %,$B/tools/%.o,cache cli file measure npyheader system vectorfile)

ablation: $B/learnann-ablation $B/learnann  ## every graph on every set: distances and hops at equal recall, edges, bytes
	@$B/learnann-ablation --tool $B/learnann --json $B/ablation.json --svg $B/ablation.svg $(ABLATION)

$B/learnann-ablation: $(ABLATION_PARTS) $B/liblearnann.a
	$(CXX) $(ALL_FLAGS) $(LINK_FLAGS) $^ -o $@

# ---- what the literature proposes to learn: maps and graphs, by trainers of their own, as options of `learnann build` ----
#   LITERATURE=...   the sets, as LITERATURE="fashion-mnist gowalla" (default: all of ../shared/data)

LITERATURE ?=
LITERATURE_PARTS := $(patsubst bench/literature/%.cpp,$B/bench/literature/%.o,$(filter-out %_test.cpp %/literature.cpp,$(wildcard bench/literature/*.cpp))) \
                    $B/bench/dataset.o $(patsubst %,$B/tools/%.o,cli file npyheader system vectorfile)
.PHONY: literature literature-test need-literature

literature: $B/learnann-literature $B/learnann-ablation $B/learnann  ## maps and graphs learned as the literature proposes, beside our own (LITERATURE=sets)
	@B=$B bench/literature/compare.sh $(LITERATURE)

literature-test: $B/literature-tests  ## their gradients, eigenvectors and trainings
	$B/literature-tests

need-literature:
	@CXX="$(CXX)" tools/need.sh libeigen3-dev libspectra-dev doctest-dev

# Without AVX-512, of whose intrinsics GCC warns.
EIGEN := -isystem /usr/include/eigen3 $(if $(findstring x86,$(shell uname -m)),-mno-avx512f)
$B/bench/literature/%.o: bench/literature/%.cpp $(wildcard bench/literature/*.hpp bench/*.hpp tools/*.hpp) learnann.h | need-literature
	@mkdir -p $(@D)
	$(CXX) $(filter-out $(HARDEN),$(CXXFLAGS)) $(BENCH_SPEED) $(EIGEN) -c $< -o $@

$B/learnann-literature: $B/bench/literature/literature.o $(LITERATURE_PARTS) $B/liblearnann.a
	$(CXX) $(ALL_FLAGS) $(LINK_FLAGS) $^ -o $@

$B/literature-tests: $B/bench/literature/literature_test.o $(LITERATURE_PARTS) $B/liblearnann.a
	$(CXX) $(ALL_FLAGS) $(LINK_FLAGS) $^ -o $@

# A made set as large as wanted, the same bytes wherever it is made: MADE=... its options (build/learnann-made --help).
MADE ?= --rows 1000000 --dim 768
MADE_DIR ?= $B/made/million
.PHONY: made-set bench-capped
made-set: $B/learnann-made  ## a million made embeddings of 768 dimensions with queries and truth, in MADE_DIR (build/made/million); MADE="--rows N ..."
	@$B/learnann-made $(MADE_DIR) $(MADE)

# CAPPED=...: its options, as CAPPED="--data DIR --set NAME=cos" (build/learnann-bench-capped --help). Builds of a million rows
# by the peers take an hour each.
CAPPED ?= --data $(dir $(MADE_DIR)) --set $(notdir $(MADE_DIR))=cos
bench-capped: $B/learnann-bench-capped $B/learnann-made  ## learnann, hnswlib and USearch's view where memory is a quarter of the file; makes its set, see made-set
	@test -e $(MADE_DIR)/truth.ibin || $(MAKE) made-set
	@$B/learnann-bench-capped --cache $B/bench-cache $(CAPPED)

$B/learnann-bench-capped: $B/bench/capped/capped.o $(filter-out $B/bench/bench.o,$(BENCH_OBJECTS)) $(BENCH_TOOLS) $B/tools/cache.o $B/liblearnann.a $B/bench/peers.libs
	$(CXX) $(ALL_FLAGS) $(filter %.o %.a,$^) $$(cat $B/bench/peers.libs) -o $@

$B/learnann-made: $B/bench/made/made.o $B/bench/dataset.o $(BENCH_TOOLS) $B/liblearnann.a
	$(CXX) $(ALL_FLAGS) $^ -o $@
