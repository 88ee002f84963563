// search.cpp: see search.hpp. A query is started (projected, entries scanned), walked hop by hop, and finished (reranked); or
// it is scanned, where the rows are few or few pass the filter.
#include "search/search.hpp"

#include "base/os.hpp"
#include "search/hits.hpp"

#include <limits>

LEARNANN_BEGIN

void Lane::use(const Allocator &allocator) {
    codec.use(allocator);
    code.use(allocator);
    bytes.use(allocator);
    beam.use(allocator);
    accepted.use(allocator);
}

u64 Lane::memory() const { return codec.memory() + code.bytes() + bytes.bytes() + beam.bytes() + accepted.bytes(); }

// ---- how a request is answered ----

// By walking the graph; or where few rows pass a filter, by their codes, all of them, and the best by their exact rows; or by the exact
// rows of all that pass.
enum class Way { walk, scan_codes, scan_exact };

// Decided once for all queries of a request.
struct Plan {
    Way way = Way::walk;
    double passing = 0;     // rows that pass the filter, roughly
    u32 width = 0;          // of the beam
    u32 horizon = 0;        // of those, how many of the nearest are expanded
    u32 kept = 0;           // candidates that survive the walk
    RerankRule rerank;      // and how many of them are reranked
    u32 scanned = 0;        // candidates that a scan of codes leaves, all of which are reranked
};

// Where a walk costs as much as a scan of all rows: these are few, or half of them would be kept.
inline bool few_rows(u32 rows, u32 kept) { return rows <= 256 || kept >= rows / 2; }

inline Plan make_plan(const FileView &view, const SearchRequest &request, const RowFilter &filter) {
    const u32 n = view.rows();
    Plan plan;
    plan.kept = smaller(larger(request.effort, request.k), n);
    plan.width = plan.kept;
    const EffortRule rule = effort_rule(view, request.k, plan.kept);
    plan.horizon = rule.horizon;
    plan.rerank = rule.rerank;
    if (few_rows(n, plan.kept)) plan.way = Way::scan_exact;
    if (!filter.active() || plan.way != Way::walk) return plan;
    plan.passing = clamp(filter.expected_passes(), 1.0, static_cast<double>(n));
    // A scan's may be any distance away, where codes tell them apart less well than the near ones that the effort was calibrated with.
    plan.scanned = static_cast<u32>(smaller<u64>(4ull * plan.kept, n));
    // The neighbours that pass lie farther apart than those that the horizon was learned from; the longest rows anywhere.
    const double seen = n / plan.passing;
    const u32 expanded = view.about().metric == LEARNANN_IP ? plan.kept : (plan.kept + plan.horizon) / 2;
    plan.width = static_cast<u32>(smaller(plan.kept * seen, static_cast<double>(n)));
    plan.horizon = static_cast<u32>(smaller(larger(expanded, 1u) * seen, static_cast<double>(plan.width)));
    // A walk that must see `kept` rows that pass expands about kept * n / passing. Each of those costs as much as some 20 codes here and
    // there, and each of these as 6 rows that are asked whether they pass.
    if (plan.passing <= plan.scanned) plan.way = Way::scan_exact;
    else if ((plan.passing + filter.asked() / 6.0) * plan.passing < 20.0 * plan.kept * n) plan.way = Way::scan_codes;
    return plan;
}

// Shorter ones are fetched in no time, and a walk that needs many hops expands more rows than it reranks.
inline bool long_exact_rows(const FileView &view) { return view.has_exact() && view.about().exact_stride > 8 * cache_line; }

// So many exact rows are on their way at a time: the first of them when a walk is over, before other queries take their turn.
constexpr u32 fetched_rows = 4;

struct Searcher {
    const FileView &view;
    const Codec codec;
    const FileGraph graph;
    const RowFilter filter;
    const bool prefetches, asks_ahead;      // for exact rows during the walk: into the cache, of the device
    const SearchRequest &request;
    Plan plan;
    learnann_search_stats &stats;

