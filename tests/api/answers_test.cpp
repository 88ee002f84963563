// answers_test.cpp: rows chosen to go wrong, against brute force in double precision: what full effort finds, what a walk
// reaches, how exact distances are, what instruction sets agree on.
#include "testdata.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>
#include <string>

#if defined(__unix__)
#include <sys/wait.h>
#include <unistd.h>
#endif

using namespace testdata;

namespace {

const learnann_metric all_metrics[] = {LEARNANN_L2, LEARNANN_IP, LEARNANN_COS};
const learnann_type all_types[] = {LEARNANN_F32, LEARNANN_F16, LEARNANN_I8, LEARNANN_U8};

bool is_float(learnann_type type) { return type == LEARNANN_F32 || type == LEARNANN_F16; }

void scale(Rows &rows, uint64_t i, double by) {
    for (uint32_t j = 0; j < rows.dim; ++j) rows.set(i, j, by * rows.value(i, j));
}

// ---- rows that other indexes stumbled over; values suit the type ----

constexpr uint32_t n = 900, dim = 12;

Rows duplicates(learnann_type type) {
    Rows rows = clustered(n, dim, type, 2);
    for (uint64_t i = 0; i < n; ++i) rows.copy(i % 60, i);
    return rows;
}
Rows half_equal(learnann_type type) {
    Rows rows = clustered(n, dim, type, 3);
    for (uint64_t i = 0; i < n; i += 2) rows.copy(1, i);
    return rows;
}
Rows collinear(learnann_type type) {
    Rows rows(n, dim, type);
    for (uint64_t i = 0; i < n; ++i)
        for (uint32_t j = 0; j < dim; ++j) rows.set(i, j, static_cast<double>(i) / (is_float(type) ? 8 : 22) * (j % 3 + 1));
    return rows;
}
Rows one_huge(learnann_type type) {
    Rows rows = clustered(n, dim, type, 4);
    scale(rows, 777, type == LEARNANN_F32 ? 1e16 : 1e4);
    return rows;
}
Rows a_few_far(learnann_type type) {     // 1.5 % of them
    Rows rows = clustered(n, dim, type, 5);
    const double far = type == LEARNANN_I8 ? 120 : type == LEARNANN_U8 ? 240 : 500;
    for (uint64_t i = 0; i < n; i += 70)
        for (uint32_t j = 0; j < dim; ++j) rows.set(i, j, far + 0.01 * rows.value(i, j));
    return rows;
}
Rows zeros(learnann_type type) {
    Rows rows = clustered(n, dim, type, 6);
    for (uint64_t i = 0; i < n; i += 10) scale(rows, i, 0);
    return rows;
}
Rows subnormal(learnann_type type) {     // for f16, too; bytes have no such values
    Rows rows = clustered(n, dim, type, 7);
    for (uint64_t i = 0; i < n && is_float(type); ++i) scale(rows, i, type == LEARNANN_F32 ? 1e-40 : 1e-5);
    return rows;
}
Rows edges_of_type(learnann_type type) {
    Rows rows(n, dim, type);
    Random random(8);
    const double most = type == LEARNANN_F32 ? 2.8e17 : type == LEARNANN_F16 ? 65504 : type == LEARNANN_I8 ? 127 : 255;
    const double least = type == LEARNANN_I8 ? -128 : type == LEARNANN_U8 ? 0 : -most;
    for (uint64_t i = 0; i < n; ++i)
        for (uint32_t j = 0; j < dim; ++j) rows.set(i, j, random.below(2) ? most : least);
    return rows;
}
Rows far_clusters(learnann_type type) {  // five, farther apart than codes can tell their rows from each other
    Rows rows = clustered(n, dim, type, 9);
    const double far = is_float(type) ? 1000 : 60;
    for (uint64_t i = 0; i < n; ++i)
        for (uint32_t j = 0; j < dim; ++j) rows.set(i, j, rows.value(i, j) + (i % 5 == j % 5 ? far : 0));
    return rows;
}
Rows islands(learnann_type type) {       // 90 clusters of 10, which no edge of a neighbour joins
    Rows rows(n, dim, type);
    Random random(10);
    std::vector<double> centres(90 * dim);
    for (double &c : centres) c = random.below(2) * (is_float(type) ? 1e4 : 100);
    for (uint64_t i = 0; i < n; ++i)
        for (uint32_t j = 0; j < dim; ++j) rows.set(i, j, centres[i % 90 * dim + j] + (is_float(type) ? 1 : 5) * random.gaussian());
    return rows;
}
Rows ordinary(learnann_type type) { return clustered(n, dim, type, 1); }

struct Kind {
    std::string name;
    Rows (*make)(learnann_type type);
};
const Kind kinds[] = {{"ordinary", ordinary},   {"duplicates", duplicates}, {"half equal", half_equal}, {"collinear", collinear},
                      {"one huge", one_huge},   {"a few far", a_few_far},   {"zeros", zeros},           {"subnormal", subnormal},
                      {"edges", edges_of_type}, {"far clusters", far_clusters}, {"islands", islands}};

// Queries near rows: some of them, a little off.
Rows queries_of(const Rows &rows, uint32_t count) {
    Rows queries(count, rows.dim, rows.type);
    Random random(99);
    for (uint64_t i = 0; i < count; ++i) {
        const uint64_t from = random.below(static_cast<uint32_t>(rows.count));
        for (uint32_t j = 0; j < rows.dim; ++j) queries.set(i, j, rows.value(from, j) * (1 - 0.02 * std::fabs(random.gaussian())));
    }
    return queries;
}

// How far learnann.h lets a distance be from the true one. `kept_as_bytes`: float rows, scaled.
double bound(learnann_metric metric, const double *q, const double *x, uint32_t d, bool kept_as_bytes) {
    double magnitude = metric == LEARNANN_COS ? 1 : 0;
    for (uint32_t j = 0; j < d; ++j) {
        if (metric == LEARNANN_IP) magnitude += std::fabs(q[j] * x[j]);
        if (metric == LEARNANN_L2) magnitude += kept_as_bytes ? q[j] * q[j] + x[j] * x[j] : (q[j] - x[j]) * (q[j] - x[j]);
    }
    return (d + 8) * std::ldexp(magnitude, -23) + 1e-37;
}

// Of the hits wanted, how many are missing: nearer by more than distances are exact than what was found.
size_t missing(const std::vector<learnann_hit> &hits, const std::vector<double> &rows, const double *q, learnann_metric metric, uint32_t k) {
    const auto truth = ranked(metric, rows, dim, q);
    size_t right = 0;
    for (const learnann_hit &h : hits) {
        const double *x = rows.data() + static_cast<size_t>(h.row) * dim, d = distance(metric, q, x, dim);
        right += d <= truth[k - 1].distance + 2 * bound(metric, q, x, dim, false);
        CHECK(std::fabs(h.distance - d) <= bound(metric, q, x, dim, false));
    }
    return k - right;
}

template <class Visit> void each_kind(Visit visit) {
    for (const Kind &kind : kinds)
        for (const learnann_type type : all_types)
            for (const learnann_metric metric : all_metrics) {
                CAPTURE(kind.name);
                CAPTURE(type);
                CAPTURE(metric);
                const Rows rows = kind.make(type);
                Index index(rows, build_options(metric));
                REQUIRE(index.status == LEARNANN_OK);
                visit(kind, rows, metric, index);
            }
}

}  // namespace

