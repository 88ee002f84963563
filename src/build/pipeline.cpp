// pipeline.cpp: see pipeline.hpp. Each phase reads what the ones before it left, and nothing else.
#include "build/pipeline.hpp"

#include "learn/knn.hpp"

#include <algorithm>

LEARNANN_BEGIN

constexpr u32 default_beam = 52;
// Where narrower records are asked for than tell enough, the graph is linked by such ones: it gets fewer edges, and better ones.
constexpr u32 graph_code_bytes = 2 * cache_line;
constexpr u32 pinned_angular = 12;      // of the neighbours by angle, for inner product
constexpr u32 angular_capacity = 24;    // of the lists that they are found by
constexpr u32 inner_hiders = 6;         // long rows are the answers: each is wanted for itself, however many others lie before it
constexpr double equal_lengths = 0.01;  // standard deviation over mean, at most
constexpr u64 most_frame = 8;           // directions for each dimension
constexpr u32 insertion_bytes = 24;     // a row, for the order of insertion and for telling copies

inline u32 thread_count(const learnann_build_options &o) { return o.threads ? smaller(o.threads, max_threads) : core_count(); }
inline u32 edge_capacity(const learnann_build_options &o) {
    if (linked_whole(o)) return degree_of(o) + 4;       // room for what makes every row reachable
    return adaptive(o) ? degree_of(o) * 3 / 2 : degree_of(o);
}

u64 build_bytes(u64 rows, u32 dim, const learnann_build_options &o) {
    const u64 record = larger(o.code_bytes, graph_code_bytes), degree = degree_of(o);
    const u64 lists = edge_capacity(o) * 4ull + 2, threads = thread_count(o);
    const u64 held_out = smaller<u64>(rows, Holdout::most);
    // What the phases hold that hold most, besides the norms, both orders of the rows and what is held out.
    const u64 sample = smaller<u64>(rows, pca_sample(dim));
    const u64 block = smaller<u64>(larger<u64>(most_code_dims(static_cast<u32>(record), dim), learning_dims) + 16, dim);     // of directions
    const u64 matrices = 4 * larger<u64>(dim <= covariance_dims ? 1ull * dim * dim : 0, sample * block) + 16ull * dim * block + 24 * block * block;
    const u64 coded = rows * record + sample * dim * 4 + matrices;
    const u64 arranged = rows * 2 * record;
    const u64 graph = rows * (record + lists);
    const u64 batch = smaller<u64>(rows / 50 + 512, 32768) * degree * 12;
    const u64 angular = o.metric == LEARNANN_IP ? record + angular_capacity * 4ull + 2 : 0;
    const u64 linked = graph + batch + rows * larger<u64>(insertion_bytes + angular, angular ? 0 : 4 + degree * 4 + 2);
    const u64 unheld = linked_whole(o) || o.metric == LEARNANN_IP ? lists : 0;     // the graph without what is held out
    const u64 taught = o.queries && adaptive(o) ? lists + teacher_bytes_a_row(edge_capacity(o), thread_count(o)) : 0;
    const u64 calibrated = graph + rows * (4 + taught + unheld) + held_out * calibration_bytes;
    const u64 laid_out = graph + rows * (14 + degree * IdList::bits_for(static_cast<u32>(rows)) * 5 / 32);
    const u64 most = larger(larger(larger(coded, arranged), linked), larger(calibrated, laid_out));
    const u64 in_memory = o.rows_mapped ? 2 * Rows::window + threads * Rows::together * (dim * 4ull + Rows::around / 4) : 0;
    return most + space_bytes(rows, dim, o) + rows * 3 * 4 + held_out * dim * 5 + in_memory + (8u << 20);
}

Pipeline::Pipeline(const learnann_build_options &options, const Allocator &allocator)
    : options_(options), given_degree_(options.degree), allocator_(allocator), norms_(allocator), records_(allocator), row_of_slot_(allocator),
      slot_of_row_(allocator), key_order_(allocator), layers_(allocator), entry_section_(allocator), projection_section_(allocator) {
    entries_.rows.use(allocator);
    entries_.records.use(allocator);
    basis_.use(allocator);
    frame_.use(allocator);
    learned_.use(allocator);
    fitted_.matrix.use(allocator);
    fitted_.unit.use(allocator);
    fitted_.mean.use(allocator);
}

