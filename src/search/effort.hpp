// effort.hpp: what an effort means for a file: how much of the beam is expanded, how deep the candidates are reranked, and which
// effort reaches a recall. All of it was measured at build time, on queries that the graph did not know (learn/calibrate.hpp).
#pragma once

#include "search/beam.hpp"

LEARNANN_BEGIN

// How many rows of a beam a walk expands: a share of it, the nearest. Of a beam beyond the last effort that the share is meant for, also
// all that it is wider by.
struct Horizon {
    float share = 1;
    u32 last = 0xffffffff;

    // 1 at least, of a beam that holds one.
    u32 at(u32 width) const {
        const u32 meant = smaller(width, last), wanted = static_cast<u32>(std::ceil(share * static_cast<float>(meant)));
        return clamp(wanted, smaller(meant, 1u), meant) + (width - meant);
    }
};

// Candidates are reranked up to an estimate: that of the anchor, the k-th of them, and a margin for what estimates are wrong by,
// which grows with what the codes don't hold of the query. k up to 10 share an anchor, and with it the rows that are reranked:
// their hits are prefixes of each other.
struct RerankRule {
    u32 anchor = 0;
    float margin = 0;       // in units of EncodedQuery::spread at the anchor
};

constexpr float no_margin = 3e38f;      // everything is reranked

inline u32 rerank_anchor(u32 k) { return larger(k, 10u); }

// How far an estimate lies behind the anchor's, in spreads at the anchor.
inline float margin_of(i32 estimate, i32 anchor, float spread) {
    return (static_cast<float>(estimate) - static_cast<float>(anchor)) / spread;
}

// Of those in order.
inline u32 rerank_depth(const Pool &pool, const EncodedQuery &query, const RerankRule &rule) {
    const u32 size = pool.size();
    if (size <= rule.anchor) return size;
    const i32 anchor = pool.estimate(rule.anchor - 1);
    const float spread = query.spread(anchor);
    u32 low = rule.anchor, high = size;
    while (low < high) {
        const u32 middle = (low + high) / 2;
        if (margin_of(pool.estimate(middle), anchor, spread) <= rule.margin) low = middle + 1;
        else high = middle;
    }
    return low;
}

// Puts in order what is to be reranked; returns how many that are.
inline u32 settle(Pool &pool, const EncodedQuery &query, const RerankRule &rule) {
    if (!pool.has_tail()) return rerank_depth(pool, query, rule);
    if (rule.anchor == 0 || pool.size() < rule.anchor) {
        pool.settle();
    } else {
        const i32 anchor = pool.estimate(rule.anchor - 1);
        const float spread = query.spread(anchor);
        pool.settle([&](i32 estimate) { return margin_of(estimate, anchor, spread) <= rule.margin; });
    }
    return rerank_depth(pool, query, rule);
}

// How a search of this effort goes. Beyond the last effort that calibration tried for k = 10, a search also expands all that its beam is
// wider by, and reranks all it keeps: who asks for that wants to be sure, has queries unlike those that were calibrated with, or wants more hits.
struct EffortRule {
    Horizon horizon;
    RerankRule rerank;
};
EffortRule effort_rule(const FileView &view, u32 k, u32 effort);

// The numbers of hits that are calibrated. Neighbours come in groups, of copies, of a text's parts: between two of these the effort may
// jump.
constexpr u32 calibrated_k[] = {1, 4, 10, 20, 30, 50, 100};

// The efforts that reach one recall for any number of hits: by interpolation between calibrated points, extrapolated beyond them.
class Needs {
public:
    Needs() = default;      // knows nothing
    Needs(const FileView &view, float recall) : view_(&view), recall_(recall) {}
    // The highest recall that this effort reaches for this k.
    static Needs at_effort(const FileView &view, u32 k, u32 effort);

    bool known() const { return view_ && view_->calibration_points() > 0; }
    // For k that are not calibrated on a straight line between those that are, in proportion beyond the last. Measured on the sets of the
    // README: it is within a tenth of what it takes, or above.
    double of(double k) const;

private:
    const FileView *view_ = nullptr;
    float recall_ = 0;
};

// Whether a walk of this effort takes longer than to compare all exact rows does.
bool scan_is_faster(const FileView &view, double effort);

// The effort that reaches a recall for this k by the file's calibration, or a guess where it has none. Half of the rows or more, which
// means that all are compared, where a walk takes longer than that.
u32 effort_for_recall(const FileView &view, u32 k, float recall);

LEARNANN_END
