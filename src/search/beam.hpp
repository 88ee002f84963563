// beam.hpp: bounded best-first search over codes, as a machine of two steps a hop, so that several searches can take turns:
//   gather()  takes the next row's adjacency, keeps the neighbours not seen yet, and asks for their records
//   score()   estimates those that had time to arrive, and keeps the best
// Invariants: what may be expanded is in order, without duplicates; a row is expanded at most once; every id is below the number of
// rows.
#pragma once

#include "search/layers.hpp"

#include <algorithm>

LEARNANN_BEGIN

// What a search walks on: a file's sections, or a build's arrays. `Graph` is anything with
//     u32 rows() const;  const u8 *records() const;  u32 record_bytes() const;
//     bool neighbours(u32 row, IdList &) const;  void prefetch_adjacency(u32 row) const;
struct FileGraph {
    const FileView *view;
    u32 rows() const { return view->rows(); }
    const u8 *records() const { return view->records(); }
    u32 record_bytes() const { return view->about().record_bytes; }
    bool neighbours(u32 slot, IdList &out) const { return view->neighbours(slot, out); }
    void prefetch_adjacency(u32 slot) const { view->prefetch_adjacency(slot); }
};

// Which rows were seen: a direct-mapped table of tags, never cleared between queries: a tag is the id plus a base that
// moves on by the number of rows each query. A slot that is taken over forgets its row, which at worst is scored again.
class SeenTable {
public:
    void use(const Allocator &a) { tags_.use(a); }
    Status prepare(u64 expected, u32 rows, learnann_error *error) {
        u32 bits = 10;
        while (bits < 20 && (1u << bits) < expected) ++bits;
        if (tags_.size() < (size_t(1) << bits)) {
            LEARNANN_RETURN_IF(tags_.allocate(u64(1) << bits, error));
            clear();
        }
        seen_.tags = tags_.data();
        seen_.shift = 32 - bits;
        if (static_cast<u64>(seen_.base) + 2ull * rows > 0xffffffffull) clear();
        else seen_.base += last_rows_;
        last_rows_ = rows;
        return LEARNANN_OK;
    }
    // True the first time.
    bool add(u32 id) {
        u32 &tag = seen_.tags[seen_.place(id)];
        const bool fresh = tag != seen_.base + id;
        tag = seen_.base + id;
        return fresh;
    }
    const SeenTags &tags() const { return seen_; }
    u64 bytes() const { return tags_.bytes(); }

private:
    void clear() {
        std::memset(tags_.data(), 0, tags_.size() * sizeof(u32));
        seen_.base = 1;
        last_rows_ = 0;
    }
    Array<u32> tags_;
    SeenTags seen_{nullptr, 22, 1};
    u32 last_rows_ = 0;
};

// The best `width` rows. An item is estimate (31 bits), id, and a lowest bit "expanded": as signed integers, items sort by
// estimate, then id. Places not taken hold the largest integer, which counts as expanded.
//
// While a search goes on only the nearest of them stand in order, the *front*: those that may be expanded, and a few. An item that
// is not near enough, or falls out of the front, goes to the *tail*, in no order, which is thinned out when it is full. So a new
// item costs what the front is long, not what the pool is. settle() puts all in order.
// Invariants: nothing in the tail is nearer than the front's last; the front holds no row twice, the tail may until it is settled.
class Pool {
public:
    static constexpr i64 nothing = INT64_MAX;

    void use(const Allocator &a) { items_.use(a); }
    // Room for `width` rows, of which the nearest `horizon` are given out by take().
    Status prepare(u32 width, u32 horizon, learnann_error *error) {
        front_ = static_cast<u32>(round_up(larger(horizon, least_front), sorted_padding));
        if (width <= all_sorted || front_ + spill >= width) front_ = width;
        rest_ = width - front_;
        const u64 sorted = round_up(front_ + (rest_ ? spill : 0), sorted_padding), loose = rest_ ? thinned() + larger(rest_, least_loose) : 0;
        LEARNANN_RETURN_IF(items_.at_least(sorted + loose, error));
        for (u64 i = 0; i < sorted; ++i) items_[i] = nothing;
        tail_ = items_.data() + sorted;
        tail_room_ = loose;
        tail_size_ = 0;
        beyond_ = nothing;
        horizon_ = horizon;
        cursor_ = 0;
        return LEARNANN_OK;
    }
    static i64 item(i32 estimate, u32 id) {
        return static_cast<i64>(static_cast<u64>(static_cast<i64>(estimate >> 1)) << 33 | static_cast<u64>(id) << 1);
    }
    static i32 estimate_of(i64 item) { return static_cast<i32>(static_cast<u32>(static_cast<u64>(item) >> 33) << 1); }
    static u32 id_of(i64 item) { return static_cast<u32>(static_cast<u64>(item) >> 1); }

