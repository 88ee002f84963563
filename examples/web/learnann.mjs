// learnann.mjs: learnann in a browser or in Node: one module of WebAssembly (`make web` leaves build/web/learnann.wasm), no
// threads, no files. An index is an ArrayBuffer: fetched, kept in IndexedDB, or built here; files of all machines are alike.
//
//     const learnann = await load(await (await fetch('learnann.wasm')).arrayBuffer());
//     const index = learnann.open(await (await fetch('rows.la')).arrayBuffer());
//     index.search(new Float32Array(index.dim), 10, { recall: 0.95 });     // [{ key: 17n, distance: 0.3 }, ...], nearest first
//
// What fails throws an Error with the library's reason. A module and its indexes belong to one thread: load one for each worker.

const metrics = { __proto__: null, l2: 1, ip: 2, cos: 3 };       // and nothing that every object has
const isBuffer = (data) => /^\[object (Shared)?ArrayBuffer\]$/.test(Object.prototype.toString.call(data));     // of other pages too

function bytesOf(data) {
    if (isBuffer(data)) return new Uint8Array(data);
    if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    throw new TypeError('the bytes of an index are an ArrayBuffer or a view of one (those of a Response: await response.arrayBuffer())');
}

// Of an array or whatever else lists numbers; or of a buffer that holds floats.
function floats(values) {
    if (values instanceof Float32Array) return values;
    if (isBuffer(values)) return new Float32Array(values);
    if (values && typeof values === 'object' && (Symbol.iterator in values || 'length' in values)) return Float32Array.from(values);
    throw new TypeError('vectors are an array of numbers, best a Float32Array');
}

// WebAssembly takes numbers modulo 2^32, without a word.
function whole(name, value, least, most = 2 ** 32 - 1) {
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new Error(`${name} must be a whole number from ${least} to ${most}, not ${String(value)}`);
}

// The module asks its system for nothing but its environment, which is empty here.
function system(memory) {
    const empty = (count, bytes) => {
        const view = new DataView(memory().buffer);
        view.setUint32(count, 0, true);
        view.setUint32(bytes, 0, true);
        return 0;
    };
    const missing = () => 8;    // EBADF: there are no files
    return new Proxy({}, { get: (_, name) => (name === 'environ_sizes_get' ? empty : missing) });
}

export async function load(wasm) {
    const exports = { ...(await WebAssembly.instantiate(wasm, { wasi_snapshot_preview1: system(() => exports.memory) })).instance.exports };
    // What these give is an address, which comes out of WebAssembly signed: past 2 GiB it is below 0.
    for (const name of ['web_error', 'web_allocate', 'web_open', 'web_build']) {
        const call = exports[name];
        if (call) exports[name] = (...given) => call(...given) >>> 0;
    }
    exports._initialize();

    const view = () => new DataView(exports.memory.buffer);     // of now: it moves when the memory grows
    const check = (ok, result) => {
        if (ok) return result;
        const text = new Uint8Array(exports.memory.buffer, exports.web_error());
        throw new Error(new TextDecoder().decode(text.slice(0, text.indexOf(0))));
    };
    const allocate = (bytes) => {
        const at = bytes < 2 ** 32 && exports.web_allocate(bytes);
        if (!at) throw new Error('there is no memory left');
        return at;
    };
    // The address of a copy, for web_free.
    const copy = (bytes) => {
        const at = allocate(bytes.length);
        try {
            new Uint8Array(exports.memory.buffer, at, bytes.length).set(bytes);
            return at;
        } catch (error) {
            exports.web_free(at);
            throw error;
        }
    };
    // use(address) of a copy of an array's bytes, which is freed then; or of so many bytes.
    const lend = (data, use) => {
        const at = typeof data === 'number' ? allocate(data) : copy(bytesOf(data));
        try {
            return use(at);
        } finally {
            exports.web_free(at);
        }
    };

    class Index {
        #web;

        constructor(bytes) {
            bytes = bytesOf(bytes);
            this.#web = exports.web_open(copy(bytes), bytes.length);
            check(this.#web);
            this.rows = exports.web_rows(this.#web);
            this.dim = exports.web_dim(this.#web);
        }

        get #open() {
            if (!this.#web) throw new Error('the index is closed');
            return this.#web;
        }

        search(query, k = 10, { recall = 0.95, effort = 0 } = {}) {
            const hit = 16;     // bytes of a learnann_hit: key, row, distance
            k = whole('k', Math.min(k, this.rows), 1);
            whole('effort', effort, 0, 2 ** 20);
            query = floats(query);
            return lend(query, (from) => lend(k * hit, (to) => {
                const count = exports.web_search(this.#open, from, query.length, k, recall, effort, to);
                check(count >= 0);
                const hits = view();
                return Array.from({ length: count }, (_, i) =>
                    ({ key: hits.getBigUint64(to + i * hit, true), distance: hits.getFloat32(to + i * hit + 12, true) }));
            }));
        }

        // The vector of a key, as the index keeps it.
        vector(key) {
            key = BigInt(key);
            if (key !== BigInt.asUintN(64, key)) throw new Error('no row has that key: keys are 0 to 18446744073709551615');
            return lend(4 * this.dim, (to) => check(exports.web_fetch(this.#open, key, to, this.dim) === 0,
                                                    new Float32Array(exports.memory.buffer.slice(to, to + 4 * this.dim))));
        }

        close() {
            if (this.#web) exports.web_close(this.#web);
            this.#web = 0;
        }
    }

    return {
        open: (bytes) => new Index(bytes),
        // The bytes of an index over rows of `dim` floats each, one behind the other; keys are row numbers.
        build: (rows, dim, { metric = 'l2' } = {}) => {
            if (!exports.web_build) throw new Error('this module was made to search only');
            rows = floats(rows);
            if (rows.length % whole('dim', dim, 1)) throw new Error('the last row is not complete');
            return lend(rows, (from) => lend(4, (size) => {
                const at = exports.web_build(from, rows.length / dim, dim, metrics[metric] ?? 0xffff, size);
                check(at);
                try {
                    return exports.memory.buffer.slice(at, at + view().getUint32(size, true));
                } finally {
                    exports.web_free(at);
                }
            }));
        },
    };
}
