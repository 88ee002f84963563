// plan.hpp: how a request is answered, decided once for all of its queries.
#pragma once

#include "search/effort.hpp"
#include "search/filter.hpp"
#include "search/search.hpp"

LEARNANN_BEGIN

// By walking the graph; or where few rows pass a filter, by their codes, all of them, and the best by their exact rows; or by the exact
// rows of all that pass.
enum class Way { walk, scan_codes, scan_exact };

struct Plan {
    Way way = Way::walk;
    u32 kept = 0;           // candidates that survive the walk
    EffortRule rule;        // how many of the nearest are expanded, and how many of the candidates are reranked
    u32 width = 0;          // of the beam: kept, or more with a filter
    // With a filter:
    double passing = 0;     // rows that pass, roughly
    u32 k = 0;
    Needs needs;            // at the recall that `kept` reaches for k
    double scan_cost = 0;   // of all rows that pass, by their codes: in codes
    u32 scanned = 0;        // candidates that such a scan leaves, all of which are reranked

    static Plan of(const FileView &view, const SearchRequest &request, const RowFilter &filter);
    // Turns it into a plan for all rows within a distance. k is a limit then, not a number that must be found: the beam's width comes
    // from the effort alone, and all of it is expanded.
    void find_range(u32 effort, u32 rows);

    // Where this share of the rows passes, k of those are found as well as without a filter by a beam that finds k / share neighbours.
    u32 width_for(double share, u32 rows) const;
    // The calibrated share of a beam that is expanded holds for near neighbours. Of what a beam is wider by, the mean of it and of all is.
    u32 horizon_at(u32 beam_width) const;
    bool scan_is_cheaper(u32 beam_width) const;

private:
    // How many times wider a beam finds so many neighbours than finds k, at the same recall.
    double times_wider(double neighbours) const;
};

LEARNANN_END
