/**
 * The replication stream from strangers: no bytes throw, hang or move a position, and every frame survives its encoding, however
 * it is cut into pieces.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { seededPrng } from '../../src/base/prng.ts';
import { FrameReader } from '../../src/replication/frame-reader.ts';
import { MasterShard } from '../../src/replication/master-shard.ts';
import * as settled from '../../src/replication/settled-codec.ts';
import * as codec from '../../src/replication/transfer-codec.ts';
import * as layout from '../../src/replication/transfer-layout.ts';
import type { ShardReplication } from '../../src/shard/shard-config.ts';
import { RIG_CONFIG, ShardRig } from '../../src/testing/shard-rig.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';

const SEED = Number(process.env['SEED'] ?? 7);
const RUNS = Number(process.env['RUNS'] ?? 3000);
const proof = (): Uint8Array => new Uint8Array(layout.PROOF_BYTES).fill(9);

const STATE: codec.StateFrame = {
  ...{ name: 'b', shard: 0, shards: 1, segmentBytes: 65_536, chunkBytes: 32_768, end: 4096 },
  ...{ lastHeaderAt: 4000, lastCrc: 5, logId: 'log', epochs: [{ epoch: 1, first: 0 }] },
};
const VERDICT: codec.VerdictFrame = {
  ...{
    kind: layout.VERDICT_FETCH,
    epoch: 3,
    position: 88,
    lastHeaderAt: -1,
    lastCrc: 0,
    text: 'why',
  },
};

const SETTLED: settled.SettledFrame = {
  ...{ epoch: 3, session: 4, number: 0, isLast: true },
  records: [
    { kind: 2, groupId: 1, topicId: 2, queueId: 3, start: 9, count: 0 },
    { kind: 1, groupId: 1, topicId: 2, queueId: 3, start: 9, count: 1 },
  ],
};
const LOGGED: settled.LoggedFrame = { epoch: 3, session: 4, number: 0, position: 88 };

/** Of these frames, those whose contents are looked into. */
const WITH_CONTENTS: readonly number[] = [2, 3, 5, 6];

/** Everything that can be said, in order. */
function frames(): Uint8Array[] {
  return [
    codec.encodeNonce(layout.HELLO, new Uint8Array(32).fill(1)),
    codec.encodeNonce(layout.CHALLENGE, new Uint8Array(32).fill(2)),
    codec.encodeState(STATE, proof),
    codec.encodeVerdict(VERDICT, proof),
    codec.encodeAck(3, 4, 512),
    settled.encodeSettledFrame(SETTLED),
    settled.encodeLogged(LOGGED),
  ];
}

function decodeAll(reader: FrameReader): codec.Frame[] {
  const found: codec.Frame[] = [];
  for (;;) {
    const frame = reader.peek();
    if (typeof frame === 'string') return found;
    if (frame.type === layout.STATE) codec.decodeState(frame);
    if (frame.type === layout.VERDICT) codec.decodeVerdict(frame);
    if (frame.type === layout.SETTLED) settled.decodeSettledFrame(frame);
    if (frame.type === layout.LOGGED) settled.decodeLogged(frame);
    found.push({ ...frame, bytes: frame.bytes.slice() });
    reader.shift(frame);
  }
}

test('frames come back as they were, in pieces of any size', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), (size) => {
      const all = Buffer.concat(frames());
      const reader = new FrameReader();
      const found: codec.Frame[] = [];
      for (let at = 0; at < all.length; at += size) {
        reader.push(all.subarray(at, at + size));
        found.push(...decodeAll(reader));
      }
      assert.deepEqual(
        found.map(({ type }) => type),
        [1, 2, 3, 4, 6, 8, 9],
      );
      const [, , state, verdict, , handed, logged] = found as [
        ...[never, never, codec.Frame, codec.Frame, never, codec.Frame, codec.Frame],
      ];
      assert.deepEqual(settled.decodeSettledFrame(withView(handed)), SETTLED);
      assert.deepEqual(settled.decodeLogged(withView(logged)), LOGGED);
      assert.deepEqual(codec.decodeState(withView(state)), STATE);
      assert.deepEqual(codec.decodeVerdict(withView(verdict)), VERDICT);
    }),
    { seed: SEED, numRuns: 200 },
  );
});