TEST_CASE("full effort and the widest walk find the true hits, whatever the rows") {
    const uint32_t k = 10;
    each_kind([&](const Kind &, const Rows &rows, learnann_metric metric, Index &index) {
        learnann_error error{};
        const learnann_status whole = learnann_verify(index.handle, &error);
        CAPTURE(std::string(error.message));
        CHECK(whole == LEARNANN_OK);
        const Rows queries = queries_of(rows, 12);
        const std::vector<double> x = rows.doubles(), q = queries.doubles();
        size_t scan_missing = 0, walk_missing = 0;
        for (uint64_t i = 0; i < queries.count; ++i) {
            learnann_search_stats stats = learnann_search_stats_default();
            const auto all = index.search(queries.one(i), k, n / 2, nullptr, &stats);
            CAPTURE(std::string(index.error.message));
            CHECK(stats.stop == LEARNANN_STOP_SCAN);
            REQUIRE(all.size() == k);
            CHECK(in_order(all));
            scan_missing += missing(all, x, &q[i * dim], metric, k);
            const auto walked = index.search(queries.one(i), k, n / 2 - 1, nullptr, &stats);
            CHECK(stats.stop == LEARNANN_STOP_BEAM);
            REQUIRE(walked.size() == k);
            walk_missing += missing(walked, x, &q[i * dim], metric, k);
        }
        CHECK(scan_missing == 0);
        CHECK(walk_missing == 0);
    });
}