Status Pipeline::begin(const char *phase) {
    const double now = seconds_now();
    u32 at = 0;     // where a phase comes again, its seconds are added
    while (phase_ && at < report_.phase_count && std::strcmp(report_.phases[at].name, phase_) != 0) ++at;
    if (phase_ && at < sizeof report_.phases / sizeof *report_.phases) {
        if (at == report_.phase_count) report_.phases[report_.phase_count++] = learnann_phase{phase_, 0};
        report_.phases[at].seconds += now - phase_start_;
    }
    phase_ = phase;
    phase_start_ = now;
    report_.seconds = now - start_;
    return phase ? progress().at(0) : LEARNANN_OK;
}

void Pipeline::start() {
    forget();
    report_ = learnann_build_report_default();
    report_.threads = thread_count(options_);
    calibration_ = Calibration{};
    knows_all_ = false;
    phase_ = nullptr;
    start_ = seconds_now();
}

Status Pipeline::check_memory(u64 needed, const char *message, learnann_error *error) const {
    if (!options_.memory_limit || needed <= options_.memory_limit) return LEARNANN_OK;
    fail_nomem(error, needed);
    if (error) error->message = message;
    return LEARNANN_NOMEM;
}

Status Pipeline::run(const learnann_vectors &rows, const u64 *keys, learnann_error *error) {
    start();
    options_.degree = given_degree_;    // what the last rows wanted was theirs
    LEARNANN_RETURN_IF(check_memory(build_bytes(rows.count, rows.dim, options_), "the build would need more memory than the limit", error));
    if (options_.graph == LEARNANN_GRAPH_KNN && knn_work(rows.count, rows.dim) > most_knn_work)
        return fail(error, LEARNANN_UNSUPPORTED, "the exact graph of nearest neighbours compares all pairs of rows: rows^2 x dim may be 2e13");
    rows_ = Rows{};
    rows_.vectors = rows;
    rows_.metric = options_.metric;
    rows_.mapped = options_.rows_mapped != 0;
    keys_ = keys;
    LEARNANN_RETURN_IF(check_given(error));
    LEARNANN_RETURN_IF(measure_rows(error));
    LEARNANN_RETURN_IF(fit(error));
    LEARNANN_RETURN_IF(arrange(error));
    if (rows_are_scarce()) LEARNANN_RETURN_IF(know_all(error));     // nothing will be calibrated
    LEARNANN_RETURN_IF(link(error));
    if (holds_out_rows()) {
        LEARNANN_RETURN_IF(know_all(error));
        if (knows_all_) LEARNANN_RETURN_IF(link(error));
    }
    LEARNANN_RETURN_IF(finish(error));
    return begin(nullptr);
}

// ---- rows, held-out queries ----

// Every value finite, no row too long; and the norms: the codec's scales, cosine, and neighbours by angle need them.
Status Pipeline::check_rows(learnann_error *error) {
    const u32 n = rows_.count(), d = rows_.dim();
    Array<float> x(allocator_);
    LEARNANN_RETURN_IF(x.allocate(static_cast<u64>(threads()) * d, error));
    LEARNANN_RETURN_IF(norms_.allocate(n, error));
    std::atomic<u32> bad{n};
    LEARNANN_RETURN_IF(rows_.in_blocks([&](u32 begin, u32 end) {
        parallel(threads(), end - begin, 64, [&](u64 item, u32 worker) {
            const u32 row = begin + static_cast<u32>(item);
            float *values = x.data() + static_cast<u64>(worker) * d;
            const bool finite = to_floats(rows_.raw(row), rows_.vectors.type, d, values);
            norms_[row] = static_cast<float>(smaller(length_of(values, d), 3e38));
            if (!finite || norms_[row] > longest_vector) keep_least(bad, row);
        });
        return LEARNANN_OK;
    }));
    if (bad.load() < n) return fail(error, LEARNANN_ARGUMENT, "a row holds NaN or infinity, or is longer than 1e18", bad.load());
    rows_.norms = norms_.data();
    return LEARNANN_OK;
}

Status Pipeline::measure_rows(learnann_error *error) {
    LEARNANN_RETURN_IF(begin("sample"));
    exact_.allocator = allocator_;
    exact_.choose(rows_, options_.exact);
    LEARNANN_RETURN_IF(exact_.check(error));
    LEARNANN_RETURN_IF(check_rows(error));
    holdout_ = Holdout{};
    return make_holdout(rows_, options_.queries, threads(), options_.seed + 11, progress(), allocator_, holdout_, error);
}

// ---- projection and codes ----

