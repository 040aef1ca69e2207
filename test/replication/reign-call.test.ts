import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import {
  decodeOpening,
  encodeOpening,
  OPENING_BYTES,
  OPENING_REIGN,
  OPENING_STREAM,
} from '../../src/replication/opening.ts';
import { ReignCall } from '../../src/replication/reign-call.ts';

type End = { call: ReignCall | undefined; readonly heard: number[]; isClosed: boolean };

/** Two ends that hand each other their bytes at once, changed on the way where a test wants that. */
function talk(options: {
  readonly epochs: readonly [number, number];
  readonly secrets?: readonly [string, string];
  readonly change?: (bytes: Uint8Array) => Uint8Array;
}): { readonly asker: End; readonly answerer: End } {
  const prng = seededPrng(7);
  const { epochs, secrets = ['one secret', 'one secret'], change = (bytes) => bytes } = options;
  const asker: End = { call: undefined, heard: [], isClosed: false };
  const answerer: End = { call: undefined, heard: [], isClosed: false };
  const queue: (() => void)[] = [];
  const callOf = (self: End, other: End, index: 0 | 1): ReignCall =>
    new ReignCall(
      {
        link: {
          send: (bytes) => {
            const copy = change(bytes.slice());
            queue.push(() => other.call?.receive(copy));
            return true;
          },
          close: () => {
            self.isClosed = true;
          },
        },
        secret: secrets[index],
        nonce: Uint8Array.from({ length: 32 }, () => prng.integer(256)),
        epoch: epochs[index],
        name: `broker-${index}`,
        onEpoch: (epoch) => self.heard.push(epoch),
      },
      index === 0,
    );
  answerer.call = callOf(answerer, asker, 1);
  asker.call = callOf(asker, answerer, 0);
  for (let step = queue.shift(); step !== undefined; step = queue.shift()) step();
  return { asker, answerer };
}

describe('who reigns', () => {
  it('is known to both ends afterwards', () => {
    const { asker, answerer } = talk({ epochs: [3, 5] });
    assert.deepEqual(asker.heard, [5]);
    assert.deepEqual(answerer.heard, [3]);
    assert.ok(asker.isClosed && answerer.isClosed);
  });

  it('is told to nobody with another credential, and nothing is believed', () => {
    const { asker, answerer } = talk({ epochs: [9, 1], secrets: ['one secret', 'another'] });
    assert.deepEqual(asker.heard, []);
    assert.deepEqual(answerer.heard, []);
    assert.ok(answerer.isClosed);
  });

  it('is not believed when a byte was changed on the way', () => {
    const prng = seededPrng(11);
    for (let round = 0; round < 300; round += 1) {
      const place = prng.integer(400);
      let sent = 0;
      const { asker, answerer } = talk({
        epochs: [3, 5],
        change: (bytes) => {
          if (place >= sent && place < sent + bytes.length)
            bytes[place - sent] = (bytes[place - sent] ?? 0) ^ (1 + prng.integer(255));
          sent += bytes.length;
          return bytes;
        },
      });
      for (const epoch of asker.heard) assert.equal(epoch, 5);
      for (const epoch of answerer.heard) assert.equal(epoch, 3);
    }
  });

  it('is asked of no end that throws, whatever comes', () => {
    const prng = seededPrng(13);
    for (let round = 0; round < 2000; round += 1) {
      const link = { send: () => true, close: () => {} };
      const rest = { secret: 's', nonce: new Uint8Array(32), epoch: 1, name: 'a' };
      const onEpoch = (): void => assert.fail('nothing was proved');
      const call = new ReignCall({ link, ...rest, onEpoch }, prng.chance(0.5));
      call.receive(Uint8Array.from({ length: prng.integer(200) }, () => prng.integer(256)));
    }
  });
});

describe('the opening of a connection', () => {
  it('says the kind and the shard', () => {
    for (const opening of [
      { kind: OPENING_STREAM, shard: 0 },
      { kind: OPENING_REIGN, shard: 63 },
    ])
      assert.deepEqual(decodeOpening(encodeOpening(opening)), opening);
  });

  it('is refused when it is none', () => {
    const bytes = encodeOpening({ kind: OPENING_STREAM, shard: 1 });
    for (let place = 0; place < 8; place += 1) {
      const wrong = bytes.slice();
      wrong[place] = (wrong[place] ?? 0) ^ 0x40;
      assert.equal(decodeOpening(wrong), undefined, `byte ${place}`);
    }
    assert.equal(decodeOpening(new Uint8Array(OPENING_BYTES)), undefined);
  });
});