test('damaged frames are broken or other frames, and never an exception', () => {
  const prng = seededPrng(SEED);
  for (let run = 0; run < RUNS; run += 1) {
    const bytes = Uint8Array.from(Buffer.concat(frames()));
    const flips = 1 + prng.integer(4);
    for (let flip = 0; flip < flips; flip += 1) {
      const at = prng.integer(bytes.length);
      bytes[at] = (bytes[at] as number) ^ (1 << prng.integer(8));
    }
    const reader = new FrameReader();
    reader.push(bytes);
    decodeAll(reader);
  }
});

test('frames with right checksums and wrong contents are refused, and never an exception', () => {
  const prng = seededPrng(SEED + 1);
  for (let run = 0; run < RUNS; run += 1) {
    const whole = frames()[
      WITH_CONTENTS[prng.integer(WITH_CONTENTS.length)] as number
    ] as Uint8Array;
    const bytes = whole.slice(0, whole.length - (prng.chance(0.3) ? prng.integer(8) : 0));
    const at = layout.FRAME_HEADER_BYTES + prng.integer(bytes.length - layout.FRAME_HEADER_BYTES);
    bytes[at] = prng.integer(256);
    const view = new DataView(bytes.buffer);
    codec.sealFrame(bytes, view, view.getUint16(layout.FRAME_TYPE, true), bytes.length);
    const reader = new FrameReader();
    reader.push(bytes);
    decodeAll(reader);
  }
});

test('a claimed length takes no memory, and one that is too long ends the connection', () => {
  const bytes = new Uint8Array(layout.FRAME_HEADER_BYTES);
  for (const length of [0, 15, layout.GREETING_BYTES_MAX + 1, 0x7fff_ffff, 0xffff_ffff]) {
    new DataView(bytes.buffer).setUint32(0, length, true);
    const reader = new FrameReader();
    reader.push(bytes);
    assert.equal(reader.peek(), 'broken');
  }
});

test('whoever has not proved who it is moves nothing and is shown the door', () => {
  const prng = seededPrng(SEED + 2);
  const clock = new SimClock();
  const storage = new SimStorage({ prng: seededPrng(1), clock });
  const replication: ShardReplication = {
    role: 'master',
    ack: 'SYNC_MASTER',
    inSyncReplicas: 2,
    syncFlushTimeoutMs: 500,
  };
  const rig = new ShardRig(
    storage,
    clock,
    { ...RIG_CONFIG, replication },
    { epoch: 1, logId: 'x' },
  );
  const master = new MasterShard({
    ...{ shard: 0, shards: 1, epoch: 1, name: 'a', secret: 'right', isSyncMaster: true },
    ...{ inSyncReplicas: 2, isSyncFlush: true, fallBehindBytesMax: 1 << 20, memory: rig.memory },
    ...{ source: rig.source, storage, door: rig.door as NonNullable<typeof rig.door>, clock },
    nonce: () => Uint8Array.from({ length: 32 }, () => prng.integer(256)),
    onRefused: () => {},
  });
  for (let run = 0; run < RUNS / 10; run += 1) {
    let isOpen = true;
    const link = master.accept({ send: () => true, close: () => (isOpen = false) }, false);
    link?.receive(codec.encodeNonce(layout.HELLO, new Uint8Array(32)));
    master.doWork();
    const kind = prng.integer(4);
    if (kind === 3) link?.receive(settled.encodeSettledFrame({ ...SETTLED, epoch: 1 }));
    else if (kind === 0) link?.receive(codec.encodeState(STATE, proof));
    else if (kind === 1) link?.receive(codec.encodeAck(1, prng.integer(2 ** 32), 1 << 20));
    else link?.receive(Uint8Array.from({ length: 64 }, () => prng.integer(256)));
    master.doWork();
    rig.agent.doWork();
    // Random bytes may look like the beginning of a frame: then nothing more comes, and time ends it.
    if (isOpen) clock.advance(10_000);
    master.doWork();
    assert.equal(isOpen, false);
    assert.equal(rig.memory.replicated.observe(), 0);
    assert.equal(rig.memory.gate(), 0);
  }
  assert.equal(master.links.length, 0);
});

function withView(frame: codec.Frame): codec.Frame {
  return { ...frame, view: new DataView(frame.bytes.buffer, frame.bytes.byteOffset) };
}