// Where a projection keeps so much more of the rows it was fitted to than of others, codes of those held out would be worse for good.
// Measured: 1.00 to 1.16 of texts and images, where those held out are found like the others; 1.25 to 2.7 of Gaussian, sparse and one-hot rows.
constexpr double too_familiar = 1.2;

// A codec of that width, and the codes it gives `rows`.
Status Pipeline::fit_codes(const Rows &rows, const Basis &basis, u32 record_bytes, u32 best, learnann_error *error) {
    const float recall = code_recall_, weight = fitted_.codec.residual_weight;
    LEARNANN_RETURN_IF(fit_codec(rows_, basis, record_bytes, holdout_, options_.seed + 2, allocator_, fitted_, error));
    LEARNANN_RETURN_IF(encode(rows, best, error));
    if (knows_all_) code_recall_ = recall, fitted_.codec.residual_weight = weight;     // as strangers told
    return LEARNANN_OK;
}

// Records of `rows`, in records_, and what they keep of the true neighbours.
Status Pipeline::encode(const Rows &rows, u32 best, learnann_error *error) {
    LEARNANN_RETURN_IF(records_.allocate(static_cast<u64>(rows.count()) * fitted_.codec.record_bytes, error));
    LEARNANN_RETURN_IF(encode_rows(rows, fitted_.codec, nullptr, threads(), progress(), allocator_, records_.data(), error));
    space_ = CodeSpace{&fitted_.codec, records_.data(), rows.count(), rows_.metric == LEARNANN_IP};
    return measure_codes(space_, rows, holdout_, best, threads(), allocator_, code_recall_, error);
}

Status Pipeline::fit_basis(u32 count, learnann_error *error) {
    const Holdout nobody;
    return fit_pca(rows_, leaves_out_held() ? holdout_ : nobody, count, threads(), options_.seed + 1, allocator_, basis_, error);
}

// The same in PCA's space, in the one given, or in one that is learned, from all rows.
Status Pipeline::fit_width(const Rows &rows, u32 record_bytes, bool learn, u32 best, learnann_error *error) {
    if (takes_space()) return fit_codes(rows, learned_, record_bytes, best, error);
    const u32 wanted = larger(most_code_dims(record_bytes, rows_.dim()), learns_space() ? learning_dims : 0);
    if (basis_.count < smaller(wanted, rows_.dim()))
        LEARNANN_RETURN_IF(fit_basis(larger(wanted, most_code_dims(2 * cache_line, rows_.dim())), error));
    const u64 dim = rows_.dim(), room = smaller<u64>(code_capacity(record_bytes), most_frame * dim);
    const bool spacious = basis_.count == dim && 4 * room >= 5 * dim;
    if (spacious) LEARNANN_RETURN_IF(make_frame(basis_, static_cast<u32>(room), allocator_, frame_, error));
    LEARNANN_RETURN_IF(fit_codes(rows, spacious ? frame_ : basis_, record_bytes, best, error));
    return learn ? learn_space(error) : LEARNANN_OK;
}

// Whether a width is enough, tried on every fourth row: of the true neighbours among them, the best 5 must hold as many as the
// best 20 of all rows would.
Status Pipeline::try_width(u32 record_bytes, bool learn, bool &enough, learnann_error *error) {
    constexpr u32 thinning = 4;
    enough = false;
    if (rows_.count() < 10000 || learn) {
        LEARNANN_RETURN_IF(fit_width(rows_, record_bytes, learn, measured_best, error));
    } else {
        LEARNANN_RETURN_IF(fit_width(rows_.thinned(thinning), record_bytes, false, measured_best / thinning, error));
    }
    // What one line loses is made up for by more exact rows: cheap where those are a few lines themselves. A third line and more
    // cost more than they save.
    const bool cheap = exact_.type && exact_.stride() <= 4 * cache_line;
    const float wanted = record_bytes > cache_line ? 0.90f : cheap ? 0.93f : 0.99f;
    enough = code_recall_ >= wanted || (code_recall_ < 0 && record_bytes >= 128);
    return LEARNANN_OK;
}