TEST_CASE("every row of every cluster is reached: it is its own nearest") {
    each_kind([&](const Kind &, const Rows &rows, learnann_metric metric, Index &index) {
        if (metric == LEARNANN_IP) return;
        const std::vector<double> x = rows.doubles();
        size_t lost = 0;
        for (uint32_t i = 0; i < n; i += SANITIZED || rows.type != LEARNANN_F32 ? 7 : 1) {
            const auto hits = index.search(rows.one(i), 1, n / 2 - 1);
            const double *own = &x[i * dim];
            // Itself or a copy. A zero vector is no nearer to itself by angle than to anything else.
            const double nearest = distance(metric, own, own, dim), got = distance(metric, own, &x[hits.at(0).row * dim], dim);
            lost += got > nearest + bound(metric, own, own, dim, false);
        }
        CHECK(lost == 0);
    });
}

TEST_CASE("rows among copies that were held out are their own nearest" * doctest::skip(SANITIZED)) {
    const uint32_t count = 20000;
    Rows rows = clustered(count, dim, LEARNANN_I8, 13);
    for (uint64_t i = 0; i < count; i += 2) rows.copy(1, i);
    Index index(rows, build_options(LEARNANN_COS));
    REQUIRE(index.status == LEARNANN_OK);
    size_t lost = 0;
    for (uint32_t i = 1; i < count; i += 2) lost += index.search(rows.one(i), 1, 100).at(0).distance > 1e-5f;
    CHECK(lost == 0);
}

TEST_CASE("entries are found by walks that start at others: collinear rows, the longest are the answers") {
    const Rows rows = collinear(LEARNANN_F32);
    Index index(rows, build_options(LEARNANN_IP));
    REQUIRE(index.status == LEARNANN_OK);
    const auto hits = index.search(rows.one(500), 20, 300);
    for (uint32_t i = 0; i < 20; ++i) CHECK(hits[i].row == n - 1 - i);
}

// Of the true ten of 40 queries, where every so many-th row is so many times as long as the others.
static size_t lost_with_rows_far_out(learnann_metric metric, double far, uint32_t every) {
    const uint32_t rows_count = 4000;
    Rows rows = clustered(rows_count, dim, LEARNANN_F32, 40);
    for (uint64_t i = 0; i < rows_count; i += every) scale(rows, i, far);
    Index index(rows, build_options(metric));
    REQUIRE(index.status == LEARNANN_OK);
    const Rows queries = clustered(40, dim, LEARNANN_F32, 41);
    const std::vector<double> x = rows.doubles(), q = queries.doubles();
    size_t lost = 0;
    for (uint64_t i = 0; i < queries.count; ++i)
        lost += missing(index.search(queries.one(i), 10, 100), x, &q[i * dim], metric, 10);
    return lost;
}

TEST_CASE("a few rows far out cost the others nothing") {
    for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_IP}) {
        const size_t usual = lost_with_rows_far_out(metric, 1, 4000);
        CHECK(usual <= 4);
        for (const double far : {1e3, 1e6, 1e16})
            for (const uint32_t every : {4000u, 70u}) {
                CAPTURE(metric);
                CAPTURE(far);
                CAPTURE(every);
                if (metric == LEARNANN_IP && every == 70) continue;     // there they are the answers
                CHECK(lost_with_rows_far_out(metric, far, every) <= usual + 2);
            }
    }
}

TEST_CASE("hundreds of copies of each row hide nothing") {
    const uint32_t rows_count = 12000, different = 100, k = 20;
    Rows rows = clustered(rows_count, dim, LEARNANN_F32, 42);
    for (uint64_t i = 0; i < rows_count; ++i) rows.copy(i % different, i);
    const Rows queries = clustered(40, dim, LEARNANN_F32, 43);
    const std::vector<double> x = rows.doubles(), q = queries.doubles();
    for (const learnann_metric metric : all_metrics) {
        CAPTURE(metric);
        Index index(rows, build_options(metric));
        REQUIRE(index.status == LEARNANN_OK);
        CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
        size_t lost = 0;
        for (uint64_t i = 0; i < queries.count; ++i)
            lost += missing(index.search(queries.one(i), k, 400), x, &q[i * dim], metric, k);
        // By inner product the best may lie behind others whose copies fill the beam: of 40 queries one.
        CHECK(lost <= (metric == LEARNANN_IP ? k : 0));
    }
}

