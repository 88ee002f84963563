// beam.hpp: bounded best-first search over codes, as a machine of two steps a hop, so that several searches can take turns:
//   gather()  takes the next row's adjacency, keeps the neighbours not seen yet, and asks for their records
//   score()   estimates them, and keeps the best
// Invariants: the pool is sorted, without duplicates; a row is expanded at most once; every id is below the number of rows.
#pragma once

#include "search/codec.hpp"

LEARNANN_BEGIN

// What a search walks on: a file's sections, or a build's arrays. `Graph` is anything with
//     u32 rows() const;  const u8 *records() const;  u32 record_bytes() const;
//     bool neighbours(u32 row, Neighbours &) const;  void prefetch_adjacency(u32 row) const;
struct FileGraph {
    const FileView *view;
    u32 rows() const { return view->rows(); }
    const u8 *records() const { return view->records(); }
    u32 record_bytes() const { return view->about().record_bytes; }
    bool neighbours(u32 slot, Neighbours &out) const { return view->neighbours(slot, out); }
    void prefetch_adjacency(u32 slot) const {
        const u64 at = 4ull * load<u32>(view->record(slot) + view->about().record_bytes - 4);
        if (at >= view->section_bytes(section_adjacency)) return;
        const u8 *block = view->section(section_adjacency) + at;
        prefetch(block);
        prefetch(block + 64);
    }
};

// Which rows were seen: a direct-mapped table of tags, never cleared between queries: a tag is the id plus a base that
// moves on by the number of rows each query. A slot that is taken over forgets its row, which at worst is scored again.
class SeenTable {
public:
    void use(const Allocator &a) { tags_.use(a); }
    Status prepare(u32 expected, u32 rows, learnann_error *error) {
        u32 bits = 10;
        while (bits < 20 && (1u << bits) < expected) ++bits;
        if (tags_.size() < (size_t(1) << bits)) {
            LEARNANN_RETURN_IF(tags_.allocate(u64(1) << bits, error));
            clear();
        }
        bits_ = bits;
        if (static_cast<u64>(base_) + 2ull * rows > 0xffffffffull) clear();
        else base_ += last_rows_;
        last_rows_ = rows;
        return LEARNANN_OK;
    }
    // True the first time.
    bool add(u32 id) {
        u32 &tag = tags_[id * 2654435769u >> (32 - bits_)];
        const bool fresh = tag != base_ + id;
        tag = base_ + id;
        return fresh;
    }
    u64 bytes() const { return tags_.bytes(); }

private:
    void clear() {
        std::memset(tags_.data(), 0, tags_.size() * sizeof(u32));
        base_ = 1;
        last_rows_ = 0;
    }
    Array<u32> tags_;
    u32 bits_ = 10;
    u32 base_ = 1;
    u32 last_rows_ = 0;
};

// The best `width` rows, sorted. An item is estimate (31 bits, order-preserving), a flag "expanded", and the id.
class Pool {
public:
    static constexpr u64 expanded_bit = 1ull << 32;

    void use(const Allocator &a) { items_.use(a); }
    Status prepare(u32 width, learnann_error *error) {
        LEARNANN_RETURN_IF(items_.at_least(static_cast<u64>(width) + 1, error));
        width_ = width;
        size_ = 0;
        cursor_ = 0;
        worst_ = ~0ull;
        return LEARNANN_OK;
    }
    static u64 item(i32 estimate, u32 id) {
        return static_cast<u64>((static_cast<u32>(estimate) ^ 0x80000000u) >> 1) << 33 | id;
    }
    static i32 estimate_of(u64 item) { return static_cast<i32>((static_cast<u32>(item >> 33) << 1) ^ 0x80000000u); }

    bool would_keep(i32 estimate, u32 id) const { return item(estimate, id) < worst_; }

    bool insert(i32 estimate, u32 id) {
        const u64 fresh = item(estimate, id);
        if (fresh >= worst_) return false;
        u64 *items = items_.data();
        u32 low = 0;
        for (u32 count = size_; count > 0;) {   // branchless: the compiler makes the choice a conditional move
            const u32 half = count / 2;
            const bool right = (items[low + half] & ~expanded_bit) < fresh;
            low = right ? low + half + 1 : low;
            count = right ? count - half - 1 : half;
        }
        if (low < size_ && (items[low] & ~expanded_bit) == fresh) return false;
        const u32 moved = smaller(size_, width_ - 1) - low;
        std::memmove(items + low + 1, items + low, moved * sizeof(u64));
        items[low] = fresh;
        if (size_ < width_) ++size_;
        if (size_ == width_) worst_ = items[width_ - 1] & ~expanded_bit;
        cursor_ = smaller(cursor_, low);
        return true;
    }

    // The nearest row that was not expanded yet, now marked as expanded; no_row where there is none.
    u32 take() {
        const u32 id = peek();
        if (id != no_row) items_[cursor_] |= expanded_bit;
        return id;
    }
    u32 peek() {
        while (cursor_ < size_ && (items_[cursor_] & expanded_bit)) ++cursor_;
        return cursor_ < size_ ? static_cast<u32>(items_[cursor_]) : no_row;
    }

