// teach.cpp: see teach.hpp.
#include "learn/teach.hpp"

#include <algorithm>

LEARNANN_BEGIN

constexpr u32 learned_entries = 64;     // 32 to 128 are as good

// How many of the lessons differ from each other, as good as always. What a log repeats thousands of times is still one lesson.
Status Teacher::count_different(u32 &different, learnann_error *error) const {
    Array<u32> sums(build_.allocator);
    LEARNANN_RETURN_IF(sums.allocate(lessons(), error));
    const u64 bytes = static_cast<u64>(queries_.dim) * element_bytes(queries_.type);
    parallel(build_.threads, lessons(), 256, [&](u64 i, u32) { sums[i] = crc32c(0, vector_at(queries_, lessons_[i]), bytes); });
    std::sort(sums.begin(), sums.end());
    different = static_cast<u32>(std::unique(sums.begin(), sums.end()) - sums.begin());
    return LEARNANN_OK;
}

Status Teacher::prepare(const learnann_vectors &queries, const Holdout &holdout, const EdgeLists &edges, const EntryTable &entries,
                        learnann_error *error) {
    const u64 left = queries.count - holdout.count;
    queries_ = queries;
    if (left < least_lessons) return lessons_.allocate(0, error);
    LEARNANN_RETURN_IF(lessons_.allocate(smaller<u64>(left, most_lessons), error));
    for (u64 i = 0; i < lessons_.size(); ++i) lessons_[i] = holdout.untested(i * left / lessons_.size());
    u32 different = 0;
    LEARNANN_RETURN_IF(count_different(different, error));
    if (different < least_lessons) return lessons_.allocate(0, error);
    LEARNANN_RETURN_IF(wanted_.allocate(lessons_.size() * wanted_rows, error));
    LEARNANN_RETURN_IF(traces_.allocate(batch, error));
    LEARNANN_RETURN_IF(expanded_.allocate(space_.rows, error));
    LEARNANN_RETURN_IF(led_.allocate(static_cast<u64>(space_.rows) * edges.capacity, error));
    for (u32 t = 0; t < build_.threads; ++t) LEARNANN_RETURN_IF(walkers_[t].prepare(space_, build_.allocator, error));
    for (u32 begin = 0; begin < lessons(); begin += batch) {
        LEARNANN_RETURN_IF(build_.progress.at(static_cast<double>(begin) / lessons()));
        std::atomic<u32> bad{no_row};
        parallel(build_.threads, smaller(batch, lessons() - begin), 16, [&](u64 i, u32 worker) {
            const u32 lesson = begin + static_cast<u32>(i);
            Walker &w = walkers_[worker];
            if (!walk(lesson, edges, entries, wide, wide, no_row, w)) keep_least(bad, lesson);
            u32 *rows = wanted_.data() + static_cast<u64>(lesson) * wanted_rows;
            for (u32 j = 0; j < wanted_rows; ++j) rows[j] = j < w.pool.size() ? w.pool.id(j) : no_row;
        });
        if (bad != no_row) return fail(error, LEARNANN_ARGUMENT, "a sample query holds NaN or infinity, or is longer than 1e18", LEARNANN_AT_QUERY, lessons_[bad]);
    }
    return LEARNANN_OK;
}

Status Teacher::Walker::prepare(const CodeSpace &space, const Allocator &a, learnann_error *error) {
    codec.use(a);
    code.use(a);
    pool.use(a);
    seen.use(a);
    from.use(a);
    place.use(a);
    LEARNANN_RETURN_IF(codec.allocate(*space.codec, error));
    LEARNANN_RETURN_IF(code.allocate(query_bytes(space.stride()), error));
    LEARNANN_RETURN_IF(pool.prepare(wide, 0, error));
    LEARNANN_RETURN_IF(seen.zeroes(space.rows, error));
    LEARNANN_RETURN_IF(from.allocate(space.rows, error));
    return place.allocate(space.rows, error);
}

