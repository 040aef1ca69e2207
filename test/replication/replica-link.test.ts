/** A master that takes over what its slaves have more: what its shard said of the log counts only while nobody else has brought something. */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { ReplicaState } from '../../src/protocol/shard-control.ts';
import { Credential } from '../../src/replication/credential.ts';
import type { LogSource } from '../../src/replication/log-source.ts';
import { type LinkHost, ReplicaLink } from '../../src/replication/replica-link.ts';
import type { ShardDoor } from '../../src/replication/shard-door.ts';
import * as codec from '../../src/replication/transfer-codec.ts';
import * as layout from '../../src/replication/transfer-layout.ts';

const SHAPE = { shard: 0, shards: 1, segmentBytes: 65_536, chunkBytes: 32_768 } as const;
const EPOCHS = [{ epoch: 1, first: 0 }];
const NONCE = new Uint8Array(layout.NONCE_BYTES).fill(7);
const SLAVE_END = 2000;

describe('a link on which a slave has more than its master', () => {
  let runsHanded: number;
  let answers: ((state: ReplicaState) => void)[];
  let sent: number;
  let link: ReplicaLink;

  beforeEach(() => {
    runsHanded = 0;
    answers = [];
    sent = 0;
    const askState = (onAnswer: (state: ReplicaState) => void): boolean => {
      answers.push(onAnswer);
      return true;
    };
    const door = {
      askState,
      get runsHanded(): number {
        return runsHanded;
      },
    };
    const host = {
      ...{ ...SHAPE, epoch: 2, secret: '', door: door as ShardDoor, nonce: () => NONCE },
      ...{ safe: () => SLAVE_END, mayFetch: () => true },
      source: { start: () => 0, shape: SHAPE, headerAt: () => undefined } as unknown as LogSource,
    };
    const bytes = {
      send: () => {
        sent += 1;
        return true;
      },
      close: () => {},
    };
    link = new ReplicaLink(host as unknown as LinkHost, bytes, true, 0);
    link.receive(codec.encodeNonce(layout.HELLO, NONCE));
    link.doWork(0);
    const state = { ...SHAPE, logId: 'one', epochs: EPOCHS, end: SLAVE_END, name: 'b' };
    const credential = new Credential('', NONCE, NONCE);
    link.receive(
      codec.encodeState({ ...state, lastHeaderAt: 900, lastCrc: 77 }, (body) =>
        credential.prove('slave', body),
      ),
    );
    link.doWork(0);
    sent = 0;
  });

  function say(appended: number): void {
    const state = { logId: 'one', epochs: EPOCHS, replicas: ['b', 'c'], lastHeaderAt: -1 };
    answers.at(-1)?.({ ...state, appended, isFollowing: true });
    link.doWork(0);
  }

  it('decides by what the shard said', () => {
    assert.equal(answers.length, 1);
    say(1000);
    assert.equal(link.phase, 'fetching');
    assert.equal(sent, 1);
  });

  it('asks again where another slave has brought something since it asked', () => {
    runsHanded += 1;
    say(1000);
    assert.deepEqual([link.phase, sent], ['asking', 0]);
    link.doWork(0);
    assert.equal(answers.length, 2);
    say(1500);
    assert.deepEqual([link.phase, sent], ['fetching', 1]);
  });
});
