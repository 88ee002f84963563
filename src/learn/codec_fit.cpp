// codec_fit.cpp: see codec_fit.hpp.
#include "learn/codec_fit.hpp"

#include <algorithm>

LEARNANN_BEGIN

// ---- the projection of a basis ----

constexpr float vanishing = 1e-30f;     // a direction that is given may be as short

inline Status set_projection(const Basis &basis, u32 code_dim, FittedCodec &f, learnann_error *error) {
    const u32 d = basis.dim, cols = projection_cols(d);
    LEARNANN_RETURN_IF(f.matrix.allocate(static_cast<u64>(code_dim) * cols, error));
    std::memset(f.matrix.data(), 128, f.matrix.size());
    LEARNANN_RETURN_IF(f.unit.allocate(code_dim, error));
    LEARNANN_RETURN_IF(f.mean.allocate(d, error));
    std::memcpy(f.mean.data(), basis.mean.data(), d * sizeof(float));
    // Eight bits are enough: rows and queries go through the same matrix, so what rounding does is a map a little off the
    // basis, and no noise between them.
    for (u32 k = 0; k < code_dim; ++k) {
        const float *direction = basis.directions.data() + static_cast<u64>(k) * d;
        const float peak = kernels().loops.peak(direction, d), unit = peak > vanishing ? peak / 127 : 1;
        f.unit[k] = unit;
        if (unit == 1) continue;        // all zeroes
        u8 *to = f.matrix.data() + static_cast<u64>(k) * cols;
        kernels().loops.quantise(direction, d, 1 / unit, reinterpret_cast<i8 *>(to));
        for (u32 i = 0; i < d; ++i) to[i] ^= 128;
    }
    Codec &c = f.codec;
    c.matrix = f.matrix.data();
    c.unit = f.unit.data();
    c.mean = f.mean.data();
    c.dim = d;
    c.code_dim = code_dim;
    return LEARNANN_OK;
}

// ---- the division of a record, and its steps ----

// A sample of rows in the spectral space.
struct SampleCodes {
    Array<float> y;         // count x dims
    Array<float> peak;      // max |y_i| of each
    Array<float> residual2; // what the projection cuts off, of each
    Array<double> power;    // mean y_i^2 of each dimension
    Array<double> weight;   // by which an error there counts: see Errors
    u32 count = 0;
    u32 dims = 0;

    explicit SampleCodes(const Allocator &allocator)
        : y(allocator), peak(allocator), residual2(allocator), power(allocator), weight(allocator) {}

    // The longest residual where dimensions from `kept` on are cut off as well.
    float longest_residual(u32 kept) const {
        float longest2 = 0;
        for (u32 i = 0; i < count; ++i)
            longest2 = larger(longest2, residual2[i] + kernels().loops.square_sum(y.data() + static_cast<u64>(i) * dims + kept, dims - kept));
        return std::sqrt(longest2);
    }
};

inline Status project_sample(const Rows &rows, const Codec &codec, const Array<u32> &ids, const Allocator &allocator,
                             SampleCodes &sample, learnann_error *error) {
    CodecScratch scratch;
    scratch.use(allocator);
    sample.count = static_cast<u32>(ids.size());
    sample.dims = codec.code_dim;
    LEARNANN_RETURN_IF(scratch.allocate(codec, error));
    LEARNANN_RETURN_IF(sample.y.allocate(static_cast<u64>(sample.count) * sample.dims, error));
    LEARNANN_RETURN_IF(sample.peak.allocate(sample.count, error));
    LEARNANN_RETURN_IF(sample.residual2.allocate(sample.count, error));
    LEARNANN_RETURN_IF(sample.power.zeroes(sample.dims, error));
    rows.each(sample.count, [&](u32 i) { return ids[i]; }, [&](u32 i) {
        rows.floats(ids[i], scratch.x.data());
        const Projected p = project(codec, scratch);
        std::memcpy(sample.y.data() + static_cast<u64>(i) * sample.dims, p.y, sample.dims * sizeof(float));
        sample.peak[i] = kernels().loops.peak(p.y, sample.dims);
        sample.residual2[i] = p.residual2;
        for (u32 j = 0; j < sample.dims; ++j) sample.power[j] += static_cast<double>(p.y[j]) * p.y[j] / sample.count;
    });
    return LEARNANN_OK;
}

