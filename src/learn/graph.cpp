// graph.cpp: see graph.hpp.
#include "learn/graph.hpp"

#include "learn/cells.hpp"

#include <algorithm>

LEARNANN_BEGIN

Status EdgeLists::allocate(u32 row_count, u32 edge_capacity, const Allocator &allocator, learnann_error *error) {
    rows = row_count;
    capacity = edge_capacity;
    ids.use(allocator);
    degrees.use(allocator);
    pinned.use(allocator);
    LEARNANN_RETURN_IF(ids.allocate(static_cast<u64>(rows) * capacity, error));
    LEARNANN_RETURN_IF(degrees.zeroes(rows, error));
    return pinned.zeroes(rows, error);
}

Status EdgeLists::copy(const EdgeLists &from, const Allocator &allocator, learnann_error *error) {
    LEARNANN_RETURN_IF(allocate(from.rows, from.capacity, allocator, error));
    std::memcpy(ids.data(), from.ids.data(), ids.size() * sizeof(u32));
    std::memcpy(degrees.data(), from.degrees.data(), degrees.size());
    std::memcpy(pinned.data(), from.pinned.data(), pinned.size());
    return LEARNANN_OK;
}

void EdgeLists::link(u32 from, u32 to) {
    u32 *list = of(from);
    u8 &degree = degrees[from];
    if (degree < capacity && std::find(list, list + degree, to) == list + degree) list[degree++] = to;
}

constexpr u32 prune_candidates = 384;    // room for the fullest list (192 at degree 128) and as many new ones

u32 prune(const CodeSpace &space, const GraphOptions &options, i64 *candidates, u32 count, u32 limit, i8 *code, u32 *kept) {
    if (options.hiders == 0) {
        count = smaller(count, limit);
        for (u32 i = 0; i < count; ++i) kept[i] = Pool::id_of(candidates[i]);
        return count;
    }
    i32 estimates[prune_candidates];
    u32 ids[prune_candidates];
    u8 hiders[prune_candidates] = {};
    count = smaller(count, prune_candidates);
    u32 nearest[prune_candidates];
    const u32 fill = smaller(smaller(options.least, limit), count);
    for (u32 i = 0; i < fill; ++i) nearest[i] = Pool::id_of(candidates[i]);
    u32 taken = 0;
    while (count > 0 && taken < limit) {
        const u32 chosen = Pool::id_of(candidates[0]);
        kept[taken++] = chosen;
        u32 left = 0;
        for (u32 i = 1; i < count; ++i) ids[i - 1] = Pool::id_of(candidates[i]);
        const QueryCode query = space.query(chosen, code);
        kernels().score(query, space.records, space.stride(), ids, count - 1, estimates);
        for (u32 i = 1; i < count; ++i) {
            const float from_row = static_cast<float>(Pool::estimate_of(candidates[i]));
            const float from_kept = static_cast<float>(estimates[i - 1]);
            const bool hidden = space.inner ? from_kept < from_row : options.alpha * from_kept < from_row;
            candidates[left] = candidates[i];
            hiders[left] = static_cast<u8>(hiders[i] + hidden);
            left += hiders[left] < options.hiders;
        }
        count = left;
    }
    for (u32 i = 0; i < fill && taken < fill; ++i)
        if (std::find(kept, kept + taken, nearest[i]) == kept + taken) kept[taken++] = nearest[i];
    return taken;
}

u32 nearest_edges(const CodeSpace &space, const EdgeLists &edges, u32 row, u32 count, u32 *nearest) {
    alignas(64) i8 code[max_query_bytes];
    i32 estimates[max_out_degree];
    i64 items[max_out_degree];
    const u32 degree = edges.degrees[row];
    kernels().score(space.query(row, code), space.records, space.stride(), edges.of(row), degree, estimates);
    for (u32 i = 0; i < degree; ++i) items[i] = Pool::item(estimates[i], edges.of(row)[i]);
    std::sort(items, items + degree);
    for (u32 i = 0; i < smaller(count, degree); ++i) nearest[i] = Pool::id_of(items[i]);
    return smaller(count, degree);
}

constexpr u32 relink_candidates = 64;
constexpr u32 least_sample = 512;       // of a smaller one the nearest rows are too far to be of use

