// verify.cpp: see verify.hpp. The numbers are those of the invariants in format.hpp.
#include "build/verify.hpp"

#include "base/os.hpp"

LEARNANN_BEGIN

namespace {

class Verifier {
public:
    Verifier(const FileView &view, const Allocator &a, learnann_error *error)
        : view_(view), a_(view.about()), allocator_(a), error_(error), seen_(a), queue_(a) {}

    Status run() {
        LEARNANN_RETURN_IF(checksums());
        LEARNANN_RETURN_IF(gaps());
        LEARNANN_RETURN_IF(projection());
        LEARNANN_RETURN_IF(records());
        LEARNANN_RETURN_IF(adjacency());
        LEARNANN_RETURN_IF(entries());
        LEARNANN_RETURN_IF(layers());
        LEARNANN_RETURN_IF(row_numbers());
        LEARNANN_RETURN_IF(keys());
        LEARNANN_RETURN_IF(reachable());
        LEARNANN_RETURN_IF(fingerprint());
        LEARNANN_RETURN_IF(calibration());
        return exact_rows();
    }

private:
    Status bad(const char *message, u64 offset) { return fail(error_, LEARNANN_CORRUPT, message, LEARNANN_AT_BYTE, offset); }
    u64 at(u32 kind, u64 offset) const { return view_.section_offset(kind) + offset; }

    u32 checksum(u32 kind) const {
        u32 crc = 0;
        read_in_order(view_.section(kind), view_.section_bytes(kind), [&](const u8 *part, size_t size) { crc = crc32c(crc, part, size); });
        return crc;
    }
    Status checksums() {
        for (u32 kind = section_about; kind < section_kinds; ++kind)
            if (view_.section(kind) && checksum(kind) != view_.section_crc(kind))
                return bad("F7: the checksum of a section is wrong", at(kind, 0));
        return LEARNANN_OK;
    }

    // Bytes that belong to no section are 0: from the end of the table to the first section, and from each to the next.
    Status gaps() {
        const u8 *bytes = view_.bytes();
        u64 end = view_.table_end();
        for (;;) {
            u64 next = view_.file_bytes(), next_end = next;
            view_.next_section(end, next, next_end);
            for (u64 i = end; i < next; ++i)
                if (bytes[i] != 0) return bad("F18: bytes between sections are not 0", i);
            if (next >= view_.file_bytes()) return LEARNANN_OK;
            end = larger(next_end, next + 1);
        }
    }

    Status projection() {
        // Instruction sets multiply alike by v from -127 to 127, but not by -128.
        const u64 entries = static_cast<u64>(a_.code_dim) * projection_cols(a_.dim);
        bool right = std::memchr(view_.matrix(), 0, static_cast<size_t>(entries)) == nullptr;
        for (u32 i = 0; i < a_.code_dim; ++i)
            right = right && std::isfinite(view_.unit()[i]) && view_.unit()[i] > 0;
        for (u32 i = 0; i < a_.dim; ++i) right = right && std::isfinite(view_.mean()[i]);
        return right ? LEARNANN_OK : bad("F19: a value of the projection is out of range", at(section_projection, 0));
    }

    Status record(const u8 *record, u64 offset) {
        const CodeZones zones = CodeZones::of(a_.record_bytes, a_.nibbles_at, a_.crumbs_at);
        for (u32 i = 0; i < zones.whole; ++i)
            if (record[i] == 0 || (i >= a_.code_dim && record[i] != 128)) return bad("F8: a code is out of range", offset + i);
        const u32 nibbles = zones.whole, crumbs = nibbles + zones.nibbles;
        LEARNANN_RETURN_IF(unused_levels(record + nibbles, zones.nibbles, 2, 15, nibbles, offset + nibbles));
        return unused_levels(record + crumbs, zones.crumbs, 4, 3, nibbles + 2 * zones.nibbles, offset + crumbs);
    }
    // Of `parts` levels in each byte, whose first is that dimension.
    Status unused_levels(const u8 *bytes, u32 count, u32 parts, u32 top, u32 dim, u64 offset) {
        for (u32 p = 0; p < parts; ++p)
            for (u32 i = 0; i < count; ++i, ++dim)
                if (dim >= a_.code_dim && (bytes[i] >> plane_bit[p] & top)) return bad("F8: a nibble or crumb is not 0", offset + i);
        return LEARNANN_OK;
    }
    Status records() {
        for (u32 slot = 0; slot < view_.rows(); ++slot)
            LEARNANN_RETURN_IF(record(view_.record(slot), at(section_records, static_cast<u64>(slot) * a_.record_bytes)));
        return LEARNANN_OK;
    }