inline float quantile(Array<float> &values, double q) {
    const size_t at = static_cast<size_t>(q * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + at, values.end());
    return values[at];
}

// No row is farther from the mean than this, nor its code from 0.
inline float farthest_row(const Rows &rows, const Codec &codec, float stretch) {
    float longest = rows.metric == LEARNANN_COS ? 1.0f : 0.0f;
    for (u32 row = 0; row < rows.count() && rows.metric != LEARNANN_COS; ++row) longest = larger(longest, rows.norm(row));
    return stretch * (longest + std::sqrt(kernels().dot[LEARNANN_F32](codec.mean, codec.mean, rows.dim())));
}

// A held-out query and one of its true neighbours, in the spectral space.
struct Pair {
    u32 query_number;
    const float *query, *row;           // dim
    const Projected &query_code, &row_code;
};

// Visits each query's nearest `most`.
template <class Visit>
inline Status each_pair(const Rows &rows, const Holdout &h, const Codec &codec, u32 most, const Allocator &allocator, Visit visit, learnann_error *error) {
    CodecScratch query, row;
    query.use(allocator);
    row.use(allocator);
    LEARNANN_RETURN_IF(query.allocate(codec, error));
    LEARNANN_RETURN_IF(row.allocate(codec, error));
    for (u32 q = 0; q < h.measured; ++q) {
        std::memcpy(query.x.data(), h.query(q, codec.dim), codec.dim * sizeof(float));
        const Projected a = project(codec, query);
        const u32 *near = h.truth_rows.data() + static_cast<u64>(q) * Holdout::depth;
        rows.each(smaller(most, h.neighbours), [&](u32 i) { return near[i]; }, [&](u32 i) {
            rows.floats(near[i], row.x.data());
            visit(Pair{q, query.x.data(), row.x.data(), a, project(codec, row)});
        });
    }
    return LEARNANN_OK;
}

// What an error is multiplied with where a query meets a row that may be its neighbour: their difference, as the code's norm makes up
// for the rest, or under inner product the query.
inline Status weigh_errors(const Rows &rows, const Holdout &h, const Codec &codec, const Allocator &allocator, SampleCodes &sample,
                           learnann_error *error) {
    LEARNANN_RETURN_IF(sample.weight.zeroes(sample.dims, error));
    u32 pairs = 0;
    const auto add = [&](const Pair &p) {
        ++pairs;
        for (u32 j = 0; j < sample.dims; ++j) {
            const double v = static_cast<double>(p.query_code.y[j]) - (codec.metric == LEARNANN_IP ? 0 : p.row_code.y[j]);
            sample.weight[j] += v * v;
        }
    };
    LEARNANN_RETURN_IF(each_pair(rows, h, codec, 10, allocator, add, error));
    for (u32 j = 0; j < sample.dims; ++j) sample.weight[j] = pairs ? sample.weight[j] / pairs : sample.power[j];
    return LEARNANN_OK;
}

// An estimate's expected squared error is the sum over the dimensions of their codes' mean squared error, each times what that is
// multiplied with: `weight` and the error itself, or, where a dimension is cut off, and all of it is error, its power. This tells each
// dimension's share, for all that may become of it, measured when it is first asked for.
class Errors {
public:
    Errors(const SampleCodes &sample, double step, const Allocator &allocator) : sample_(sample), step_(step), levels_(allocator) {}