    Searcher(const FileView &v, const SearchRequest &r, learnann_search_stats &s)
        : view(v), codec(Codec::of(v)), graph{&v}, filter(v, r.filter), prefetches(long_exact_rows(v) && !v.asks_ahead() && !filter.active()),
          asks_ahead(v.has_exact() && v.asks_ahead() && !filter.active()), request(r), plan(make_plan(v, r, filter)), stats(s) {}

    Status encode(Lane &lane, const learnann_vectors &queries, u64 i, learnann_error *error) const;
    Status prepare_accepted(Lane &lane, learnann_error *error) const;
    Status start(Lane &lane, learnann_error *error) const;
    bool gather(Lane &lane) const;
    void ask_ahead(Lane &lane, u32 slot, u32 rank) const;
    void ask_for(u32 slot) const { expect_reads(view.exact_row(slot), view.about().exact_stride); }
    void score(Lane &lane) const;
    float distance(Lane &lane, u32 slot, i32 estimate) const;
    void count(const Lane &lane) const;
    void fetch(Lane &lane) const;
    void ask_for_rows(Lane &lane, u32 asked) const;
    u32 finish(Lane &lane, learnann_hit *out) const;
    void prefetch_row(u32 slot) const {
        view.prefetch_exact(slot);
        view.prefetch_row_of_slot(slot);
    }
    bool fell_short(const Lane &lane) const;
    void scan_codes(Lane &lane) const;
    u32 scan_exact(Lane &lane, learnann_hit *out, float radius) const;
    void rerank(Lane &lane, const Pool &from, u32 depth, float radius, Hits &hits) const;
    Pool &found(Lane &lane) const { return filter.active() ? lane.accepted : lane.beam.pool; }
    // How a range search goes: as a walk expands about kept * n / passing rows of some 20 edges, and an exact row costs about three code
    // distances.
    bool scans_range() const {
        return few_rows(view.rows(), plan.kept) || (filter.active() && plan.passing * plan.passing < 7.0 * plan.kept * view.rows());
    }
};

Status Searcher::encode(Lane &lane, const learnann_vectors &queries, u64 i, learnann_error *error) const {
    const About &a = view.about();
    LEARNANN_RETURN_IF(lane.codec.allocate(codec, error));
    LEARNANN_RETURN_IF(lane.code.at_least(query_bytes(a.record_bytes), error));
    LEARNANN_RETURN_IF(lane.bytes.at_least(refined_room(a.dim), error));
    float *x = lane.codec.x.data();
    if (!to_floats(vector_at(queries, i), queries.type, a.dim, x))
        return fail(error, LEARNANN_ARGUMENT, "the query holds NaN or infinity", i);
    lane.query = i;
    const bool same_bytes = queries.type == static_cast<learnann_type>(a.exact_type) && element_bytes(queries.type) == 1;
    lane.exact = ExactQuery::of(x, a.dim, same_bytes ? 0 : a.exact_type, lane.bytes.data());
    if (same_bytes) {
        std::memcpy(lane.bytes.data(), vector_at(queries, i), a.dim);
        lane.exact.bytes = lane.bytes.data();
    }
    // Under cosine the projection wants the query normalised, in place: an exact query in floats then has length 1 as well.
    // One in bytes keeps the length it was given.
    const bool in_bytes = lane.exact.bytes != nullptr;
    if (a.exact_tail && in_bytes) lane.exact.measure(a.dim);
    if (codec.metric == LEARNANN_COS) normalise(x, a.dim);
    if (a.exact_tail && !in_bytes) lane.exact.measure(a.dim);
    const Projected p = project(codec, lane.codec);
    if (!(p.norm2 <= 4 * longest_vector * longest_vector))      // the mean may be as long as a row
        return fail(error, LEARNANN_ARGUMENT, "the query is longer than 1e18", i);
    lane.encoded = encode_query(codec, p, lane.code.data());
    if (refined_bits(a.exact_type)) {
        lane.refined = RefinedQuery::of(codec, lane.codec, p.norm2, lane.bytes.data());
        lane.exact.refined = &lane.refined;
    }
    return LEARNANN_OK;
}

