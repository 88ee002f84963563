// hnsw.cpp: see hnsw.hpp.
#include "learn/hnsw.hpp"

#include <algorithm>

LEARNANN_BEGIN

GraphOptions HnswBuilder::options(u32 layer) const {
    GraphOptions o;
    o.chosen = m();
    o.degree = layer < head_.count ? m() : edges_degree_;
    o.beam = larger(build_beam, edges_degree_);
    o.alpha = 1;
    o.least = 0;
    return o;
}

// The layers' sizes, the nodes' slots, and the entry.
Status HnswBuilder::draw_layers(u32 *order, u32 count, u64 seed, learnann_error *error) {
    Array<u64> places(build_.allocator);      // layers that a row does not stand on << 32 | its place in the order
    Array<u32> before(build_.allocator);
    LEARNANN_RETURN_IF(places.allocate(count, error));
    LEARNANN_RETURN_IF(before.allocate(count, error));
    std::memcpy(before.data(), order, count * sizeof(u32));
    Random random(seed);
    u32 on[max_layers + 1] = {};        // rows by how many layers they stand on above the lowest
    for (u32 i = 0; i < count; ++i) {
        u32 level = 0;
        while (level < max_layers && random.below(m()) == 0) ++level;
        places[i] = static_cast<u64>(max_layers - level) << 32 | i;
        ++on[level];
    }
    std::sort(places.begin(), places.end());
    for (u32 i = 0; i < count; ++i) order[i] = before[static_cast<u32>(places[i])];

    head_ = LayersHead{};
    head_.degree = m();
    u32 nodes = 0;
    for (u32 level = max_layers; level > 0; --level) {
        nodes += on[level];
        if (nodes > 0) head_.nodes[head_.count++] = nodes;
    }
    if (head_.count == 0) head_.nodes[head_.count++] = 1;       // few rows, and none was drawn

    LEARNANN_RETURN_IF(section_.zeroes(layers_bytes(head_), error));
    LEARNANN_RETURN_IF(node_of_.allocate(space_.rows, error));
    std::memcpy(section_.data(), &head_, sizeof head_);
    std::memcpy(section_.data() + sizeof head_, order, head_.all_nodes() * sizeof(u32));
    for (u32 node = 0; node < head_.all_nodes(); ++node) node_of_[order[node]] = node;
    LEARNANN_RETURN_IF(entries_.rows.allocate(1, error));
    entries_.rows[0] = order[0];
    entries_.group = 1;
    return entries_.fill(space_, error);
}

// Walks start below the first `count` layers.
void HnswBuilder::show_layers(u32 count) {
    entries_.layers.body = section_.data() + sizeof head_;
    entries_.layers.head = head_;
    entries_.layers.shown = count;
}

// A walk must start at a row that is linked already: the layers above come into use one by one, as all of their nodes are.
Status HnswBuilder::link_layer(u32 layer, const u32 *order, u32 count, learnann_error *error) {
    GraphBuilder builder(space_, edges_, entries_, options(layer), build_);
    u32 above = 0, done = 0;
    while (done < count) {
        while (above < layer && head_.nodes[above] <= done) ++above;
        show_layers(above);
        u32 end = above < layer ? head_.nodes[above] : count;
        if (done == 0) end = larger(end, smaller(GraphBuilder::first_rows, count));
        build_.progress.share(static_cast<double>(end - done) / static_cast<double>(left_));
        left_ -= end - done;
        LEARNANN_RETURN_IF(builder.insert(order + done, end - done, done, error));
        done = end;
    }
    return LEARNANN_OK;
}

// The edges of a layer's nodes into the section; their lists are empty then.
void HnswBuilder::take_layer(u32 layer) {
    const LayersView view{head_, section_.data() + sizeof head_, layer};
    u8 *block = section_.data() + (view.blocks(layer) - section_.data());
    for (u32 node = 0; node < head_.nodes[layer]; ++node, block += head_.block_bytes()) {
        const u32 slot = view.slot(node), *list = edges_.of(slot);
        store(block, static_cast<u32>(edges_.degrees[slot]));
        for (u32 i = 0; i < edges_.degrees[slot]; ++i) store(block + 4 + 4ull * i, node_of_[list[i]]);
        edges_.degrees[slot] = 0;
    }
}

Status HnswBuilder::build(u32 *order, u32 count, u64 seed, learnann_error *error) {
    LEARNANN_RETURN_IF(draw_layers(order, count, seed, error));
    left_ = count;
    for (u32 layer = 0; layer < head_.count; ++layer) left_ += head_.nodes[layer];
    edges_.capacity = m();      // the same lists serve all layers, those above the lowest one with less room
    for (u32 layer = 0; layer < head_.count; ++layer) {
        LEARNANN_RETURN_IF(link_layer(layer, order, head_.nodes[layer], error));
        take_layer(layer);
    }
    edges_.capacity = edges_degree_;
    return link_layer(head_.count, order, count, error);
}

Status HnswBuilder::insert(const u32 *order, u32 count, u32 linked, learnann_error *error) {
    GraphBuilder builder(space_, edges_, entries_, options(head_.count), build_);
    return builder.insert(order, count, linked, error);
}

LEARNANN_END
