// calibrate.cpp: see calibrate.hpp.
#include "learn/calibrate.hpp"

#include "learn/scan.hpp"

#include <algorithm>

LEARNANN_BEGIN

namespace {

struct Walker : QueryMemory {
    Beam beam;
    Array<u32> fresh;           // candidates whose distances are not known yet
};

constexpr u32 efforts[] = {2, 4, 6, 8, 10, 12, 16, 20, 25, 30, 40, 50, 64, 80, 100, 140, 200, 280, 400, 560, 800,
                           1120, 1600, 2240, 3200};     // each calibrated k is one: no search has a lesser effort than k
constexpr u32 steps = sizeof efforts / sizeof *efforts;
static_assert(steps == Calibration::efforts, "a point for each");

// What the held-out queries find at one effort, and what that costs.
struct Reached {
    float recall[calibrated_ks] = {};       // by calibrated_k
    float margin[calibrated_ks] = {};
    double nanoseconds = 0;     // a query, for k = 10, by the model below
};

// Of the hits that the candidates hold, reranking up to the margin may lose as many as this share of those that they don't.
constexpr double margin_loss = 0.05;

// A query's distances to exact rows, by slot: every effort meets most of them again, and the rows may lie on a disk. A table with
// linear probing; what it has no room for it does not keep.
class KnownDistances {
public:
    static constexpr u32 places = 2048;
    struct Known {
        u32 slot;
        float distance;
    };

    explicit KnownDistances(Known *table) : table_(table) {}
    // The distance, or NULL.
    const float *find(u32 slot) const {
        u32 at = start(slot);
        for (u32 tries = 0; tries < most_tries && table_[at].slot != no_row; ++tries, at = (at + 1) % places)
            if (table_[at].slot == slot) return &table_[at].distance;
        return nullptr;
    }
    void add(u32 slot, float distance) {
        u32 at = start(slot);
        for (u32 tries = 0; tries < most_tries; ++tries, at = (at + 1) % places)
            if (table_[at].slot == no_row) {
                table_[at] = Known{slot, distance};
                return;
            }
    }

private:
    static constexpr u32 most_tries = 16;
    static u32 start(u32 slot) { return slot * 2654435761u >> 21; }
    static_assert(places == 1u << (32 - 21), "start() gives a place");
    Known *table_;
};

class Calibrator {
public:
    Calibrator(const CodeSpace &space, const EdgeLists &edges, const EntryTable &entries, const Rows &rows,
               const Array<u32> &row_of_slot, const Holdout &h, const BuildContext &build)
        : space_(space), graph_{&space, &edges}, entries_(entries), rows_(rows), row_of_slot_(row_of_slot), h_(h),
          build_(build), walked_(build.allocator), candidates_(build.allocator), margins_(build.allocator), known_(build.allocator) {}

