// options.hpp: what a build's options mean before its rows are known, and the memory that they ask for.
#pragma once

#include "learn/connect.hpp"

LEARNANN_BEGIN

constexpr u32 default_degree = 32;
constexpr u32 inner_degree = 48;        // by inner product, where lengths differ: the long rows are many others' neighbours
constexpr u32 long_degree = 64;         // where rows have neighbours in many directions
inline bool adaptive(const learnann_build_options &o) { return o.graph <= LEARNANN_GRAPH_ADAPTIVE || o.graph == LEARNANN_GRAPH_UNIFORM; }
// Those whose rows held out are linked as all others, and taken out only while the graph is calibrated.
inline bool linked_whole(const learnann_build_options &o) { return o.graph == LEARNANN_GRAPH_KNN || o.graph == LEARNANN_GRAPH_GIVEN; }
// Before the rows are known.
inline u32 degree_of(const learnann_build_options &o) {
    return o.degree ? o.degree : o.metric == LEARNANN_IP && adaptive(o) ? inner_degree : default_degree;
}
// Where narrower records are asked for than tell enough, the graph is linked by such ones: it gets fewer edges, and better ones.
constexpr u32 graph_code_bytes = 2 * cache_line;
constexpr u32 angular_capacity = 24;    // of the lists by which neighbours by angle are found, for inner product
constexpr u32 learning_dims = 256;      // of PCA, that other spaces are learned within

// What is added to the seed for each thing that is drawn.
constexpr u64 sample_seed = 1, codec_seed = 2, entry_seed = 3, order_seed = 4, holdout_seed = 11;
constexpr u64 angular_codec_seed = 5, angular_entry_seed = 6, angular_order_seed = 7;      // of what links by angle, for inner product
constexpr u64 dimension_seed = 8, lists_seed = 21, metric_seed = 22;

inline u32 thread_count(const learnann_build_options &o) { return o.threads ? smaller(o.threads, max_threads) : core_count(); }

inline u32 edge_capacity(const learnann_build_options &o) {
    if (linked_whole(o)) return degree_of(o) + 4;       // room for what makes every row reachable
    return adaptive(o) ? degree_of(o) * 3 / 2 : degree_of(o);
}

// Bytes that a build needs besides the rows, for options that were checked.
u64 build_bytes(u64 rows, u32 dim, const learnann_build_options &options);

LEARNANN_END
