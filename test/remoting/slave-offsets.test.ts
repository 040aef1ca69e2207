/** Pulls at a slave from where it has nothing: only its master knows whether there is something, so nobody's place is moved. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { type Command, CommandView, fieldListOf } from '../../src/protocol/remoting/command.ts';
import { decodeCommand } from '../../src/protocol/remoting/command-decoder.ts';
import { encodeCommand } from '../../src/protocol/remoting/command-encoder.ts';
import { REQUEST_CODES } from '../../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../../src/protocol/remoting/response-codes.ts';
import { pullHandlers } from '../../src/remoting/pull-handlers.ts';
import type { RemotingConnection } from '../../src/remoting/remoting-connection.ts';
import type { RemotingContext } from '../../src/remoting/remoting-context.ts';
import { RemotingRequest } from '../../src/remoting/remoting-request.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';

/** A queue that has the messages 5 to 8. */
const QUEUE = { queueId: 0, minOffset: 5, maxOffset: 9 };

/** Code and next offset of the answer to a pull, and whether it was held. */
async function pulled(isSlave: boolean, queueOffset: string): Promise<readonly unknown[]> {
  const topic = { topic: 'T', topicId: 1, queues: 1 };
  const held: (() => void)[] = [];
  const sent: Command[] = [];
  const link = { control: () => Promise.resolve({ queues: [QUEUE] }) };
  const core = {
    ...{ clock: new SimClock(), pending: { count: 0 } },
    deadlines: { add: (_: number, action: () => void) => held.push(action) },
    topics: { existing: () => topic },
    links: { ofQueue: () => link },
    fetches: {
      fetchParts: (_: unknown, __: unknown, reader: { failed: (error: SluiceError) => void }) =>
        reader.failed(new SluiceError('OFFSET_OUT_OF_RANGE')),
    },
  };
  const context = { core, isSlave: () => isSlave } as unknown as RemotingContext;
  const pull = pullHandlers(context)[0]?.[1];
  const connection = {
    ...{ isClosed: false, isOverBudget: false, parked: 0, address: '' },
    send: (command: Command) => sent.push(command),
  } as unknown as RemotingConnection;
  const fields = new Map(
    Object.entries({
      ...{ consumerGroup: 'g', topic: 'T', queueId: '0', queueOffset, maxMsgNums: '1' },
      ...{ sysFlag: '4', commitOffset: '0', suspendTimeoutMillis: '0', subscription: '*' },
    }),
  );
  const view = new CommandView();
  const command = { code: REQUEST_CODES.PULL_MESSAGE, opaque: 1, flag: 0, fields };
  assert.equal(decodeCommand(encodeCommand(command), view), 'ok');
  void pull?.(new RemotingRequest(connection, view, () => {}));
  await new Promise(setImmediate);
  for (const action of held) action();
  const [answer] = sent;
  const list = fieldListOf(answer?.fields);
  return [answer?.code, list[list.indexOf('nextBeginOffset') + 1], held.length > 0];
}

it('moves a client at the master alone', async () => {
  const { PULL_OFFSET_MOVED, PULL_RETRY_IMMEDIATELY } = RESPONSE_CODES;
  assert.deepEqual(await pulled(false, '2'), [PULL_OFFSET_MOVED, '5', false]);
  assert.deepEqual(await pulled(false, '12'), [PULL_OFFSET_MOVED, '9', false]);
  assert.deepEqual(await pulled(true, '12'), [PULL_RETRY_IMMEDIATELY, '12', true]);
  assert.deepEqual(await pulled(true, '2'), [PULL_RETRY_IMMEDIATELY, '2', true]);
  // No broker has a message there.
  assert.deepEqual(await pulled(true, '-1'), [PULL_OFFSET_MOVED, '5', false]);
});
