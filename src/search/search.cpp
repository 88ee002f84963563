// search.cpp: see search.hpp. A query is started (projected, entries scanned), walked hop by hop, and finished (reranked); or
// it is scanned, where the rows are few or few pass the filter.
#include "search/search.hpp"

#include "base/os.hpp"
#include "search/hits.hpp"
#include "search/plan.hpp"

#include <limits>

LEARNANN_BEGIN

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
          asks_ahead(v.has_exact() && v.asks_ahead() && !filter.active()), request(r), plan(Plan::of(v, r, filter)), stats(s) {}

    Status begin(Lane &lane, learnann_hit *hits, u32 *counts, learnann_error *error) const;
    Status prepare_accepted(Lane &lane, learnann_error *error) const;
    Status start(Lane &lane, u32 width, learnann_error *error) const;
    bool gather(Lane &lane) const;
    bool met_enough(Lane &lane) const;
    bool may_end(Lane &lane) const;
    u32 within(Lane &lane, float radius) const;
    bool met_too_few(Lane &lane) const;
    bool was_widened(const Lane &lane) const { return lane.width > plan.width; }
    u32 wider(const Lane &lane) const;
    Status end_walk(Lane &lane, learnann_error *error) const;
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
    void scan_codes(Lane &lane) const;
    u32 scan_exact(Lane &lane, learnann_hit *out, float radius) const;
    void rerank(Lane &lane, const Pool &from, u32 depth, float radius, Hits &hits) const;
    Pool &found(Lane &lane) const { return filter.active() ? lane.accepted : lane.beam.pool; }
};

// With the memory that a scan will need, should it come to that.
Status Searcher::prepare_accepted(Lane &lane, learnann_error *error) const {
    if (!filter.active()) return LEARNANN_OK;
    LEARNANN_RETURN_IF(lane.accepted.prepare(plan.scanned, 0, error));
    const u32 kept = was_widened(lane) ? smaller(2 * plan.kept, view.rows()) : plan.kept;
    return lane.accepted.prepare(kept, kept, error);
}

Status Searcher::start(Lane &lane, u32 width, learnann_error *error) const {
    const About &a = view.about();
    lane.width = width;
    LEARNANN_RETURN_IF(lane.beam.prepare(width, plan.horizon_at(width), view.rows(), error));
    LEARNANN_RETURN_IF(prepare_accepted(lane, error));
    const auto accept = [&](i32 estimate, u32 slot) {
        if (filter.active() && filter.pass(slot)) lane.accepted.insert(estimate, slot);
    };
    lane.stage = Lane::walking;
    lane.asked = 0;
    lane.looks_at = 0;
    if (view.has_layers()) {
        lane.beam.add_descent(graph, lane.query->encoded.code, view.layers(), accept);
        return LEARNANN_OK;
    }
    const EntryView entries{view.entry_records(), a.record_bytes, a.entries, a.entry_group};
    const auto slot_of = [&](u32 entry) {
        const u32 slot = view.entry_slot(entry);
        return slot < view.rows() ? slot : no_row;
    };
    lane.beam.add_entries(lane.query->encoded.code, entries, slot_of, accept);
    return LEARNANN_OK;
}

// The first hops lead to where the answer is; later ones are part of it.
constexpr u32 leading_hops = 2;

constexpr u32 least_settled = 16;

