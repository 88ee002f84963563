// parallel.hpp: a loop over many items on several threads, with progress and cancellation.
// Invariant: work(item, worker) writes only what belongs to its item or its worker, so results don't depend on the schedule.
#pragma once

#include "base/os.hpp"

#include <atomic>

LEARNANN_BEGIN

// The caller's progress callback, and whether it has said stop.
struct Progress {
    int (*callback)(void *, const char *, double) = nullptr;
    void *context = nullptr;
    const char *const *phase = nullptr;     // the builder's, which goes on

    Status at(double done) const {
        return callback && callback(context, *phase, done) != 0 ? LEARNANN_CANCELLED : LEARNANN_OK;
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