TEST_CASE("distances are as exact as learnann.h says, of any type, kept in any way, in any dimension") {
    const uint32_t count = 40;
    double worst = 0;
    for (const uint32_t d : {1u, 3u, 8u, 31u, 500u})
        for (const learnann_type type : all_types)
            for (const learnann_metric metric : all_metrics)
                for (const learnann_exact exact : {LEARNANN_EXACT_AUTO, LEARNANN_EXACT_F32, LEARNANN_EXACT_F16, LEARNANN_EXACT_I8, LEARNANN_EXACT_U8}) {
                    CAPTURE(d);
                    CAPTURE(type);
                    CAPTURE(metric);
                    CAPTURE(exact);
                    Index index(clustered(count, d, type, 50), build_options(metric, exact));
                    if (index.status == LEARNANN_UNSUPPORTED) continue;
                    REQUIRE(index.status == LEARNANN_OK);
                    const std::vector<double> x = index.stored();
                    const uint32_t kept = index.info().exact_type;
                    const bool bytes = kept == LEARNANN_I8 || kept == LEARNANN_U8, scaled = bytes && kept != static_cast<uint32_t>(type);
                    for (const learnann_type query_type : {type, LEARNANN_F32}) {
                        const Rows query = clustered(1, d, query_type, 51);
                        const std::vector<double> q = query.doubles();
                        const bool whole = bytes && !scaled && metric != LEARNANN_COS && query_type == type;
                        size_t wrong = 0;
                        for (const learnann_hit &h : index.search(query.one(0), count)) {
                            const double *row = &x[size_t{h.row} * static_cast<size_t>(d)], truth = distance(metric, q.data(), row, d);
                            const double off = std::fabs(h.distance - truth), most = bound(metric, q.data(), row, d, scaled);
                            const bool wrong_here = whole ? h.distance != static_cast<float>(truth) : !(off <= most);
                            wrong += wrong_here;
                            worst = std::max(worst, off / most);
                        }
                        CHECK(wrong == 0);
                    }
                }
    CHECK(worst > 0.001);       // floats are rounded somewhere: else this measures nothing
}

// How far off the inner products with rows of that size are, as a part of these.
static double error_of_products(double size, learnann_exact exact) {
    Rows rows(40, 24, LEARNANN_F32), query(1, 24, LEARNANN_F32);
    Random random(52);
    for (uint32_t j = 0; j < rows.dim; ++j) {
        query.set(0, j, 1e17 * random.gaussian());
        for (uint64_t i = 0; i < rows.count; ++i) rows.set(i, j, size * random.gaussian());
    }
    const std::vector<double> x = rows.doubles(), q = query.doubles();
    Index index(rows, build_options(LEARNANN_IP, exact));
    const auto hits = index.search(query.one(0), 40);
    REQUIRE(hits.size() == 40);
    double off2 = 0, all2 = 0;
    for (const learnann_hit &h : hits) {
        const double truth = distance(LEARNANN_IP, q.data(), &x[size_t{h.row} * rows.dim], rows.dim);
        off2 += (h.distance - truth) * (h.distance - truth);
        all2 += truth * truth;
    }
    return std::sqrt(off2 / all2);
}

TEST_CASE("rows whose squares vanish are rounded as others are") {
    for (const learnann_exact exact : {LEARNANN_EXACT_I4, LEARNANN_EXACT_I2, LEARNANN_EXACT_BINARY}) {
        CAPTURE(exact);
        const double usual = error_of_products(1, exact), tiny = error_of_products(1e-22, exact);
        CHECK(usual > 1e-4);
        CHECK(tiny < 1.2 * usual);
    }
}

