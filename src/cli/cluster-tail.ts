/** `sluice consume --namesrv`: a consumer over all brokers of a topic, printed and acknowledged as from one. */
import { type CancelTimer, startTimer } from '../base/clock.ts';
import type { Message } from '../client/message.ts';
import { connect } from '../client/node.ts';
import type { ConsumerOptions, JsonValue } from '../client/types.ts';
import type { MessagePrinter } from './message-printer.ts';

export type ClusterTailOptions = {
  readonly nameServers: readonly string[];
  readonly token: string | undefined;
  readonly consumer: ConsumerOptions;
  readonly max: number;
  /** Ends when nothing came for so long; undefined: never. */
  readonly idleMs: number | undefined;
  readonly printer: MessagePrinter;
  readonly signal: AbortSignal;
  readonly warn: (text: string) => void;
};

/** Prints until it is told to stop, or has what was asked for. @throws what makes the subscription impossible */
export async function tailCluster(options: ClusterTailOptions): Promise<void> {
  const { nameServers, token, signal, printer, max, warn } = options;
  const client = await connect({
    ...{ nameServers, token, signal, name: 'sluice-consume' },
    onStatus: (event) => {
      if (event.type === 'disconnected') warn(`${event.error.message}; connecting again`);
      if (event.type === 'route-failed') warn(event.error.message);
    },
  });
  const consumer = client.consumer(options.consumer);
  const stop = (): void => void consumer.close();
  signal.addEventListener('abort', stop, { once: true });
  const idle = idleTimer(options.idleMs, stop);
  try {
    let count = 0;
    for await (const message of consumer) {
      idle.restart();
      await print(printer, message);
      message.ack();
      count += 1;
      if (count >= max) break;
    }
  } finally {
    idle.cancel();
    await client.drain();
  }
}

function idleTimer(
  idleMs: number | undefined,
  stop: () => void,
): { readonly restart: () => void; readonly cancel: CancelTimer } {
  let cancel: CancelTimer = () => {};
  const restart = (): void => {
    cancel();
    if (idleMs !== undefined) cancel = startTimer(idleMs, stop);
  };
  restart();
  return { restart, cancel: () => cancel() };
}

/** Resolves when stdout has the line. */
function print(printer: MessagePrinter, message: Message): Promise<void> {
  const { topic, broker, queueId, queueOffset, messageId, key, tag, properties } = message;
  const value = message.value();
  const body: JsonValue =
    value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
  const frame = {
    ...{ op: 'message', topic, broker, queueId, queueOffset, messageId },
    ...{ key, tag, properties, body, attempt: message.attempt, storedAt: message.storedAt },
    ...(value instanceof Uint8Array ? { encoding: 'base64' } : {}),
  };
  return new Promise((resolve, reject) => {
    printer.print(JSON.stringify(frame), frame, (error) => {
      if (error === undefined) resolve();
      else reject(error);
    });
  });
}