// With the memory that a scan will need, should it come to that.
Status Searcher::prepare_accepted(Lane &lane, learnann_error *error) const {
    if (!filter.active()) return LEARNANN_OK;
    LEARNANN_RETURN_IF(lane.accepted.prepare(plan.scanned, 0, error));
    return lane.accepted.prepare(plan.kept, plan.kept, error);
}

Status Searcher::start(Lane &lane, learnann_error *error) const {
    const About &a = view.about();
    LEARNANN_RETURN_IF(lane.beam.prepare(plan.width, plan.horizon, view.rows(), error));
    LEARNANN_RETURN_IF(prepare_accepted(lane, error));
    const auto accept = [&](i32 estimate, u32 slot) {
        if (filter.active() && filter.pass(slot)) lane.accepted.insert(estimate, slot);
    };
    lane.stage = Lane::walking;
    lane.asked = 0;
    if (view.has_layers()) {
        lane.beam.add_descent(graph, lane.encoded.code, view.layers(), accept);
        return LEARNANN_OK;
    }
    const EntryView entries{view.entry_records(), a.record_bytes, a.entries, a.entry_group};
    const auto slot_of = [&](u32 entry) {
        const u32 slot = view.entry_slot(entry);
        return slot < view.rows() ? slot : no_row;
    };
    lane.beam.add_entries(lane.encoded.code, entries, slot_of, accept);
    return LEARNANN_OK;
}

// The first hops lead to where the answer is; later ones are part of it.
constexpr u32 leading_hops = 2;

constexpr u32 least_settled = 16;

inline bool Searcher::gather(Lane &lane) const {
    return lane.beam.gather(graph, [&](u32 slot, u32 rank) {
        if (prefetches && lane.beam.counts.hops > leading_hops) view.prefetch_exact(slot);
        if (asks_ahead) ask_ahead(lane, slot, rank);
    });
}

// A device takes about as long as half a walk does. When a good many of the nearest are expanded, most of them will stay the
// nearest: they are asked for then, and later ones as they are expanded.
void Searcher::ask_ahead(Lane &lane, u32 slot, u32 rank) const {
    if (rank < lane.asked) {
        ask_for(slot);
    } else if (lane.asked == 0 && rank >= larger(2 * request.k, least_settled)) {
        lane.asked = rerank_depth(lane.beam.pool, lane.encoded, plan.rerank);
        for (u32 i = 0; i < lane.asked; ++i) ask_for(lane.beam.pool.id(i));
    }
}

void Searcher::score(Lane &lane) const {
    if (!filter.active()) {
        lane.beam.score(graph, lane.encoded.code, [](i32, u32) {});
        return;
    }
    Pool &accepted = lane.accepted;
    lane.beam.score(graph, lane.encoded.code, [&](i32 estimate, u32 slot) {
        if (accepted.would_keep(estimate, slot) && filter.pass(slot)) accepted.insert(estimate, slot);
    });
}

float Searcher::distance(Lane &lane, u32 slot, i32 estimate) const {
    if (view.has_exact()) return exact_distance(view, lane.exact, slot);
    const float d = lane.encoded.base + lane.encoded.unit * static_cast<float>(estimate);
    return codec.metric == LEARNANN_IP ? d : larger(d, 0.0f);
}

void Searcher::count(const Lane &lane) const {
    const BeamCounts &c = lane.beam.counts;
    stats.distances += c.distances;
    stats.entry_distances += c.entry_distances;
    stats.hops += c.hops;
    stats.bad_ids += c.bad_ids;
    stats.stop = LEARNANN_STOP_BEAM;
}