    bool would_keep(i32 estimate, u32 id) const { return item(estimate, id) < worst(); }
    void insert(i32 estimate, u32 id) {
        const i64 fresh = item(estimate, id);
        insert(&fresh, 1);
    }
    // Items that are no better than the worst, or there already, change nothing.
    void insert(const i64 *fresh, u32 count) {
        if (count == 0) return;
        if (rest_) insert_apart(fresh, count);
        else cursor_ = smaller(cursor_, kernels().insert_sorted(items_.data(), front_, fresh, count));
    }
    // Items of the rows scored that are better than `worst`; near has room for one more. id_at(i) names a row.
    template <class IdAt> static u32 nearer(const i32 *estimates, u32 count, i64 worst, IdAt id_at, i64 *near) {
        u32 found = 0;
        for (u32 i = 0; i < count; ++i) {
            near[found] = item(estimates[i], id_at(i));
            found += near[found] < worst;
        }
        return found;
    }
    // An item that is not below it is not kept. While there is a tail, some that are below won't be either.
    i64 worst() const { return rest_ ? beyond_ : items_[front_ - 1]; }

    // The nearest row that was not expanded yet, now marked as expanded; no_row where there is none.
    u32 take() {
        const u32 id = peek();
        if (id != no_row) items_[cursor_] |= 1;
        return id;
    }
    u32 peek() {
        while (cursor_ < horizon_ && (items_[cursor_] & 1)) ++cursor_;
        return cursor_ < horizon_ ? id(cursor_) : no_row;
    }
    // The item of the row that take() would give; `nothing` where there is none.
    i64 next() { return peek() == no_row ? nothing : items_[cursor_]; }
    u32 rank() const { return cursor_; }    // of the row taken last

    // Once a search is over: the tail's items of which wanted(estimate) is true get in order behind the front. It must be true of
    // all estimates up to some one. Until prepare() nothing can be inserted.
    template <class Wanted> void settle(Wanted wanted) {
        i64 *const end = std::partition(tail_, tail_ + tail_size_, [&](i64 i) { return wanted(estimate_of(i)); });
        u64 found = 0;      // different ones, in order: most often the first round has enough
        for (i64 *from = tail_; from < end && found < rest_;) {
            i64 *const stop = from + smaller<u64>(thinned(), static_cast<u64>(end - from));
            if (stop < end) std::nth_element(from, stop, end);
            std::sort(from, stop);
            for (; from < stop; ++from)
                if (found == 0 || (tail_[found - 1] | 1) != (*from | 1)) tail_[found++] = *from;
        }
        rest_ = static_cast<u32>(smaller<u64>(rest_, found));
        std::memmove(items_.data() + front_, tail_, rest_ * sizeof(i64));
        front_ += rest_;
        rest_ = 0;
        tail_size_ = 0;
    }
    void settle() {
        if (has_tail()) settle([](i32) { return true; });
    }
    bool has_tail() const { return rest_ > 0; }

    // Of those in order.
    u32 size() const {
        return static_cast<u32>(std::lower_bound(items_.begin(), items_.begin() + front_, nothing) - items_.begin());
    }
    // Of an item that was inserted before: whether it is still there.
    bool holds(i64 item) const { return item <= (items_[front_ - 1] | 1); }
    i64 item_at(u32 i) const { return items_[i]; }
    u32 id(u32 i) const { return id_of(items_[i]); }
    i32 estimate(u32 i) const { return estimate_of(items_[i]); }
    u64 bytes() const { return items_.bytes(); }

private:
    static constexpr u32 least_front = 16;
    static constexpr u32 all_sorted = 80;       // up to this width a tail costs more than it saves
    static constexpr u32 spill = sorted_padding;    // places behind the front; empty but for what just fell out of it
    static constexpr u32 at_once = 256;
    static constexpr u32 least_loose = 2 * at_once;     // what at_once fresh items and the front's last may need

