// dispatch.cpp: picks the best table once.
#include "simd/dispatch.hpp"

#include <atomic>

LEARNANN_BEGIN

const Kernels *kernels_at(u32 index) {
    const Kernels *scalar = &scalar_kernels(), *portable = neon_kernels() ? neon_kernels() : &portable_kernels();
    const Kernels *all[] = {scalar,         portable == scalar ? nullptr : portable, ssse3_kernels(), avx2_kernels(),
                            avx512_kernels(), dotprod_kernels(), wasm_kernels()};
    for (const Kernels *table : all)
        if (table && index-- == 0) return table;
    return nullptr;
}

inline const Kernels *choose_kernels() {
    const char *wish = std::getenv("LEARNANN_ISA");
    const Kernels *best = nullptr;
    for (u32 i = 0; const Kernels *table = kernels_at(i); ++i) {
        best = table;
        if (wish && std::strcmp(wish, table->name) == 0) break;
    }
    return best;
}

const Kernels &kernels() {
    static std::atomic<const Kernels *> chosen{nullptr};
    const Kernels *table = chosen.load(std::memory_order_acquire);
    if (!table) {   // two threads may both choose: they choose alike
        table = choose_kernels();
        chosen.store(table, std::memory_order_release);
    }
    return *table;
}

LEARNANN_END