void Searcher::rerank(Lane &lane, const Pool &from, u32 depth, float radius, Hits &hits) const {
    if (view.has_exact()) {
        for (u32 i = 0; i < depth; ++i) {
            if (i + fetched_rows < depth) prefetch_row(from.id(i + fetched_rows));
            const float d = exact_distance(view, lane.exact, from.id(i));
            if (d <= radius && !hits.offer(from.id(i), d)) ++stats.bad_ids;
        }
        stats.reranked += depth;
        return;
    }
    for (u32 i = 0; i < depth; ++i) {
        const float d = distance(lane, from.id(i), from.estimate(i));
        if (d <= radius && !hits.offer(from.id(i), d)) ++stats.bad_ids;
    }
}

constexpr float no_radius = std::numeric_limits<float>::infinity();

void Searcher::fetch(Lane &lane) const {
    Pool &from = found(lane);
    lane.depth = settle(from, lane.encoded, plan.rerank);
    ask_for_rows(lane, lane.asked);
}

// Exact rows of those to rerank, of the device from the `asked`-th on.
void Searcher::ask_for_rows(Lane &lane, u32 asked) const {
    const Pool &from = found(lane);
    lane.stage = Lane::fetching;
    if (!view.has_exact()) return;
    for (u32 i = asked; view.asks_ahead() && i < lane.depth; ++i) ask_for(from.id(i));
    for (u32 i = 0; i < smaller(lane.depth, fetched_rows); ++i) prefetch_row(from.id(i));
}

// Where half of the answer lies farther away than the walk went, or less than k rows were found: because of the filter, or because the
// graph is in pieces.
bool Searcher::fell_short(const Lane &lane) const {
    const u32 wanted = smaller(request.k, view.rows());
    if (!filter.active()) return lane.beam.pool.size() < wanted;
    const Pool &passed = lane.accepted;
    return passed.size() < wanted || passed.item_at(wanted / 2) > lane.beam.pool.worst();
}

u32 Searcher::finish(Lane &lane, learnann_hit *out) const {
    lane.stage = Lane::idle;
    if (plan.way == Way::walk) {
        count(lane);
        if (fell_short(lane)) {
            if (!filter.active()) return scan_exact(lane, out, no_radius);
            scan_codes(lane);
        }
    }
    Hits hits(view, out, request.k);
    rerank(lane, found(lane), lane.depth, no_radius, hits);
    return hits.finish();
}

// Leaves the best by code of all rows that pass, to be reranked.
void Searcher::scan_codes(Lane &lane) const {
    constexpr u32 block = 128;      // codes that are on their way at a time
    Pool &best = lane.accepted;
    (void)best.prepare(plan.scanned, 0, nullptr);     // the memory is there already
    const u32 stride = view.about().record_bytes;
    u32 slots[block];
    i32 estimates[block];
    i64 near[block + 1];
    u32 count = 0;
    const auto score = [&] {
        kernels().score(lane.encoded.code, view.records(), stride, slots, count, estimates);
        best.insert(near, Pool::nearer(estimates, count, best.worst(), [&](u32 i) { return slots[i]; }, near));
        stats.distances += count;
        count = 0;
    };
    stats.bad_ids += filter.each_passing([&](u32 slot) {
        for (u32 line = 0; line < stride; line += cache_line) prefetch(view.records() + static_cast<u64>(slot) * stride + line);
        slots[count++] = slot;
        if (count == block) score();
    });
    if (count > 0) score();
    best.settle();
    lane.depth = best.size();
    ++stats.scanned;
    stats.stop = LEARNANN_STOP_SCAN;
}

