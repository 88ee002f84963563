// dispatch.hpp: which table of kernels this machine uses.
#pragma once

#include "simd/kernels.hpp"

LEARNANN_BEGIN

// Chosen once, at first use; the environment variable LEARNANN_ISA overrides it where the machine can run what it names.
const Kernels &kernels();

// Every table this machine can run, slowest ("scalar", the oracle) first, for the tests. NULL past the last.
const Kernels *kernels_at(u32 index);

const Kernels &scalar_kernels();
const Kernels &portable_kernels();  // scalar_kernels() where there is no xsimd
const Kernels *ssse3_kernels();     // these: NULL where the machine or the compiler lacks it
const Kernels *avx2_kernels();
const Kernels *avx512_kernels();
const Kernels *neon_kernels();      // takes the place of the portable table
const Kernels *dotprod_kernels();
const Kernels *wasm_kernels();

LEARNANN_END
