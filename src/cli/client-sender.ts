/** Sends through the client: batches by themselves, keys keep their order, several batches under way at a time. */
import { connect } from '../client/node.ts';
import type { LineSender } from './line-sender.ts';
import type { LineMessage } from './message-line.ts';
import type { SendTally } from './send-tally.ts';
import type { Target } from './target.ts';

/** Beyond the time of a send: its end is told by the producer itself. */
const CLOSE_EXTRA_MS = 5000;

/** @throws when there is no broker, or it refuses the topic */
export async function openClientSender(
  topic: string,
  target: Target,
  tally: SendTally,
  sendTimeoutMs: number,
): Promise<LineSender> {
  const { ws, token } = target;
  const client = await connect({ servers: ws, name: 'sluice-produce', token });
  try {
    // Before any line is read: a topic that is refused is refused once.
    await client.topic(topic);
  } catch (error) {
    await client.close();
    throw error;
  }
  const producer = client.producer({
    sendTimeoutMs,
    onReceipt: (receipt) => tally.acknowledged(receipt.messageCount, receipt.duplicate),
    onFailure: (failure) => tally.refuse(failure.messageCount, failure.error),
  });
  return {
    add: async (message: LineMessage) => {
      const outgoing = { topic, ...message };
      while (!producer.push(outgoing)) {
        await producer.ready();
        // Whatever `ready` says, answers get a turn to come in before the next try.
        await nextTurn();
      }
    },
    // The producer sends by itself after a moment.
    pause: async () => {},
    close: async () => {
      await producer.close({ timeoutMs: sendTimeoutMs + CLOSE_EXTRA_MS });
      await client.close();
    },
  };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