inline bool Searcher::gather(Lane &lane) const {
    const bool on = !filter.active() || !may_end(lane);
    return lane.beam.gather(graph, on, [&](u32 slot, u32 rank) {
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
        lane.asked = rerank_depth(lane.beam.pool, lane.query->encoded, plan.rule.rerank);
        for (u32 i = 0; i < lane.asked; ++i) ask_for(lane.beam.pool.id(i));
    }
}

void Searcher::score(Lane &lane) const {
    if (!filter.active()) {
        lane.beam.score(graph, lane.query->encoded.code, [](i32, u32) {});
        return;
    }
    i64 passing[Beam::most_fresh];
    u32 count = 0;
    lane.beam.score(graph, lane.query->encoded.code, [&](i32 estimate, u32 slot) {
        if (lane.accepted.would_keep(estimate, slot) && filter.pass(slot)) passing[count++] = Pool::item(estimate, slot);
    });
    lane.accepted.insert(passing, count);
}

// Estimates of near rows err by more than their distance, and may fall below zero: no distance is, but rows keep that order. They get next
// to nothing of the query's own square, less than any rounded sum above zero has.
float Searcher::distance(Lane &lane, u32 slot, i32 estimate) const {
    if (view.has_exact()) return exact_distance(view, lane.query->exact, slot);
    constexpr float next_to_nothing = 1e-9f, least_unit = 1e-37f;
    const EncodedQuery &q = lane.query->encoded;
    const float d = q.base + q.unit * static_cast<float>(estimate);
    return codec.metric == LEARNANN_IP || d > 0 ? d : next_to_nothing * q.base / (1 - d / larger(q.unit, least_unit));
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
            const float d = exact_distance(view, lane.query->exact, from.id(i));
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
    lane.depth = filter.active() && was_widened(lane) ? from.size() : settle(from, lane.query->encoded, plan.rule.rerank);
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

// Whether as many rows that pass are nearer than what is expanded next, or was last, as are expanded where there is no filter, and there
// are as many as hits are wanted.
bool Searcher::met_enough(Lane &lane) const {
    Pool &pool = lane.beam.pool;
    const i64 next = pool.next(), reach = next != Pool::nothing ? next : pool.item_at(plan.horizon_at(lane.width) - 1);
    const u32 wanted = smaller(rerank_anchor(request.k), plan.kept);
    return lane.accepted.item_at(plan.rule.horizon.at(plan.kept) - 1) < reach && lane.accepted.item_at(wanted - 1) != Pool::nothing;
}

// A walk ends before its time where more of the rows pass than was planned for: once it met enough, and expanded as many as are planned
// for where so many pass. Where it didn't, it looks again half way to there.
bool Searcher::may_end(Lane &lane) const {
    if (!met_enough(lane)) return false;
    const u32 rank = lane.beam.pool.rank();
    if (rank < lane.looks_at) return false;
    const i64 next = lane.beam.pool.next();
    u32 passing = 0;
    while (passing < plan.kept && lane.accepted.item_at(passing) < next) ++passing;
    const u32 needed = plan.horizon_at(plan.width_for(smaller(passing / larger<double>(rank, 1), 1.0), view.rows()));
    if (rank < needed) lane.looks_at = rank + (needed - rank + 1) / 2;
    return rank >= needed;
}

// Without a filter: whether the part of the beam that was expanded led to fewer than k rows, and there is more to expand.
bool Searcher::met_too_few(Lane &lane) const {
    Pool &pool = lane.beam.pool;
    const u32 wanted = smaller(request.k, view.rows());
    if (pool.size() >= wanted) return false;
    pool.settle();
    return pool.size() < wanted && pool.size() >= plan.horizon_at(lane.width) && lane.width < view.rows() / 2;
}

// The width that the beam should have had, by the share that passed of the rows expanded, and of the nearer half of them; 0 where no walk
// finds more. Of the rows hereabouts many more may pass than of all, or far fewer: where the filter goes with the vectors, as a
// language or a colour does.
u32 Searcher::wider(const Lane &lane) const {
    const u32 horizon = plan.horizon_at(lane.width);
    const bool found = lane.accepted.size() >= smaller(request.k, view.rows()), saw_all = lane.beam.pool.item_at(horizon - 1) == Pool::nothing;
    if (saw_all || (!found && lane.width >= view.rows() / 2)) return found ? lane.width : 0;
    const auto share_passing = [&](u32 nearest) {
        const i64 last = lane.beam.pool.item_at(nearest - 1) | 1;       // it is expanded
        u32 passing = 0;
        while (passing < plan.kept && lane.accepted.item_at(passing) <= last) ++passing;
        return smaller((passing + 1 + std::sqrt(passing + 1.0) / 2) / (nearest + 1.0), 1.0);       // few tell little: rather too many
    };
    const u32 width = plan.width_for(smaller(share_passing(horizon), share_passing((horizon + 1) / 2)), view.rows());
    return found ? width : larger(width, 2 * lane.width);
}

// After a walk exact rows are fetched; where it met too few, another walk comes first, in a wider beam, or, with a filter, a scan. That is
// sure of what it finds, and so may cost twice as much.
Status Searcher::end_walk(Lane &lane, learnann_error *error) const {
    count(lane);
    u32 width = lane.width;
    if (!filter.active()) width *= met_too_few(lane) ? 2u : 1u;
    else if (!met_enough(lane)) width = wider(lane);
    const bool much_wider = width > lane.width + lane.width / 2;
    if (width == 0 || (filter.active() && much_wider && plan.scan_is_cheaper(2 * width))) {
        scan_codes(lane);
        ask_for_rows(lane, 0);
    } else if (much_wider) {
        LEARNANN_RETURN_IF(start(lane, width, error));
        gather(lane);
    } else {
        fetch(lane);
    }
    return LEARNANN_OK;
}

u32 Searcher::finish(Lane &lane, learnann_hit *out) const {
    lane.stage = Lane::idle;
    // The graph is in pieces, then.
    if (plan.way == Way::walk && !filter.active() && lane.beam.pool.size() < smaller(request.k, view.rows())) return scan_exact(lane, out, no_radius);
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
        kernels().score(lane.query->encoded.code, view.records(), stride, slots, count, estimates);
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
            kernels().score(lane.query->encoded.code, view.records(), view.about().record_bytes, &slot, 1, &estimate);
        const float d = distance(lane, slot, estimate);
        ++stats.reranked;
        if (d <= radius && !hits.offer(slot, d)) ++stats.bad_ids;
    });
    ++stats.scanned;
    stats.stop = LEARNANN_STOP_SCAN;
    return hits.finish();
}

