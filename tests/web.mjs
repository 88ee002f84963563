// web.mjs MODULE FOLDER: the example for browsers. Opens FOLDER/here.la, written by this machine's own program, and asks it
// FOLDER/queries.fbin: the hits must be those of FOLDER/here.ivecs. Indexes FOLDER/rows.fbin and leaves FOLDER/there.la, and its
// hits in FOLDER/there.ivecs.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';

import { load } from '../examples/web/learnann.mjs';

const [module, folder] = process.argv.slice(2);
let instance;       // of the last load
const { instantiate } = WebAssembly;
WebAssembly.instantiate = async (...given) => {
    const result = await instantiate(...given);
    ({ instance } = result);
    return result;
};
const learnann = await load(readFileSync(module));
const bytes = (name) => { const file = readFileSync(`${folder}/${name}`); return file.buffer.slice(file.byteOffset, file.byteOffset + file.length); };
const matrix = (name) => { const file = bytes(name); return { dim: new Int32Array(file, 4, 1)[0], values: new Float32Array(file, 8) }; };
const fails = (action, reason) => assert.throws(action, (error) => reason.test(error.message));

const rows = matrix('rows.fbin'), queries = matrix('queries.fbin');
const count = rows.values.length / rows.dim;
const query = (i) => queries.values.subarray(i * queries.dim, (i + 1) * queries.dim);

// The ten nearest of each query, as `learnann search --effort 40 --out` writes them.
const answers = (index) => Int32Array.from(Array.from({ length: queries.values.length / queries.dim }, (_, i) => {
    const hits = index.search(query(i), 10, { effort: 40 });
    assert.ok(hits.every(({ distance }, h) => h === 0 || distance >= hits[h - 1].distance));
    return [10, ...hits.map(({ key }) => Number(key))];
}).flat());

const index = learnann.open(bytes('here.la'));
assert.equal(index.rows, count);
assert.equal(index.dim, rows.dim);
assert.deepEqual(answers(index), new Int32Array(bytes('here.ivecs')));
assert.deepEqual(index.vector(7), rows.values.slice(7 * rows.dim, 8 * rows.dim));
assert.equal(index.search(query(0), 2 * count).length, count);
for (const key of [count, -1, 2n ** 64n, 2n ** 64n + 7n, 7n - 2n ** 64n]) fails(() => index.vector(key), /no row has that key/);
for (const k of [-1, 0, 1.5, NaN, -(2 ** 32) + 1]) fails(() => index.search(query(0), k), /k must be a whole number/);
for (const effort of [-1, 0.5, NaN, 1e7, 2 ** 32, 2 ** 32 + 1]) fails(() => index.search(query(0), 2, { effort }), /effort must be a whole number/);
for (const recall of [NaN, -1, 1.5]) fails(() => index.search(query(0), 2, { recall }), /recall/);
assert.equal(index.search(query(0), Infinity).length, count);
fails(() => index.search(new Float32Array(rows.dim).fill(NaN)), /NaN or infinity/);
fails(() => index.search(new Float32Array(rows.dim + 1)), /dimension/);
fails(() => learnann.open(bytes('here.la').slice(0, 1000)), /./);
fails(() => learnann.open(new ArrayBuffer(64)), /./);
// What is no bytes, as a Response whose bytes were not awaited, and what is no numbers.
for (const other of [new Response('abc'), Promise.resolve(bytes('here.la')), [1, 2], 'abc', 64, null, undefined])
    assert.throws(() => learnann.open(other), { name: 'TypeError', message: /an ArrayBuffer or a view of one/ });
for (const other of [24, 'abc', null, undefined, Promise.resolve(query(0)), new DataView(new ArrayBuffer(96))]) {
    assert.throws(() => index.search(other), { name: 'TypeError', message: /an array of numbers/ });
    assert.throws(() => learnann.build(other, 1), { name: 'TypeError', message: /an array of numbers/ });
}
const shared = new Uint8Array(new SharedArrayBuffer(bytes('here.la').byteLength));
shared.set(new Uint8Array(bytes('here.la')));
const padded = new ArrayBuffer(shared.length + 3);
new Uint8Array(padded, 3).set(shared);
for (const whole of [shared, shared.buffer, new DataView(padded, 3), new Uint8Array(padded, 3)])
    learnann.open(whole).close();
const numbers = Float32Array.from({ length: rows.dim }, (_, i) => i), expected = index.search(numbers);
function* generated() { yield* numbers; }
for (const same of [Array.from(numbers), numbers.buffer, new Set(numbers), generated(), Int8Array.from(numbers), { ...numbers, length: rows.dim }])
    assert.deepEqual(index.search(same), expected);
for (const same of [numbers.buffer, new Set(numbers), generated()])
    assert.deepEqual(learnann.build(same, rows.dim / 2), learnann.build(numbers, rows.dim / 2));
fails(() => index.search(new ArrayBuffer(4 * rows.dim + 4)), /dimension/);
index.close();
index.close();
fails(() => index.search(query(0)), /closed/);

const built = learnann.build(rows.values, rows.dim);
writeFileSync(`${folder}/there.la`, new Uint8Array(built));
const own = learnann.open(built);
for (const row of [0, 1, count - 1]) {
    const [hit] = own.search(rows.values.subarray(row * rows.dim, (row + 1) * rows.dim), 1);
    assert.deepEqual(hit, { key: BigInt(row), distance: 0 });
}
writeFileSync(`${folder}/there.ivecs`, answers(own));
own.close();
assert.deepEqual(learnann.open(learnann.build([0, 0, 3, 4], 2)).search([0, 0], 2), [{ key: 0n, distance: 0 }, { key: 1n, distance: 25 }]);
fails(() => learnann.build(rows.values, 7), /not complete/);
for (const dim of [0, -rows.dim, 0.5, 2 ** 32]) fails(() => learnann.build(rows.values, dim), /dim must be a whole number/);
for (const metric of ['other', 'toString', '__proto__', 'constructor', null]) fails(() => learnann.build(rows.values, rows.dim, { metric }), /metric/);
fails(() => learnann.build(new Float32Array(8).fill(Infinity), 8), /NaN or infinity/);

// Past 2 GiB, where addresses have the highest bit. What comes before is reserved, never touched.
const high = await load(readFileSync(module));
assert.ok(instance.exports.web_allocate(2 ** 31 - 2 ** 20));
const far = high.open(bytes('here.la'));
assert.ok(instance.exports.memory.buffer.byteLength > 2 ** 31);
assert.deepEqual(answers(far), new Int32Array(bytes('here.ivecs')));
assert.deepEqual(far.vector(7), rows.values.slice(7 * rows.dim, 8 * rows.dim));
fails(() => far.vector(count), /no row has that key/);
assert.deepEqual(high.build(rows.values, rows.dim), built);
far.close();
fails(() => high.open(bytes('here.la').slice(0, 1000)), /truncated/);

// A copy that fails is freed: here where the module names what is no memory.
const freed = [], memory = new WebAssembly.Memory({ initial: 1 });
WebAssembly.instantiate = async () =>
    ({ instance: { exports: { memory, _initialize() {}, web_allocate: () => -64, web_free: (at) => freed.push(at), web_open: () => 0 } } });
const broken = await load();
assert.throws(() => broken.open(new Uint8Array(64)), RangeError);
assert.deepEqual(freed, [2 ** 32 - 64]);
