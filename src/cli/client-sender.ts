/** Sends through the client: batches by themselves, keys keep their order, several batches under way at a time. */
import { SluiceError } from '../base/errors.ts';
import { type ConnectOptions, connect } from '../client/node.ts';
import type { LineSender } from './line-sender.ts';
import type { LineMessage } from './message-line.ts';
import type { SendTally } from './send-tally.ts';

/** Milliseconds after the end of the input that the broker has for the rest; until then the client goes on trying. */
const CLOSE_MS_MAX = 30_000;

/** One broker, or a cluster. */
export type SenderTarget = Pick<ConnectOptions, 'servers' | 'nameServers' | 'token'>;

/** @throws when there is no broker, or it refuses the topic */
export async function openClientSender(
  topic: string,
  target: SenderTarget,
  tally: SendTally,
  warn: (text: string) => void,
): Promise<LineSender> {
  const { servers, nameServers, token } = target;
  const client = await connect({
    servers,
    nameServers,
    name: 'sluice-produce',
    token,
    onStatus: (event) => {
      if (event.type === 'disconnected') warn(`${event.error.message}; connecting again`);
    },
  });
  try {
    // Before any line is read: a topic that is refused is refused once.
    await client.topic(topic);
  } catch (error) {
    await client.close();
    throw error;
  }
  const producer = client.producer({
    onReceipt: (receipt) => tally.acknowledged(receipt.messageCount, receipt.duplicate),
    onFailure: ({ messageCount, error }) => tally.refuse(messageCount, givenUp(error)),
  });
  return {
    add: async (message: LineMessage) => {
      const outgoing = { topic, ...message };
      while (!producer.push(outgoing)) await producer.ready();
    },
    // The producer sends by itself after a moment.
    pause: async () => {},
    close: async () => {
      await producer.close({ timeoutMs: CLOSE_MS_MAX });
      await client.close();
    },
  };
}

/** What the producer still had when its time was up. */
function givenUp(error: SluiceError): SluiceError {
  if (error.code !== 'CLOSED') return error;
  const text = `not acknowledged within ${CLOSE_MS_MAX} ms after the end of the input`;
  return new SluiceError('TIMEOUT', text, { cause: error });
}