    Status run(Calibration &out, learnann_error *error) {
        LEARNANN_RETURN_IF(walked_.allocate(h_.count, error));
        LEARNANN_RETURN_IF(candidates_.allocate(larger<u64>(static_cast<u64>(kept_of_all) * h_.count, most_kept), error));
        LEARNANN_RETURN_IF(margins_.allocate(static_cast<u64>(Holdout::depth) * h_.count, error));
        LEARNANN_RETURN_IF(known_.allocate(static_cast<u64>(KnownDistances::places) * h_.count, error));
        for (KnownDistances::Known &k : known_) k.slot = no_row;
        for (u32 t = 0; t < build_.threads; ++t) {
            workers_[t].beam.use(build_.allocator);
            workers_[t].fresh.use(build_.allocator);
            LEARNANN_RETURN_IF(workers_[t].fresh.allocate(most_kept, error));
            LEARNANN_RETURN_IF(workers_[t].prepare(space_, build_.allocator, error));
            LEARNANN_RETURN_IF(workers_[t].beam.prepare(most_kept, 1, space_.rows, error));
        }
        const u32 share = choose_horizon(out.cost);
        out.horizon = shares[share];
        Reached at[steps];
        Horizon horizon{out.horizon};       // as the reader's, whose efforts for k = 10 end where they find all
        u32 used = 0;
        for (u32 e = 0; e < steps && (e == 0 || efforts[e] <= space_.rows / 2); ++e) {      // beyond, a search is a scan
            const u32 effort = efforts[e];
            at[e] = effort <= 60 && h_.count > some_ ? measure(effort, horizon, h_.count)
                    : effort > horizon.last          ? measure(effort, horizon, some_)
                                                     : reached(share, e);
            for (u32 j = 0; e > 0 && j < calibrated_ks; ++j) at[e].recall[j] = larger(at[e].recall[j], at[e - 1].recall[j]);
            if (effort >= 10 && at[e].recall[of_10] >= all_found) horizon.last = smaller(horizon.last, effort);
            used = e + 1;
            if (at[e].recall[0] >= 0.999f && at[e].recall[of_10] >= 0.999f && at[e].recall[calibrated_ks - 1] >= 0.99f) break;
        }
        for (u32 j = 0; j < calibrated_ks; ++j)
            for (u32 e = 0; e < used; ++e) {
                if (efforts[e] < calibrated_k[j]) continue;
                out.points[out.count++] = CalibrationPoint{calibrated_k[j], efforts[e], at[e].recall[j], at[e].margin[j]};
                if (at[e].recall[j] >= all_found) break;
            }
        return LEARNANN_OK;
    }

private:
    static constexpr u32 most_kept = efforts[steps - 1], kept_of_all = 800;
    static constexpr float all_found = 0.9995f;     // a recall that ends the table of a k

    static constexpr u32 of_10 = 2;
    static_assert(calibrated_k[of_10] == 10 && calibrated_ks <= 8, "Candidate::hit has a bit for each");

    // What a query's walk did, and the candidates that margins are measured from, by calibrated_k.
    struct Walked {
        u32 kept = 0;
        u32 distances = 0;
        u32 entry_distances = 0;
        u32 hops = 0;
        i32 anchor[calibrated_ks] = {};
        float spread[calibrated_ks] = {};

        float margin(u32 j, i32 estimate) const { return margin_of(estimate, anchor[j], spread[j]); }
    };
    struct Candidate {
        float distance;         // from the exact row
        i32 estimate;
        u8 hit;                 // bit j: it is one of the true calibrated_k[j]
    };

    // Shares of the beam that a walk may expand. A wide beam of which only the nearest are expanded finds as much with fewer
    // hops and more exact rows: which is cheaper depends on the rows. Chosen is the cheapest at recall@10 of 0.95 and 0.99, from the
    // middle on in the direction that gets cheaper.
    static constexpr float shares[] = {1.0f, 0.7f, 0.5f, 0.35f, 0.25f};
    static constexpr u32 share_count = sizeof shares / sizeof *shares;
    static constexpr u32 tried = 19;        // efforts
    static_assert(efforts[tried - 1] == 400 && efforts[tried - 3] == 200, "cost_of() tells what half the last effort gives");

    u32 choose_horizon(double &least) {
        u32 best = share_count / 2;
        least = cost_of(best);
        const auto better = [&](u32 share) {
            const double cost = share < share_count ? cost_of(share) : least;      // below 0 is beyond too
            if (!(cost < least)) return false;
            least = cost;
            best = share;
            return true;
        };
        bool narrower = false;
        while (better(best + 1)) narrower = true;
        while (!narrower && better(best - 1)) {}
        return best;
    }

