// metric.cpp: see metric.hpp.
#include "learn/metric.hpp"

LEARNANN_BEGIN

Status Metric::start(u32 lists_dim, u32 count, learnann_error *error) {
    dims = count;
    LEARNANN_RETURN_IF(map.zeroes(static_cast<u64>(lists_dim) * count, error));
    for (u32 i = 0; i < count; ++i) map[static_cast<u64>(i) * count + i] = 1;
    rho = 0.3f;
    return LEARNANN_OK;
}

// ---- the loss ----

Status MetricLoss::prepare(u32 batch, learnann_error *error) {
    const u64 rows = static_cast<u64>(batch) * group;
    LEARNANN_RETURN_IF(weight_.allocate(lists_.queries, error));
    LEARNANN_RETURN_IF(x_.allocate(rows * lists_.dim, error));
    LEARNANN_RETURN_IF(y_.allocate(rows * dims_, error));
    LEARNANN_RETURN_IF(dy_.allocate(rows * dims_, error));
    LEARNANN_RETURN_IF(map_.allocate(static_cast<u64>(lists_.dim) * dims_, error));
    LEARNANN_RETURN_IF(share_.allocate(batch, error));
    double usual = 0;
    for (u32 q = 0; q < lists_.queries; ++q) {
        const float *truth = lists_.truth.data() + static_cast<u64>(q) * NearLists::depth;
        double sum = 0, squares = 0;
        for (u32 i = 0; i < NearLists::depth; ++i) sum += truth[i];
        for (u32 i = 0; i < NearLists::depth; ++i) squares += (truth[i] - sum / NearLists::depth) * (truth[i] - sum / NearLists::depth);
        weight_[q] = static_cast<float>(squares / NearLists::depth);
        usual += squares / NearLists::depth / lists_.queries;
    }
    const float least = static_cast<float>(0.01 * usual) + 1e-30f;      // of lists all of whose rows are copies
    for (float &w : weight_) w = 1 / (w + least);
    return LEARNANN_OK;
}

namespace {

// What a code leaves of a vector of squared length `length2`. Where it leaves (almost) nothing it stays so for small changes.
struct Rest {
    float length;
    bool some;
    Rest(float length2, float kept2) {
        constexpr float least = 1e-4f;
        some = length2 - kept2 > least * length2;
        length = std::sqrt(some ? length2 - kept2 : least * length2 + 1e-30f);
    }
};

void add(float *to, float weight, const float *from, u32 n) {
    for (u32 i = 0; i < n; ++i) to[i] += weight * from[i];
}

}  // namespace

// y: the codes of the query and its list; dy: the gradient there.
MetricLoss::Share MetricLoss::of_query(const Metric &metric, u32 query, u32 count, const float *y, float *dy) const {
    constexpr u32 depth = NearLists::depth;
    const auto dot = kernels().dot[LEARNANN_F32];
    const u64 at = static_cast<u64>(query) * depth;
    const Rest left(lists_.query_length2[query], dot(y, y, dims_));
    float error[depth], rest[depth];
    bool some[depth], whole[depth];
    double mean = 0;
    for (u32 i = 0; i < depth; ++i) {
        const float *row = y + static_cast<u64>(i + 1) * dims_;
        const float length2 = lists_.row_length2[lists_.near[at + i]], kept2 = dot(row, row, dims_);
        const Rest r(length2, kept2);
        rest[i] = r.length;
        some[i] = r.some;
        whole[i] = !lists_.inner && kept2 > length2;
        const float norm2 = lists_.inner ? 0 : larger(length2, kept2);
        error[i] = norm2 - 2 * dot(y, row, dims_) - 2 * metric.rho * left.length * rest[i] - lists_.truth[at + i];
        mean += static_cast<double>(error[i]) / depth;
    }
    Share share{0, 0};
    std::memset(dy, 0, dims_ * sizeof(float));
    float along = 0;        // of the query's code, by its residual
    for (u32 i = 0; i < depth; ++i) {
        const float *row = y + static_cast<u64>(i + 1) * dims_;
        float *to = dy + static_cast<u64>(i + 1) * dims_;
        const double off = error[i] - mean;
        const float e = static_cast<float>(2 * off * weight_[query] / (depth * static_cast<double>(count)));
        share.loss += off * off * weight_[query] / (depth * static_cast<double>(count));
        share.rho -= 2.0 * e * left.length * rest[i];
        along += e * rest[i];
        const float own = some[i] ? 2 * metric.rho * e * left.length / rest[i] : whole[i] ? 2 * e : 0;
        for (u32 j = 0; j < dims_; ++j) to[j] = own * row[j] - 2 * e * y[j];
        add(dy, -2 * e, row, dims_);
    }
    if (left.some) add(dy, 2 * metric.rho * along / left.length, y, dims_);
    return share;
}