    Status adjacency() {
        const u32 n = view_.rows();
        u64 edges = 0;
        LEARNANN_RETURN_IF(queue_.allocate(n, error_));
        for (u32 &named_by : queue_) named_by = no_row;
        for (u32 slot = 0; slot < n; ++slot) {
            IdList list;
            const u64 offset = at(section_records, (slot + 1ull) * a_.record_bytes - 4);
            if (!view_.neighbours(slot, list)) return bad("F9: a row's adjacency lies outside of its section", offset);
            const u64 block = at(section_adjacency, static_cast<u64>(list.bytes - view_.section(section_adjacency)));
            if (list.count > a_.max_degree) return bad("F9: a row has more neighbours than max_degree", block);
            edges += list.count;
            for (u32 i = 0; i < list.count; ++i) {
                if (list[i] >= n || list[i] == slot) return bad("F10: a neighbour is out of range", block);
                if (queue_[list[i]] == slot) return bad("F11: a neighbour comes twice", block);
                queue_[list[i]] = slot;
            }
        }
        return edges == a_.edges ? LEARNANN_OK : bad("F9: the number of edges is wrong", at(section_about, 8));
    }

    Status entries() {
        for (u32 i = 0; i < a_.entries; ++i) {
            const u64 offset = static_cast<u64>(i) * a_.record_bytes;
            const u32 slot = view_.entry_slot(i);
            if (slot >= view_.rows()) return bad("F10: an entry is out of range", at(section_entries, offset));
            if (std::memcmp(view_.entry_records() + offset, view_.record(slot), a_.record_bytes) != 0)
                return bad("F15: an entry's record differs from its row's", at(section_entries, offset));
        }
        return LEARNANN_OK;
    }

    Status layers() {
        if (!view_.has_layers()) return LEARNANN_OK;
        const LayersView layers = view_.layers();
        const LayersHead &head = layers.head;
        const u64 slots = at(section_layers, sizeof head);
        if (layers.slot(0) != view_.entry_slot(0)) return bad("F22: the first node of the layers is not the entry", slots);
        LEARNANN_RETURN_IF(seen_.zeroes(view_.rows(), error_));
        for (u32 node = 0; node < head.all_nodes(); ++node) {
            const u32 slot = layers.slot(node);
            if (slot >= view_.rows() || seen_[slot]++) return bad("F22: a node of the layers is out of range, or comes twice", slots + 4ull * node);
        }
        for (u32 layer = 0; layer < head.count; ++layer)
            for (u32 node = 0; node < head.nodes[layer]; ++node)
                LEARNANN_RETURN_IF(node_neighbours(layers.blocks(layer) + static_cast<u64>(node) * head.block_bytes(), node, layer, head));
        return LEARNANN_OK;
    }
    Status node_neighbours(const u8 *block, u32 node, u32 layer, const LayersHead &head) {
        const auto word = [=](u32 i) { return load<u32>(block + 4ull * i); };
        bool right = word(0) <= head.degree;
        for (u32 i = 1; right && i <= head.degree; ++i) {
            right = i <= word(0) ? word(i) < head.nodes[layer] && word(i) != node : word(i) == 0;
            for (u32 j = 1; i <= word(0) && j < i; ++j) right = right && word(j) != word(i);
        }
        const u64 offset = at(section_layers, static_cast<u64>(block - view_.section(section_layers)));
        return right ? LEARNANN_OK : bad("F22: a neighbour in a layer is out of range, or comes twice", offset);
    }

    Status row_numbers() {
        const u32 n = view_.rows();
        for (u32 slot = 0; slot < n; ++slot) {
            const u32 row = view_.row_of_slot(slot);
            if (row >= n || view_.slot_of_row(row) != slot)
                return bad("F12: row of slot and slot of row are no inverses", at(section_row_of_slot, 4ull * slot));
        }
        return LEARNANN_OK;
    }

    Status keys() {
        if (!view_.has_keys()) return LEARNANN_OK;
        const u32 n = view_.rows();
        const u8 *order = view_.section(section_key_order);
        for (u32 i = 0; i < n; ++i) {
            const u32 row = load<u32>(order + 4ull * i), before = i ? load<u32>(order + 4ull * (i - 1)) : 0;
            if (row >= n) return bad("F13: a row number is out of range", at(section_key_order, 4ull * i));
            const u64 key = view_.key_of_row(row), last = i ? view_.key_of_row(before) : 0;
            if (i && (key < last || (key == last && row <= before)))
                return bad("F13: the key order does not ascend", at(section_key_order, 4ull * i));
        }
        return LEARNANN_OK;     // strictly ascending (key, row) pairs of n rows below n: a permutation
    }