    // The product of what both recalls cost. Where they aren't reached by the last effort tried, what is missing to 1 goes on falling
    // with the cost as it did from half that effort on.
    double cost_of(u32 share) {
        double at95 = 0, last = 0;
        float recall_before = 0;
        for (u32 e = 0; e < tried; ++e) {
            if (efforts[e] < 10) continue;
            const Reached &r = reached(share, e);
            const auto at = [&](float recall) {
                const double t = r.recall[of_10] > recall_before ? (recall - recall_before) / (r.recall[of_10] - recall_before) : 1;
                return last > 0 ? last + t * (r.nanoseconds - last) : r.nanoseconds;
            };
            if (at95 == 0 && r.recall[of_10] >= 0.95f) at95 = at(0.95f);
            if (r.recall[of_10] >= 0.99f) return at95 * at(0.99f);
            recall_before = r.recall[of_10];
            last = r.nanoseconds;
        }
        const Reached &end = reached(share, tried - 1), &half = reached(share, tried - 3);
        const double fallen = std::log((1.0 - half.recall[of_10]) / (1.0 - end.recall[of_10])), grown = std::log(end.nanoseconds / half.nanoseconds);
        const auto beyond = [&](double recall) {
            return end.nanoseconds * std::exp(grown / larger(fallen, 0.1) * std::log((1.0 - end.recall[of_10]) / (1 - recall)));
        };
        return (at95 > 0 ? at95 : beyond(0.95)) * beyond(0.99);
    }

    // On some of the queries, measured when it is first asked for: what chose the horizon serves the calibration too.
    const Reached &reached(u32 share, u32 e) {
        if (!measured_[share][e]) reached_[share][e] = measure(efforts[e], Horizon{shares[share]}, some_);
        measured_[share][e] = true;
        return reached_[share][e];
    }

    // On the first `queries`, or as many of them as there is room for candidates.
    Reached measure(u32 effort, Horizon horizon, u32 queries) {
        stride_ = effort;
        queries = static_cast<u32>(smaller<u64>(queries, candidates_.size() / effort));
        parallel(build_.threads, queries, 4, [&](u64 q, u32 worker) {
            search(static_cast<u32>(q), effort, horizon.at(effort), workers_[worker]);
        });
        Reached r;
        for (u32 j = 0; j < calibrated_ks; ++j) r.margin[j] = fit_margin(j, queries, r.recall[j]);
        double distances = 0, scanned = 0, hops = 0, reranked = 0;
        for (u32 q = 0; q < queries; ++q) {
            const Walked &w = walked_[q];
            distances += w.distances;
            scanned += w.entry_distances;
            hops += w.hops;
            for (u32 i = 0; i < w.kept; ++i) reranked += w.margin(of_10, candidate(q, i).estimate) <= r.margin[of_10];
        }
        // Measured on a server: what comes from beyond the second cache, and the arithmetic beside it.
        const double record = 4 + space_.stride() / 20.0, hop = 80 + 0.3 * effort;
        const double exact = 25 + rows_.dim() * element_bytes(rows_.vectors.type) / 9.0;
        r.nanoseconds = (distances * record + scanned * record / 4 + hops * hop + reranked * exact) / queries;
        return r;
    }

    // The least margin that keeps almost all the hits among the candidates, and the recall that is left.
    float fit_margin(u32 j, u32 queries, float &recall) {
        queries = smaller(queries, h_.knowing(calibrated_k[j]));
        const u64 all = static_cast<u64>(smaller(calibrated_k[j], h_.neighbours)) * queries;
        u64 found = 0;
        for (u32 q = 0; q < queries; ++q)
            for (u32 i = 0; i < walked_[q].kept; ++i) {
                const Candidate &c = candidate(q, i);
                if ((c.hit >> j & 1) && found < margins_.size()) margins_[found++] = walked_[q].margin(j, c.estimate);
            }
        const u64 lost = smaller(static_cast<u64>(margin_loss * static_cast<double>(all - smaller(found, all))), found / 2);
        recall = static_cast<float>(found - lost) / static_cast<float>(all);
        if (found == 0) return no_margin;
        std::nth_element(margins_.begin(), margins_.begin() + (found - 1 - lost), margins_.begin() + found);
        return larger(margins_[found - 1 - lost], 0.0f);
    }