    Status prepare(learnann_error *error) { return levels_.zeroes(static_cast<u64>(sample_.dims) * shifts, error); }
    u32 dims() const { return sample_.dims; }
    double of_bytes(u32 begin, u32 end) const {
        double sum = 0;
        for (u32 j = begin; j < end; ++j) sum += sample_.weight[j] * step_ * step_ / 12;
        return sum;
    }
    double of_nibbles(u32 begin, u32 end, u32 shift) { return of_levels(begin, end, 15, shift, shift - 1); }
    double of_crumbs(u32 begin, u32 end, u32 shift) { return of_levels(begin, end, 3, shift, max_nibble_shift + shift - 1); }
    double of_cut(u32 begin) const {
        double sum = 0;
        for (u32 j = begin; j < sample_.dims; ++j) sum += sample_.power[j] * sample_.power[j];
        return sum;
    }

private:
    static constexpr u32 shifts = max_nibble_shift + max_crumb_shift;

    // Of top + 1 levels, code_step 2^shift wide.
    double of_levels(u32 begin, u32 end, i32 top, u32 shift, u32 kind) {
        double *error = levels_.data() + static_cast<u64>(kind) * sample_.dims, sum = 0;
        if (!measured_[kind]) measure(top, std::ldexp(step_, static_cast<int>(shift)), error);
        measured_[kind] = true;
        for (u32 j = begin; j < end; ++j) sum += error[j];
        return sum;
    }
    void measure(i32 top, double width, double *error) {
        for (u32 i = 0; i < sample_.count; ++i)
            kernels().loops.add_level_errors(sample_.y.data() + static_cast<u64>(i) * sample_.dims, sample_.dims, static_cast<float>(1 / width), top, error);
        for (u32 j = 0; j < sample_.dims; ++j) {
            const double mean = error[j] * width * width / sample_.count;
            error[j] = mean * (sample_.weight[j] + mean);
        }
    }

    const SampleCodes &sample_;
    double step_;
    Array<double> levels_;      // shifts x dims
    bool measured_[shifts] = {};
};

// A way to divide a record, with the shifts that err least.
struct Division {
    CodeZones zones{};
    u32 nibble_shift = 0;
    u32 crumb_shift = 0;
    double error = 0;

    Division() = default;
    Division(Errors &errors, const CodeZones &z) : zones(z) {
        const u32 nibbles = smaller(errors.dims(), z.whole), crumbs = smaller(errors.dims(), nibbles + 2 * z.nibbles);
        const u32 end = smaller(errors.dims(), crumbs + 4 * z.crumbs);
        error = errors.of_bytes(0, nibbles) + errors.of_cut(end);
        if (z.nibbles) nibble_shift = least(max_nibble_shift, [&](u32 shift) { return errors.of_nibbles(nibbles, crumbs, shift); });
        if (z.crumbs) crumb_shift = least(max_crumb_shift, [&](u32 shift) { return errors.of_crumbs(crumbs, end, shift); });
    }

private:
    template <class Error> u32 least(u32 most, Error of_shift) {
        u32 best = 1;
        for (u32 shift = 2; shift <= most; ++shift)
            if (of_shift(shift) < of_shift(best)) best = shift;
        error += of_shift(best);
        return best;
    }
};

// The ways to try. All bytes, where they hold (almost) all dimensions. Of two cache lines and more, the first has bytes and all
// others nibbles; else any: but more dimensions than those hold, or than three a byte, are not worth projecting.
template <class Try> inline void each_division(u32 record_bytes, u32 dim, Try attempt) {
    const u32 capacity = code_capacity(record_bytes);
    if (dim <= capacity + capacity / 8 || capacity < 16) return attempt(CodeZones{capacity, 0, 0});
    if (record_bytes >= 2 * cache_line) return attempt(CodeZones{cache_line, capacity - cache_line, 0});
    for (u32 whole = 0; whole <= capacity; whole += 4)
        for (u32 nibbles = 0; nibbles <= capacity - whole; nibbles += 4) {
            const CodeZones zones{whole, nibbles, capacity - whole - nibbles};
            if (zones.room() <= 3 * capacity) attempt(zones);
        }
}

