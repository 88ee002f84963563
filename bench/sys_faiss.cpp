// Faiss in the benchmark: HNSW over floats, over 8-bit codes (SQ8), and over 8-bit codes refined by floats.
//
// Byte rows go into 8-bit codes as they are ("direct"), which loses nothing; refining is left out there.
#include "system.hpp"

#ifdef HAVE_FAISS

#include <faiss/IndexHNSW.h>
#include <faiss/IndexRefine.h>
#include <faiss/index_io.h>
#include <omp.h>

#include <algorithm>

namespace bench {
namespace {

bool has_byte_rows(const Dataset &set) { return set.base.matrix.element == tools::Element::U8; }

class Faiss : public System {
public:
    void prepare(const Dataset &set) override {
        omp_set_num_threads(1);
        set_ = &set;
        queries_ = floats_of(set.query.matrix, unit());
    }

    double build(const std::string &path) override {
        const std::vector<float> rows = floats_of(set_->base.matrix, unit());
        const std::unique_ptr<faiss::IndexHNSW> index(make_index());
        index->hnsw.efConstruction = graph_beam;
        const Stopwatch watch;
        index->train(static_cast<Id>(set_->rows()), rows.data());
        index->add(static_cast<Id>(set_->rows()), rows.data());
        const double seconds = watch.seconds();
        faiss::write_index(index.get(), path.c_str());
        return seconds;
    }

    void load(const std::string &path) override {
        index_.reset(faiss::read_index(path.c_str()));
        graph_ = dynamic_cast<faiss::IndexHNSW *>(index_.get());
        if (graph_ == nullptr) throw std::runtime_error("the cached Faiss index is of another kind");
        searched_ = index_.get();
    }

    void set_effort(uint32_t effort) override { graph_->hnsw.efSearch = static_cast<int>(effort); }

    void search(uint64_t query, int64_t *ids) override {
        float distances[hits_wanted];
        Id labels[hits_wanted];
        searched_->search(1, &queries_[query * set_->dim()], hits_wanted, distances, labels);
        std::copy(labels, labels + hits_wanted, ids);
    }

    void count(bool) override {}
    uint64_t distances() const override { return faiss::hnsw_stats.n3; }    // ndis stays 0 in 1.7

    std::string note() const override {
        return tools::format("%d.%d.%d as Debian builds it, SSE2 only, M=%u, efConstruction=%u; distances of the "
                             "lowest layer", FAISS_VERSION_MAJOR, FAISS_VERSION_MINOR, FAISS_VERSION_PATCH, graph_degree,
                             graph_beam);
    }

protected:
    using Id = faiss::Index::idx_t;

    virtual faiss::IndexHNSW *make_index() const {
        return new faiss::IndexHNSWFlat(static_cast<int>(set_->dim()), graph_degree, metric());
    }
    bool unit() const { return set_->metric == LEARNANN_COS; }
    faiss::MetricType metric() const {
        return set_->metric == LEARNANN_L2 ? faiss::METRIC_L2 : faiss::METRIC_INNER_PRODUCT;
    }

    const Dataset *set_ = nullptr;
    std::vector<float> queries_;
    std::unique_ptr<faiss::Index> index_;
    faiss::IndexHNSW *graph_ = nullptr;         // within index_
    faiss::Index *searched_ = nullptr;
};

class FaissSq8 : public Faiss {
public:
    std::string note() const override {
        return Faiss::note() + (has_byte_rows(*set_) ? "; byte rows as they are" : "; 8 bits a dimension");
    }

protected:
    faiss::IndexHNSW *make_index() const override {
        using Codes = faiss::ScalarQuantizer;
        return new faiss::IndexHNSWSQ(static_cast<int>(set_->dim()),
                                      has_byte_rows(*set_) ? Codes::QT_8bit_direct : Codes::QT_8bit, graph_degree,
                                      metric());
    }
};

class FaissRefined : public FaissSq8 {
public:
    void load(const std::string &path) override {
        Faiss::load(path);
        const std::vector<float> rows = floats_of(set_->base.matrix, unit());
        refined_.reset(new faiss::IndexRefineFlat(index_.get(), rows.data()));
        searched_ = refined_.get();
    }

    uint64_t bytes_beside_file() const override { return set_->rows() * set_->dim() * sizeof(float); }

    // Up to 40 candidates are refined, as many as the beam holds.
    void set_effort(uint32_t effort) override {
        Faiss::set_effort(effort);
        refined_->k_factor = std::min(4.0f, std::max(1.0f, static_cast<float>(effort) / hits_wanted));
    }

    void search(uint64_t query, int64_t *ids) override {
        Faiss::search(query, ids);
        refined_rows_ += static_cast<uint64_t>(hits_wanted * refined_->k_factor);
    }

    uint64_t distances() const override { return Faiss::distances() + refined_rows_; }
    std::string note() const override { return FaissSq8::note() + ", then floats for the best 40"; }

private:
    std::unique_ptr<faiss::IndexRefineFlat> refined_;
    uint64_t refined_rows_ = 0;
};

template <class T> std::unique_ptr<System> make() { return std::unique_ptr<System>(new T); }
constexpr const char *missing = nullptr;

} // namespace
} // namespace bench

#define MAKE_FAISS(type) make<type>

#else

namespace bench {
namespace {
bool has_byte_rows(const Dataset &) { return false; }
constexpr const char *missing = "libfaiss-dev";
} // namespace
} // namespace bench

#define MAKE_FAISS(type) nullptr

#endif

namespace bench {

std::vector<SystemKind> faiss_systems() {
    const std::vector<uint32_t> efforts = geometric(10, 900);
    const char *settings = "m16-ef200";
    return {
        {"faiss-hnsw", "Faiss HNSW (SSE2)", "faiss-hnsw", settings, "#009e73", false, true, missing, efforts, suits_all,
         MAKE_FAISS(Faiss)},
        {"faiss-sq8", "Faiss HNSW-SQ8 (SSE2)", "faiss-sq8", settings, "#56b4e9", false, true, missing, efforts,
         suits_all, MAKE_FAISS(FaissSq8)},
        {"faiss-refine", "Faiss HNSW-SQ8 + refine (SSE2)", "faiss-sq8", settings, "#56b4e9", true, true, missing,
         efforts, [](const Dataset &set) { return !has_byte_rows(set); }, MAKE_FAISS(FaissRefined)},
    };
}

} // namespace bench