    // Walks as the reader will, and leaves the query's candidates and counts.
    void search(u32 q, u32 effort, u32 horizon, Walker &w) {
        h_.copy_query(q, rows_.dim(), w.codec.x.data());
        const EncodedQuery query = w.encode(space_);
        (void)w.beam.prepare(effort, horizon, space_.rows, nullptr);
        walk(graph_, entries_, query.code, w.beam);
        const Pool &pool = w.beam.pool;
        const u32 kept = pool.size();
        measure_distances(q, w);
        const BeamCounts &done = w.beam.counts;
        Walked &walked = walked_[q] = Walked{};
        walked.kept = kept;
        walked.distances = static_cast<u32>(done.distances);
        walked.entry_distances = static_cast<u32>(done.entry_distances);
        walked.hops = static_cast<u32>(done.hops);
        for (u32 i = 0; i < kept; ++i) {
            candidate(q, i).estimate = pool.estimate(i);
            candidate(q, i).hit = 0;
        }
        for (u32 j = 0; kept > 0 && j < calibrated_ks; ++j) {
            const u32 k = smaller(calibrated_k[j], h_.neighbours);
            walked.anchor[j] = pool.estimate(smaller(rerank_anchor(k), kept) - 1);
            walked.spread[j] = query.spread(walked.anchor[j]);
            if (q < h_.knowing(k)) mark_hits(q, j, k, kept, pool);
        }
    }

    // As near as the last of the true k are sometimes more than k: the first count.
    void mark_hits(u32 q, u32 j, u32 k, u32 kept, const Pool &pool) {
        const float reach = h_.reach(q, k);
        u32 hits = 0;
        for (u32 i = 0; i < kept && hits < k; ++i) {
            Candidate &c = candidate(q, i);
            if (c.distance > reach || h_.holds(row_of_slot_[pool.id(i)])) continue;
            c.hit = static_cast<u8>(c.hit | 1u << j);
            ++hits;
        }
    }

    // Of the query's candidates to their exact rows.
    void measure_distances(u32 q, Walker &w) {
        const Pool &pool = w.beam.pool;
        KnownDistances known(known_.data() + static_cast<u64>(q) * KnownDistances::places);
        u32 fresh = 0;
        for (u32 i = 0; i < pool.size(); ++i) {
            const float *distance = known.find(pool.id(i));
            if (distance) candidate(q, i).distance = *distance;
            else w.fresh[fresh++] = i;
        }
        const auto row_at = [&](u32 i) { return row_of_slot_[pool.id(w.fresh[i])]; };
        const ExactQuery exact = rows_.exact_query(h_.query(q, rows_.dim()), w.bytes.data());
        rows_.each(fresh, row_at, [&](u32 i) {
            const float distance = rows_.distance(exact, row_at(i));
            candidate(q, w.fresh[i]).distance = distance;
            known.add(pool.id(w.fresh[i]), distance);
        });
    }

    Candidate &candidate(u32 q, u32 i) { return candidates_[static_cast<u64>(q) * stride_ + i]; }

    const CodeSpace &space_;
    const BuildGraph graph_;
    const EntryTable &entries_;
    const Rows &rows_;
    const Array<u32> &row_of_slot_;
    const Holdout &h_;
    // Shares are compared on some of the queries. What the chosen one reaches is measured on all of them at small efforts, where
    // queries differ most and take least time.
    const u32 some_ = smaller(h_.count, 256u);
    const BuildContext &build_;
    Array<Walked> walked_;
    Array<Candidate> candidates_;
    u32 stride_ = 0;            // candidates of a query, at the effort that is measured
    Array<float> margins_;
    Array<KnownDistances::Known> known_;    // count x places
    Reached reached_[share_count][steps];
    bool measured_[share_count][steps] = {};
    Walker workers_[max_threads];
};

}  // namespace

Status calibrate(const CodeSpace &space, const EdgeLists &edges, const EntryTable &entries, const Rows &rows,
                 const Array<u32> &row_of_slot, const Holdout &h, const BuildContext &build, Calibration &calibration, learnann_error *error) {
    if (h.count == 0) return LEARNANN_OK;
    return Calibrator(space, edges, entries, rows, row_of_slot, h, build).run(calibration, error);
}

LEARNANN_END