    // So many of the tail stay when it is thinned out. Rows that are in it twice must not cost others their place.
    u64 thinned() const { return static_cast<u64>(rest_) + rest_ / 4 + spill; }

    LEARNANN_NOINLINE void insert_apart(const i64 *fresh, u32 count) {
        i64 near[at_once + 1];
        for (const i64 *const end = fresh + count; fresh < end;) {
            const i64 *const stop = fresh + smaller<u64>(at_once, static_cast<u64>(end - fresh));
            if (tail_size_ + at_once > tail_room_) thin_out();
            const i64 reach = items_[front_ - 1];
            i64 *far = tail_ + tail_size_;
            u32 found = 0;
            for (; fresh < stop; ++fresh) {
                const bool in_reach = *fresh <= reach;        // the last one itself, met again, is dropped there
                near[found] = *far = *fresh;
                found += in_reach;
                far += !in_reach;
            }
            tail_size_ = static_cast<u64>(far - tail_);
            for (u32 i = 0; i < found; i += spill) insert_near(near + i, smaller(spill, found - i));
        }
    }
    void insert_near(const i64 *near, u32 count) {
        cursor_ = smaller(cursor_, kernels().insert_sorted(items_.data(), front_ + spill, near, count));
        for (u32 i = front_; i < front_ + spill && items_[i] != nothing; ++i) {
            tail_[tail_size_++] = items_[i];
            items_[i] = nothing;
        }
    }
    // Leaves at least the nearest `rest_` different rows of the tail, by a bound that a sample of it gives.
    void thin_out() {
        constexpr u32 sampled = 32;
        i64 sample[sampled];
        for (u64 i = 0; i < sampled; ++i) sample[i] = tail_[i * tail_size_ / sampled];
        std::sort(sample, sample + sampled);
        const u64 place = thinned() * sampled / tail_size_ + 2;
        i64 bound = sample[smaller<u64>(place, sampled - 1)];
        u64 below = 0;
        for (u64 i = 0; i < tail_size_; ++i) below += tail_[i] < bound;
        if (below < thinned() || below > tail_room_ - at_once) {
            std::nth_element(tail_, tail_ + thinned(), tail_ + tail_size_);
            bound = tail_[thinned()];
        }
        i64 *end = tail_;
        for (u64 i = 0; i < tail_size_; ++i) {
            const i64 item = tail_[i];
            *end = item;
            end += item < bound;
        }
        tail_size_ = static_cast<u64>(end - tail_);
        beyond_ = bound;
    }

    Array<i64> items_;          // the front, room for `spill` more, the tail
    i64 *tail_ = nullptr;
    u32 front_ = 0;
    u32 rest_ = 0;              // of the width, what is not the front's; 0 where there is no tail
    u64 tail_size_ = 0;
    u64 tail_room_ = 0;
    i64 beyond_ = nothing;      // what was not below it when the tail was thinned out is gone
    u32 horizon_ = 0;
    u32 cursor_ = 0;
};

// Entries in groups of `group`, the last maybe smaller, each with its middle first: their records side by side.
struct EntryView {
    const u8 *records;
    u32 stride;
    u32 count;
    u32 group;
    u32 groups() const { return (count + group - 1) / group; }
};

// Finds the nearest few entries of those groups whose middles are nearest, and adds them: add(estimate, entry). Returns how many
// records were scored.
class EntryScan {
public:
    static constexpr u32 kept = 16;

    EntryScan(const QueryCode &query, const EntryView &entries) : query_(query), entries_(entries) {}

