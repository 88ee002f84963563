// learnann in the benchmark: queries one by one, and all of them through learnann_search_interleaved.
#include "system.hpp"

#include <stdexcept>

namespace bench {
namespace {

void check(learnann_status status, const learnann_error &error) {
    if (status != LEARNANN_OK) throw std::runtime_error(error.message ? error.message : learnann_status_text(status));
}

class Learnann : public System {
public:
    ~Learnann() override {
        learnann_scratch_free(scratch_);
        learnann_close(index_);
    }

    void prepare(const Dataset &set) override {
        set_ = &set;
        queries_ = tools::as_vectors(set.query.matrix);
    }

    double build(const std::string &path) override {
        const learnann_vectors rows = tools::as_vectors(set_->base.matrix);
        learnann_vectors train{};
        learnann_build_options options = learnann_build_options_default();
        options.metric = static_cast<learnann_metric>(set_->metric);
        options.threads = 1;
        if (set_->has_train) {
            train = tools::as_vectors(set_->train.matrix);
            options.queries = &train;
        }
        learnann_error error{};
        learnann_builder *raw = nullptr;
        check(learnann_builder_create(&options, &raw, &error), error);
        const std::unique_ptr<learnann_builder, void (*)(learnann_builder *)> builder(raw, learnann_builder_free);
        const Stopwatch watch;
        check(learnann_builder_run(raw, &rows, nullptr, &error), error);
        const double seconds = watch.seconds();
        check(learnann_builder_save(raw, path.c_str(), &error), error);
        return seconds;
    }

    void load(const std::string &path) override { open(path, 0); }
    void load_sparingly(const std::string &path) override { open(path, LEARNANN_OPEN_FLASH); }

    void set_effort(uint32_t effort) override { options_.effort = effort; }

    void search(uint64_t query, int64_t *ids) override {
        learnann_vectors one = queries_;
        one.count = 1;
        one.data = static_cast<const uint8_t *>(queries_.data) + query * queries_.stride;
        learnann_hit hits[hits_wanted];
        uint32_t count = 0;
        learnann_error error{};
        learnann_search_stats stats = learnann_search_stats_default();
        check(learnann_search(index_, scratch_, &one, hits_wanted, &options_, hits, &count, &stats, &error), error);
        take(stats);
        for (uint32_t i = 0; i < hits_wanted; ++i) ids[i] = i < count ? int64_t{hits[i].row} : -1;
    }

    void count(bool) override {}
    uint64_t distances() const override { return distances_; }

    std::string note() const override {
        learnann_index_info info = learnann_index_info_default();
        learnann_get_info(index_, &info);
        return tools::format("%s kernels, chosen at run time; %u-byte codes, %.0f hot bytes a row; exact rows in the "
                             "file%s; distances to codes, entries and exact rows",
                             learnann_isa(), info.code_bytes,
                             static_cast<double>(info.hot_bytes) / static_cast<double>(info.rows),
                             set_->has_train ? "; built with the set's sample queries" : "");
    }

protected:
    void open(const std::string &path, uint32_t flags) {
        learnann_error error{};
        learnann_open_options options = learnann_open_options_default();
        options.flags = flags;
        check(learnann_open(path.c_str(), &options, &index_, &error), error);
        check(learnann_scratch_create(index_, &scratch_, &error), error);
    }
    void take(const learnann_search_stats &stats) {
        distances_ += stats.distances + stats.entry_distances + stats.reranked;
    }

    const Dataset *set_ = nullptr;
    learnann_vectors queries_{};
    learnann_index *index_ = nullptr;
    learnann_scratch *scratch_ = nullptr;
    learnann_search_options options_ = learnann_search_options_default();
    uint64_t distances_ = 0;
};

class Interleaved : public Learnann {
public:
    void search_all(uint64_t queries, int64_t *ids) override {
        hits_.resize(queries * hits_wanted);
        counts_.resize(queries);
        learnann_error error{};
        learnann_search_stats stats = learnann_search_stats_default();
        check(learnann_search_interleaved(index_, scratch_, &queries_, hits_wanted, &options_, hits_.data(),
                                          counts_.data(), &stats, &error), error);
        take(stats);
        for (size_t i = 0; i < hits_.size(); ++i) {
            ids[i] = i % hits_wanted < counts_[i / hits_wanted] ? int64_t{hits_[i].row} : -1;
        }
    }

private:
    std::vector<learnann_hit> hits_;
    std::vector<uint32_t> counts_;
};

} // namespace

std::vector<SystemKind> learnann_systems() {
    const std::vector<uint32_t> efforts = geometric(10, 640);
    return {
        {"learnann", "learnann", "learnann", "default", "#0b63b0", false, false, nullptr, efforts, suits_all,
         [] { return std::unique_ptr<System>(new Learnann); }},
        {"learnann-interleaved", "learnann, interleaved", "learnann", "default", "#0b63b0", true, false, nullptr,
         efforts, suits_all, [] { return std::unique_ptr<System>(new Interleaved); }},
    };
}

} // namespace bench
