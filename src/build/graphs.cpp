// graphs.cpp: the graphs of the literature, for comparison, and one that is given: the same rows, codes, file and search, other edges.
#include "build/pipeline.hpp"
#include "learn/hnsw.hpp"
#include "learn/knn.hpp"

LEARNANN_BEGIN

// The entries of the default graph, without its edges.
Status Pipeline::choose_default_entries(learnann_error *error) {
    if (!space_.inner) return choose_central_entries(error);
    FittedCodec fitted;
    Array<u8> records(allocator_);
    LEARNANN_RETURN_IF(encode_by_angle(fitted, records, error));
    return choose_long_entries(CodeSpace{&fitted.codec, records.data(), space_.rows, false}, error);
}

// Of a graph that holds all rows. While it is calibrated no edge leads to those held out.
Status Pipeline::calibrate_without_held_out(learnann_error *error) {
    if (!holds_out_rows()) return calibrate_graph(error);
    EdgeLists all;
    LEARNANN_RETURN_IF(all.copy(edges_, allocator_, error));
    for (u32 slot = 0; slot < edges_.rows; ++slot) {
        u32 *list = edges_.of(slot);
        u32 *const end = std::remove_if(list, list + edges_.degrees[slot], [&](u32 other) { return holdout_.holds(row_of_slot_[other]); });
        edges_.degrees[slot] = static_cast<u8>(end - list);
    }
    LEARNANN_RETURN_IF(calibrate_graph(error));
    edges_ = std::move(all);
    return LEARNANN_OK;
}

Status Pipeline::link_knn(learnann_error *error) {
    LEARNANN_RETURN_IF(choose_default_entries(error));
    progress().share(1);
    LEARNANN_RETURN_IF(link_nearest(rows_, row_of_slot_, slot_of_row_, degree_of(options_), context(), edges_, error));
    return calibrate_without_held_out(error);
}

Status Pipeline::check_given(learnann_error *error) const {
    const u64 degree = options_.degree;
    if (options_.graph != LEARNANN_GRAPH_GIVEN) return LEARNANN_OK;
    for (u64 i = 0; i < rows_.count() * degree; ++i) {
        const u32 other = options_.neighbours[i];
        if (other >= rows_.count() && other != no_row)
            return fail(error, LEARNANN_ARGUMENT, "a row's neighbour is the number of no row", LEARNANN_AT_ROW, i / degree);
    }
    return LEARNANN_OK;
}

Status Pipeline::link_given(learnann_error *error) {
    LEARNANN_RETURN_IF(choose_default_entries(error));
    const u32 degree = options_.degree;
    parallel(threads(), rows_.count(), 256, [&](u64 row, u32) {
        const u32 slot = slot_of_row_[row], *given = options_.neighbours + row * degree;
        for (u32 i = 0; i < degree; ++i)
            if (given[i] != no_row && given[i] != row) edges_.link(slot, slot_of_row_[given[i]]);
    });
    return calibrate_without_held_out(error);
}

Status Pipeline::link_nsw(learnann_error *error) {
    LEARNANN_RETURN_IF(entries_.rows.allocate(1, error));
    entries_.rows[0] = Random(options_.seed + entry_seed).below(space_.rows);
    LEARNANN_RETURN_IF(entries_.arrange(space_, allocator_, error));
    InsertionOrder order(allocator_);
    LEARNANN_RETURN_IF(insertion_order(order, error));
    GraphOptions graph;
    graph.degree = edges_.capacity;
    graph.chosen = edges_.capacity / 2;
    graph.keeps_chosen = true;      // the long edges of the first rows hold the graph together
    graph.beam = larger(build_beam, graph.degree);
    graph.hiders = 0;
    GraphBuilder builder(space_, edges_, entries_, graph, context());
    LEARNANN_RETURN_IF(builder.insert(order.rows.data(), order.inserted, 0, error));
    link_copies(edges_, order.copies.data(), order.linked_copies);
    LEARNANN_RETURN_IF(calibrate_graph(error));
    return insert_held_out(builder, order, error);
}

Status Pipeline::link_hnsw(learnann_error *error) {
    InsertionOrder order(allocator_);
    LEARNANN_RETURN_IF(entries_.rows.allocate(0, error));
    LEARNANN_RETURN_IF(insertion_order(order, error));
    HnswBuilder builder(space_, edges_, entries_, layers_, context());
    LEARNANN_RETURN_IF(builder.build(order.rows.data(), order.inserted, options_.seed + entry_seed, error));
    link_copies(edges_, order.copies.data(), order.linked_copies);
    LEARNANN_RETURN_IF(calibrate_graph(error));
    return insert_held_out(builder, order, error);
}

LEARNANN_END