Status GraphBuilder::prepare(u32 batch, learnann_error *error) {
    LEARNANN_RETURN_IF(chosen_.at_least(static_cast<u64>(batch) * options_.degree, error));
    LEARNANN_RETURN_IF(chosen_count_.at_least(batch, error));
    LEARNANN_RETURN_IF(batch_.at_least(batch, error));
    LEARNANN_RETURN_IF(links_.at_least(static_cast<u64>(batch) * options_.degree, error));
    for (u32 t = 0; t < build_.threads; ++t) {
        Worker &w = workers_[t];
        w.beam.use(build_.allocator);
        w.code.use(build_.allocator);
        w.other.use(build_.allocator);
        w.candidates.use(build_.allocator);
        LEARNANN_RETURN_IF(w.beam.prepare(larger(options_.beam, relink_candidates), options_.beam, space_.rows, error));
        LEARNANN_RETURN_IF(w.code.allocate(max_query_bytes, error));
        LEARNANN_RETURN_IF(w.other.allocate(max_query_bytes, error));
        LEARNANN_RETURN_IF(w.candidates.allocate(prune_candidates, error));
    }
    return LEARNANN_OK;
}

Status GraphBuilder::insert(const u32 *order, u32 count, u32 linked, learnann_error *error) {
    const u32 largest = clamp(space_.rows / 50, first_rows, 32768u);
    LEARNANN_RETURN_IF(prepare(largest, error));
    u32 done = 0;
    if (linked == 0) {
        const u32 seeds = smaller(count, first_rows);
        link_batch(order, seeds, order, seeds);
        done = seeds;
    }
    while (done < count) {
        LEARNANN_RETURN_IF(build_.progress.at(static_cast<double>(done) / count));
        const u32 batch = smaller(smaller(largest, larger((done + linked) / 2, 1u)), count - done);
        // Rows are in spatial order: ascending, one search leaves in cache what the next one needs.
        std::memcpy(batch_.data(), order + done, batch * sizeof(u32));
        std::sort(batch_.begin(), batch_.begin() + batch);
        link_batch(batch_.data(), batch, nullptr, 0);
        done += batch;
    }
    return LEARNANN_OK;
}

// Candidates into the worker's pool: by walking the graph, or, for the first rows, by comparing with each of them.
void GraphBuilder::find_candidates(Worker &w, u32 row, const u32 *seeds, u32 seed_count) {
    Beam &beam = w.beam;
    const QueryCode query = space_.query(row, w.code.data());
    (void)beam.prepare(options_.beam, options_.beam, space_.rows, nullptr);    // the memory is there already
    beam.mark_seen(row);
    if (seed_count > 0) {
        i32 estimates[first_rows];
        kernels().score(query, space_.records, space_.stride(), seeds, seed_count, estimates);
        for (u32 i = 0; i < seed_count; ++i)
            if (seeds[i] != row) beam.pool.insert(estimates[i], seeds[i]);
        return;
    }
    walk(BuildGraph{&space_, &edges_}, entries_, query, beam);
}

// The row's unpinned edges and `more`, without duplicates, as sorted Pool items in w.candidates.
u32 GraphBuilder::gather_candidates(Worker &w, u32 row, const u32 *more, u32 more_count) {
    u32 ids[prune_candidates];
    i32 estimates[prune_candidates];
    const u32 pinned = edges_.pinned[row], degree = edges_.degrees[row];
    const u32 *old = edges_.of(row);
    u32 count = 0;
    for (u32 i = pinned; i < degree; ++i) ids[count++] = old[i];
    for (u32 i = 0; i < more_count && count < prune_candidates; ++i)
        if (more[i] != row && std::find(old, old + degree, more[i]) == old + degree) ids[count++] = more[i];
    const QueryCode query = space_.query(row, w.code.data());
    kernels().score(query, space_.records, space_.stride(), ids, count, estimates);
    for (u32 i = 0; i < count; ++i) w.candidates[i] = Pool::item(estimates[i], ids[i]);
    std::sort(w.candidates.begin(), w.candidates.begin() + count);
    return count;
}

// What the walk found, and the row's unpinned edges where it has some, as sorted Pool items in w.candidates.
u32 GraphBuilder::join_candidates(Worker &w, u32 row) {
    const Pool &pool = w.beam.pool;
    const u32 size = smaller(pool.size(), prune_candidates - edges_.capacity), pinned = edges_.pinned[row];
    u32 found[prune_candidates];
    if (edges_.degrees[row] > pinned) {
        for (u32 j = 0; j < size; ++j) found[j] = pool.id(j);
        return gather_candidates(w, row, found, size);
    }
    const u32 *own = edges_.of(row);
    u32 count = 0;
    for (u32 j = 0; j < size; ++j)
        if (pool.id(j) != row && std::find(own, own + pinned, pool.id(j)) == own + pinned) w.candidates[count++] = pool.item_at(j) & ~i64{1};
    return count;
}

