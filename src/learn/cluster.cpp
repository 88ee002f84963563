// cluster.cpp: see cluster.hpp.
#include "learn/cluster.hpp"

#include "search/beam.hpp"

#include <algorithm>

LEARNANN_BEGIN

// So many square roots of the rows.
inline u32 some_roots(u32 rows, double roots) {
    const u32 wanted = static_cast<u32>(std::sqrt(static_cast<double>(rows)) * roots);
    return clamp(static_cast<u32>(round_up(wanted, 16)), 1u, smaller(rows, 1024u));
}

// Scanned by groups, three roots of the rows cost less than half a root scanned one by one, and save a hop or two; measured from
// half a root to four. Beyond a thousand, finding them costs the build more than it saves.
u32 entry_count(u32 rows) { return some_roots(rows, 3); }

// Half a root from each of two sources: then a scan of all costs about what it saves.
u32 inner_entry_count(u32 rows) { return 2 * some_roots(rows, 0.5); }

// Lloyd's algorithm on codes: the centres are records themselves, so that one kernel call compares a row with all of them.
class KMeans {
public:
    KMeans(const CodeSpace &space, const Array<u32> &sample, u32 count, const BuildContext &build)
        : space_(space), sample_(sample), count_(count), threads_(build.threads), centres_(build.allocator), nearest_(build.allocator),
          distance_(build.allocator), sums_(build.allocator), sizes_(build.allocator), codes_(build.allocator), estimates_(build.allocator) {}

    Status run(u32 rounds, learnann_error *error) {
        const u32 stride = space_.stride(), dim = space_.codec->code_dim;
        LEARNANN_RETURN_IF(centres_.allocate(static_cast<u64>(count_) * stride, error));
        LEARNANN_RETURN_IF(nearest_.allocate(sample_.size(), error));
        LEARNANN_RETURN_IF(distance_.allocate(sample_.size(), error));
        LEARNANN_RETURN_IF(sums_.allocate(static_cast<u64>(count_) * dim, error));
        LEARNANN_RETURN_IF(sizes_.allocate(count_, error));
        LEARNANN_RETURN_IF(codes_.allocate(static_cast<u64>(threads_) * max_query_bytes, error));
        LEARNANN_RETURN_IF(estimates_.allocate(static_cast<u64>(threads_) * count_, error));
        for (u32 c = 0; c < count_; ++c)
            std::memcpy(centres_.data() + static_cast<u64>(c) * stride, space_.record(sample_[c]), stride);
        for (u32 round = 0; round < rounds; ++round) {
            assign();
            move_centres();
        }
        assign();
        return LEARNANN_OK;
    }

    // For each centre the sample row nearest to it, among those assigned to it; no_row for an empty cluster.
    void nearest_rows(u32 *rows) const {
        for (u32 c = 0; c < count_; ++c) rows[c] = no_row;
        for (u32 i = 0; i < sample_.size(); ++i) {
            u32 &best = rows[nearest_[i]];
            if (best == no_row || distance_[i] < distance_[best]) best = i;
        }
        for (u32 c = 0; c < count_; ++c)
            if (rows[c] != no_row) rows[c] = sample_[rows[c]];
    }

    // For each centre the row of largest norm among those assigned to it; no_row for an empty cluster.
    void longest_rows(const CodeSpace &norms, u32 *rows) const {
        for (u32 c = 0; c < count_; ++c) rows[c] = no_row;
        for (u32 i = 0; i < sample_.size(); ++i) {
            u32 &best = rows[nearest_[i]];
            if (best == no_row || norms.norm(sample_[i]) > norms.norm(best)) best = sample_[i];
        }
    }

private:
    void assign() {
        parallel(threads_, sample_.size(), 64, [&](u64 i, u32 worker) {
            i32 *estimates = estimates_.data() + static_cast<u64>(worker) * count_;
            const QueryCode q = space_.query(sample_[i], codes_.data() + static_cast<u64>(worker) * max_query_bytes);
            kernels().score(q, centres_.data(), space_.stride(), nullptr, count_, estimates);
            i32 least = estimates[0];
            for (u32 c = 1; c < count_; ++c) least = smaller(least, estimates[c]);      // compilers make vectors of this
            nearest_[i] = static_cast<u32>(std::find(estimates, estimates + count_, least) - estimates);
            distance_[i] = least;
        });
    }

