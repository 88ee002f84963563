// effort.cpp: see effort.hpp.
#include "search/effort.hpp"

LEARNANN_BEGIN

// What an effort reaches for one calibrated k, and with which margin, by linear interpolation; beyond the last point its recall, and no
// margin.
inline CalibrationPoint calibrated(const FileView &view, u32 k, u32 effort) {
    CalibrationPoint before{};
    for (u32 i = 0; i < view.calibration_points(); ++i) {
        const CalibrationPoint p = view.calibration(i);
        if (p.k > k) break;
        if (p.k < k) continue;
        if (p.effort >= effort) {
            if (before.k == 0) return p;
            const float t = static_cast<float>(effort - before.effort) / static_cast<float>(p.effort - before.effort);
            return CalibrationPoint{k, effort, before.recall + t * (p.recall - before.recall), before.margin + t * (p.margin - before.margin)};
        }
        before = p;
    }
    before.margin = no_margin;
    return before;
}

// A recall beyond the last point: what is missing goes on falling with a power of the effort, as it did since about half of it. What little
// is missing in the end is chance.
inline double effort_beyond(const FileView &view, const CalibrationPoint &last, float recall) {
    constexpr double chance = 0.001;
    const auto missing = [](float r) { return std::log(larger(1.0 - static_cast<double>(r), 1e-4)); };
    const CalibrationPoint half = calibrated(view, last.k, last.effort / 2);
    double times = 2;
    if (half.effort > 0 && half.effort < last.effort && 1 - static_cast<double>(last.recall) > chance) {
        const double grown = std::log(static_cast<double>(last.effort) / half.effort), fallen = missing(half.recall) - missing(last.recall);
        times = larger(std::exp(smaller(grown / larger(fallen, 0.01) * (missing(last.recall) - missing(recall)), 20.0)), times);
    }
    return last.effort * times;
}

// The effort for the calibrated k whose points begin at `first`, by linear interpolation: a recall may jump between two points. Above what
// rows of few bits reach it is the effort that misses only a little more than has to be.
inline double calibrated_effort(const FileView &view, u32 first, float recall) {
    constexpr float little = 0.05f;
    const u32 k = view.calibration(first).k;
    CalibrationPoint last{}, before{};
    for (u32 i = first; i < view.calibration_points(); ++i) {
        const CalibrationPoint p = view.calibration(i);
        if (p.k != k) break;
        if (p.recall >= recall) {
            if (last.effort == 0 || !(p.recall > last.recall)) return p.effort;
            const double t = static_cast<double>(recall - last.recall) / static_cast<double>(p.recall - last.recall);
            return last.effort + t * (static_cast<double>(p.effort) - last.effort);
        }
        before = last;
        last = p;
    }
    const float more = little * (1 - last.recall);
    if (rounds_rows(view.about().exact_type, view.about().input_type) && last.recall - before.recall < more)
        return calibrated_effort(view, first, last.recall - more);
    return effort_beyond(view, last, recall);
}

double Needs::of(double k) const {
    const u32 points = view_->calibration_points();
    u32 below = 0, above = points;      // where the points of the greatest calibrated number up to k begin, and those of the next
    for (u32 i = 0; i < points && above == points; ++i) {
        const u32 here = view_->calibration(i).k;
        if (here > k) above = i;
        else if (here != view_->calibration(below).k) below = i;
    }
    const double low = view_->calibration(below).k, at_low = calibrated_effort(*view_, below, recall_);
    if (k <= low || above == points) return at_low * larger(k / low, 1.0);
    return at_low + (calibrated_effort(*view_, above, recall_) - at_low) * (k - low) / (view_->calibration(above).k - low);
}

// Nanoseconds, as measured: for each row that a walk keeps 80 to 470, the more the more neighbours it has; for each exact row 7 to 30. From
// a device rows come slowly.
bool scan_is_faster(const FileView &view, double effort) {
    const double rows = view.rows(), walk = 40 + 3 * static_cast<double>(view.section_bytes(section_adjacency)) / rows;
    return !view.asks_ahead() && effort * walk > rows * (8 + view.about().exact_stride / 90.0);
}

u32 effort_for_recall(const FileView &view, u32 k, float recall) {
    const Needs needs(view, recall);
    if (!needs.known()) return larger(48u, 2 * smaller(k, max_effort / 2));
    const double effort = needs.of(k);
    if (scan_is_faster(view, effort)) return larger((view.rows() + 1) / 2, static_cast<u32>(smaller(effort, static_cast<double>(max_effort))));
    // Where one step is worth much, rather too far than not far enough.
    const double whole = effort < 10 ? std::ceil(effort) : std::round(effort);
    return static_cast<u32>(clamp(whole, 1.0, static_cast<double>(max_effort)));
}

Needs Needs::at_effort(const FileView &view, u32 k, u32 effort) {
    constexpr u32 halvings = 7;
    double low = 0, high = 7;       // of -ln(1 - recall)
    const auto at = [&](double x) { return Needs(view, static_cast<float>(1 - std::exp(-x))); };
    for (u32 i = 0; i < halvings && at(low).known(); ++i) {
        const double middle = (low + high) / 2;
        (at(middle).of(k) <= effort ? low : high) = middle;
    }
    return at(low);
}

EffortRule effort_rule(const FileView &view, u32 k, u32 effort) {
    const CalibrationPoint at10 = calibrated(view, 10, effort), last = calibrated(view, 10, max_effort);
    const Horizon horizon{view.about().horizon, last.effort};
    if (at10.margin == no_margin) return EffortRule{horizon, RerankRule{effort, no_margin}};
    const float margin = k > 10 ? larger(at10.margin, calibrated(view, 100, effort).margin) : at10.margin;
    return EffortRule{horizon, RerankRule{rerank_anchor(k), margin}};
}

LEARNANN_END