// The narrowest record whose best 20 hold enough of the true 10; the widest tried where none does.
Status Pipeline::fit(learnann_error *error) {
    LEARNANN_RETURN_IF(begin("codes"));
    basis_.count = learned_.count = 0;
    space_ = CodeSpace{};
    if (takes_space()) LEARNANN_RETURN_IF(basis_of_map(rows_, *options_.directions, threads(), options_.seed + 1, allocator_, learned_, error));
    u32 width = options_.code_bytes;
    static const u32 widths[] = {16, 32, 64, 128, 256};
    for (u32 i = 0; !options_.code_bytes && i < 5; ++i) {
        width = widths[i];
        const bool holds_all = code_capacity(width) >= rows_.dim();
        if (holds_all || width == 256) break;
        if (width < 64 || (rows_are_scarce() && width < 128)) continue;        // a cache line is fetched whole; of few rows two are cheap
        bool enough;
        LEARNANN_RETURN_IF(try_width(width, learns_space(), enough, error));
        if (enough) break;
    }
    record_bytes_ = linked_bytes_ = width;
    if (options_.code_bytes && width < graph_code_bytes && code_capacity(width) < rows_.dim()) {
        bool enough;
        LEARNANN_RETURN_IF(try_width(width, false, enough, error));
        if (!enough && code_recall_ >= 0) linked_bytes_ = width = graph_code_bytes;     // of few rows nothing is known, and any graph does
    }
    learnann_build_options chosen = options_;
    chosen.code_bytes = width;
    LEARNANN_RETURN_IF(check_memory(build_bytes(rows_.count(), rows_.dim(), chosen),
                                    "records as wide as these rows want need more memory than the limit: give code_bytes", error));
    const bool learn = learns_space() && width == record_bytes_, tried = learns_space() && !options_.code_bytes;
    const bool fitted = space_.rows > 0 && fitted_.codec.record_bytes == width && learn == tried;      // by the trial
    if (!fitted) LEARNANN_RETURN_IF(fit_width(rows_, width, learn, measured_best, error));
    else if (space_.rows < rows_.count()) LEARNANN_RETURN_IF(encode(rows_, measured_best, error));      // which took some of the rows only
    return complete_holdout(space_, rows_, threads(), allocator_, holdout_, error);
}

// ---- order ----

Status Pipeline::arrange(learnann_error *error) {
    LEARNANN_RETURN_IF(begin("order"));
    LEARNANN_RETURN_IF(spatial_order(space_, threads(), allocator_, row_of_slot_, error));
    LEARNANN_RETURN_IF(slot_of_row_.allocate(rows_.count(), error));
    for (u32 slot = 0; slot < rows_.count(); ++slot) slot_of_row_[row_of_slot_[slot]] = slot;
    return arrange_records(error);
}

// From the order of the rows to that of the slots.
Status Pipeline::arrange_records(learnann_error *error) {
    const u32 stride = space_.stride();
    Array<u8> arranged(allocator_);
    LEARNANN_RETURN_IF(arranged.allocate(records_.size(), error));
    prefer_large_pages(arranged.data(), arranged.size());
    for (u32 slot = 0; slot < rows_.count(); ++slot)
        std::memcpy(arranged.data() + static_cast<u64>(slot) * stride, space_.record(row_of_slot_[slot]), stride);
    records_.swap(arranged);
    space_.records = records_.data();
    return LEARNANN_OK;
}

// The records that the file will have, once the graph is linked by wider ones.
Status Pipeline::narrow_records(learnann_error *error) {
    if (space_.stride() == record_bytes_) return LEARNANN_OK;
    LEARNANN_RETURN_IF(fit_width(rows_, record_bytes_, learns_space(), measured_best, error));
    LEARNANN_RETURN_IF(arrange_records(error));
    return entries_.arrange(space_, allocator_, error);
}

// Once the rows held out have served as queries: where codes of theirs would be worse for good, codes by a projection that knows them,
// and rows in the order of these, for a graph that is linked anew. What was calibrated stays, as strangers told. So does a learned space.
Status Pipeline::know_all(learnann_error *error) {
    if (!leaves_out_held() || learned_.count || familiarity(space_, row_of_slot_, holdout_) < too_familiar) return LEARNANN_OK;
    LEARNANN_RETURN_IF(begin("codes"));
    knows_all_ = true;
    edges_ = EdgeLists{};
    LEARNANN_RETURN_IF(fit_basis(basis_.count, error));
    LEARNANN_RETURN_IF(fit_width(rows_, linked_bytes_, false, measured_best, error));
    return arrange(error);
}

// ---- graph ----