// The lane's query walks or, the codes scanned, fetches exact rows; or it is answered at once, and the lane stays idle.
Status Searcher::begin(Lane &lane, learnann_hit *hits, u32 *counts, learnann_error *error) const {
    const u64 i = lane.query->number;
    ++stats.queries;
    switch (plan.way) {
    case Way::scan_exact: counts[i] = scan_exact(lane, hits + i * request.k, no_radius); break;
    case Way::scan_codes:
        LEARNANN_RETURN_IF(prepare_accepted(lane, error));
        scan_codes(lane);
        ask_for_rows(lane, 0);
        break;
    case Way::walk:
        LEARNANN_RETURN_IF(start(lane, plan.width, error));
        gather(lane);
        break;
    }
    return LEARNANN_OK;
}

// The queries that no lane has taken yet.
class Waiting {
public:
    Waiting(const FileView &view, const Codec &codec, const learnann_vectors &vectors, u64 begin, u64 end, Query *queries)
        : view_(view), codec_(codec), vectors_(vectors), next_(begin), end_(end) {
        for (u32 i = 0; i < matvec_vectors; ++i) queries_[i] = queries + i;
    }
    bool any() const { return at_ < ready_ || next_ < end_; }
    // The lane's query makes way for the next one.
    Status take(Lane &lane, learnann_error *error) {
        if (at_ == ready_) {
            at_ = 0;
            ready_ = static_cast<u32>(smaller<u64>(matvec_vectors, end_ - next_));
            LEARNANN_RETURN_IF(make_ready(view_, codec_, vectors_, next_, ready_, queries_, error));
            next_ += ready_;
        }
        std::swap(lane.query, queries_[at_++]);
        return LEARNANN_OK;
    }

private:
    const FileView &view_;
    const Codec &codec_;
    const learnann_vectors &vectors_;
    u64 next_, end_;
    Query *queries_[matvec_vectors];
    u32 at_ = 0, ready_ = 0;
};

