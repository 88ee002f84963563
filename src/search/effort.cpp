// effort.cpp: see effort.hpp.
#include "search/effort.hpp"

LEARNANN_BEGIN

// Of what is missing the logarithm: nearly linear in the effort.
inline double missing(float recall) { return std::log(larger(1.0 - static_cast<double>(recall), 1e-4)); }

// The effort for one calibrated k, by interpolation; 0 where the file knows nothing of that k. Above what rows of few bits reach it
// is the effort that misses only a little more than has to be.
inline double calibrated_effort(const FileView &view, u32 k, float recall) {
    constexpr float little = 0.05f;
    double effort = 0;
    float reached = 0, before = 0;
    for (u32 i = 0; i < view.calibration_points(); ++i) {
        const CalibrationPoint p = view.calibration(i);
        if (p.k != k) continue;
        if (p.recall >= recall) {
            if (effort == 0) return p.effort;
            const double from = missing(reached), to = missing(p.recall);
            const double t = to < from ? (missing(recall) - from) / (to - from) : 1;
            return effort + t * (p.effort - effort);
        }
        effort = p.effort;
        before = reached;
        reached = p.recall;
    }
    const float more = little * (1 - reached);
    if (rounds_rows(view.about().exact_type, view.about().input_type) && effort > 0 && reached - before < more) return calibrated_effort(view, k, reached - more);
    return effort * 2;      // above the last point
}

u32 effort_for_recall(const FileView &view, u32 k, float recall) {
    const double guess = larger(48.0, 2.0 * k);
    const double at1 = calibrated_effort(view, 1, recall), at10 = calibrated_effort(view, 10, recall),
                 at100 = calibrated_effort(view, 100, recall);
    double effort = guess;
    if (at1 > 0 && at10 > 0 && at100 > 0) {
        // Measured on the sets of the README at 2 to 70: a straight line is within a tenth of what it takes, or safe.
        if (k <= 10) effort = at1 + (at10 - at1) * (k - 1.0) / 9;
        else if (k <= 100) effort = at10 + (at100 - at10) * (k - 10.0) / 90;
        else effort = at100 * (k / 100.0);
    } else if (at10 > 0) {
        effort = larger(at10, guess * at10 / 64);
    }
    // Where one step is worth much, rather too far than not far enough.
    const double whole = effort < 10 ? std::ceil(effort) : std::round(effort);
    return static_cast<u32>(clamp(whole, 1.0, static_cast<double>(max_effort)));
}

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

double width_exponent(const FileView &view, u32 k, u32 effort) {
    const float recall = calibrated(view, k <= 31 ? 10 : 100, effort).recall;
    const double at10 = calibrated_effort(view, 10, recall), at100 = calibrated_effort(view, 100, recall);
    return at10 > 0 && at100 > 0 ? clamp((1 + std::log10(at100 / at10)) / 2, 0.5, 1.0) : 1.0;
}

EffortRule effort_rule(const FileView &view, u32 k, u32 effort) {
    const float share = view.about().horizon;
    const CalibrationPoint at10 = calibrated(view, 10, effort);
    if (at10.margin == no_margin)       // it is the last one, or there is none
        return EffortRule{horizon_beyond(at10.effort, share, effort), RerankRule{effort, no_margin}};
    const float margin = k > 10 ? larger(at10.margin, calibrated(view, 100, effort).margin) : at10.margin;
    return EffortRule{horizon_of(share, effort), RerankRule{rerank_anchor(k), margin}};
}

LEARNANN_END