TEST_CASE("vectors that are too long are refused, those just below are not") {
    Rows rows = clustered(500, 4, LEARNANN_F32, 60), query(1, 4, LEARNANN_F32), sample = clustered(600, 4, LEARNANN_F32, 61);
    const Rows plain = rows;
    for (uint32_t j = 0; j < 4; ++j) rows.set(321, j, 4.9e17);
    for (const learnann_metric metric : all_metrics) {
        CAPTURE(metric);
        Index index(rows, build_options(metric));       // 9.8e17 long
        REQUIRE(index.status == LEARNANN_OK);
        for (const double value : {4.9e17, -4.9e17}) {
            for (uint32_t j = 0; j < 4; ++j) query.set(0, j, value);
            const auto hits = index.search(query.one(0), 500);
            REQUIRE(hits.size() == 500);
            CHECK(in_order(hits));
            for (const learnann_hit &h : hits) CHECK(std::isfinite(h.distance));
        }
        for (const double value : {1e19, 3e38}) {
            for (uint32_t j = 0; j < 4; ++j) query.set(0, j, j % 2 ? value : -value);
            CHECK(index.search(query.one(0), 10).size() == (metric == LEARNANN_COS ? 10 : 0));
            CHECK(index.status == (metric == LEARNANN_COS ? LEARNANN_OK : LEARNANN_ARGUMENT));
            CHECK(index.range(query.one(0), 1, 10).size() == (metric == LEARNANN_COS && !index.range(query.one(0), 1, 10).empty() ? 10 : 0));

            Rows longer = plain;
            for (uint32_t j = 0; j < 4; ++j) longer.set(321, j, value);
            Index refused(longer, build_options(metric));
            CHECK(refused.status == LEARNANN_ARGUMENT);
            CHECK(refused.error.file_offset == 321);
            CHECK(refused.error.place == LEARNANN_AT_ROW);

            if (metric == LEARNANN_COS) continue;
            Rows queries = sample;
            for (uint64_t i = 0; i < queries.count; ++i) queries.set(i, 0, value);
            const learnann_vectors view = queries.view();
            learnann_build_options options = build_options(metric);
            options.queries = &view;
            Index taught(plain, options);
            CHECK(taught.status == LEARNANN_ARGUMENT);
            CHECK(taught.error.file_offset == 0);
            CHECK(taught.error.place == LEARNANN_AT_QUERY);
        }
    }
}

#if defined(__unix__)

// ---- instruction sets: this program runs itself once for each, on the same files ----

