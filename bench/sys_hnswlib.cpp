// hnswlib in the benchmark: floats, l2 or inner product; cosine is the inner product of unit rows.
#include "system.hpp"

#ifdef HAVE_HNSWLIB

#include <hnswlib/hnswlib.h>

namespace bench {
namespace {

// The distance function of an index, with a counter before it.
uint64_t counted = 0;
hnswlib::DISTFUNC<float> counted_function = nullptr;
float counting(const void *a, const void *b, const void *parameter) {
    ++counted;
    return counted_function(a, b, parameter);
}

const char *compiled_kernels() {
#if defined(USE_AVX512)
    return "AVX-512";
#elif defined(USE_AVX)
    return "AVX";
#elif defined(USE_SSE)
    return "SSE";
#else
    return "scalar";
#endif
}

class Hnswlib : public System {
public:
    void prepare(const Dataset &set) override {
        set_ = &set;
        if (set.metric == LEARNANN_L2) space_.reset(new hnswlib::L2Space(set.dim()));
        else space_.reset(new hnswlib::InnerProductSpace(set.dim()));
        queries_ = floats_of(set.query.matrix, set.metric == LEARNANN_COS);
    }

    double build(const std::string &path) override {
        const std::vector<float> rows = floats_of(set_->base.matrix, set_->metric == LEARNANN_COS);
        const Stopwatch watch;
        index_.reset(new Index(space_.get(), set_->rows(), graph_degree, graph_beam));
        for (uint64_t row = 0; row < set_->rows(); ++row) index_->addPoint(&rows[row * set_->dim()], row);
        const double seconds = watch.seconds();
        index_->saveIndex(path);
        return seconds;
    }

    void load(const std::string &path) override {
        index_.reset(new Index(space_.get(), path));
        function_ = index_->fstdistfunc_;
    }

    void set_effort(uint32_t effort) override { index_->setEf(effort); }

    void search(uint64_t query, int64_t *ids) override {
        auto found = index_->searchKnn(&queries_[query * set_->dim()], hits_wanted);
        for (size_t i = found.size(); i < hits_wanted; ++i) ids[i] = -1;
        for (; !found.empty(); found.pop()) ids[found.size() - 1] = static_cast<int64_t>(found.top().second);
    }

    void count(bool on) override {
        counted_function = function_;
        index_->fstdistfunc_ = on ? counting : function_;
    }
    uint64_t distances() const override { return counted; }

    std::string note() const override {
        return tools::format("0.6, M=%u, efConstruction=%u, floats, %s kernels", graph_degree, graph_beam,
                             compiled_kernels());
    }

private:
    using Index = hnswlib::HierarchicalNSW<float>;

    const Dataset *set_ = nullptr;
    std::unique_ptr<hnswlib::SpaceInterface<float>> space_;
    std::unique_ptr<Index> index_;
    hnswlib::DISTFUNC<float> function_ = nullptr;
    std::vector<float> queries_;
};

std::unique_ptr<System> make_hnswlib() { return std::unique_ptr<System>(new Hnswlib); }
constexpr const char *missing = nullptr;

} // namespace
} // namespace bench

#else

namespace bench {
namespace {
constexpr std::unique_ptr<System> (*make_hnswlib)() = nullptr;
constexpr const char *missing = "libhnswlib-dev";
} // namespace
} // namespace bench

#endif

namespace bench {

std::vector<SystemKind> hnswlib_systems() {
    return {{"hnswlib", "hnswlib", "hnswlib", "m16-ef200", "#d55e00", false, true, missing, geometric(10, 900),
             suits_all, make_hnswlib}};
}

} // namespace bench