    u32 size() const { return size_; }
    u32 width() const { return width_; }
    u32 id(u32 i) const { return static_cast<u32>(items_[i]); }
    i32 estimate(u32 i) const { return estimate_of(items_[i]); }
    u64 bytes() const { return items_.bytes(); }

private:
    Array<u64> items_;
    u32 width_ = 0;
    u32 size_ = 0;
    u32 cursor_ = 0;
    u64 worst_ = ~0ull;
};

struct BeamCounts {
    u64 distances = 0;
    u64 entry_distances = 0;
    u64 hops = 0;
    u64 bad_ids = 0;
};

class Beam {
public:
    Pool pool;
    BeamCounts counts;

    void use(const Allocator &a) {
        pool.use(a);
        seen_.use(a);
    }
    // Room for one search; rows seen are forgotten.
    Status prepare(u32 width, u32 rows, learnann_error *error) {
        LEARNANN_RETURN_IF(pool.prepare(width, error));
        counts = BeamCounts{};
        fresh_count_ = 0;
        return seen_.prepare(width * 48, rows, error);
    }
    u64 bytes() const { return pool.bytes() + seen_.bytes(); }

    void mark_seen(u32 id) { (void)seen_.add(id); }
    void add_entry(i32 estimate, u32 id) {
        if (seen_.add(id)) pool.insert(estimate, id);
    }

    // False where the search is done.
    template <class Graph> bool gather(const Graph &graph) {
        const u32 row = pool.take();
        if (row == no_row) return false;
        ++counts.hops;
        const u32 after = pool.peek();      // likely the next hop: its adjacency has this hop's time to arrive
        if (after != no_row) graph.prefetch_adjacency(after);
        Neighbours list;
        fresh_count_ = 0;
        if (!graph.neighbours(row, list)) {
            ++counts.bad_ids;
            return true;
        }
        const u32 rows = graph.rows(), stride = graph.record_bytes();
        const u8 *records = graph.records();
        for (u32 i = 0; i < list.degree; ++i) {
            const u32 id = list.id(i);
            if (id >= rows) {
                ++counts.bad_ids;
                continue;
            }
            fresh_[fresh_count_] = id;
            fresh_count_ += seen_.add(id);
        }
        for (u32 i = 0; i < fresh_count_; ++i) {
            const u8 *record = records + static_cast<u64>(fresh_[i]) * stride;
            for (u32 line = 0; line < stride; line += 64) prefetch(record + line);
        }
        return true;
    }

    // visit(estimate, id) is called for each row scored, whether or not the pool keeps it.
    template <class Graph, class Visit> void score(const Graph &graph, const QueryCode &query, Visit visit) {
        if (fresh_count_ == 0) return;
        i32 estimates[max_out_degree];
        kernels().score(query, graph.records(), graph.record_bytes(), fresh_, fresh_count_, estimates);
        counts.distances += fresh_count_;
        for (u32 i = 0; i < fresh_count_; ++i) {
            visit(estimates[i], fresh_[i]);
            pool.insert(estimates[i], fresh_[i]);
        }
        const u32 next = pool.peek();
        if (next != no_row) graph.prefetch_adjacency(next);
    }

private:
    SeenTable seen_;
    u32 fresh_[max_out_degree];
    u32 fresh_count_ = 0;
};

// Scores every entry and adds the nearest few: add(estimate, entry).
template <class AddEntry>
void scan_entries(const QueryCode &query, const u8 *entry_records, u32 stride, u32 count, AddEntry add) {
    constexpr u32 block = 256, kept = 16, lane = 16;
    i32 estimates[block];
    u64 best[kept];
    u32 found = 0;
    i32 worst = 0x7fffffff;
    for (u32 begin = 0; begin < count; begin += block) {
        const u32 size = smaller(block, count - begin);
        kernels().score(query, entry_records + static_cast<u64>(begin) * stride, stride, nullptr, size, estimates);
        for (u32 i = size; i < round_up(size, lane); ++i) estimates[i] = 0x7fffffff;
        for (u32 i = 0; i < size; i += lane) {      // most blocks hold nothing near: one comparison for all of a block
            i32 nearest = estimates[i];
            for (u32 l = 1; l < lane; ++l) nearest = smaller(nearest, estimates[i + l]);
            if (nearest >= worst) continue;
            for (u32 l = 0; l < lane; ++l) {
                if (estimates[i + l] >= worst) continue;
                u64 fresh = Pool::item(estimates[i + l], begin + i + l);
                if (found < kept) best[found++] = ~0ull;
                for (u32 b = 0; b < found; ++b)
                    if (fresh < best[b]) std::swap(fresh, best[b]);
                if (found == kept) worst = Pool::estimate_of(best[kept - 1]);
            }
        }
    }
    for (u32 b = 0; b < found; ++b) add(Pool::estimate_of(best[b]), static_cast<u32>(best[b]));
}

LEARNANN_END
