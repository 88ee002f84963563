// holdout.cpp: see holdout.hpp.
#include "learn/holdout.hpp"

#include "learn/truth.hpp"

#include <algorithm>

LEARNANN_BEGIN

constexpr u32 most_held = 8;                // one row in so many is held out at the most

bool Holdout::holds(u32 row) const {
    constexpr auto before = [](u32 a, u32 b) { return a < b; };      // a type of our own: without it the library would export the template
    return from_rows && std::binary_search(query_rows.begin(), query_rows.end(), row, before);
}

// How many queries brute force can compare with all rows by so many products of elements: 1e10 take a core about a second.
inline u32 affordable_queries(const Rows &rows, double products) {
    return static_cast<u32>(smaller(products / (static_cast<double>(rows.count()) * rows.dim()), static_cast<double>(Holdout::most)));
}

// By brute force: enough for a recall within a hundredth or two; fewer where it would take long.
inline u32 measured_size(const Rows &rows) { return clamp(affordable_queries(rows, 1e10), 32u, 128u); }

// In all: for a recall within half a hundredth, or, where one in 32 rows are too few for that, within a whole one.
inline u32 holdout_size(const Rows &rows) {
    return clamp(rows.count() / 32, larger(measured_size(rows), smaller(rows.count() / 16, 256u)), Holdout::most);
}

inline Status take_queries(const Rows &rows, const learnann_vectors *given, u64 seed, Holdout &h, learnann_error *error) {
    const u32 d = rows.dim();
    h.from_rows = given == nullptr;
    if (given) h.count = static_cast<u32>(smaller<u64>(Holdout::most, given->count));
    else h.count = rows.count() <= scanned_rows ? 0 : smaller(holdout_size(rows), rows.count() / most_held);
    if (h.count == 0) return LEARNANN_OK;
    h.measured = smaller(h.count, given ? 2 * measured_size(rows) : measured_size(rows));
    LEARNANN_RETURN_IF(h.queries.allocate(static_cast<u64>(h.count) * d, error));
    u32 order[Holdout::most], position[Holdout::most];      // logs and rows may be sorted
    shuffle(order, h.count, seed + 1);
    for (u32 i = 0; i < h.count; ++i) position[order[i]] = i;
    // NOLINTBEGIN(clang-analyzer-core.CallAndMessage): every position was set
    const auto query = [&](u32 i) { return h.queries.data() + static_cast<u64>(position[i]) * d; };
    if (given) {
        h.given = given->count;
        for (u32 i = 0; i < h.count; ++i)
            if (!Rows::query_of(*given, h.place(i), rows.metric, query(i)))
                return fail(error, LEARNANN_ARGUMENT, "a sample query holds NaN or infinity, or is longer than 1e18", LEARNANN_AT_QUERY, h.place(i));
        return LEARNANN_OK;
    }
    LEARNANN_RETURN_IF(h.query_rows.allocate(h.count, error));
    Random random(seed);
    u32 taken = 0;
    for (u32 row = 0; row < rows.count() && taken < h.count; ++row)
        if (random.below(rows.count() - row) < h.count - taken) h.query_rows[taken++] = row;
    rows.each(h.count, [&](u32 i) { return h.query_rows[i]; }, [&](u32 i) { rows.floats(h.query_rows[i], query(i)); });
    // NOLINTEND(clang-analyzer-core.CallAndMessage)
    return LEARNANN_OK;
}

Status make_holdout(const Rows &rows, const learnann_vectors *given, u64 seed, const BuildContext &build, Holdout &h,
                    learnann_error *error) {
    h.query_rows.use(build.allocator);
    h.queries.use(build.allocator);
    h.truth.use(build.allocator);
    h.truth_rows.use(build.allocator);
    LEARNANN_RETURN_IF(take_queries(rows, given, seed, h, error));
    if (h.count == 0) return LEARNANN_OK;
    h.neighbours = smaller(Holdout::depth, rows.count() - (h.from_rows ? h.count : 0));
    LEARNANN_RETURN_IF(h.truth.zeroes(static_cast<u64>(h.count) * Holdout::depth, error));
    LEARNANN_RETURN_IF(h.truth_rows.zeroes(static_cast<u64>(h.count) * Holdout::depth, error));
    return Truth(rows, h, 0, h.measured, build).find(error);
}

Status measure_more(const Rows &rows, const BuildContext &build, Holdout &h, learnann_error *error) {
    const u32 known = h.measured;
    h.count = h.measured = clamp(affordable_queries(rows, 4e10), known, h.count);
    return Truth(rows, h, known, h.measured, build).find(error);
}

double local_dimension(const Rows &rows, const Holdout &h) {
    double dimensions[Holdout::most] = {};      // the zeroes are for the analyser, which does not see that the first `known` are set
    u32 known = 0;
    for (u32 q = 0; q < h.measured && h.neighbours > 1; ++q) {
        const double length = length_of(h.query(q, rows.dim()), rows.dim());
        const auto square = [&](u32 i) {        // of the distance, or half that of the directions'
            const u64 at = static_cast<u64>(q) * Holdout::depth + i;
            const double distance = static_cast<double>(h.truth[at]);
            if (rows.metric == LEARNANN_L2) return distance;
            const double lengths = length * (rows.metric == LEARNANN_IP ? static_cast<double>(rows.norm(h.truth_rows[at])) : 1);
            return lengths > 0 ? 1 + distance / lengths : 0;
        };
        const double farthest = square(h.neighbours - 1);
        double logarithms = 0;
        u32 count = 0;
        for (u32 i = 0; i + 1 < h.neighbours; ++i) {
            const double near = square(i);
            if (near > 0 && near < farthest) logarithms += std::log(farthest / near), ++count;
        }
        if (logarithms > 0) dimensions[known++] = 2 * count / logarithms;
    }
    if (known == 0) return 0;
    std::nth_element(dimensions, dimensions + known / 2, dimensions + known);
    return dimensions[known / 2];
}

LEARNANN_END