// Each round takes every lane one step on: one that fetched finishes, one that walks goes a step further, an idle one begins the next query.
Status search_queries(const FileView &view, Workspace &space, const learnann_vectors &queries, u64 begin, u64 end,
                      const SearchRequest &request, learnann_hit *hits, u32 *counts, learnann_search_stats &stats,
                      learnann_error *error) {
    const Searcher searcher(view, request, stats);
    const u32 lanes = static_cast<u32>(smaller<u64>(Workspace::max_lanes, end - begin));
    Waiting waiting(view, searcher.codec, queries, begin, end, space.queries);
    u32 in_work = 0;
    for (u32 i = 0; i < lanes; ++i) {
        space.lanes[i].stage = Lane::idle;
        space.lanes[i].query = &space.queries[matvec_vectors + i];
    }
    do {
        for (u32 i = 0; i < lanes; ++i) {
            Lane &lane = space.lanes[i];
            if (lane.stage == Lane::fetching) {
                const u64 query = lane.query->number;
                counts[query] = searcher.finish(lane, hits + query * request.k);
                --in_work;
            } else if (lane.stage == Lane::walking && !searcher.gather(lane)) {
                LEARNANN_RETURN_IF(searcher.end_walk(lane, error));
            }
            while (lane.stage == Lane::idle && waiting.any()) {
                LEARNANN_RETURN_IF(waiting.take(lane, error));
                LEARNANN_RETURN_IF(searcher.begin(lane, hits, counts, error));
                in_work += lane.stage != Lane::idle;
            }
        }
        for (u32 i = 0; i < lanes; ++i)
            if (space.lanes[i].stage == Lane::walking) searcher.score(space.lanes[i]);
    } while (in_work > 0 || waiting.any());
    return LEARNANN_OK;
}

// How many of the beam's rows lie within a radius, as far as codes tell; whether or not they pass a filter.
u32 Searcher::within(Lane &lane, float radius) const {
    Pool &pool = lane.beam.pool;
    pool.settle();
    u32 low = 0, high = pool.size();
    while (low < high) {
        const u32 middle = (low + high) / 2;
        const float d = lane.query->encoded.base + lane.query->encoded.unit * static_cast<float>(pool.estimate(middle));
        if (d <= radius) low = middle + 1;
        else high = middle;
    }
    return low;
}

// The beam is wide enough once it reaches beyond the radius, and would find as many neighbours as lie within it, at the recall asked for. Once
// there are as many hits as wanted, the last of them is the radius.
Status search_range(const FileView &view, Workspace &space, const learnann_vectors &query, float max_distance,
                    const SearchRequest &request, learnann_hit *hits, u32 &count, learnann_search_stats &stats,
                    learnann_error *error) {
    const Needs needs = Needs::at_effort(view, 10, request.effort);
    SearchRequest wider = request;
    Lane &lane = space.lanes[0];
    lane.query = space.queries;
    ++stats.queries;
    for (;;) {
        Searcher searcher(view, wider, stats);
        searcher.plan.find_range(wider.effort, view.rows());
        LEARNANN_RETURN_IF(make_ready(view, searcher.codec, query, 0, 1, &lane.query, error));
        if (searcher.plan.way == Way::scan_exact) {
            count = searcher.scan_exact(lane, hits, max_distance);
            return LEARNANN_OK;
        }
        LEARNANN_RETURN_IF(searcher.start(lane, searcher.plan.width, error));
        while (searcher.gather(lane)) searcher.score(lane);
        searcher.count(lane);
        Pool &from = searcher.found(lane);
        from.settle();
        Hits found(view, hits, request.k);
        searcher.rerank(lane, from, from.size(), max_distance, found);
        count = found.finish();
        const float radius = count == request.k ? hits[count - 1].distance : max_distance;
        const u32 inside = larger(searcher.within(lane, radius), count);
        const double needed = needs.known() ? needs.of(larger(inside, 1u)) : 2.0 * inside;
        if (inside < wider.effort && needed <= wider.effort) return LEARNANN_OK;
        const double effort = clamp(std::ceil(needed), 2.0 * wider.effort, 4.0 * wider.effort);
        wider.effort = scan_is_faster(view, effort) ? view.rows() : static_cast<u32>(smaller(effort, 4e9));
    }
}

LEARNANN_END
