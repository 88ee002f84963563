# fuzz.mk: the fuzz targets, each tests/fuzz/TARGET_fuzz.cpp with its corpus in tests/fuzz/corpus/TARGET. One set of rules links
# them with replay.cpp, which feeds them files, with libFuzzer and with AFL++.

FUZZ_TARGETS := open train build search kernels vectors arguments
FUZZ_SECONDS ?= 10
FUZZ_MAIN := $B/fuzz/replay.o
LIBFUZZER := $B/libfuzzer
AFL := $B/afl

# What stands in for tools/file.cpp, and what of the tools each target takes.
VECTORS_OBJECTS := $B/fuzz/memoryfiles.o $B/tools/vectorfile.o $B/tools/npyheader.o
ARGUMENTS_OBJECTS := $B/fuzz/memoryfiles.o $(filter-out $(addprefix $B/tools/,learnann.o file.o cache.o system.o),$(TOOL_OBJECTS))

$B/fuzz/%.o: tests/fuzz/%.cpp $(wildcard tests/*.hpp tests/fuzz/*.hpp tools/*.hpp) learnann.h learnann.c++ tools/learnann.cpp | need-build
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -I. -c $< -o $@

$(addprefix $B/fuzz/,open train build search): $B/liblearnann.a
$B/fuzz/vectors: $(VECTORS_OBJECTS)
$B/fuzz/arguments: $(ARGUMENTS_OBJECTS)
$(FUZZ_TARGETS:%=$B/fuzz/%): $B/fuzz/%: $B/fuzz/%_fuzz.o $(FUZZ_MAIN)
	$(CXX) $(ALL_FLAGS) $(LINK_FLAGS) $< $(filter-out $<,$^) $(FUZZ_LINK) -o $@

fuzz-targets: $(FUZZ_TARGETS:%=$B/fuzz/%)

fuzz-replay: fuzz-targets  ## every fuzz target's corpus, once
	@for target in $(FUZZ_TARGETS); do $B/fuzz/$$target tests/fuzz/corpus/$$target || exit 1; done

fuzz: need-build  ## FUZZ_SECONDS (10) of libFuzzer on each target (or on FUZZ="open ..."), and a table of what came of it
	@tools/need.sh clang
	$(MAKE) B=$(LIBFUZZER) HARDEN= CXX=clang++ FLAGS="-g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined" \
		FUZZ_MAIN= FUZZ_LINK=-fsanitize=fuzzer fuzz-targets
	tests/fuzz/run.sh libfuzzer $(LIBFUZZER) $(FUZZ_SECONDS) $(or $(FUZZ),$(FUZZ_TARGETS))

fuzz-afl: need-build  ## the same with AFL++
	@tools/need.sh afl++
	$(MAKE) B=$(AFL) HARDEN= CXX=afl-clang-fast++ FLAGS="-g -fsanitize=address,undefined -fno-sanitize-recover=undefined" fuzz-targets
	tests/fuzz/run.sh afl $(AFL) $(FUZZ_SECONDS) $(or $(FUZZ),$(FUZZ_TARGETS))
