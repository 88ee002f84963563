// filter.hpp: which rows may be hits, asked by slot.
#pragma once

#include "format/reader.hpp"

LEARNANN_BEGIN

// How many bits of a bitmap of `words` words are set; roughly, from a spread sample of them, where it has many of both.
template <class Word> u64 about_set(u64 words, Word word) {
    constexpr u64 some = 4096;
    const auto in_every = [&](u64 step) {
        u64 count = 0;
        for (u64 i = 0; i < words; i += step) count += count_bits(word(i));
        return count;
    };
    const u64 step = words / (some + 1) + 1, sampled = in_every(step);
    return step == 1 || sampled >= some ? sampled * step : in_every(1);
}

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

    // Bit i is about row i, so that the rows that pass can be told without asking for each.
    bool by_row() const {
        return filter_ && (filter_->kind == LEARNANN_FILTER_ROWS || (filter_->kind == LEARNANN_FILTER_KEYS && !view_->has_keys()));
    }
    // visit(slot) for every row that passes. Returns how many ids of a damaged file were out of range.
    template <class Visit> u64 each_passing(Visit visit) const {
        const u32 n = view_->rows();
        u64 bad = 0;
        if (!by_row()) {
            for (u32 slot = 0; slot < n; ++slot)
                if (pass(slot)) visit(slot);
            return bad;
        }
        for (u64 i = 0; i < words(); ++i)
            for (u64 left = word(i); left; left &= left - 1) {
                const u32 slot = view_->slot_of_row(static_cast<u32>(i * 64 + lowest_bit(left)));
                if (slot < n) visit(slot);
                else ++bad;
            }
        return bad;
    }
    // How many of the rows have to be asked for that.
    u32 asked() const { return filter_ && !by_row() ? view_->rows() : 0; }

    // How many rows pass, roughly: of those that have to be asked from a spread sample.
    double expected_passes() const {
        if (!filter_) return view_->rows();
        if (by_row()) return static_cast<double>(about_set(words(), [this](u64 i) { return word(i); }));
        double count = 0;
        const u32 n = view_->rows(), sample = smaller(n, 256u);
        for (u32 i = 0; i < sample; ++i) count += pass(static_cast<u32>(static_cast<u64>(i) * n / sample));
        return count * n / sample;
    }

private:
    u64 words() const { return (row_bits() + 63) / 64; }
    u64 word(u64 i) const {     // without the bits beyond the rows
        const u64 used = row_bits() - i * 64;
        return used >= 64 ? filter_->bits[i] : filter_->bits[i] & ((1ull << used) - 1);
    }
    u64 row_bits() const { return smaller<u64>(filter_->bit_count, view_->rows()); }
    bool bit(u64 i) const { return i < filter_->bit_count && (filter_->bits[i / 64] >> i % 64 & 1); }

    const FileView *view_ = nullptr;
    const learnann_filter *filter_ = nullptr;
};

LEARNANN_END