Status Pipeline::insertion_order(InsertionOrder &out, learnann_error *error) {
    const u32 n = rows_.count();
    constexpr u8 as_entry = 1, as_held = 2;
    Array<u8> placed(allocator_);
    Array<u32> shuffled(allocator_), &order = out.rows;
    LEARNANN_RETURN_IF(order.allocate(n, error));
    LEARNANN_RETURN_IF(placed.zeroes(n, error));
    LEARNANN_RETURN_IF(shuffled.allocate(n, error));
    shuffle(shuffled.data(), n, options_.seed + 4);
    u32 held = 0;
    if (holds_out_rows())
        for (const u32 row : holdout_.query_rows) {
            const u32 slot = slot_of_row_[row];
            const bool entry = std::find(entries_.rows.begin(), entries_.rows.end(), slot) != entries_.rows.end();
            if (entry) continue;        // by inner product: it has to be in the graph, and counts as an easy query
            placed[slot] = as_held;
            order[n - ++held] = slot;
        }
    u32 at = 0;
    for (const u32 slot : entries_.rows) placed[slot] = as_entry, order[at++] = slot;
    for (const u32 slot : shuffled)
        if (!placed[slot]) order[at++] = slot;
    LEARNANN_RETURN_IF(set_copies_apart(space_, order.data(), n, allocator_, out.copies, error));
    u32 held_copies = 0;
    for (const Copy &copy : out.copies) held_copies += placed[copy.row] == as_held;
    out.linked_copies = static_cast<u32>(out.copies.size()) - held_copies;
    out.inserted = n - held - out.linked_copies;
    out.held = held - held_copies;
    return LEARNANN_OK;
}

// Records of the normalised rows, by slot.
Status Pipeline::encode_by_angle(FittedCodec &fitted, Array<u8> &records, learnann_error *error) {
    Rows angular = rows_;
    angular.metric = LEARNANN_COS;
    LEARNANN_RETURN_IF(fit_codec(angular, takes_space() ? learned_ : basis_, space_.stride(), Holdout{}, options_.seed + 5, allocator_, fitted, error));
    LEARNANN_RETURN_IF(records.allocate(records_.size(), error));
    return encode_rows(angular, fitted.codec, slot_of_row_.data(), threads(), progress(), allocator_, records.data(), error);
}

bool Pipeline::lengths_differ() const {
    double sum = 0, squares = 0;
    for (const float norm : norms_) {
        sum += static_cast<double>(norm);
        squares += static_cast<double>(norm) * static_cast<double>(norm);
    }
    const double mean = sum / rows_.count(), variance = squares / rows_.count() - mean * mean;
    return variance > equal_lengths * mean * equal_lengths * mean;
}

// How rows are linked: under inner product by it where their lengths differ; where they don't, the nearest have the greatest products.
CodeSpace Pipeline::link_space() const {
    CodeSpace around = space_;
    around.inner = around.inner && lengths_differ();
    return around;
}

// Inner product alone leads to the long rows and nowhere else. So every row first gets edges to its neighbours by angle, which
// stay, and the links by inner product are found by walking on both. (Liu et al., ip-NSW+, 2020, walks one after the other.)
Status Pipeline::link_by_angle(learnann_error *error) {
    const u32 n = rows_.count();
    FittedCodec fitted;
    Array<u8> records(allocator_);
    LEARNANN_RETURN_IF(encode_by_angle(fitted, records, error));
    const CodeSpace angular{&fitted.codec, records.data(), n, false};
    EntryTable entries;
    EdgeLists lists;
    Array<u32> order(allocator_);
    LEARNANN_RETURN_IF(choose_entries(angular, entry_count(n), nullptr, threads(), options_.seed + 6, allocator_, entries.rows, error));
    LEARNANN_RETURN_IF(entries.arrange(angular, allocator_, error));
    LEARNANN_RETURN_IF(lists.allocate(n, angular_capacity, allocator_, error));
    LEARNANN_RETURN_IF(order.allocate(n, error));
    shuffle(order.data(), n, options_.seed + 7);
    GraphOptions graph;
    graph.degree = 16;
    graph.beam = 48;
    graph.alpha = 1.0f;
    Array<Copy> copies(allocator_);
    LEARNANN_RETURN_IF(set_copies_apart(angular, order.data(), n, allocator_, copies, error));
    const u32 copied = static_cast<u32>(copies.size());
    GraphBuilder builder(angular, lists, entries, graph, threads(), allocator_);
    LEARNANN_RETURN_IF(builder.insert(order.data(), n - copied, 0, progress(), error));
    link_copies(lists, copies.data(), copied);
    const u32 kept = smaller(pinned_angular, edges_.capacity / 2);
    parallel(threads(), n, 256, [&](u64 item, u32) {
        const u32 slot = static_cast<u32>(item);
        edges_.degrees[slot] = edges_.pinned[slot] = static_cast<u8>(nearest_edges(angular, lists, slot, kept, edges_.of(slot)));
    });
    return choose_long_entries(angular, error);
}