u32 most_code_dims(u32 record_bytes, u32 dim) {
    u32 most = 0;
    each_division(record_bytes, dim, [&](const CodeZones &zones) { most = larger(most, zones.room()); });
    return most;
}

// The step: all but the farthest rows fit into 127 of them; those take an exponent. Then the division that errs least.
inline Status set_division(SampleCodes &sample, float longest, u32 dim, const Allocator &allocator, Codec &c, learnann_error *error) {
    const bool inner = c.metric == LEARNANN_IP;     // the longest rows are the likeliest hits
    const double usual = quantile(sample.peak, 0.5), most = quantile(sample.peak, inner ? 1.0 : 0.999);
    float step = static_cast<float>(smaller(most, usual * (inner ? 4 : outlier_medians))) / 127;
    if (!(step > 1e-30f)) step = longest / max_steps;       // most rows equal
    if (!(step > 1e-30f)) step = 1;                         // all of them
    Errors errors(sample, step, allocator);
    LEARNANN_RETURN_IF(errors.prepare(error));
    Division best;
    double least = 0;       // of `best`, as it counts
    each_division(c.record_bytes, dim, [&](const CodeZones &zones) {
        const Division division(errors, zones);
        const double counts = division.error * (zones.crumbs ? 1.2 : 1);    // crumbs take twice the multiplications
        if (best.zones.room() == 0 || counts < least) best = division, least = counts;
    });
    c.code_step = step;
    c.nibbles_at = best.nibble_shift || best.crumb_shift ? best.zones.whole : c.record_bytes;
    c.crumbs_at = best.crumb_shift ? best.zones.whole + best.zones.nibbles : c.record_bytes;
    c.nibble_shift = best.nibble_shift;
    c.crumb_shift = best.crumb_shift;
    c.code_dim = smaller(c.code_dim, best.zones.room());
    return LEARNANN_OK;
}

// Units that let every norm and residual fit.
inline void set_units(float longest, float longest_residual, Codec &c) {
    longest = smaller(longest, max_steps * c.code_step);
    longest_residual = smaller(longest_residual, longest);
    const double steps2 = 1.01 * static_cast<double>(longest) * longest / (static_cast<double>(c.code_step) * c.code_step);
    c.norm_left = 0;
    while (c.norm_left < 7 && steps2 / (1u << c.norm_left) > 16777215.0) ++c.norm_left;
    c.residual_unit = larger(1.1f * longest_residual / c.code_step / max_residual, 1e-3f);
}

// A row as its record holds it.
struct Recorded {
    float y[max_code_dim];
    double norm2, residual;

    void take(const Codec &codec, const Projected &p) {
        u8 record[max_record_bytes];
        i8 code[max_code_dim];
        encode_record(codec, p, record);
        get_code(codec, record, code);
        const u32 tail = load<u32>(record + code_capacity(codec.record_bytes));
        const float step = code_step_of(codec, record);
        for (u32 j = 0; j < codec.code_dim; ++j) y[j] = step * static_cast<float>(code[j]);
        norm2 = std::ldexp(static_cast<double>(tail_norm(tail)), static_cast<int>(codec.norm_left)) * codec.code_step * codec.code_step;
        residual = tail_residual(tail) * static_cast<double>(codec.residual_unit) * codec.code_step;
    }
};

