// connect.cpp: see connect.hpp.
#include "learn/connect.hpp"

#include <algorithm>

LEARNANN_BEGIN

namespace {

class GapBridger {
public:
    GapBridger(const CodeSpace &space, const EdgeLists &edges, const EntryTable &entries, const Allocator &a)
        : space_(space), edges_(edges), entries_(entries), reached_(a), degrees_(a), queue_(a), code_(a) {
        beam_.use(a);
    }

    Status run(Array<Bridge> &bridges, u32 &count, learnann_error *error) {
        const u32 n = space_.rows;
        count = 0;
        LEARNANN_RETURN_IF(reached_.zeroes(n, error));
        LEARNANN_RETURN_IF(degrees_.allocate(n, error));
        LEARNANN_RETURN_IF(queue_.allocate(n, error));
        LEARNANN_RETURN_IF(code_.allocate(max_query_bytes, error));
        std::memcpy(degrees_.data(), edges_.degrees.data(), n);
        reach_from(entries_.rows[0]);
        for (u32 row = 0; row < n; ++row) {
            if (reached_[row]) continue;
            u32 from = no_row;
            LEARNANN_RETURN_IF(find_bridgehead(row, from, error));
            if (count == bridges.size()) LEARNANN_RETURN_IF(bridges.grow(larger<u64>(64, 2ull * count), error));
            bridges[count++] = Bridge{from, row};
            ++degrees_[from];
            reach_from(row);
        }
        std::sort(bridges.begin(), bridges.begin() + count);
        return LEARNANN_OK;
    }

private:
    void reach_from(u32 start) {
        if (reached_[start]) return;
        u32 head = 0, tail = 0;
        reached_[start] = 1;
        queue_[tail++] = start;
        while (head < tail) {
            const u32 row = queue_[head++], *list = edges_.of(row);
            for (u32 i = 0; i < edges_.degrees[row]; ++i)
                if (!reached_[list[i]]) reached_[list[i]] = 1, queue_[tail++] = list[i];
        }
    }

    // The nearest reached row with room in its list, or else for one more edge at all. Every walk that comes by pays for the edges:
    // under inner product, where all come by the same few rows, those get none.
    Status find_bridgehead(u32 row, u32 &from, learnann_error *error) {
        u32 near = 0;
        if (!space_.inner) {
            const BuildGraph graph{&space_, &edges_};
            const QueryCode query = space_.query(row, code_.data());
            LEARNANN_RETURN_IF(beam_.prepare(32, 32, space_.rows, error));
            walk(graph, entries_, query, beam_);
            near = beam_.pool.size();
        }
        for (const u32 most : {edges_.capacity, max_out_degree}) {
            for (u32 i = 0; i < near; ++i) {
                from = beam_.pool.id(i);
                if (has_room(from, most)) return LEARNANN_OK;
            }
            // The next reached row in file order, which is near in space.
            for (u32 step = 1; step <= space_.rows; ++step) {
                from = static_cast<u32>((static_cast<u64>(row) + space_.rows - step) % space_.rows);
                if (has_room(from, most)) return LEARNANN_OK;
            }
        }
        return LEARNANN_OK;
    }
    bool has_room(u32 row, u32 most) const { return reached_[row] && degrees_[row] < most; }

    const CodeSpace &space_;
    const EdgeLists &edges_;
    const EntryTable &entries_;
    Array<u8> reached_, degrees_;
    Array<u32> queue_;
    Array<i8> code_;
    Beam beam_;
};

}  // namespace

Status bridge_gaps(const CodeSpace &space, const EdgeLists &edges, const EntryTable &entries, const Allocator &allocator,
                   Array<Bridge> &bridges, u32 &bridge_count, learnann_error *error) {
    bridges.use(allocator);
    GapBridger bridger(space, edges, entries, allocator);
    return bridger.run(bridges, bridge_count, error);
}

namespace {

// Places blocks in no more cache lines than each fills: in what is left of the latest few lines, where that fits best, or behind them.
class LinePacker {
public:
    u64 place(u64 size) {
        Rest *best = nullptr;
        for (Rest &rest : rests_)
            if (rest.bytes >= size && (!best || rest.bytes < best->bytes)) best = &rest;
        if (!best) {
            best = std::min_element(rests_, rests_ + watched, [](const Rest &a, const Rest &b) { return a.bytes < b.bytes; });
            *best = Rest{end_, round_up(size, cache_line)};
            end_ += best->bytes;
        }
        const u64 at = best->at;
        best->at += size;
        best->bytes -= size;
        return at;
    }
    u64 end() const { return end_; }    // of the last line

private:
    static constexpr u32 watched = 16;
    struct Rest {
        u64 at = 0, bytes = 0;
    };
    Rest rests_[watched];
    u64 end_ = 0;
};

}  // namespace

Status lay_out_edges(const CodeSpace &space, const EdgeLists &edges, const Array<Bridge> &bridges, u32 bridge_count,
                     u8 *records, const Allocator &allocator, Adjacency &out, learnann_error *error) {
    const u32 n = space.rows;
    Array<u32> first_bridge(allocator);     // of each row, by a running count
    LEARNANN_RETURN_IF(first_bridge.zeroes(n + 1ull, error));
    for (u32 i = 0; i < bridge_count; ++i) ++first_bridge[bridges[i].from + 1];
    for (u32 row = 0; row < n; ++row) first_bridge[row + 1] += first_bridge[row];
    const auto degree_of = [&](u32 row) { return edges.degrees[row] + first_bridge[row + 1] - first_bridge[row]; };

    const u32 bits = IdList::bits_for(n);
    LinePacker packer;
    for (u32 row = 0; row < n; ++row) {
        const u32 degree = degree_of(row);
        const u64 at = packer.place(round_up(adjacency_bytes(degree, bits), 4));
        if (at / 4 > 0xffffffffull) return fail(error, LEARNANN_UNSUPPORTED, "the graph is larger than 16 GiB");
        store(records + (row + 1ull) * space.stride() - 4, static_cast<u32>(at / 4));
        out.edges += degree;
        out.max_degree = larger(out.max_degree, degree);
    }
    out.bytes.use(allocator);
    LEARNANN_RETURN_IF(out.bytes.zeroes(round_up(packer.end() + adjacency_slack, cache_line), error));
    for (u32 row = 0; row < n; ++row) {
        u8 *block = out.bytes.data() + 4ull * load<u32>(records + (row + 1ull) * space.stride() - 4);
        const u32 own = edges.degrees[row], degree = degree_of(row);
        block[0] = static_cast<u8>(degree);
        for (u32 i = 0; i < degree; ++i)
            put_id(block + adjacency_head, bits, i, i < own ? edges.of(row)[i] : bridges[first_bridge[row] + i - own].to);
    }
    return LEARNANN_OK;
}

LEARNANN_END
