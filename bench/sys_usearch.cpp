// USearch in the benchmark, with its SIMD kernels: rows in the element type that they come in, bytes, halves or floats.
//
// Its results throw by themselves where they hold an error.
#include "system.hpp"

#ifdef HAVE_USEARCH

#include <usearch/index_dense.hpp>

#include <stdexcept>

namespace bench {
namespace {

namespace us = unum::usearch;

us::metric_kind_t metric_kind(uint32_t metric) {
    return metric == LEARNANN_L2   ? us::metric_kind_t::l2sq_k
           : metric == LEARNANN_IP ? us::metric_kind_t::ip_k
                                   : us::metric_kind_t::cos_k;
}

us::scalar_kind_t scalar_kind(tools::Element element) {
    switch (element) {
    case tools::Element::U8: return us::scalar_kind_t::u8_k;
    case tools::Element::I8: return us::scalar_kind_t::i8_k;
    case tools::Element::F16: return us::scalar_kind_t::f16_k;
    default: return us::scalar_kind_t::f32_k;
    }
}

class Usearch : public System {
public:
    void prepare(const Dataset &set) override { set_ = &set; }

    double build(const std::string &path) override {
        index_ = us::index_dense_t::make(
            us::metric_punned_t(set_->dim(), metric_kind(set_->metric), scalar_kind(set_->base.matrix.element)),
            us::index_dense_config_t(graph_degree, graph_beam, graph_beam));
        const Stopwatch watch;
        reserve();
        for (uint64_t row = 0; row < set_->rows(); ++row) {
            with_row(set_->base.matrix, row, [&](const auto *vector) { index_.add(row, vector, 0); });
        }
        const double seconds = watch.seconds();
        index_.save(path.c_str());
        return seconds;
    }

    void load(const std::string &path) override {
        index_ = us::index_dense_t::make(path.c_str());
        reserve();
    }

    void load_sparingly(const std::string &path) override {
        index_ = us::index_dense_t::make(path.c_str(), true);       // a view: mapped
        reserve();
    }
    void load_lazily(const std::string &path) override { load_sparingly(path); }

    void set_effort(uint32_t effort) override { index_.change_expansion_search(effort); }

    void search(uint64_t query, int64_t *ids) override {
        with_row(set_->query.matrix, query, [&](const auto *vector) {
            auto found = index_.search(vector, hits_wanted, 0);
            distances_ += found.computed_distances;
            for (size_t i = 0; i < hits_wanted; ++i) {
                ids[i] = i < found.size() ? static_cast<int64_t>(found[i].member.key) : -1;
            }
            found.error.raise();
        });
    }

    void count(bool) override {}
    uint64_t distances() const override { return distances_; }

    std::string note() const override {
        return tools::format("%d.%d.%d from npm, M=%u, efConstruction=%u, %s rows, NumKong kernel \"%s\"",
                             USEARCH_VERSION_MAJOR, USEARCH_VERSION_MINOR, USEARCH_VERSION_PATCH, graph_degree,
                             graph_beam, tools::element_name(set_->base.matrix.element), index_.metric().isa_name());
    }

private:
    void reserve() {
        if (!index_.try_reserve(us::index_limits_t(set_->rows(), 1))) throw std::runtime_error("out of memory");
    }

    template <class Visit> static void with_row(const tools::Matrix &m, uint64_t row, Visit visit) {
        const uint8_t *bytes = m.data + row * m.stride;
        switch (m.element) {
        case tools::Element::U8: visit(reinterpret_cast<const us::u8_t *>(bytes)); break;
        case tools::Element::I8: visit(reinterpret_cast<const us::i8_t *>(bytes)); break;
        case tools::Element::F16: visit(reinterpret_cast<const us::f16_t *>(bytes)); break;
        default: visit(reinterpret_cast<const us::f32_t *>(bytes)); break;
        }
    }

    const Dataset *set_ = nullptr;
    us::index_dense_t index_;
    uint64_t distances_ = 0;
};

std::unique_ptr<System> make_usearch() { return std::unique_ptr<System>(new Usearch); }
constexpr const char *missing = nullptr;

#define TEXT_OF(number) #number
#define DOTTED(a, b, c) TEXT_OF(a) "." TEXT_OF(b) "." TEXT_OF(c)
constexpr const char *settings =
    DOTTED(USEARCH_VERSION_MAJOR, USEARCH_VERSION_MINOR, USEARCH_VERSION_PATCH) "-m16-ef200";

} // namespace
} // namespace bench

#else

namespace bench {
namespace {
constexpr std::unique_ptr<System> (*make_usearch)() = nullptr;
constexpr const char *missing = "npm's usearch";
constexpr const char *settings = "";
} // namespace
} // namespace bench

#endif

namespace bench {

std::vector<SystemKind> usearch_systems() {
    return {{"usearch", "USearch", "usearch", settings, "#aa4499", false, true, missing, geometric(10, 900),
             suits_all, make_usearch}};
}

} // namespace bench
