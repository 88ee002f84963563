// cells.hpp: the nearest rows of every row in code space, nearly: rows are divided among cells, each around a middle, and compared
// with those of the cells whose middles are nearest to them. (An inverted file: Jegou et al., Product Quantization for Nearest
// Neighbor Search, 2011, section IV.) Hundreds of rows look into a cell once it is unpacked: a comparison takes a few cycles.
#pragma once

#include "base/parallel.hpp"
#include "learn/tiles.hpp"

LEARNANN_BEGIN

class Cells {
public:
    // A row is compared with about `probes` cells, least_probes at least; where that is more than most_probes, with so many larger ones.
    Cells(const CodeSpace &space, double probes, const BuildContext &build)
        : space_(space), build_(build), wanted_(probes), middles_(), workers_(), probed_(build.allocator), rows_(build.allocator), source_(build.allocator),
          starts_(build.allocator) {}

    // Divides these rows, no two the same, around middles that are an even choice of the first `heads` of them. Which rows the nearest
    // are then does not depend on the number of threads.
    Status divide(const u32 *rows, u32 count, u32 heads, learnann_error *error);

    // found(worker, row, nearest, size) for each of them where asking[row], by any worker: Pool items of up to `most` of the others, nearest
    // first.
    template <class Found> Status each_nearest(u32 most, const u8 *asking, Found found, learnann_error *error) {
        asking_ = asking;
        LEARNANN_RETURN_IF(reserve(most + 1, error));
        const u32 count = static_cast<u32>(rows_.size());
        return each_chunk(count, true, [&](u32 first, u32 size, u32 worker) {
            Worker &w = workers_[worker];
            find(w, first, size, most + 1);
            for (u32 q = 0; q < size; ++q) {
                if (!asks(first + q)) continue;
                i64 *near = w.near(q, most + 1);
                u32 others = 0;
                for (u32 i = 0; i <= most && near[i] != Pool::nothing; ++i) {
                    const u32 place = Pool::id_of(near[i]);
                    near[others] = Pool::item(Pool::estimate_of(near[i]) + w.offsets[q], rows_[place]);
                    others += place != first + q;
                }
                found(worker, rows_[first + q], near, smaller(others, most));
            }
        });
    }

    // Bytes that it takes at most, besides those of its threads; and those of one that looks for the `most` nearest.
    static u64 bytes(u64 rows, u32 code_dim);
    static u64 thread_bytes(u64 rows, u32 code_dim, u32 most);

private:
    static constexpr u32 chunk = 2048;          // rows that a worker looks for the nearest of at once
    static constexpr u32 least_probes = 8;      // cells that a row is compared with
    static constexpr u32 most_probes = 32;
    static constexpr u32 most_compared = 40000;     // rows that one is compared with
    static constexpr u32 least_cell = 96;       // rows, on the mean: smaller ones cost more to find than they save
    static constexpr u32 fullest = 4;           // a cell has room for so many times the mean

    struct Worker {
        Array<i8> codes;        // of the queries: chunk x cols
        Array<PanelQuery> queries;
        Array<i32> offsets;     // of their estimates
        Array<i64> nearest;     // of each query: room for so many Pool items, the nearest so far, named by their places in rows_
        Array<u32> by_cell;     // queries, in order of the cells that they look into
        Array<u32> ends;        // of each cell's part of them

        void use(const Allocator &a) {      // what it held is gone
            codes.use(a);
            queries.use(a);
            offsets.use(a);
            nearest.use(a);
            by_cell.use(a);
            ends.use(a);
        }
        i64 *near(u32 query, u32 most) { return nearest.data() + query * round_up(most, sorted_padding); }
    };
    static u32 cell_count(u64 rows);
    u32 choose_sizes(u32 rows);
    bool asks(u32 place) const { return rows_[place] != no_row && asking_[rows_[place]]; }
    u32 cells() const { return static_cast<u32>(starts_.size()) - 1; }
    // work(first, size, worker) for all of `count` items, chunk by chunk. It may be cancelled; how far it is it tells if asked to.
    template <class Work> Status each_chunk(u32 count, bool tells, Work work) {
        constexpr u32 at_once = 16 * chunk;
        for (u32 done = 0; done < count; done += at_once) {
            LEARNANN_RETURN_IF(build_.progress.at(tells ? static_cast<double>(done) / count : 0));
            const u32 end = smaller(count, done + at_once);
            parallel(build_.threads, (end - done + chunk - 1) / chunk, 1, [&](u64 c, u32 worker) {
                const u32 first = done + static_cast<u32>(c) * chunk;
                work(first, smaller(chunk, end - first), worker);
            });
        }
        return LEARNANN_OK;
    }
    Status reserve(u32 most, learnann_error *error);
    void begin(Worker &w, const u32 *rows, u32 count, const u8 *asking, u32 most) const;
    static void compare_some(Worker &w, const Panel &panel, u32 first, u32 size, const u32 *queries, u32 count, u32 most);
    Status share_out(const u32 *rows, u32 count, learnann_error *error);
    Status unpack(learnann_error *error);
    void look(Worker &w, u32 first, u32 size, u32 from, u32 to, u32 most) const;
    void find(Worker &w, u32 first, u32 size, u32 most) const;

    const CodeSpace &space_;
    const BuildContext &build_;
    double wanted_;             // probes
    Panel middles_;
    Panel panel_;               // of rows_
    Worker workers_[max_threads];
    Array<u16> probed_;         // of each row, in ascending order: the nearest cells, nearest first
    Array<u32> rows_;           // cell by cell, each padded to whole tiles by no_row
    Array<u32> source_;         // of each of them: where its cells are in probed_
    Array<u32> starts_;         // of each cell, and the end
    const u8 *asking_ = nullptr;
    u32 probes_ = 0;            // cells that a row is compared with
};

LEARNANN_END
