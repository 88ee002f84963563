// effort.cpp: see effort.hpp.
#include "search/effort.hpp"

LEARNANN_BEGIN

// Of what is missing the logarithm: nearly linear in the effort.
inline double missing(float recall) { return std::log(larger(1.0 - static_cast<double>(recall), 1e-4)); }

// What an effort reaches for one calibrated k, and with which margin, by linear interpolation; beyond the last point its recall, and no
// margin.
inline CalibrationPoint calibrated(const FileView &view, u32 k, u32 effort) {
    CalibrationPoint before{};
    for (u32 i = 0; i < view.calibration_points(); ++i) {
        const CalibrationPoint p = view.calibration(i);
        if (p.k > k) break;
        if (p.k < k) continue;
        if (p.effort >= effort) {
            if (before.k == 0 || p.effort <= before.effort) return p;
            const float t = static_cast<float>(effort - before.effort) / static_cast<float>(p.effort - before.effort);
            return CalibrationPoint{k, effort, before.recall + t * (p.recall - before.recall), before.margin + t * (p.margin - before.margin)};
        }
        before = p;
    }
    before.margin = no_margin;
    return before;
}

// A recall beyond the last point: what is missing goes on falling with a power of the effort, as it did since about half of it. What little
// is missing in the end is chance. Where the walk takes longer than to compare all rows, these are compared.
inline double effort_beyond(const FileView &view, const CalibrationPoint &last, float recall) {
    constexpr double chance = 0.001, rows_a_hop = 30;       // exact rows that are compared in the time of a hop: 15 to 60
    const CalibrationPoint half = calibrated(view, last.k, last.effort / 2);
    double times = 2;
    if (half.effort < last.effort && 1 - static_cast<double>(last.recall) > chance) {
        const double grown = std::log(static_cast<double>(last.effort) / half.effort), fallen = missing(half.recall) - missing(last.recall);
        times = larger(std::exp(smaller(grown / larger(fallen, 0.01) * (missing(last.recall) - missing(recall)), 20.0)), times);
    }
    const double effort = last.effort * times;
    return effort * rows_a_hop < view.rows() ? effort : larger((view.rows() + 1) / 2.0, static_cast<double>(last.effort));
}

// The effort for one calibrated k, by interpolation; 0 where the file knows nothing of that k. Above what rows of few bits reach it
// is the effort that misses only a little more than has to be.
inline double calibrated_effort(const FileView &view, u32 k, float recall) {
    constexpr float little = 0.05f;
    CalibrationPoint last{}, before{};
    for (u32 i = 0; i < view.calibration_points(); ++i) {
        const CalibrationPoint p = view.calibration(i);
        if (p.k != k) continue;
        if (p.recall >= recall) {
            if (last.effort == 0) return p.effort;
            const double from = missing(last.recall), to = missing(p.recall);
            const double t = to < from ? (missing(recall) - from) / (to - from) : 1;
            return last.effort + t * (p.effort - last.effort);
        }
        before = last;
        last = p;
    }
    if (last.effort == 0) return 0;
    const float more = little * (1 - last.recall);
    if (rounds_rows(view.about().exact_type, view.about().input_type) && last.recall - before.recall < more)
        return calibrated_effort(view, k, last.recall - more);
    return effort_beyond(view, last, recall);
}

Needs Needs::at(const FileView &view, float recall) {
    return Needs{calibrated_effort(view, 1, recall), calibrated_effort(view, 10, recall), calibrated_effort(view, 100, recall)};
}

u32 effort_for_recall(const FileView &view, u32 k, float recall) {
    const Needs needs = Needs::at(view, recall);
    const double guess = larger(48.0, 2.0 * k);
    double effort = guess;
    if (needs.known()) effort = needs.of(k);
    else if (needs.at10 > 0) effort = larger(needs.at10, guess * needs.at10 / 64);
    // Where one step is worth much, rather too far than not far enough.
    const double whole = effort < 10 ? std::ceil(effort) : std::round(effort);
    return static_cast<u32>(clamp(whole, 1.0, static_cast<double>(max_effort)));
}

Needs needs_at_effort(const FileView &view, u32 k, u32 effort) {
    constexpr u32 halvings = 7;
    double low = 0, high = 7;       // of -ln(1 - recall)
    Needs needs;
    for (u32 i = 0; i < halvings; ++i) {
        const double middle = (low + high) / 2;
        needs = Needs::at(view, static_cast<float>(1 - std::exp(-middle)));
        if (!needs.known()) break;
        (needs.of(k) < effort ? low : high) = middle;
    }
    return needs;
}

EffortRule effort_rule(const FileView &view, u32 k, u32 effort) {
    const CalibrationPoint at10 = calibrated(view, 10, effort), last = calibrated(view, 10, max_effort);
    const Horizon horizon{view.about().horizon, last.effort};
    if (at10.margin == no_margin) return EffortRule{horizon, RerankRule{effort, no_margin}};
    const float margin = k > 10 ? larger(at10.margin, calibrated(view, 100, effort).margin) : at10.margin;
    return EffortRule{horizon, RerankRule{rerank_anchor(k), margin}};
}

LEARNANN_END