Status Pipeline::choose_central_entries(learnann_error *error) {
    const CodeSpace around = link_space();
    Array<u8> held(allocator_);     // an entry finds itself
    LEARNANN_RETURN_IF(held.zeroes(around.rows, error));
    if (holds_out_rows())
        for (const u32 row : holdout_.query_rows) held[slot_of_row_[row]] = 1;
    LEARNANN_RETURN_IF(choose_entries(around, entry_count(around.rows), held.data(), threads(), options_.seed + 3, allocator_, entries_.rows, error));
    return entries_.arrange(around, allocator_, error);
}

Status Pipeline::choose_long_entries(const CodeSpace &angular, learnann_error *error) {
    LEARNANN_RETURN_IF(choose_inner_entries(space_, angular, inner_entry_count(space_.rows), threads(), options_.seed + 3, allocator_, entries_.rows, error));
    return entries_.arrange(space_, allocator_, error);
}

// Of what links them: under inner product, where lengths differ, of the directions, in a sample, for the true neighbours that are
// known are those of the greatest products.
Status Pipeline::measure_dimension(double &dimension, learnann_error *error) const {
    constexpr u32 enough = 50000;
    if (!link_space().inner) {
        dimension = local_dimension(rows_, holdout_);
        return LEARNANN_OK;
    }
    Rows angular = rows_.thinned(larger(rows_.count() / enough, 1u));
    angular.metric = LEARNANN_COS;
    Holdout sample;
    LEARNANN_RETURN_IF(make_holdout(angular, nullptr, threads(), options_.seed + 8, progress(), allocator_, sample, error));
    dimension = local_dimension(angular, sample);
    return LEARNANN_OK;
}

// Where rows have many neighbours in many directions, few of which hide each other, a walk needs longer lists.
Status Pipeline::choose_degree(learnann_error *error) {
    constexpr double many = 20;         // dimensions; measured from 8 to 39
    if (options_.degree || !adaptive(options_)) return LEARNANN_OK;
    double dimension;
    LEARNANN_RETURN_IF(measure_dimension(dimension, error));
    options_.degree = dimension >= many ? long_degree : link_space().inner ? inner_degree : default_degree;
    learnann_build_options chosen = options_;
    chosen.code_bytes = space_.stride();
    return check_memory(build_bytes(rows_.count(), rows_.dim(), chosen),
                        "neighbours as many as these rows want need more memory than the limit: give degree", error);
}

Status Pipeline::link(learnann_error *error) {
    LEARNANN_RETURN_IF(begin("graph"));
    LEARNANN_RETURN_IF(choose_degree(error));
    if (rows_are_scarce()) holdout_ = Holdout{};        // the graph needs every one
    LEARNANN_RETURN_IF(edges_.allocate(rows_.count(), edge_capacity(options_), allocator_, error));
    prefer_large_pages(edges_.ids.data(), edges_.ids.bytes());
    layers_.release();
    entries_.layers = LayersView{};
    switch (options_.graph) {
        case LEARNANN_GRAPH_KNN: return link_knn(error);
        case LEARNANN_GRAPH_NSW: return link_nsw(error);
        case LEARNANN_GRAPH_HNSW: return link_hnsw(error);
        case LEARNANN_GRAPH_GIVEN: return link_given(error);
        default: return link_adaptive(error);
    }
}

Status Pipeline::link_adaptive(learnann_error *error) {
    const u32 n = rows_.count();
    CodeSpace around = link_space();
    LEARNANN_RETURN_IF(around.inner ? link_by_angle(error) : choose_central_entries(error));
    InsertionOrder order(allocator_);
    LEARNANN_RETURN_IF(insertion_order(order, error));
    GraphOptions graph;
    graph.degree = degree_of(options_);
    graph.beam = larger(default_beam, graph.degree);
    if (around.inner) graph.hiders = inner_hiders;
    GraphBuilder builder(around, edges_, entries_, graph, threads(), allocator_);
    LEARNANN_RETURN_IF(builder.insert(order.rows.data(), order.inserted, around.inner ? n : 0, progress(), error));

    if (!around.inner) {
        std::sort(order.rows.begin(), order.rows.begin() + order.inserted);
        LEARNANN_RETURN_IF(begin("refine"));
        LEARNANN_RETURN_IF(builder.refine(order.rows.data(), order.inserted, progress(), error));
    }
    const bool uniform = options_.graph == LEARNANN_GRAPH_UNIFORM;
    if (uniform) LEARNANN_RETURN_IF(builder.even_out(order.rows.data(), order.inserted, progress(), error));
    link_copies(edges_, order.copies.data(), order.linked_copies);

    const bool taught = options_.queries && !uniform;
    if (around.inner && !taught) {      // by angle all rows are linked already
        LEARNANN_RETURN_IF(insert_held_out(builder, order, error));
        return calibrate_without_held_out(error);
    }
    LEARNANN_RETURN_IF(calibrate_graph(error));
    if (taught) return teach(*options_.queries, error);
    around = link_space();
    return insert_held_out(builder, order, error);
}