    Status reachable() {
        const u32 n = view_.rows();
        LEARNANN_RETURN_IF(seen_.zeroes(n, error_));
        u32 head = 0, tail = 0;
        const auto reach = [&](u32 slot) {
            if (!seen_[slot]) seen_[slot] = 1, queue_[tail++] = slot;
        };
        for (u32 i = 0; i < a_.entries; ++i) reach(view_.entry_slot(i));
        while (head < tail) {
            IdList list;
            view_.neighbours(queue_[head++], list);
            for (u32 i = 0; i < list.count; ++i) reach(list[i]);
        }
        return tail == n ? LEARNANN_OK : bad("F14: a row can't be reached from the entries", at(section_adjacency, 0));
    }

    Status fingerprint() {
        const bool right = fnv1a(view_.section(section_adjacency), view_.section_bytes(section_adjacency)) == a_.fingerprint;
        return right ? LEARNANN_OK : bad("F9: the fingerprint is not the graph's", at(section_about, 24));
    }

    Status calibration() {
        CalibrationPoint before{};
        for (u32 i = 0; i < view_.calibration_points(); ++i) {
            const CalibrationPoint p = view_.calibration(i);
            const bool fits = p.margin >= 0 && p.recall >= 0 && p.recall <= 1 && p.effort >= 1 && p.effort <= max_effort && p.k >= 1 &&
                              (p.k > before.k || (p.k == before.k && p.effort > before.effort && p.recall >= before.recall));
            if (!fits) return bad("F16: a calibration point is out of order", at(section_calibration, sizeof p * i));
            before = p;
        }
        return LEARNANN_OK;
    }

    Status refined_row(u32 slot, u32 bits) {
        const u8 *row = view_.exact_row(slot);
        const u64 offset = at(section_exact, static_cast<u64>(slot) * a_.exact_stride);
        const RefinedTail t = view_.refined_tail(slot);
        if (!std::isfinite(t.scale) || !std::isfinite(t.norm2)) return bad("F17: an exact row holds NaN or infinity", offset);
        if (t.scale < 0 || t.norm2 < 0) return bad("F20: the scale or norm of a refined row is negative", offset);
        const u32 bytes = refined_bytes(a_.dim, bits), top = (1u << bits) - 1;
        for (u32 i = a_.dim; i < bytes * (8 / bits); ++i)
            if (static_cast<u32>(row[i % bytes]) >> (i / bytes * bits) & top) return bad("F20: a level behind a row's last dimension is not 0", offset);
        return LEARNANN_OK;
    }
    Status exact_rows() {
        const u32 bits = refined_bits(a_.exact_type);
        for (u32 slot = 0; bits && slot < view_.rows(); ++slot) LEARNANN_RETURN_IF(refined_row(slot, bits));
        if (bits) return LEARNANN_OK;
        if (a_.exact_type != LEARNANN_F32 && a_.exact_type != LEARNANN_F16 && !a_.exact_tail) return LEARNANN_OK;
        for (u32 slot = 0; slot < view_.rows(); ++slot) {
            const u8 *row = view_.exact_row(slot);
            bool finite = true;
            if (a_.exact_type == LEARNANN_F32)
                for (u32 i = 0; i < a_.dim; ++i) finite = finite && std::isfinite(load<float>(row + 4ull * i));
            if (a_.exact_type == LEARNANN_F16)
                for (u32 i = 0; i < a_.dim; ++i) finite = finite && (load<u16>(row + 2ull * i) & 0x7c00u) != 0x7c00u;
            if (a_.exact_tail) {
                const ExactTail t = view_.exact_tail(slot);
                finite = finite && std::isfinite(t.scale) && std::isfinite(t.offset) && std::isfinite(t.norm2);
            }
            if (!finite) return bad("F17: an exact row holds NaN or infinity", at(section_exact, static_cast<u64>(slot) * a_.exact_stride));
        }
        return LEARNANN_OK;
    }

    const FileView &view_;
    const About &a_;
    Allocator allocator_;
    learnann_error *error_;
    Array<u8> seen_;
    Array<u32> queue_;
};

}  // namespace

Status verify_file(const FileView &view, const Allocator &allocator, learnann_error *error) {
    return Verifier(view, allocator, error).run();
}

LEARNANN_END