    void move_centres() {
        const u32 stride = space_.stride(), dim = space_.codec->code_dim;
        std::memset(sums_.data(), 0, sums_.size() * sizeof(i32));
        std::memset(sizes_.data(), 0, sizes_.size() * sizeof(u32));
        i8 code[max_code_dim];
        float mean[max_code_dim];
        for (u32 i = 0; i < sample_.size(); ++i) {
            const u8 *record = space_.record(sample_[i]);
            i32 *sum = sums_.data() + static_cast<u64>(nearest_[i]) * dim;
            const u32 exponent = tail_exponent(space_.tail(sample_[i]));
            get_code(*space_.codec, record, code);
            for (u32 j = 0; j < dim; ++j) sum[j] += code[j] * (1 << exponent);
            ++sizes_[nearest_[i]];
        }
        for (u32 c = 0; c < count_; ++c) {
            if (sizes_[c] == 0) continue;       // an empty cluster keeps its centre
            u8 *centre = centres_.data() + static_cast<u64>(c) * stride;
            for (u32 j = 0; j < dim; ++j)
                mean[j] = static_cast<float>(sums_[static_cast<u64>(c) * dim + j]) / static_cast<float>(sizes_[c]);
            const u32 norm = static_cast<u32>(put_code(*space_.codec, mean, 1, centre));
            store(centre + stride - record_tail, tail_of(norm >> space_.codec->norm_left, 0, 0));
        }
    }

    const CodeSpace &space_;
    const Array<u32> &sample_;
    u32 count_, threads_;
    Array<u8> centres_;
    Array<u32> nearest_;
    Array<i32> distance_, sums_;
    Array<u32> sizes_;
    Array<i8> codes_;
    Array<i32> estimates_;
};

// A random sample of the rows; all of them, in random order, where there are no more.
inline Status shuffled_rows(u32 rows, u64 count, const u8 *left_out, u64 seed, const Allocator &allocator, Array<u32> &sample, learnann_error *error) {
    Array<u32> shuffled(allocator);
    LEARNANN_RETURN_IF(shuffled.allocate(rows, error));
    shuffle(shuffled.data(), rows, seed);
    if (left_out) rows = static_cast<u32>(std::remove_if(shuffled.begin(), shuffled.end(), [&](u32 row) { return left_out[row] != 0; }) - shuffled.begin());
    LEARNANN_RETURN_IF(sample.allocate(smaller<u64>(rows, count), error));
    std::memcpy(sample.data(), shuffled.data(), sample.size() * sizeof(u32));
    return LEARNANN_OK;
}

Status choose_entries(const CodeSpace &space, u32 count, const u8 *left_out, u64 seed, const BuildContext &build, Array<u32> &entries,
                      learnann_error *error) {
    Array<u32> sample(build.allocator), rows(build.allocator);
    LEARNANN_RETURN_IF(shuffled_rows(space.rows, 8ull * count, left_out, seed, build.allocator, sample, error));
    count = smaller(count, static_cast<u32>(sample.size()));
    KMeans clusters(space, sample, count, build);
    LEARNANN_RETURN_IF(clusters.run(3, error));
    LEARNANN_RETURN_IF(rows.allocate(count, error));
    clusters.nearest_rows(rows.data());
    const u32 found = static_cast<u32>(std::remove(rows.begin(), rows.end(), no_row) - rows.begin());
    LEARNANN_RETURN_IF(entries.allocate(found, error));
    std::memcpy(entries.data(), rows.data(), found * sizeof(u32));
    return LEARNANN_OK;
}

Status choose_inner_entries(const CodeSpace &inner, const CodeSpace &angular, u32 count, u64 seed, const BuildContext &build,
                            Array<u32> &entries, learnann_error *error) {
    const u32 n = inner.rows, overall = smaller(count, n), clustered = smaller(count, n);
    Array<u32> sample(build.allocator), order(build.allocator), longest(build.allocator);
    LEARNANN_RETURN_IF(shuffled_rows(n, 256ull * clustered, nullptr, seed, build.allocator, sample, error));
    KMeans clusters(angular, sample, clustered, build);
    LEARNANN_RETURN_IF(clusters.run(4, error));
    LEARNANN_RETURN_IF(longest.allocate(clustered + overall, error));
    clusters.longest_rows(inner, longest.data());

    LEARNANN_RETURN_IF(order.allocate(n, error));
    for (u32 i = 0; i < n; ++i) order[i] = i;
    std::partial_sort(order.begin(), order.begin() + overall, order.end(), [&](u32 a, u32 b) {
        return inner.norm(a) != inner.norm(b) ? inner.norm(a) > inner.norm(b) : a < b;
    });
    std::memcpy(longest.data() + clustered, order.data(), overall * sizeof(u32));
    std::sort(longest.begin(), longest.end());
    u32 *end = std::unique(longest.begin(), longest.end());
    if (end > longest.begin() && end[-1] == no_row) --end;
    LEARNANN_RETURN_IF(entries.allocate(static_cast<u64>(end - longest.begin()), error));
    std::memcpy(entries.data(), longest.data(), entries.size() * sizeof(u32));
    return LEARNANN_OK;
}

LEARNANN_END
