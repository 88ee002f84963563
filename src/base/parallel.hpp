// parallel.hpp: a loop over many items on several threads, with progress and cancellation.
// Invariant: work(item, worker) writes only what belongs to its item or its worker, so results don't depend on the schedule.
#pragma once

#include "base/os.hpp"

#include <atomic>

LEARNANN_BEGIN

// What is being done, and what was told of it.
struct Phase {
    const char *name = nullptr;
    double told = 0;            // the most
    double from = 0, to = 1;    // the part of it that is on
};

// The caller's progress callback, and whether it has said stop. Within a phase it is never told less than before. A phase may have
// several parts, each of which goes from 0 to 1 itself.
struct Progress {
    int (*callback)(void *, const char *, double) = nullptr;
    void *context = nullptr;
    Phase *phase = nullptr;     // the builder's, which goes on

    Status at(double done) const {
        if (!callback) return LEARNANN_OK;
        phase->told = clamp(phase->from + done * (phase->to - phase->from), phase->told, 1.0);
        return callback(context, phase->name, phase->told) != 0 ? LEARNANN_CANCELLED : LEARNANN_OK;
    }
    // The next part: about that share of what is left of the phase.
    void share(double of_rest) const {
        if (!callback) return;
        if (phase->to < 1) phase->from = phase->to;
        phase->to = phase->from + of_rest * (1 - phase->from);
    }
    Status end() const {
        if (!callback || phase->told == 1) return LEARNANN_OK;
        phase->from = phase->to = 1;
        return at(1);
    }
};

// What every step of a build is given: its threads, where it takes memory from, and whom it tells how far it is.
struct BuildContext {
    u32 threads = 1;
    Allocator allocator;
    Progress progress;
};

// To the least of the values that several threads bring: the first item at fault, whoever finds it first.
inline void keep_least(std::atomic<u32> &least, u32 value) {
    u32 before = least.load();
    while (value < before && !least.compare_exchange_weak(before, value)) {}
}

template <class Work> struct ParallelLoop {
    Work *work;
    std::atomic<u64> next{0};
    u64 count;
    u64 block;

    static void run(void *self, u32 worker) {
        auto &loop = *static_cast<ParallelLoop *>(self);
        for (;;) {
            const u64 begin = loop.next.fetch_add(loop.block, std::memory_order_relaxed);
            if (begin >= loop.count) return;
            const u64 end = smaller(begin + loop.block, loop.count);
            for (u64 item = begin; item < end; ++item) (*loop.work)(item, worker);
        }
    }
};

// work(item, worker) for every item below count, handed out in blocks; worker < threads.
template <class Work> void parallel(u32 threads, u64 count, u64 block, Work work) {
    ParallelLoop<Work> loop;
    loop.work = &work;
    loop.count = count;
    loop.block = block;
    const u64 useful = (count + block - 1) / block;
    run_threads(static_cast<u32>(clamp<u64>(useful, 1, threads)), ParallelLoop<Work>::run, &loop);
}

LEARNANN_END