u32 Searcher::scan_exact(Lane &lane, learnann_hit *out, float radius) const {
    Hits hits(view, out, request.k);
    stats.bad_ids += filter.each_passing([&](u32 slot) {
        i32 estimate = 0;
        if (!view.has_exact())
            kernels().score(lane.encoded.code, view.records(), view.about().record_bytes, &slot, 1, &estimate);
        const float d = distance(lane, slot, estimate);
        ++stats.reranked;
        if (d <= radius && !hits.offer(slot, d)) ++stats.bad_ids;
    });
    ++stats.scanned;
    stats.stop = LEARNANN_STOP_SCAN;
    return hits.finish();
}

Status search_queries(const FileView &view, Workspace &space, const learnann_vectors &queries, u64 begin, u64 end,
                      u32 in_flight, const SearchRequest &request, learnann_hit *hits, u32 *counts,
                      learnann_search_stats &stats, learnann_error *error) {
    const Searcher searcher(view, request, stats);
    const u32 lanes = static_cast<u32>(smaller<u64>(clamp<u32>(in_flight, 1, Workspace::max_lanes), end - begin));
    u64 next = begin;
    u32 in_work = 0;
    for (u32 i = 0; i < lanes; ++i) space.lanes[i].stage = Lane::idle;
    do {
        for (u32 i = 0; i < lanes; ++i) {
            Lane &lane = space.lanes[i];
            if (lane.stage == Lane::fetching) {
                counts[lane.query] = searcher.finish(lane, hits + lane.query * request.k);
                --in_work;
            } else if (lane.stage == Lane::walking && !searcher.gather(lane)) {
                searcher.fetch(lane);
            }
            while (lane.stage == Lane::idle && next < end) {
                ++stats.queries;
                LEARNANN_RETURN_IF(searcher.encode(lane, queries, next++, error));
                if (searcher.plan.way == Way::scan_exact) {
                    counts[lane.query] = searcher.scan_exact(lane, hits + lane.query * request.k, no_radius);
                    continue;
                }
                ++in_work;
                if (searcher.plan.way == Way::scan_codes) {
                    LEARNANN_RETURN_IF(searcher.prepare_accepted(lane, error));
                    searcher.scan_codes(lane);
                    searcher.ask_for_rows(lane, 0);
                    continue;
                }
                LEARNANN_RETURN_IF(searcher.start(lane, error));
                searcher.gather(lane);
            }
        }
        for (u32 i = 0; i < lanes; ++i)
            if (space.lanes[i].stage == Lane::walking) searcher.score(space.lanes[i]);
    } while (in_work > 0 || next < end);
    return LEARNANN_OK;
}

Status search_range(const FileView &view, Workspace &space, const learnann_vectors &query, float max_distance,
                    const SearchRequest &request, learnann_hit *hits, u32 &count, learnann_search_stats &stats,
                    learnann_error *error) {
    SearchRequest wider = request;
    wider.effort = larger(request.effort, 32u);
    Lane &lane = space.lanes[0];
    ++stats.queries;
    for (;;) {
        Searcher searcher(view, wider, stats);
        // k is the limit here, not a number that must be found: the beam's width comes from the effort alone.
        searcher.plan.kept = searcher.plan.width = searcher.plan.horizon = smaller(wider.effort, view.rows());
        LEARNANN_RETURN_IF(searcher.encode(lane, query, 0, error));
        if (searcher.scans_range()) {
            count = searcher.scan_exact(lane, hits, max_distance);
            return LEARNANN_OK;
        }
        LEARNANN_RETURN_IF(searcher.start(lane, error));
        while (searcher.gather(lane)) searcher.score(lane);
        searcher.count(lane);
        Pool &from = searcher.found(lane);
        from.settle();
        Hits found(view, hits, request.k);
        searcher.rerank(lane, from, from.size(), max_distance, found);
        count = found.finish();
        // Done when the radius lies well within what the beam saw, or when the limit does.
        const bool within = count < from.size() / 2 || (count == request.k && from.size() >= 2ull * request.k);
        if (within) return LEARNANN_OK;
        wider.effort *= 2;
    }
}

LEARNANN_END