    template <class AddEntry> u32 run(AddEntry add) {
        const u32 groups = entries_.groups();
        const bool all = groups <= scanned_groups;
        alignas(64) i64 nearest[round_up(scanned_groups, sorted_padding)], best[kept];
        if (!all) find_groups(groups, nearest);
        for (i64 &item : best) item = Pool::nothing;
        for (u32 g = 0; g < smaller(groups, scanned_groups); ++g) scan(all ? g : Pool::id_of(nearest[g]), best);
        for (u32 b = 0; b < kept && best[b] != Pool::nothing; ++b) add(Pool::estimate_of(best[b]), Pool::id_of(best[b]));
        return scored_;
    }

private:
    static constexpr u32 scanned_groups = 4;
    static constexpr u32 block = 32;        // small: the first tells what the others must beat

    void find_groups(u32 groups, i64 *nearest) {
        for (u32 i = 0; i < round_up(scanned_groups, sorted_padding); ++i) nearest[i] = Pool::nothing;
        u32 middles[block];
        for (u32 begin = 0; begin < groups; begin += block) {
            const u32 size = smaller(block, groups - begin);
            for (u32 i = 0; i < size; ++i) middles[i] = (begin + i) * entries_.group;
            keep(entries_.records, middles, begin, size, nearest, scanned_groups);
        }
    }
    void scan(u32 group, i64 *best) {
        const u32 first = group * entries_.group, end = smaller(first + entries_.group, entries_.count);
        for (u32 begin = first; begin < end; begin += block)
            keep(entries_.records + static_cast<u64>(begin) * entries_.stride, nullptr, begin, smaller(block, end - begin), best, kept);
    }
    // The nearest of `size` records, named from `first` on.
    void keep(const u8 *records, const u32 *ids, u32 first, u32 size, i64 *nearest, u32 width) {
        i32 estimates[block];
        i64 near[block + 1];
        kernels().score(query_, records, entries_.stride, ids, size, estimates);
        scored_ += size;
        const u32 found = Pool::nearer(estimates, size, nearest[width - 1], [=](u32 i) { return first + i; }, near);
        if (found) kernels().insert_sorted(nearest, width, near, found);
    }

    const QueryCode &query_;
    const EntryView &entries_;
    u32 scored_ = 0;
};

struct BeamCounts {
    u64 distances = 0;
    u64 entry_distances = 0;
    u64 hops = 0;
    u64 bad_ids = 0;
};

class Beam {
public:
    // What a step needs was asked for a step before: a row is chosen, then its adjacency is read, then its neighbours are scored. Rows are
    // so chosen before it is known what the two before lead to; most likely they would be expanded anyway. Not so the nearest of all,
    // which tells where to go: its neighbours are scored at once, and then the next row is chosen.
    static constexpr u32 leading_ranks = 1, most_fresh = 2 * max_out_degree;
    static constexpr u64 seen_a_row = 48;       // places in the table of rows seen, for each row of the beam: twice what it sees, about

    Pool pool;
    BeamCounts counts;

    void use(const Allocator &a) {
        pool.use(a);
        seen_.use(a);
    }
    // Room for one search, which expands the nearest `horizon` of its `width` rows; rows seen are forgotten.
    Status prepare(u32 width, u32 horizon, u32 rows, learnann_error *error) {
        LEARNANN_RETURN_IF(pool.prepare(width, horizon, error));
        counts = BeamCounts{};
        fresh_count_ = due_ = 0;
        chosen_ = Chosen{};
        return seen_.prepare(seen_a_row * width, rows, error);
    }
    u64 bytes() const { return pool.bytes() + seen_.bytes(); }

    void mark_seen(u32 id) { (void)seen_.add(id); }
    // Where a search starts: at the nearest entries. row_of(entry) is no_row where it is out of range; visit(estimate, id).
    template <class RowOf, class Visit>
    void add_entries(const QueryCode &query, const EntryView &entries, RowOf row_of, Visit visit) {
        i64 fresh[EntryScan::kept];
        u32 count = 0;
        counts.entry_distances = EntryScan(query, entries).run([&](i32 estimate, u32 entry) {
            const u32 row = row_of(entry);
            if (row == no_row) {
                ++counts.bad_ids;
            } else if (seen_.add(row)) {
                fresh[count++] = Pool::item(estimate, row);
                visit(estimate, row);
            }
        });
        pool.insert(fresh, count);
    }

