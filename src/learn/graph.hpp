// graph.hpp: builds the graph in code space: of the nearest rows that cells tell (cells.hpp), or by search-based insertion in batches.
//
// A batch is searched against the graph as it stood before the batch, so its rows don't depend on each other: any number of
// threads gives the same graph. Each row links to candidates of its search that survive occlusion pruning, and they link back.
// (Vamana: Subramanya et al., DiskANN, 2019. Batches: Manohar et al., ParlayANN, 2024.)
#pragma once

#include "base/parallel.hpp"
#include "learn/entries.hpp"

LEARNANN_BEGIN

// Out-edges of every row in arrays of fixed capacity.
// Invariants: no row is its own neighbour, no neighbour comes twice, the first pinned[row] edges are never pruned.
struct EdgeLists {
    u32 rows = 0;
    u32 capacity = 0;
    Array<u32> ids;         // rows x capacity
    Array<u8> degrees;
    Array<u8> pinned;

    Status allocate(u32 row_count, u32 edge_capacity, const Allocator &allocator, learnann_error *error);
    Status copy(const EdgeLists &from, const Allocator &allocator, learnann_error *error);
    // Adds an edge where there is room and it isn't there yet.
    void link(u32 from, u32 to);
    void ask_for(u32 row) const {
        prefetch(of(row));
        prefetch(of(row) + 16);
        prefetch(&degrees[row]);
    }
    u32 *of(u32 row) { return ids.data() + static_cast<u64>(row) * capacity; }
    const u32 *of(u32 row) const { return ids.data() + static_cast<u64>(row) * capacity; }
};

// The graph as a beam walks it.
struct BuildGraph {
    const CodeSpace *space;
    const EdgeLists *edges;
    u32 rows() const { return space->rows; }
    const u8 *records() const { return space->records; }
    u32 record_bytes() const { return space->stride(); }
    bool neighbours(u32 row, IdList &out) const {
        out = IdList{reinterpret_cast<const u8 *>(edges->of(row)), 32, edges->degrees[row]};
        return true;
    }
    void prefetch_adjacency(u32 row) const { edges->ask_for(row); }
};

// A search of the graph being built, in a beam that is prepared. Its pool is settled.
inline void walk(const BuildGraph &graph, const EntryTable &entries, const QueryCode &query, Beam &beam) {
    if (entries.layers.shown) beam.add_descent(graph, query, entries.layers, [](i32, u32) {});
    else beam.add_entries(query, entries.view(graph.record_bytes()), [&](u32 entry) { return entries.rows[entry]; }, [](i32, u32) {});
    while (beam.gather(graph, true, [](u32, u32) {})) beam.score(graph, query, [](i32, u32) {});
    beam.pool.settle();
}

constexpr u32 rows_by_cells = 300000;       // of many more, inserting takes less time, and leads better where rows lie in clusters

struct GraphOptions {
    u32 degree = 32;        // out-edges that pruning leaves at most
    u32 chosen = 0;         // of them, those that a row is inserted with, at most: the others link back; 0: degree
    bool keeps_chosen = false;      // pruning takes those that link back only
    u32 beam = 64;          // width of the candidate search
    float alpha = 1.05f;    // v hides w from u where alpha d(v, w) < d(u, w), d squared; inner product: <v, w> > <u, w>
    u32 least = 6;          // the nearest candidates fill up to so many edges, hidden or not: no row hangs on a hub alone
    u32 hiders = 1;         // as many kept edges must hide a candidate before it is dropped; 0: none does, the nearest are kept
    u32 thinning = 2;       // link_all(): each sample of the rows is so many times smaller than the next
    double probes = 8;      // link_all(): cells that a row is compared with (see Cells)
    u32 by_cells = rows_by_cells;   // link_all(): more rows than these it inserts
};

constexpr u32 linking_beam = 52;     // of the default graph: candidates of each row
constexpr u32 build_beam = 200;     // of the graphs of the literature: their efConstruction
constexpr u32 linking_thread_bytes = 90000;     // of a thread of a GraphBuilder, at most: the rows that its walk has seen, two codes, candidates

class GraphBuilder {
public:
    static constexpr u32 first_rows = 512;      // linked by brute force

    // All are borrowed. The space may change between calls: to other records of the same rows.
    GraphBuilder(const CodeSpace &space, EdgeLists &edges, const EntryTable &entries, const GraphOptions &options,
                 const BuildContext &build)
        : space_(space), edges_(edges), entries_(entries), options_(options), build_(build), workers_(), batch_(build.allocator),
          chosen_(build.allocator), chosen_count_(build.allocator), links_(build.allocator) {}

    // Inserts order[0..count). Rows linked before may be inserted again: they then get the edges that they lack.
    // With `linked` == 0 the first rows are linked by brute force; else `linked` rows stand in the graph already. After link_all()
    // insert only few rows: in a full list only the farthest neighbours make way for them.
    Status insert(const u32 *order, u32 count, u32 linked, learnann_error *error);

    // Links order[0..count), all that will be linked but for a few, and none of which is yet, by comparing cells: first a sample of some
    // hundred, then one `thinning` times as large, whose other rows are linked to the nearest of it, and so on, as by insertion; and at
    // last all are, to the nearest of all. The samples are the first rows, of which `heads` lie evenly among all. Rows beyond
    // `by_cells` are inserted.
    Status link_all(const u32 *order, u32 count, u32 heads, learnann_error *error);

    // Links each of these rows anew, out of its neighbours and theirs, so that all have as many edges as they have on the mean now.
    Status even_out(const u32 *rows, u32 count, learnann_error *error);

private:
    struct Worker {
        Beam beam;
        Array<i8> code, other;
        Array<i64> candidates;
    };
    Status prepare(u32 batch, learnann_error *error);
    void link_batch(const u32 *rows, u32 count, const u32 *seeds, u32 seed_count);
    void find_candidates(Worker &w, u32 row, const u32 *seeds, u32 seed_count);
    u32 join_candidates(Worker &w, u32 row);
    u32 gather_candidates(Worker &w, u32 row, const u32 *more, u32 more_count);
    void add_links(Worker &w, u32 row, const u64 *links, u32 count);
    void link_row(Worker &w, u32 row, const i64 *nearest, u32 count);
    Status link_back(learnann_error *error);
    Status link_sample(const u32 *order, u32 size, u32 heads, const u8 *asking, learnann_error *error);
    u32 relink(Worker &w, u32 row, const GraphOptions &options, u32 *kept);

    const CodeSpace &space_;
    EdgeLists &edges_;
    const EntryTable &entries_;
    GraphOptions options_;
    BuildContext build_;
    bool linked_all_ = false;
    Worker workers_[max_threads];
    Array<u32> batch_;
    Array<u32> chosen_;         // of each row of the batch: its new edges
    Array<u32> chosen_count_;
    Array<u64> links_;          // target << 32 | source
};

// Occlusion pruning: of `count` candidates, Pool items sorted by distance from a row, keeps at most `limit` and returns how
// many; candidates is reordered. `code` has room for a record. Heuristic of Malkov and Yashunin (HNSW, 2016), algorithm 4,
// with DiskANN's alpha and a least number of edges.
u32 prune(const CodeSpace &space, const GraphOptions &options, i64 *candidates, u32 count, u32 limit, i8 *code, u32 *kept);

// The `count` nearest of a row's neighbours, nearest first; returns how many there are.
u32 nearest_edges(const CodeSpace &space, const EdgeLists &edges, u32 row, u32 count, u32 *nearest);

LEARNANN_END