double MetricLoss::at(const Metric &metric, const u32 *queries, u32 count) {
    constexpr u32 depth = NearLists::depth;
    const u32 d = lists_.dim;
    parallel(threads_, count, 4, [&](u64 i, u32) {
        float *to = x_.data() + i * group * d;
        std::memcpy(to, lists_.query.data() + static_cast<u64>(queries[i]) * d, d * sizeof(float));
        for (u32 j = 0; j < depth; ++j)
            std::memcpy(to + static_cast<u64>(j + 1) * d, lists_.row.data() + static_cast<u64>(lists_.near[static_cast<u64>(queries[i]) * depth + j]) * d,
                        d * sizeof(float));
    });
    multiply(x_.data(), metric.map.data(), y_.data(), count * group, d, dims_, threads_);
    parallel(threads_, count, 4, [&](u64 i, u32) {
        const u64 first = i * group * dims_;
        share_[i] = of_query(metric, queries[i], count, y_.data() + first, dy_.data() + first);
    });
    multiply_transposed(x_.data(), dy_.data(), map_.data(), count * group, d, dims_, threads_);
    double loss = 0;
    rho_ = 0;
    for (u32 i = 0; i < count; ++i) {
        loss += share_[i].loss;
        rho_ += share_[i].rho;
    }
    return loss;
}

// ---- the training ----

namespace {

// Adam (Kingma and Ba, 2014): a step for each weight from the running means of its gradient and that squared.
class Adam {
public:
    explicit Adam(const Allocator &a) : first_(a), second_(a) {}
    Status prepare(u64 weights, learnann_error *error) {
        LEARNANN_RETURN_IF(first_.zeroes(weights, error));
        return second_.zeroes(weights, error);
    }
    void next() {
        decay1_ *= keep1;
        decay2_ *= keep2;
    }
    float step(u64 i, float gradient, float rate) {
        first_[i] += (1 - keep1) * (gradient - first_[i]);
        second_[i] += (1 - keep2) * (gradient * gradient - second_[i]);
        return rate * first_[i] / (1 - decay1_) / (std::sqrt(second_[i] / (1 - decay2_)) + 1e-12f);
    }

private:
    static constexpr float keep1 = 0.9f, keep2 = 0.99f;
    float decay1_ = 1, decay2_ = 1;
    Array<float> first_, second_;
};

}  // namespace

Status learn_metric(const NearLists &lists, const MetricTraining &training, u32 dims, u64 seed, const BuildContext &build,
                    Metric &metric, bool &diverged, learnann_error *error) {
    const u32 batch = smaller(training.batch, lists.queries), batches = lists.queries / batch;
    MetricLoss loss(lists, dims, build);
    Adam adam(build.allocator);
    Array<u32> order(build.allocator);
    metric.map.use(build.allocator);
    LEARNANN_RETURN_IF(metric.start(lists.dim, dims, error));
    LEARNANN_RETURN_IF(loss.prepare(batch, error));
    LEARNANN_RETURN_IF(adam.prepare(metric.map.size() + 1, error));
    LEARNANN_RETURN_IF(order.allocate(lists.queries, error));
    double first = 0, last = 0;     // the loss at first, and its mean since the queries were last shuffled
    for (u32 step = 0; step < training.steps; ++step) {
        const double done = static_cast<double>(step) / training.steps;
        LEARNANN_RETURN_IF(build.progress.at(done));
        const u32 b = step % batches;
        if (b == 0) shuffle(order.data(), lists.queries, seed + step);
        const double now = loss.at(metric, order.data() + static_cast<u64>(b) * batch, batch);
        diverged = !(now < 1e30);
        if (diverged) return LEARNANN_OK;
        if (step == 0) first = now;
        last += (now - last) / (b + 1);
        const float rate = training.rate * static_cast<float>(0.5 + 0.5 * std::cos(3.14159265 * done));
        adam.next();
        for (u64 i = 0; i < metric.map.size(); ++i) metric.map[i] -= adam.step(i, loss.map()[i], rate);
        metric.rho -= adam.step(metric.map.size(), static_cast<float>(loss.rho()), 5 * rate);
        metric.rho = clamp(metric.rho, -1.0f, 1.0f);
    }
    diverged = !(last <= first);
    return LEARNANN_OK;
}

// ---- the outcome ----

Status basis_of_metric(const Metric &metric, const NearLists &lists, const Basis &wide, const BuildContext &build, Basis &basis,
                       learnann_error *error) {
    const u32 m = metric.dims, sample = smaller(static_cast<u32>(lists.row_length2.size()), 8192u);
    Array<float> y(build.allocator), columns(build.allocator);
    LEARNANN_RETURN_IF(y.allocate(static_cast<u64>(sample) * m, error));
    multiply(lists.row.data(), metric.map.data(), y.data(), sample, lists.dim, m, build.threads);

    LEARNANN_RETURN_IF(columns.allocate(metric.map.size(), error));
    transpose(metric.map.data(), columns.data(), lists.dim, m);
    basis.dim = wide.dim;
    basis.count = m;
    LEARNANN_RETURN_IF(basis.mean.allocate(wide.dim, error));
    std::memcpy(basis.mean.data(), wide.mean.data(), wide.dim * sizeof(float));
    LEARNANN_RETURN_IF(basis.directions.allocate(static_cast<u64>(m) * wide.dim, error));
    multiply(columns.data(), wide.directions.data(), basis.directions.data(), m, lists.dim, wide.dim, build.threads);
    return turn_basis(y, sample, build, basis, error);
}

LEARNANN_END
