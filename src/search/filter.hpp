// filter.hpp: which rows may be hits, asked by slot.
#pragma once

#include "format/reader.hpp"

LEARNANN_BEGIN

class RowFilter {
public:
    RowFilter() = default;
    RowFilter(const FileView &view, const learnann_filter *filter) : view_(&view), filter_(filter) {
        if (filter && filter->kind == LEARNANN_FILTER_NONE) filter_ = nullptr;
    }
    bool active() const { return filter_ != nullptr; }

    bool pass(u32 slot) const {
        if (!filter_) return true;
        const u32 row = view_->row_of_slot(slot);
        if (row >= view_->rows()) return false;
        if (filter_->kind == LEARNANN_FILTER_ROWS) return bit(row);
        const u64 key = view_->key_of_row(row);
        return filter_->kind == LEARNANN_FILTER_KEYS ? bit(key) : filter_->accept(filter_->context, key) != 0;
    }

    // Bit i is about row i, so that the rows that pass can be enumerated without asking for each.
    bool by_row() const {
        return filter_ && (filter_->kind == LEARNANN_FILTER_ROWS || (filter_->kind == LEARNANN_FILTER_KEYS && !view_->has_keys()));
    }
    u64 words() const { return (row_bits() + 63) / 64; }
    u64 word(u64 i) const {     // without the bits beyond the rows
        const u64 used = row_bits() - i * 64;
        return used >= 64 ? filter_->bits[i] : filter_->bits[i] & ((1ull << used) - 1);
    }

    // How many rows pass: exact by row, else estimated from a spread sample.
    double expected_passes() const {
        if (!filter_) return view_->rows();
        double count = 0;
        if (by_row()) {
            for (u64 i = 0; i < words(); ++i)
                for (u64 w = word(i); w; w &= w - 1) ++count;
            return count;
        }
        const u32 n = view_->rows(), sample = smaller(n, 256u);
        for (u32 i = 0; i < sample; ++i) count += pass(static_cast<u32>(static_cast<u64>(i) * n / sample));
        return count * n / sample;
    }

private:
    u64 row_bits() const { return smaller<u64>(filter_->bit_count, view_->rows()); }
    bool bit(u64 i) const { return i < filter_->bit_count && (filter_->bits[i / 64] >> i % 64 & 1); }

    const FileView *view_ = nullptr;
    const learnann_filter *filter_ = nullptr;
};

LEARNANN_END
