// web.mjs MODULE FOLDER: the example for browsers. Opens FOLDER/here.la, written by this machine's own program, and asks it
// FOLDER/queries.fbin: the hits must be those of FOLDER/here.ivecs. Indexes FOLDER/rows.fbin and leaves FOLDER/there.la, and its
// hits in FOLDER/there.ivecs.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';

import { load } from '../examples/web/learnann.mjs';

const [module, folder] = process.argv.slice(2);
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
