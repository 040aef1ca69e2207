/** The verdicts of a master, row by row of decision 8's table. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { partingOf } from '../../src/replication/epoch-history.ts';
import { decide, type MasterLog } from '../../src/replication/handshake.ts';
import { replicatedPosition } from '../../src/replication/replicated-position.ts';
import type { LogState } from '../../src/replication/transfer-codec.ts';

const SHAPE = { shard: 0, shards: 1, segmentBytes: 65_536, chunkBytes: 32_768 } as const;
const HEADER = { crc: 77, end: 1000 };

const MASTER: MasterLog = {
  ...SHAPE,
  ...{ logId: 'one', epochs: [{ epoch: 1, first: 0 }], epoch: 1, end: 2000, start: 0 },
  isFollowing: false,
  headerAt: () => HEADER,
};
const SLAVE: LogState = {
  ...SHAPE,
  ...{ logId: 'one', epochs: [{ epoch: 1, first: 0 }], end: 1000, lastHeaderAt: 900, lastCrc: 77 },
};
const TWO_EPOCHS = [
  { epoch: 1, first: 0 },
  { epoch: 2, first: 800 },
];

describe('a log that wants to follow', () => {
  it('is a prefix: it is streamed from its end', () => {
    assert.deepEqual(decide(MASTER, SLAVE), { kind: 'stream', position: 1000 });
  });

  it('is empty: it is streamed from 0, also before its master has a name for the log', () => {
    const empty = { ...SLAVE, logId: '', epochs: [], end: 0, lastHeaderAt: -1 };
    assert.deepEqual(decide(MASTER, empty), { kind: 'stream', position: 0 });
  });

  it('has a tail of an older epoch: it is cut where the histories part', () => {
    const master = { ...MASTER, epoch: 2, epochs: TWO_EPOCHS };
    assert.deepEqual(decide(master, SLAVE), { kind: 'cut', position: 800 });
  });

  it('has a tail of an epoch that the master never saw: it is cut where the histories part', () => {
    const master = {
      ...MASTER,
      epoch: 3,
      epochs: [MASTER.epochs[0] as never, { epoch: 3, first: 900 }],
    };
    assert.deepEqual(decide(master, { ...SLAVE, epochs: TWO_EPOCHS }), {
      kind: 'cut',
      position: 800,
    });
  });

  it('is longer in the same epoch: it is fetched by a master that has not written, and never cut', () => {
    const longer = { ...SLAVE, end: 3000 };
    assert.deepEqual(decide({ ...MASTER, isFollowing: true }, longer), {
      kind: 'fetch',
      position: 2000,
    });
    assert.equal(decide(MASTER, longer).kind, 'refused');
  });

  it('is longer by an epoch that the master has lost the whole of: it is fetched', () => {
    const master = { ...MASTER, epoch: 2, end: 800, isFollowing: true };
    const slave = { ...SLAVE, epochs: TWO_EPOCHS };
    assert.deepEqual(decide(master, slave), { kind: 'fetch', position: 800 });
  });

  it('differs at the same position in the same epoch: it is refused', () => {
    assert.equal(decide(MASTER, { ...SLAVE, lastCrc: 78 }).kind, 'refused');
    assert.equal(decide({ ...MASTER, headerAt: () => undefined }, SLAVE).kind, 'refused');
  });

  it('names an epoch with another beginning: two brokers wrote under it, and it is refused', () => {
    const master = { ...MASTER, epoch: 2, epochs: TWO_EPOCHS };
    const slave = {
      ...SLAVE,
      epochs: [
        { epoch: 1, first: 0 },
        { epoch: 2, first: 808 },
      ],
    };
    assert.equal(decide(master, slave).kind, 'refused');
  });

  it('is another log, or follows a master that lost its disk: it is refused', () => {
    assert.equal(decide(MASTER, { ...SLAVE, logId: 'two' }).kind, 'refused');
    const empty = { ...MASTER, logId: '', epochs: [], end: 0, isFollowing: true };
    assert.equal(decide(empty, SLAVE).kind, 'refused');
  });

  it('ends before what the master still has: it is replaced', () => {
    assert.deepEqual(decide({ ...MASTER, start: 1024 }, SLAVE), { kind: 'replace' });
    const empty = { ...SLAVE, logId: '', epochs: [], end: 0, lastHeaderAt: -1 };
    assert.deepEqual(decide({ ...MASTER, start: 1024 }, empty), { kind: 'replace' });
  });

  it('has a newer epoch: the master is fenced', () => {
    assert.deepEqual(decide(MASTER, { ...SLAVE, epochs: TWO_EPOCHS }), {
      kind: 'fenced',
      epoch: 2,
    });
  });

  it('has another shape: it is refused', () => {
    for (const field of ['shard', 'shards', 'segmentBytes', 'chunkBytes'] as const)
      assert.equal(decide(MASTER, { ...SLAVE, [field]: SLAVE[field] + 8 }).kind, 'refused');
  });
});

describe('histories', () => {
  it('part nowhere when one is the beginning of the other', () => {
    assert.equal(partingOf(TWO_EPOCHS, 2000, [{ epoch: 1, first: 0 }], 800).kind, 'same');
    assert.equal(partingOf(TWO_EPOCHS, 2000, TWO_EPOCHS, 2600).kind, 'same');
    assert.equal(partingOf([], 0, TWO_EPOCHS, 2600).kind, 'same');
  });
});

describe('the replicated position', () => {
  it('is what enough slaves have', () => {
    assert.equal(replicatedPosition([10, 30, 20], 1), 30);
    assert.equal(replicatedPosition([10, 30, 20], 2), 20);
    assert.equal(replicatedPosition([10], 2), 0);
    assert.equal(replicatedPosition([], 0), Number.POSITIVE_INFINITY);
  });
});