    // The same in a graph with layers: at what a descent through them finds.
    template <class Graph, class Visit>
    void add_descent(const Graph &graph, const QueryCode &query, const LayersView &layers, Visit visit) {
        const Descent<Graph> found(graph, query, layers);
        counts.entry_distances = found.distances;
        counts.hops += found.hops;
        counts.bad_ids += found.bad_ids;
        if (found.slot == no_row || !seen_.add(found.slot)) return;
        pool.insert(found.estimate, found.slot);
        visit(found.estimate, found.slot);
    }

    // False where the search is done. expanded(id, rank) is called for the row expanded, if there is one, once its neighbours are on their
    // way, with its place when it was chosen. Where not `chooses`, only what is on its way already is still taken in.
    template <class Graph, class Expanded> bool gather(const Graph &graph, bool chooses, Expanded expanded) {
        const Chosen now = chosen_.row != no_row || !chooses ? chosen_ : choose();
        const bool leads = now.rank < leading_ranks;
        chosen_ = Chosen{};
        due_ = fresh_count_;
        if (now.row == no_row) return due_ > 0;
        ++counts.hops;
        const u32 after = chooses ? pool.peek() : no_row;
        if (after != no_row) {
            graph.prefetch_adjacency(after);
            if (!leads && pool.rank() >= leading_ranks) chosen_ = choose();
        }
        gather_row(graph, now.row);
        const u32 stride = graph.record_bytes();
        const u8 *records = graph.records();
        for (u32 i = due_; i < fresh_count_; ++i) {
            const u8 *record = records + static_cast<u64>(fresh_[i]) * stride;
            for (u32 line = 0; line < stride; line += cache_line) prefetch(record + line);
        }
        if (leads) due_ = fresh_count_;
        expanded(now.row, now.rank);
        return true;
    }

    // A row is expanded without a walk: its neighbours are scored, and the best kept.
    template <class Graph, class Visit> void look_at(const Graph &graph, u32 row, const QueryCode &query, Visit visit) {
        fresh_count_ = 0;
        gather_row(graph, row);
        due_ = fresh_count_;
        score_due(graph, query, visit);
    }

    // visit(estimate, id) is called for each row scored, whether or not the pool keeps it.
    template <class Graph, class Visit> void score(const Graph &graph, const QueryCode &query, Visit visit) {
        if (due_ == 0) return;
        score_due(graph, query, visit);
        const u32 next = chosen_.row == no_row ? pool.peek() : no_row;
        if (next != no_row) graph.prefetch_adjacency(next);
    }

private:
    struct Chosen {
        u32 row = no_row;
        u32 rank = 0;
    };
    Chosen choose() {
        const u32 row = pool.take();
        return Chosen{row, pool.rank()};
    }
    // Adds those of a row's neighbours that weren't seen yet.
    template <class Graph> void gather_row(const Graph &graph, u32 row) {
        IdList list;
        if (graph.neighbours(row, list))
            fresh_count_ += kernels().unseen(list, seen_.tags(), graph.rows(), fresh_ + fresh_count_, counts.bad_ids);
        else ++counts.bad_ids;
    }

    template <class Graph, class Visit> void score_due(const Graph &graph, const QueryCode &query, Visit visit) {
        i32 estimates[most_fresh];
        i64 near[most_fresh + 1];
        kernels().score(query, graph.records(), graph.record_bytes(), fresh_, due_, estimates);
        counts.distances += due_;
        for (u32 i = 0; i < due_; ++i) visit(estimates[i], fresh_[i]);
        pool.insert(near, Pool::nearer(estimates, due_, pool.worst(), [this](u32 i) { return fresh_[i]; }, near));
        fresh_count_ -= due_;
        std::memmove(fresh_, fresh_ + due_, fresh_count_ * sizeof(u32));
    }

    SeenTable seen_;
    u32 fresh_[most_fresh + unseen_padding];       // neighbours that were not seen before: those that are due, then those on their way
    u32 fresh_count_ = 0;
    u32 due_ = 0;
    Chosen chosen_;         // to be expanded next
};

LEARNANN_END