// rho of |x - y|^2 ~ |Px - Py|^2 + |rx|^2 + |ry|^2 - 2 rho |rx| |ry|, by least squares over the held-out queries and their true
// neighbours. (Inner product: <rx, ry> ~ rho |rx| |ry|.) What errs alike for all of a query's rows leaves their order as it is: it
// counts little, but decides where residuals are of one length.
inline Status fit_residual_weight(const Rows &rows, const Holdout &h, const Allocator &allocator, Codec &codec, learnann_error *error) {
    constexpr float usual = 0.3f;       // where no neighbours are known
    constexpr double alike = 0.005;
    constexpr u32 most = 32;
    const u32 d = codec.dim, m = codec.code_dim;
    const Kernels &k = kernels();
    struct Sums {       // over one query's rows
        double count, residuals, lengths, products, squares;
    } sums{};
    double products = 0, squares = 0;
    const auto finish_query = [&] {
        if (sums.count == 0) return;
        const double common = (1 - alike) / sums.count;
        products += sums.products - common * sums.residuals * sums.lengths;
        squares += sums.squares - common * sums.lengths * sums.lengths;
        sums = Sums{};
    };
    u32 query = 0;
    Recorded b;
    const auto add = [&](const Pair &p) {
        if (p.query_number != query) finish_query();
        query = p.query_number;
        const Projected &a = p.query_code;
        b.take(codec, p.row_code);
        const bool inner = codec.metric == LEARNANN_IP;
        const double whole = inner ? k.dot[LEARNANN_F32](p.query, p.row, d) : k.l2[LEARNANN_F32](p.query, p.row, d);
        const double kept = k.dot[LEARNANN_F32](a.y, b.y, m);
        const double residuals = inner ? whole - kept : 0.5 * (static_cast<double>(a.kept2) + a.residual2 + b.norm2 - whole) - kept;
        const double lengths = std::sqrt(static_cast<double>(a.residual2)) * b.residual;
        sums.count += 1;
        sums.residuals += residuals;
        sums.lengths += lengths;
        sums.products += residuals * lengths;
        sums.squares += lengths * lengths;
    };
    LEARNANN_RETURN_IF(each_pair(rows, h, codec, most, allocator, add, error));
    finish_query();
    codec.residual_weight = squares > 0 ? static_cast<float>(clamp(products / squares, -1.0, 1.0)) : usual;
    return LEARNANN_OK;
}

// The rows of largest norm: the likeliest hits of an inner product, whose codes must not be clamped.
inline Status longest_rows(const Rows &rows, u32 count, const Allocator &allocator, Array<u32> &longest, learnann_error *error) {
    Array<u32> order(allocator);
    LEARNANN_RETURN_IF(order.allocate(rows.count(), error));
    for (u32 i = 0; i < rows.count(); ++i) order[i] = i;
    std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](u32 a, u32 b) {
        return rows.norm(a) != rows.norm(b) ? rows.norm(a) > rows.norm(b) : a < b;
    });
    LEARNANN_RETURN_IF(longest.allocate(count, error));
    std::memcpy(longest.data(), order.data(), count * sizeof(u32));
    return LEARNANN_OK;
}

Status fit_codec(const Rows &rows, const Basis &basis, u32 record_bytes, const Holdout &holdout, u64 seed, const Allocator &allocator,
                 FittedCodec &fitted, learnann_error *error) {
    Codec &codec = fitted.codec;
    codec = Codec{};
    codec.metric = rows.metric;
    codec.record_bytes = record_bytes;
    LEARNANN_RETURN_IF(set_projection(basis, smaller(basis.count, most_code_dims(record_bytes, basis.dim)), fitted, error));
    Array<u32> ids(allocator);
    if (rows.metric == LEARNANN_IP) LEARNANN_RETURN_IF(longest_rows(rows, smaller(rows.count(), 4096u), allocator, ids, error));
    else LEARNANN_RETURN_IF(sample_rows(rows.count(), smaller(rows.count(), 4096u), seed, ids, error));
    const float longest = farthest_row(rows, codec, basis.stretch);
    SampleCodes sample(allocator);
    LEARNANN_RETURN_IF(project_sample(rows, codec, ids, allocator, sample, error));
    LEARNANN_RETURN_IF(weigh_errors(rows, holdout, codec, allocator, sample, error));
    LEARNANN_RETURN_IF(set_division(sample, longest, basis.dim, allocator, codec, error));
    set_units(longest, sample.longest_residual(codec.code_dim), codec);
    LEARNANN_RETURN_IF(set_projection(basis, codec.code_dim, fitted, error));
    return fit_residual_weight(rows, holdout, allocator, codec, error);
}