namespace {

constexpr uint32_t isa_k = 10, isa_queries = 60, isa_dim = 37;

struct IsaCase {
    learnann_type type;
    learnann_metric metric;
    std::string path() const { return "answers_isa_" + std::to_string(type) + std::to_string(metric) + ".la"; }
};
const IsaCase isa_cases[] = {{LEARNANN_U8, LEARNANN_L2},  {LEARNANN_U8, LEARNANN_IP},  {LEARNANN_U8, LEARNANN_COS}, {LEARNANN_I8, LEARNANN_L2},
                             {LEARNANN_I8, LEARNANN_IP},  {LEARNANN_I8, LEARNANN_COS}, {LEARNANN_F32, LEARNANN_L2}, {LEARNANN_F32, LEARNANN_IP},
                             {LEARNANN_F32, LEARNANN_COS}, {LEARNANN_F16, LEARNANN_L2}};

std::vector<learnann_hit> isa_hits(const IsaCase &c) {
    const Rows queries = clustered(isa_queries, isa_dim, c.type, 71);
    learnann_index *index = nullptr;
    learnann_scratch *scratch = nullptr;
    std::vector<learnann_hit> hits(isa_queries * isa_k);
    std::vector<uint32_t> counts(isa_queries);
    const learnann_vectors view = queries.view();
    learnann_search_options options = learnann_search_options_default();
    options.effort = 30;
    CHECK(learnann_open(c.path().c_str(), nullptr, &index, nullptr) == LEARNANN_OK);
    CHECK(learnann_scratch_create(index, &scratch, nullptr) == LEARNANN_OK);
    CHECK(learnann_search_interleaved(index, scratch, &view, isa_k, &options, hits.data(), counts.data(), nullptr, nullptr) == LEARNANN_OK);
    learnann_scratch_free(scratch);
    learnann_close(index);
    return hits;
}

// The table's name, of 16 bytes, and the hits of each case.
std::vector<char> isa_answers() {
    char name[16] = {};
    std::snprintf(name, sizeof name, "%s", learnann_isa());
    std::vector<char> out(name, name + sizeof name);
    for (const IsaCase &c : isa_cases)
        for (const learnann_hit &h : isa_hits(c)) {
            char bytes[16];
            std::memcpy(bytes, &h.key, 8), std::memcpy(bytes + 8, &h.row, 4), std::memcpy(bytes + 12, &h.distance, 4);
            out.insert(out.end(), bytes, bytes + 16);
        }
    return out;
}

// This program again with LEARNANN_ISA, in the test below; empty where it can't run itself (under an emulator).
std::vector<char> answers_of(const char *isa) {
    const std::string out = "answers_isa.out";
    std::remove(out.c_str());
    const pid_t child = ::fork();
    if (child == 0) {
        if (!std::freopen("/dev/null", "w", stdout)) ::_exit(126);
        ::setenv("LEARNANN_ISA", isa, 1);
        ::setenv("ANSWERS_OUT", out.c_str(), 1);
        ::execl("/proc/self/exe", "api-tests", "-tc=answers of this instruction set", static_cast<char *>(nullptr));
        ::_exit(127);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    std::ifstream in(out, std::ios::binary);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    std::remove(out.c_str());
    CHECK((status == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 127)));
    return bytes;
}

// Equal by rank but for what sums of floats may differ by; keys differ among such ties only.
void check_alike(const IsaCase &c, const std::vector<learnann_hit> &a, const std::vector<learnann_hit> &b) {
    const Rows rows = clustered(2000, isa_dim, c.type, 70), queries = clustered(isa_queries, isa_dim, c.type, 71);
    const std::vector<double> x = rows.doubles(), q = queries.doubles();
    size_t different = 0;
    for (uint32_t i = 0; i < isa_queries; ++i)
        for (uint32_t r = 0; r < isa_k; ++r) {
            const learnann_hit &h = a[i * isa_k + r], &o = b[i * isa_k + r];
            const double tie = is_float(c.type) ? 2 * bound(c.metric, &q[i * isa_dim], &x[h.row * isa_dim], isa_dim, false) : 0;
            different += !(std::fabs(h.distance - o.distance) <= tie) || (tie == 0 && h.key != o.key);
            bool there = false, tied = false;
            for (uint32_t s = 0; s < isa_k; ++s) there = there || b[i * isa_k + s].key == h.key;
            tied = h.distance >= a[i * isa_k + isa_k - 1].distance - tie;
            different += !there && !tied;
        }
    CHECK(different == 0);
}

std::vector<learnann_hit> unpack(const std::vector<char> &bytes, size_t number) {
    std::vector<learnann_hit> hits(isa_queries * isa_k);
    const char *from = bytes.data() + 16 + number * hits.size() * 16;
    for (learnann_hit &h : hits) {
        std::memcpy(&h.key, from, 8), std::memcpy(&h.row, from + 8, 4), std::memcpy(&h.distance, from + 12, 4);
        from += 16;
    }
    return hits;
}

}  // namespace

// Only where the test below asks for it.
TEST_CASE("answers of this instruction set") {
    const char *path = std::getenv("ANSWERS_OUT");
    if (!path) return;
    const std::vector<char> bytes = isa_answers();
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

TEST_CASE("every instruction set gives the same hits: of bytes the same distances, of floats within ties") {
    for (const IsaCase &c : isa_cases) {
        const Rows rows = clustered(2000, isa_dim, c.type, 70);
        const learnann_build_options options = build_options(c.metric);
        const learnann_vectors view = rows.view();
        learnann_builder *builder = nullptr;
        REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
        CHECK(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
        CHECK(learnann_builder_save(builder, c.path().c_str(), nullptr) == LEARNANN_OK);
        learnann_builder_free(builder);
    }
    const std::vector<char> here = isa_answers();
    std::vector<std::string> seen;
    for (const char *isa : {"scalar", "sse2", "ssse3", "avx2", "avx512", "neon", "dotprod"}) {
        CAPTURE(isa);
        const std::vector<char> there = answers_of(isa);
        if (there.empty() || std::strcmp(there.data(), isa) != 0) continue;     // this machine doesn't have it
        REQUIRE(there.size() == here.size());
        seen.push_back(there.data());
        for (size_t c = 0; c < sizeof isa_cases / sizeof *isa_cases; ++c) check_alike(isa_cases[c], unpack(here, c), unpack(there, c));
    }
    std::string names;
    for (const std::string &name : seen) names += " " + name;
    MESSAGE("instruction sets compared:" << (names.empty() ? " none: this program can't run itself here" : names));
    CHECK((seen.empty() || seen[0] == "scalar"));
    for (const IsaCase &c : isa_cases) std::remove(c.path().c_str());
}

#endif