// Links that others made to a row: taken in while there is room. Else the row is pruned again, or, once all lists are full of links back,
// which pruning would drop most of, the nearest stay.
void GraphBuilder::add_links(Worker &w, u32 row, const u64 *links, u32 count) {
    u32 fresh[prune_candidates];
    u32 *list = edges_.of(row), degree = edges_.degrees[row], fresh_count = 0;
    for (u32 i = 0; i < count && fresh_count < prune_candidates - edges_.capacity; ++i) {
        const u32 source = static_cast<u32>(links[i]);
        if (std::find(list, list + degree, source) == list + degree) fresh[fresh_count++] = source;
    }
    if (degree + fresh_count <= edges_.capacity) {
        for (u32 i = 0; i < fresh_count; ++i) list[degree++] = fresh[i];
        edges_.degrees[row] = static_cast<u8>(degree);
        return;
    }
    const u32 pinned = edges_.pinned[row];
    const u32 candidates = gather_candidates(w, row, fresh, fresh_count);
    u32 kept;
    if (linked_all_) {
        kept = smaller(candidates, edges_.capacity - pinned);
        for (u32 i = 0; i < kept; ++i) list[pinned + i] = Pool::id_of(w.candidates[i]);
    } else {
        const u32 limit = options_.degree > pinned ? options_.degree - pinned : 0;
        kept = prune(space_, options_, w.candidates.data(), candidates, limit, w.other.data(), list + pinned);
    }
    edges_.degrees[row] = static_cast<u8>(pinned + kept);
}

// The row's neighbours and the nearest of theirs, pruned. All of its own stay candidates: the far ones hold the graph together.
u32 GraphBuilder::relink(Worker &w, u32 row, const GraphOptions &options, u32 *kept) {
    Beam &beam = w.beam;
    const QueryCode query = space_.query(row, w.code.data());
    const BuildGraph graph{&space_, &edges_};
    const u32 *own = edges_.of(row), degree = edges_.degrees[row];
    i64 own_items[max_out_degree];
    u32 own_count = 0;
    (void)beam.prepare(relink_candidates, relink_candidates, space_.rows, nullptr);     // the memory is there already
    beam.mark_seen(row);
    beam.look_at(graph, row, query, [&](i32 estimate, u32 id) { own_items[own_count++] = Pool::item(estimate, id); });
    for (u32 i = 0; i < degree; ++i) beam.look_at(graph, own[i], query, [](i32, u32) {});
    u32 found = 0;
    for (u32 i = 0; i < beam.pool.size(); ++i)
        if (beam.pool.id(i) != row) w.candidates[found++] = beam.pool.item_at(i);      // the table of rows seen may forget
    const u32 near = found;
    for (u32 i = 0; i < own_count; ++i)
        if (!beam.pool.holds(own_items[i])) w.candidates[found++] = own_items[i];
    std::sort(w.candidates.begin() + near, w.candidates.begin() + found);
    return prune(space_, options, w.candidates.data(), found, options.degree, w.other.data(), kept);
}

// New edges for a row: of those it has and of `nearest`, Pool items in order.
void GraphBuilder::link_row(Worker &w, u32 row, const i64 *nearest, u32 count) {
    const u32 old = edges_.degrees[row] ? gather_candidates(w, row, nullptr, 0) : 0, *own = edges_.of(row);
    i64 *items = w.candidates.data();
    u32 total = old;
    for (u32 i = 0; i < count && total < prune_candidates; ++i)
        if (std::find(own, own + old, Pool::id_of(nearest[i])) == own + old) items[total++] = nearest[i];
    if (old > 0) std::sort(items, items + total);
    edges_.degrees[row] = static_cast<u8>(prune(space_, options_, items, total, options_.degree, w.other.data(), edges_.of(row)));
}

// Links back where there is room: a row that nobody links to is never found. The nearest neighbours of all rows come first: where rows
// lie in clusters, many would link back to few.
Status GraphBuilder::link_back(learnann_error *error) {
    Array<u8> own_count(build_.allocator);
    LEARNANN_RETURN_IF(own_count.allocate(edges_.rows, error));
    std::memcpy(own_count.data(), edges_.degrees.data(), edges_.rows);
    constexpr u32 ahead = 16;
    for (u32 j = 0; j < edges_.capacity; ++j)
        for (u32 row = 0; row < edges_.rows; ++row) {
            const u32 next = smaller(row + ahead, edges_.rows - 1);
            if (j < own_count[next]) edges_.ask_for(edges_.of(next)[j]);
            if (j < own_count[row]) edges_.link(edges_.of(row)[j], row);
        }
    return LEARNANN_OK;
}

// The asking ones of order[0..size) to the nearest of these.
Status GraphBuilder::link_sample(const u32 *order, u32 size, u32 heads, const u8 *asking, learnann_error *error) {
    Cells cells(space_, options_.probes, build_);
    LEARNANN_RETURN_IF(cells.divide(order, size, heads, error));
    LEARNANN_RETURN_IF(cells.each_nearest(options_.beam, asking, [&](u32 worker, u32 row, const i64 *nearest, u32 found) {
        link_row(workers_[worker], row, nearest, found);
    }, error));
    return link_back(error);
}

