/** What one client can make the port hold: no more pulls that wait than there is room for, and no memory of others' answers. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { LONG_POLLS_MAX } from '../../src/base/limits.ts';
import { CommandView } from '../../src/protocol/remoting/command.ts';
import { decodeCommand } from '../../src/protocol/remoting/command-decoder.ts';
import { encodeCommand } from '../../src/protocol/remoting/command-encoder.ts';
import { FORM_JSON } from '../../src/protocol/remoting/frame-layout.ts';
import { FrameSpace } from '../../src/protocol/remoting/frame-space.ts';
import { REQUEST_CODES } from '../../src/protocol/remoting/request-codes.ts';
import { pullHandlers } from '../../src/remoting/pull-handlers.ts';
import { RemotingConnection } from '../../src/remoting/remoting-connection.ts';
import type { RemotingContext } from '../../src/remoting/remoting-context.ts';
import { RemotingRequest } from '../../src/remoting/remoting-request.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';
import type { TcpConnection } from '../../src/transport/tcp.ts';

/** A socket that takes nothing. */
class FullSocket implements TcpConnection {
  readonly id = 1;
  readonly remoteAddress = '127.0.0.1';
  readonly remotePort = 40_000;
  readonly localAddress = '127.0.0.1';
  readonly localPort = 10_911;
  readonly isClosed = false;
  readonly isSecure = false;
  readonly sent: Uint8Array[] = [];

  send(bytes: Uint8Array): boolean {
    this.sent.push(bytes);
    return false;
  }

  bufferedBytes(): number {
    return this.sent.reduce((sum, { length }) => sum + length, 0);
  }

  pause(): void {}
  resume(): void {}
  cork(action: () => void): void {
    action();
  }

  end(): void {}
  close(): void {}
}

it('answers that wait for a client hold no memory but their own', async () => {
  const socket = new FullSocket();
  const space = new FrameSpace();
  const connection = new RemotingConnection(socket, 10, space);
  for (let count = 0; count < 10; count += 1) {
    connection.send({ code: 0, opaque: count, flag: 1 }, FORM_JSON);
    await Promise.resolve();
  }
  assert.equal(socket.sent.length, 10);
  const behindFirst = socket.sent.slice(1);
  const pinned = new Set(behindFirst.map(({ buffer }) => buffer));
  const bytes = [...pinned].reduce((sum, { byteLength }) => sum + byteLength, 0);
  assert.equal(
    bytes,
    behindFirst.reduce((sum, { length }) => sum + length, 0),
  );
});

it('a pull does not wait where as many wait as there is room for', () => {
  const pending = { count: LONG_POLLS_MAX };
  const topic = { topic: 'T', topicId: 1, queues: 1 };
  const core = {
    ...{ clock: new SimClock(), deadlines: { add: () => {} }, pending },
    topics: { existing: () => topic },
    fetches: { fetchParts: () => {} },
  };
  const context = { core, isSlave: () => false } as unknown as RemotingContext;
  const [entry] = pullHandlers(context);
  const pull = entry?.[1];
  assert.ok(pull !== undefined);
  const connection = new RemotingConnection(new FullSocket());
  const ask = (suspendTimeoutMillis: string): void => {
    const fields = new Map(
      Object.entries({
        ...{ consumerGroup: 'g', topic: 'T', queueId: '0', queueOffset: '0', maxMsgNums: '1' },
        ...{ sysFlag: '6', commitOffset: '0', suspendTimeoutMillis, subscription: '*' },
      }),
    );
    const view = new CommandView();
    const command = { code: REQUEST_CODES.PULL_MESSAGE, opaque: 1, flag: 0, fields };
    assert.equal(decodeCommand(encodeCommand(command), view), 'ok');
    void pull(new RemotingRequest(connection, view, () => {}));
  };
  assert.throws(() => ask('15000'), { code: 'BUSY' });
  assert.equal(connection.parked, 0);
  ask('0');
  pending.count -= 1;
  ask('15000');
  assert.equal(connection.parked, 1);
});
