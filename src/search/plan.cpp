// plan.cpp: see plan.hpp. Costs are in code distances, as measured on the sets of the README.
#include "search/plan.hpp"

#include "search/exact.hpp"

LEARNANN_BEGIN

namespace {

constexpr double expansion_cost = 25;       // of a row: its neighbours' codes lie here and there
constexpr double test_cost = 1.0 / 6;       // of asking whether a row passes
constexpr float filtered_margin = 1.5f;     // times the calibrated one: rows that pass lie farther away, where codes err more
constexpr u64 scanned_efforts = 4;          // a scan of codes reranks so many times what a walk keeps
constexpr double range_cost = 7;            // of a walk's expansion, in exact rows: some 20 codes, three of which cost as much as one

// Where a walk costs as much as a scan of all rows: these are few, or half of them would be kept.
bool few_rows(u32 rows, u32 kept) { return rows <= scanned_rows || kept >= rows / 2; }

}  // namespace

// What calibration tells of up to 100 neighbours, and of k. Those of more are met by a beam that need not hold them all: it grows by a power
// of their number, between a root and the number itself, the more the more 100 took than 10.
double Plan::times_wider(double neighbours) const {
    if (!needs.known()) return neighbours / k;
    const double told = larger(100.0, static_cast<double>(k));
    if (neighbours <= told) return needs.of(neighbours) / needs.of(k);
    const double power = clamp((1 + std::log10(needs.of(100) / needs.of(10))) / 2, 0.5, 1.0);
    return needs.of(told) / needs.of(k) * std::pow(neighbours / told, power);
}

u32 Plan::width_for(double share, u32 rows) const {
    return static_cast<u32>(clamp(kept * times_wider(k / share), static_cast<double>(kept), static_cast<double>(rows)));
}

u32 Plan::horizon_at(u32 beam_width) const {
    const u32 horizon = rule.horizon.at(kept);
    const u64 more = (static_cast<u64>(kept) + horizon) * (beam_width - kept) / 2;
    return smaller(horizon + static_cast<u32>(std::ceil(static_cast<double>(more) / kept)), beam_width);
}

bool Plan::scan_is_cheaper(u32 beam_width) const { return scan_cost < expansion_cost * horizon_at(beam_width); }

Plan Plan::of(const FileView &view, const SearchRequest &request, const RowFilter &filter) {
    const u32 n = view.rows();
    Plan plan;
    plan.width = plan.kept = smaller(request.effort, n);
    plan.rule = effort_rule(view, request.k, plan.kept);
    if (few_rows(n, plan.kept)) plan.way = Way::scan_exact;
    if (!filter.active() || plan.way != Way::walk) return plan;
    plan.passing = clamp(filter.expected_passes(), 1.0, static_cast<double>(n));
    plan.k = request.k;
    plan.needs = Needs::at_effort(view, request.k, plan.kept);
    plan.width = plan.width_for(plan.passing / n, n);
    if (plan.rule.rerank.margin != no_margin) plan.rule.rerank.margin *= filtered_margin;
    plan.scan_cost = plan.passing + filter.asked() * test_cost;
    plan.scanned = static_cast<u32>(smaller<u64>(scanned_efforts * plan.kept, n));
    if (plan.passing <= plan.scanned) plan.way = Way::scan_exact;
    else if (plan.scan_is_cheaper(plan.width)) plan.way = Way::scan_codes;
    return plan;
}

void Plan::find_range(u32 effort, u32 rows) {
    kept = width = smaller(effort, rows);
    rule.horizon = Horizon{};
    // With a filter a walk expands about kept * rows / passing rows, and a scan reads `passing` exact ones.
    const bool few_pass = passing > 0 && passing * passing < range_cost * kept * rows;
    way = few_rows(rows, kept) || few_pass ? Way::scan_exact : Way::walk;
}

LEARNANN_END