// Expands at most `most` rows, of the nearest `share` of the beam. False where the query can't be used.
bool Teacher::walk(u32 lesson, const EdgeLists &edges, const EntryTable &entries, u32 beam, u32 share, u32 most, Walker &w) const {
    const Codec &codec = *space_.codec;
    if (!Rows::query_of(queries_, lessons_[lesson], codec.metric, w.codec.x.data())) return false;
    const EncodedQuery query = encode_query(codec, project(codec, w.codec), w.code.data());
    (void)w.pool.prepare(beam, share, nullptr);       // the memory is there already
    ++w.walk;
    w.expanded_count = 0;
    const EntryView view = entries.view(space_.stride());
    EntryScan(query.code, view).run([&](i32 estimate, u32 entry) {
        const u32 row = entries.rows[entry];
        w.seen[row] = w.walk;
        w.from[row] = no_row;
        w.pool.insert(estimate, row);
    });
    u32 fresh[max_out_degree];
    i32 estimates[max_out_degree];
    i64 near[max_out_degree + 1];
    for (u32 step = 0; step < most; ++step) {
        const u32 row = w.pool.take();
        if (row == no_row) break;
        if (step < hops) w.expanded[w.expanded_count++] = row;
        u32 count = 0;
        for (u32 i = 0; i < edges.degrees[row]; ++i) {
            const u32 other = edges.of(row)[i];
            if (w.seen[other] == w.walk) continue;
            w.seen[other] = w.walk;
            w.from[other] = row;
            w.place[other] = static_cast<u8>(i);
            fresh[count++] = other;
        }
        kernels().score(query.code, space_.records, space_.stride(), fresh, count, estimates);
        w.pool.insert(near, Pool::nearer(estimates, count, w.pool.worst(), [&](u32 i) { return fresh[i]; }, near));
    }
    w.pool.settle();
    return true;
}

// What the walk just done did for the lesson. Of each row seen the path is followed once.
void Teacher::trace(u32 lesson, Walker &w, Trace &out) const {
    out.expanded_count = w.expanded_count;
    out.led_count = out.missed_count = 0;
    std::memcpy(out.expanded, w.expanded, w.expanded_count * sizeof(u32));
    for (u32 i = 0; i < wanted_rows && wanted(lesson)[i] != no_row; ++i) {
        u32 row = wanted(lesson)[i];
        if (w.seen[row] != w.walk) {
            out.missed[out.missed_count++] = row;
            continue;
        }
        while (w.from[row] != no_row) {
            const u32 before = w.from[row];
            out.led[out.led_count++] = static_cast<u64>(before) << 8 | w.place[row];
            w.from[row] = no_row;
            row = before;
        }
    }
}

Status Teacher::note(const Trace &t, const EdgeLists &edges, learnann_error *error) {
    for (u32 i = 0; i < t.expanded_count; ++i) ++expanded_[t.expanded[i]];
    for (u32 i = 0; i < t.led_count; ++i) led_[(t.led[i] >> 8) * edges.capacity + (t.led[i] & 255)] = 1;
    const u32 starts = smaller(parents, t.expanded_count), more = t.missed_count * starts;
    if (missed_count_ + more > missed_.size()) LEARNANN_RETURN_IF(missed_.grow(larger<u64>(4096, 2 * (missed_count_ + more)), error));
    for (u32 i = 0; i < t.missed_count; ++i)
        for (u32 p = 0; p < starts; ++p)
            if (t.expanded[p] != t.missed[i]) missed_[missed_count_++] = static_cast<u64>(t.expanded[p]) << 32 | t.missed[i];
    return LEARNANN_OK;
}

// Two edges stay, whether or not they led anywhere: those that did, then others. What was pinned no longer comes first.
void Teacher::drop_idle(EdgeLists &edges, u32 enough) const {
    for (u32 row = 0; row < space_.rows; ++row) {
        if (expanded_[row] < enough) continue;
        const u8 *led = led_.data() + static_cast<u64>(row) * edges.capacity;
        u32 *list = edges.of(row), kept = 0;
        for (u32 i = 0; i < edges.degrees[row]; ++i)
            if (led[i]) std::swap(list[kept++], list[i]);
        edges.pinned[row] = 0;
        edges.degrees[row] = static_cast<u8>(larger(kept, smaller<u32>(2, edges.degrees[row])));
    }
}

// Those edges first that most lessons lacked; what a single one lacked is chance.
Status Teacher::link_missed(EdgeLists &edges, learnann_error *error) {
    Array<Missing> missing(build_.allocator);
    LEARNANN_RETURN_IF(missing.allocate(missed_count_, error));
    std::sort(missed_.begin(), missed_.begin() + missed_count_);
    u64 count = 0;
    for (u64 i = 0; i < missed_count_; ++i) {
        if (count == 0 || missing[count - 1].edge != missed_[i]) missing[count++] = Missing{0, missed_[i]};
        ++missing[count - 1].count;
    }
    std::sort(missing.begin(), missing.begin() + count);
    for (u64 i = 0; i < count && missing[i].count > 1; ++i)
        edges.link(static_cast<u32>(missing[i].edge >> 32), static_cast<u32>(missing[i].edge));
    return LEARNANN_OK;
}

