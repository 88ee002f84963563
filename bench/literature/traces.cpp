// traces.cpp: see traces.hpp.
#include "traces.hpp"

#include <algorithm>
#include <set>
#include <unordered_map>

namespace literature {

constexpr uint32_t wanted = 10;
constexpr uint32_t starts = 512;        // rows of which the nearest is where a walk begins

Candidates candidates(const Data &data, uint32_t most) {
    std::vector<std::vector<std::pair<double, uint32_t>>> lists(data.rows());
    for (uint32_t i = 0; i < data.rows(); ++i)
        for (uint32_t r = 0; r < data.nearest; ++r) {
            const uint32_t j = data.near_of(i)[r];
            const double d2 = data.distance2(i, j);
            lists[i].emplace_back(d2, j);
            lists[j].emplace_back(d2, i);
        }
    Candidates out;
    out.first.push_back(0);
    for (auto &list : lists) {
        std::sort(list.begin(), list.end());
        list.erase(std::unique(list.begin(), list.end()), list.end());
        for (size_t r = 0; r < list.size() && r < most; ++r) out.to.push_back(list[r].second);
        out.first.push_back(out.to.size());
    }
    return out;
}

Lessons lessons_of_rows(const Data &data, uint32_t count, Random &random) {
    Lessons out;
    std::set<uint32_t> taken;
    while (taken.size() < std::min(count, data.rows())) taken.insert(static_cast<uint32_t>(random() % data.rows()));
    out.queries.resize(static_cast<Eigen::Index>(taken.size()), data.x.cols());
    for (const uint32_t row : taken) {
        out.queries.row(static_cast<Eigen::Index>(out.rows.size())) = data.x.row(row);
        out.rows.push_back(row);
        out.truth.emplace_back(data.near_of(row), data.near_of(row) + std::min(wanted, data.nearest));
    }
    return out;
}

Lessons lessons_of(const Data &data, const Matrix &queries) {
    Lessons out;
    out.queries = queries;
    out.rows.assign(static_cast<size_t>(queries.rows()), no_row);
    const std::vector<uint32_t> nearest = nearest_rows(data.x, queries, wanted, data.inner);
    for (size_t q = 0; q < out.rows.size(); ++q) out.truth.emplace_back(nearest.begin() + static_cast<std::ptrdiff_t>(q * wanted), nearest.begin() + static_cast<std::ptrdiff_t>((q + 1) * wanted));
    return out;
}

namespace {

// One walk: best first, in a beam. Each row remembers the edge that it was found by.
class Walk {
public:
    Walk(const Data &data, const Candidates &graph, uint32_t beam) : data_(data), graph_(graph), beam_(beam) {}

    void run(const Eigen::RowVectorXd &query, uint32_t but, const std::vector<uint32_t> &from, Traces &traces) {
        found_.clear();
        pool_.clear();
        uint32_t start = from[0];
        double best = 1e300;
        for (const uint32_t row : from)
            if (const double d = data_.from(query, row); row != but && d < best) best = d, start = row;
        found_[start] = none;
        pool_.insert({best, start});
        std::set<std::pair<double, uint32_t>> open = pool_;
        while (!open.empty()) {
            const auto nearest = *open.begin();
            open.erase(open.begin());
            if (pool_.size() >= beam_ && nearest.first > pool_.rbegin()->first) break;
            for (size_t e = graph_.first[nearest.second]; e < graph_.first[nearest.second + 1]; ++e) {
                const uint32_t to = graph_.to[e];
                if (to == but) continue;
                ++traces.seen[e];
                if (!found_.emplace(to, Found{nearest.second, e}).second) continue;
                const double d = data_.from(query, to);
                if (pool_.size() >= beam_ && d >= pool_.rbegin()->first) continue;
                pool_.insert({d, to});
                open.insert({d, to});
                if (pool_.size() > beam_) pool_.erase(std::prev(pool_.end()));
            }
        }
    }
    // The path to a row, marked once for this walk.
    void mark(uint32_t row, std::set<size_t> &marked, Traces &traces) const {
        for (auto at = found_.find(row); at != found_.end() && at->second.from != no_row; at = found_.find(at->second.from))
            if (!marked.insert(at->second.edge).second) return;
            else ++traces.useful[at->second.edge];
    }

private:
    struct Found {
        uint32_t from;
        size_t edge;
    };
    static constexpr Found none{no_row, 0};
    const Data &data_;
    const Candidates &graph_;
    uint32_t beam_;
    std::unordered_map<uint32_t, Found> found_;
    std::set<std::pair<double, uint32_t>> pool_;
};

} // namespace

Traces trace(const Data &data, const Candidates &graph, const Lessons &lessons, uint32_t beam, Random &random) {
    Traces out{std::vector<uint32_t>(graph.edges()), std::vector<uint32_t>(graph.edges())};
    std::vector<uint32_t> from(starts);
    for (uint32_t &row : from) row = static_cast<uint32_t>(random() % data.rows());
    Walk walk(data, graph, beam);
    for (size_t q = 0; q < lessons.rows.size(); ++q) {
        walk.run(lessons.queries.row(static_cast<Eigen::Index>(q)), lessons.rows[q], from, out);
        std::set<size_t> marked;
        for (const uint32_t row : lessons.truth[q]) walk.mark(row, marked, out);
    }
    return out;
}

} // namespace literature