// Once it is linked: from here on the records are those of the file.
Status Pipeline::calibrate_graph(learnann_error *error) {
    LEARNANN_RETURN_IF(narrow_records(error));
    if (knows_all_) return LEARNANN_OK;
    LEARNANN_RETURN_IF(begin("calibration"));
    return calibrate(space_, edges_, entries_, rows_, row_of_slot_, holdout_, threads(), allocator_, calibration_, error);
}

Status Pipeline::teach(const learnann_vectors &queries, learnann_error *error) {
    LEARNANN_RETURN_IF(begin("teach"));
    return learn_from_queries(space_, queries, holdout_, rows_, row_of_slot_, threads(), progress(), allocator_, edges_, entries_,
                              calibration_, report_.lessons, error);
}

// ---- the file ----

Status Pipeline::order_keys(learnann_error *error) {
    const u32 n = rows_.count();
    if (!keys_) return key_order_.allocate(0, error);
    LEARNANN_RETURN_IF(key_order_.allocate(n, error));
    for (u32 row = 0; row < n; ++row) key_order_[row] = row;
    std::sort(key_order_.begin(), key_order_.end(), [this](u32 a, u32 b) {
        return keys_[a] != keys_[b] ? keys_[a] < keys_[b] : a < b;
    });
    return LEARNANN_OK;
}

// The graph as the file keeps it.
Status Pipeline::lay_out(learnann_error *error) {
    LEARNANN_RETURN_IF(begin("layout"));
    Array<Bridge> bridges(allocator_);
    u32 bridge_count = 0;
    adjacency_ = Adjacency{};
    LEARNANN_RETURN_IF(bridge_gaps(space_, edges_, entries_, allocator_, bridges, bridge_count, error));
    LEARNANN_RETURN_IF(lay_out_edges(space_, edges_, bridges, bridge_count, records_.data(), allocator_, adjacency_, error));
    edges_ = EdgeLists{};
    report_.repaired = bridge_count;

    // Entries again, now that the records hold their adjacency offsets.
    LEARNANN_RETURN_IF(entries_.fill(space_, error));
    const size_t entry_records = entries_.records.size(), entries = entries_.rows.size();
    LEARNANN_RETURN_IF(entry_section_.allocate(entry_records + entries * 4, error));
    std::memcpy(entry_section_.data(), entries_.records.data(), entry_records);
    std::memcpy(entry_section_.data() + entry_records, entries_.rows.data(), entries * 4);
    return LEARNANN_OK;
}

// The calibration reranked the rows as given: what those kept rank otherwise comes off the recall.
Status Pipeline::discount_calibration(learnann_error *error) {
    float share[3];
    if (!calibration_.count || !exact_.rounds()) return LEARNANN_OK;
    LEARNANN_RETURN_IF(exact_.measure_ranking(holdout_, slot_of_row_.data(), share, error));
    for (u32 i = 0; i < calibration_.count; ++i) {
        CalibrationPoint &p = calibration_.points[i];
        p.recall *= share[p.k == 1 ? 0 : p.k == 10 ? 1 : 2];    // of the nearest hundred nothing shows what 100 lose: as 50 do
    }
    return LEARNANN_OK;
}

Status Pipeline::finish(learnann_error *error) {
    exact_.row_of_slot = row_of_slot_.data();
    exact_.codec = &fitted_.codec;
    exact_.records = records_.data();
    LEARNANN_RETURN_IF(discount_calibration(error));
    LEARNANN_RETURN_IF(lay_out(error));
    const size_t matrix = fitted_.matrix.size(), scales = fitted_.unit.size() * 4, mean = fitted_.mean.size() * 4;
    LEARNANN_RETURN_IF(projection_section_.allocate(matrix + scales + mean, error));
    std::memcpy(projection_section_.data(), fitted_.matrix.data(), matrix);
    std::memcpy(projection_section_.data() + matrix, fitted_.unit.data(), scales);
    std::memcpy(projection_section_.data() + matrix + scales, fitted_.mean.data(), mean);

    LEARNANN_RETURN_IF(order_keys(error));
    collect_sections();
    return LEARNANN_OK;
}