Status GraphBuilder::link_all(const u32 *order, u32 count, u32 heads, learnann_error *error) {
    LEARNANN_RETURN_IF(prepare(0, error));
    Array<u8> asking(build_.allocator);
    LEARNANN_RETURN_IF(asking.zeroes(edges_.rows, error));
    const u32 compared = smaller(count, options_.by_cells);
    u32 divisor = 1, linked = 0;
    while (compared / divisor / options_.thinning >= least_sample) divisor *= options_.thinning;
    for (; divisor > 0; divisor /= options_.thinning) {
        const u32 size = compared / divisor;
        for (u32 i = 0; i < linked; ++i) asking[order[i]] = divisor == 1;
        for (u32 i = linked; i < size; ++i) asking[order[i]] = 1;
        linked = size;
        build_.progress.share(divisor == 1 ? 0.9 * compared / count : 0.1);
        LEARNANN_RETURN_IF(link_sample(order, size, heads, asking.data(), error));
    }
    if (count > compared) {
        build_.progress.share(0.9);
        LEARNANN_RETURN_IF(insert(order + compared, count - compared, compared, error));
    }
    linked_all_ = true;
    return LEARNANN_OK;
}

Status GraphBuilder::even_out(const u32 *rows, u32 count, learnann_error *error) {
    u64 edges = 0;
    for (u32 i = 0; i < count; ++i) edges += edges_.degrees[rows[i]];
    std::memset(edges_.pinned.data(), 0, edges_.rows);
    EdgeLists next;
    LEARNANN_RETURN_IF(prepare(0, error));
    LEARNANN_RETURN_IF(next.allocate(edges_.rows, edges_.capacity, build_.allocator, error));
    prefer_large_pages(next.ids.data(), next.ids.bytes());
    constexpr u32 batch = 32768;
    for (u32 done = 0; done < count; done += batch) {
        LEARNANN_RETURN_IF(build_.progress.at(static_cast<double>(done) / count));
        parallel(build_.threads, smaller(batch, count - done), 64, [&](u64 b, u32 worker) {
            const u64 i = done + b;
            GraphOptions even = options_;
            even.degree = even.least = static_cast<u32>((i + 1) * edges / count - i * edges / count);
            next.degrees[rows[i]] = static_cast<u8>(relink(workers_[worker], rows[i], even, next.of(rows[i])));
        });
    }
    std::swap(edges_, next);
    return LEARNANN_OK;
}

void GraphBuilder::link_batch(const u32 *rows, u32 count, const u32 *seeds, u32 seed_count) {
    const u32 degree = options_.degree, most = options_.chosen ? options_.chosen : degree;
    parallel(build_.threads, count, 16, [&](u64 i, u32 worker) {
        Worker &w = workers_[worker];
        const u32 row = rows[i];
        find_candidates(w, row, seeds, seed_count);
        const u32 candidates = join_candidates(w, row);
        const u32 pinned = edges_.pinned[row], limit = most > pinned ? most - pinned : 0;
        chosen_count_[i] = prune(space_, options_, w.candidates.data(), candidates, limit, w.other.data(),
                                 chosen_.data() + i * degree);
    });
    u64 links = 0;
    for (u32 i = 0; i < count; ++i) {
        const u32 row = rows[i], pinned = edges_.pinned[row], *chosen = chosen_.data() + static_cast<u64>(i) * degree;
        std::memcpy(edges_.of(row) + pinned, chosen, chosen_count_[i] * sizeof(u32));
        edges_.degrees[row] = static_cast<u8>(pinned + chosen_count_[i]);
        if (options_.keeps_chosen) edges_.pinned[row] = edges_.degrees[row];
        for (u32 j = 0; j < chosen_count_[i]; ++j) links_[links++] = static_cast<u64>(chosen[j]) << 32 | row;
    }
    std::sort(links_.begin(), links_.begin() + links);
    u32 groups = 0;     // starts of the runs of one target, in chosen_, which is free now
    for (u64 i = 0; i < links; ++i)
        if (i == 0 || links_[i] >> 32 != links_[i - 1] >> 32) chosen_[groups++] = static_cast<u32>(i);
    parallel(build_.threads, groups, 16, [&](u64 g, u32 worker) {
        const u64 begin = chosen_[g], end = g + 1 < groups ? chosen_[g + 1] : links;
        add_links(workers_[worker], static_cast<u32>(links_[begin] >> 32), links_.data() + begin, static_cast<u32>(end - begin));
    });
}

LEARNANN_END