Status Teacher::teach(EdgeLists &edges, const EntryTable &entries, u32 enough, learnann_error *error) {
    constexpr u32 rounds = 2;       // the second walks the lists that the first left
    for (u32 round = 0; round < rounds; ++round) {
        std::memset(expanded_.data(), 0, expanded_.size() * sizeof(u32));
        std::memset(led_.data(), 0, led_.size());
        missed_count_ = 0;
        for (u32 begin = 0; begin < lessons(); begin += batch) {
            LEARNANN_RETURN_IF(build_.progress.at((round + static_cast<double>(begin) / lessons()) / rounds));
            const u32 size = smaller(batch, lessons() - begin);
            parallel(build_.threads, size, 16, [&](u64 i, u32 worker) {
                const u32 lesson = begin + static_cast<u32>(i);
                (void)walk(lesson, edges, entries, width, horizon, hops, walkers_[worker]);
                trace(lesson, walkers_[worker], traces_[i]);
            });
            for (u32 i = 0; i < size; ++i) LEARNANN_RETURN_IF(note(traces_[i], edges, error));
        }
        drop_idle(edges, enough);
        LEARNANN_RETURN_IF(link_missed(edges, error));
    }
    return LEARNANN_OK;
}

// Greedy cover: what an entry serves counts less for the next.
Status Teacher::choose_entries(u32 count, Array<u32> &rows, learnann_error *error) const {
    constexpr u32 first = 5;
    constexpr float served = 0.3f;
    Array<float> weight(build_.allocator), gain(build_.allocator);
    Array<u32> chosen(build_.allocator);
    LEARNANN_RETURN_IF(weight.allocate(lessons(), error));
    LEARNANN_RETURN_IF(gain.allocate(space_.rows, error));
    LEARNANN_RETURN_IF(chosen.allocate(count, error));
    std::fill(weight.begin(), weight.end(), 1.0f);
    u32 found = 0;
    while (found < count) {
        std::fill(gain.begin(), gain.end(), 0.0f);
        for (u32 i = 0; i < lessons(); ++i)
            for (u32 j = 0; j < first; ++j)
                if (wanted(i)[j] != no_row) gain[wanted(i)[j]] += weight[i];
        for (u32 e = 0; e < found; ++e) gain[chosen[e]] = 0;
        const float *best = std::max_element(gain.begin(), gain.end());
        if (*best <= 0) break;
        const u32 row = static_cast<u32>(best - gain.begin());
        chosen[found++] = row;
        for (u32 i = 0; i < lessons(); ++i)
            if (std::find(wanted(i), wanted(i) + first, row) != wanted(i) + first) weight[i] *= served;
    }
    std::sort(chosen.begin(), chosen.begin() + found);
    LEARNANN_RETURN_IF(rows.allocate(found, error));
    std::memcpy(rows.data(), chosen.data(), found * sizeof(u32));
    return LEARNANN_OK;
}

Status learn_from_queries(const CodeSpace &space, const learnann_vectors &queries, const Holdout &holdout, const Rows &rows,
                          const Array<u32> &row_of_slot, const BuildContext &build, EdgeLists &edges, EntryTable &entries,
                          Calibration &calibration, u64 &lessons, learnann_error *error) {
    lessons = 0;
    Teacher teacher(space, build);
    build.progress.share(0.3);
    LEARNANN_RETURN_IF(teacher.prepare(queries, holdout, edges, entries, error));
    if (teacher.lessons() == 0) return LEARNANN_OK;
    EntryTable chosen;
    chosen.rows.use(build.allocator);
    chosen.records.use(build.allocator);
    if (space.inner) {      // elsewhere the best entries lie all over the rows, as they do
        LEARNANN_RETURN_IF(teacher.choose_entries(learned_entries, chosen.rows, error));
        LEARNANN_RETURN_IF(chosen.arrange(space, build.allocator, error));
    }
    const EntryTable &starts = space.inner ? chosen : entries;
    // Idle edges of rows that few expanded may be chance: where to drop them costs more than it saves, fewer go.
    for (const u32 enough : {4u, 32u}) {
        EdgeLists taught;
        Calibration reached;
        LEARNANN_RETURN_IF(taught.copy(edges, build.allocator, error));
        build.progress.share(0.5);
        LEARNANN_RETURN_IF(teacher.teach(taught, starts, enough, error));
        LEARNANN_RETURN_IF(calibrate(space, taught, starts, rows, row_of_slot, holdout, build, reached, error));
        if (reached.cost >= calibration.cost) continue;
        calibration = reached;
        edges = std::move(taught);
        if (space.inner) entries = std::move(chosen);
        lessons = teacher.lessons();
        return LEARNANN_OK;
    }
    return LEARNANN_OK;
}

LEARNANN_END
