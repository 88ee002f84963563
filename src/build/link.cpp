// link.cpp: codes -> entries and the default graph, calibrated.
#include "build/pipeline.hpp"

#include <algorithm>

LEARNANN_BEGIN

constexpr u32 pinned_angular = 12;      // of the neighbours by angle, for inner product
constexpr u32 inner_hiders = 6;         // long rows are the answers: each is wanted for itself, however many others lie before it
constexpr double many_directions = 12;  // local dimensions: images and features of photos have more, texts and clusters fewer
constexpr double equal_lengths = 0.01;  // standard deviation over mean, at most

// The more directions rows have neighbours in, the more cells these lie in. (Measured from 1 dimension to 36.)
static double probes(double dimension) { return dimension * dimension / 9; }

Status Pipeline::insertion_order(InsertionOrder &out, learnann_error *error) {
    const u32 n = rows_.count();
    constexpr u8 as_entry = 1, as_held = 2;
    Array<u8> placed(allocator_);
    Array<u32> shuffled(allocator_), &order = out.rows;
    LEARNANN_RETURN_IF(order.allocate(n, error));
    LEARNANN_RETURN_IF(placed.zeroes(n, error));
    LEARNANN_RETURN_IF(shuffled.allocate(n, error));
    shuffle(shuffled.data(), n, options_.seed + order_seed);
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
    LEARNANN_RETURN_IF(fit_codec(angular, takes_space() ? learned_ : basis_, space_.stride(), Holdout{}, options_.seed + angular_codec_seed, allocator_, fitted, error));
    LEARNANN_RETURN_IF(records.allocate(records_.size(), error));
    progress().share(0.1);
    return encode_rows(angular, fitted.codec, slot_of_row_.data(), context(), records.data(), error);
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
    LEARNANN_RETURN_IF(choose_entries(angular, entry_count(n), nullptr, options_.seed + angular_entry_seed, context(), entries.rows, error));
    LEARNANN_RETURN_IF(entries.arrange(angular, allocator_, error));
    LEARNANN_RETURN_IF(lists.allocate(n, angular_capacity, allocator_, error));
    LEARNANN_RETURN_IF(order.allocate(n, error));
    shuffle(order.data(), n, options_.seed + angular_order_seed);
    GraphOptions graph;
    graph.degree = 16;
    graph.beam = 48;
    graph.alpha = 1.0f;
    graph.probes = probes(dimension_);
    Array<Copy> copies(allocator_);
    LEARNANN_RETURN_IF(set_copies_apart(angular, order.data(), n, allocator_, copies, error));
    const u32 copied = static_cast<u32>(copies.size());
    GraphBuilder builder(angular, lists, entries, graph, context());
    progress().share(0.4);
    LEARNANN_RETURN_IF(builder.link_all(order.data(), n - copied, n - copied, error));
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
    LEARNANN_RETURN_IF(choose_entries(around, entry_count(around.rows), held.data(), options_.seed + entry_seed, context(), entries_.rows, error));
    return entries_.arrange(around, allocator_, error);
}

Status Pipeline::choose_long_entries(const CodeSpace &angular, learnann_error *error) {
    LEARNANN_RETURN_IF(choose_inner_entries(space_, angular, inner_entry_count(space_.rows), options_.seed + entry_seed, context(), entries_.rows, error));
    return entries_.arrange(space_, allocator_, error);
}

// dimension_: under inner product, where lengths differ, of the directions, in a sample, for the true neighbours that are
// known are those of the greatest products.
Status Pipeline::measure_dimension(learnann_error *error) {
    constexpr u32 enough = 50000;
    if (!link_space().inner) {
        dimension_ = local_dimension(rows_, holdout_);
        return LEARNANN_OK;
    }
    progress().share(0.1);
    Rows angular = rows_.thinned(larger(rows_.count() / enough, 1u));
    angular.metric = LEARNANN_COS;
    Holdout sample;
    LEARNANN_RETURN_IF(make_holdout(angular, nullptr, options_.seed + dimension_seed, context(), sample, error));
    dimension_ = local_dimension(angular, sample);
    return LEARNANN_OK;
}

// Where rows have many neighbours in many directions, few of which hide each other, a walk needs longer lists.
Status Pipeline::choose_degree(learnann_error *error) {
    constexpr double many = 20;         // dimensions; measured from 8 to 39
    if (options_.degree) return LEARNANN_OK;
    options_.degree = dimension_ >= many ? long_degree : link_space().inner ? inner_degree : default_degree;
    learnann_build_options chosen = options_;
    chosen.code_bytes = space_.stride();
    return check_memory(build_bytes(rows_.count(), rows_.dim(), chosen),
                        "neighbours as many as these rows want need more memory than the limit: give degree", error);
}

Status Pipeline::link(learnann_error *error) {
    LEARNANN_RETURN_IF(begin("graph"));
    if (adaptive(options_)) {
        LEARNANN_RETURN_IF(measure_dimension(error));
        LEARNANN_RETURN_IF(choose_degree(error));
    }
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
    progress().share(1);
    InsertionOrder order(allocator_);
    LEARNANN_RETURN_IF(insertion_order(order, error));
    GraphOptions graph;
    graph.degree = degree_of(options_);
    graph.beam = larger(linking_beam, graph.degree);
    graph.probes = probes(dimension_);
    if (around.inner) {
        graph.hiders = inner_hiders;
    } else if (dimension_ >= many_directions) {     // longer lists lead in fewer hops, and coarser samples lead as far
        graph.alpha = 1.15f;
        graph.thinning = 4;
    }
    const bool uniform = options_.graph == LEARNANN_GRAPH_UNIFORM;
    GraphBuilder builder(around, edges_, entries_, graph, context());
    if (around.inner) LEARNANN_RETURN_IF(builder.insert(order.rows.data(), order.inserted, n, error));
    else LEARNANN_RETURN_IF(builder.link_all(order.rows.data(), order.inserted, static_cast<u32>(entries_.rows.size()), error));
    progress().share(1);
    if (uniform) LEARNANN_RETURN_IF(builder.even_out(order.rows.data(), order.inserted, error));
    link_copies(edges_, order.copies.data(), order.linked_copies);

    const bool taught = options_.queries && !uniform;
    if (around.inner && !taught) {      // by angle all rows are linked already
        LEARNANN_RETURN_IF(insert_held_out(builder, order, error));
        return calibrate_without_held_out(error);
    }
    LEARNANN_RETURN_IF(calibrate_graph(error));
    if (taught) return teach(*options_.queries, error);
    around = link_space();      // which the builder refers to: the records are those of the file now
    return insert_held_out(builder, order, error);
}

// Once it is linked: from here on the records are those of the file.
Status Pipeline::calibrate_graph(learnann_error *error) {
    LEARNANN_RETURN_IF(narrow_records(error));
    if (fitted_to_all_) return LEARNANN_OK;
    LEARNANN_RETURN_IF(begin("calibration"));
    return calibrate(space_, edges_, entries_, rows_, row_of_slot_, holdout_, context(), calibration_, error);
}

Status Pipeline::teach(const learnann_vectors &queries, learnann_error *error) {
    LEARNANN_RETURN_IF(begin("teach"));
    return learn_from_queries(space_, queries, holdout_, rows_, row_of_slot_, context(), edges_, entries_,
                              calibration_, report_.lessons, error);
}

LEARNANN_END