void Pipeline::collect_sections() {
    const Codec &c = fitted_.codec;
    const u32 n = rows_.count();
    About &a = about_;
    a = About{};
    a.rows = n;
    a.seed = options_.seed;
    a.dim = rows_.dim();
    a.metric = rows_.metric;
    a.input_type = rows_.vectors.type;
    a.exact_type = exact_.type;
    a.exact_tail = exact_.tail;
    a.exact_stride = exact_.stride();
    a.code_dim = c.code_dim;
    a.record_bytes = c.record_bytes;
    a.norm_left = c.norm_left;
    a.code_step = c.code_step;
    a.residual_unit = c.residual_unit;
    a.residual_weight = c.residual_weight;
    a.nibbles_at = c.nibbles_at;
    a.nibble_shift = c.nibble_shift;
    a.crumbs_at = c.crumbs_at;
    a.crumb_shift = c.crumb_shift;
    a.graph = larger(static_cast<u32>(options_.graph), static_cast<u32>(LEARNANN_GRAPH_ADAPTIVE));
    describe_graph();

    if (refined_bits(exact_.type)) writer_.use_format(refined_format);
    if (options_.graph == LEARNANN_GRAPH_GIVEN) writer_.use_format(given_format);
    add_hot_sections(projection_section_.data(), projection_section_.size());
    writer_.add(section_row_of_slot, row_of_slot_.data(), 4ull * n);
    writer_.add(section_slot_of_row, slot_of_row_.data(), 4ull * n);
    if (keys_) {
        writer_.add(section_keys, keys_, 8ull * n);
        writer_.add(section_key_order, key_order_.data(), 4ull * n);
    }
    if (exact_.type) {
        Section s;
        s.kind = section_exact;
        s.size = static_cast<u64>(n) * exact_.stride();
        s.produce = ExactRows::produce;
        s.context = &exact_;
        writer_.add(s);
    }
    report_.spectral = learned_.count ? options_.spectral : LEARNANN_SPECTRAL_PCA;
    report_sections();
}

void Pipeline::describe_graph() {
    about_.edges = adjacency_.edges;
    about_.fingerprint = fnv1a(adjacency_.bytes.data(), adjacency_.bytes.size());
    about_.entries = static_cast<u32>(entries_.rows.size());
    about_.max_degree = adjacency_.max_degree;
    about_.horizon = calibration_.horizon;
    about_.code_recall = code_recall_;
    about_.entry_group = entries_.group;
}

void Pipeline::add_hot_sections(const u8 *projection, u64 projection_bytes) {
    writer_.add(section_about, &about_, sizeof about_);
    writer_.add(section_projection, projection, projection_bytes);
    writer_.add(section_entries, entry_section_.data(), entry_section_.size());
    writer_.add(section_records, records_.data(), records_.size());
    writer_.add(section_adjacency, adjacency_.bytes.data(), adjacency_.bytes.size());
    if (!layers_.empty()) writer_.add(section_layers, layers_.data(), layers_.size());
    if (calibration_.count)
        writer_.add(section_calibration, calibration_.points, calibration_.count * sizeof(CalibrationPoint));
    report_.hot_bytes_per_row = static_cast<double>(projection_bytes + entry_section_.size() + records_.size() + adjacency_.bytes.size() + layers_.size()) /
                                static_cast<double>(about_.rows);
}

void Pipeline::report_sections() {
    const double n = static_cast<double>(about_.rows);
    report_.rows = about_.rows;
    report_.dim = about_.dim;
    report_.metric = static_cast<learnann_metric>(about_.metric);
    report_.file_bytes = writer_.file_bytes();
    report_.cold_bytes_per_row = static_cast<double>(report_.file_bytes) / n - report_.hot_bytes_per_row;
    report_.mean_degree = static_cast<double>(adjacency_.edges) / n;
    report_.entries = about_.entries;
    report_.code_bytes = about_.record_bytes;
    report_.code_dim = about_.code_dim;
    report_.code_recall = about_.code_recall;
    report_.residual_weight = about_.residual_weight;
}

LEARNANN_END