// A zero vector has cosine distance 1 from every row, yet it would lie nearer to all unit vectors than they lie to each other,
// and draw every edge to itself. This residual puts it farther away than any two of them are (4).
constexpr float zero_row_residual2 = 16;

namespace {

// Encodes four rows at a time, which share each load of the matrix.
class RowEncoder {
public:
    RowEncoder(const Codec &codec, const Allocator &allocator)
        : codec_(codec), cols_(projection_cols(codec.dim)), tiles_((codec.code_dim + tile_rows - 1) / tile_rows), matrix_(allocator) {}

    Status prepare(const BuildContext &build, learnann_error *error) {
        LEARNANN_RETURN_IF(matrix_.allocate(static_cast<u64>(tiles_) * tile_rows * cols_, error));
        std::memset(matrix_.data(), 128, matrix_.size());
        for (u32 k = 0; k < codec_.code_dim; ++k) put_in_tiles(codec_.matrix + static_cast<u64>(k) * cols_, cols_, k, matrix_.data());
        for (u32 t = 0; t < build.threads; ++t) {
            for (CodecScratch &s : workers_[t].rows) {
                s.use(build.allocator);
                LEARNANN_RETURN_IF(s.allocate(codec_, error));
            }
            workers_[t].sums.use(build.allocator);
            LEARNANN_RETURN_IF(workers_[t].sums.allocate(static_cast<u64>(tile_vectors) * tiles_ * tile_rows, error));
        }
        return LEARNANN_OK;
    }
    // load(i, x) fills in row i of `count`, tile_vectors at most; take(i, p) is given it projected.
    template <class Load, class Take> void project(u32 worker, u32 count, Load load, Take take) {
        Worker &w = workers_[worker];
        Centred centred[tile_vectors];
        const i8 *bytes[tile_vectors];
        for (u32 i = 0; i < count; ++i) {
            load(i, w.rows[i].x.data());
            centred[i] = centre(codec_, w.rows[i]);
        }
        for (u32 i = 0; i < tile_vectors; ++i) bytes[i] = w.rows[smaller(i, count - 1)].bytes.data();
        kernels().multiply_tiles(matrix_.data(), tiles_, cols_, bytes, w.sums.data());
        for (u32 i = 0; i < count; ++i)
            take(i, finish_projection(codec_, centred[i], w.sums.data() + static_cast<u64>(i) * tiles_ * tile_rows, w.rows[i]));
    }

private:
    struct Worker {
        CodecScratch rows[tile_vectors];
        Array<i32> sums;
    };
    const Codec &codec_;
    u32 cols_, tiles_;
    Array<u8> matrix_;      // in tiles
    Worker workers_[max_threads];
};

}  // namespace

// Not inlined: its frame holds the workers of all threads.
LEARNANN_NOINLINE Status encode_rows(const Rows &rows, const Codec &codec, const u32 *place, const BuildContext &build, u8 *records, learnann_error *error) {
    RowEncoder encoder(codec, build.allocator);
    LEARNANN_RETURN_IF(encoder.prepare(build, error));
    return rows.in_blocks([&](u32 begin, u32 end) {
        parallel(build.threads, (end - begin + tile_vectors - 1) / tile_vectors, 16, [&](u64 item, u32 worker) {
            const u32 first = begin + static_cast<u32>(item) * tile_vectors;
            const auto load = [&](u32 i, float *x) { rows.floats(first + i, x); };
            encoder.project(worker, smaller(tile_vectors, end - first), load, [&](u32 i, Projected p) {
                const u32 row = first + i, at = place ? place[row] : row;
                if (rows.metric == LEARNANN_COS && rows.norm(row) == 0) p.residual2 = zero_row_residual2;
                encode_record(codec, p, records + static_cast<u64>(at) * codec.record_bytes);
            });
        });
        return build.progress.at(static_cast<double>(end) / rows.count());
    });
}

LEARNANN_END
