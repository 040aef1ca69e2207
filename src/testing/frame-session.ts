/**
 * Plays a session of JSON frames as documents show it: `>` lines are sent, `<` lines are what must come back, in this order
 * and of this shape. For the tests of docs.
 */
import { on, once } from 'node:events';
import { WebSocket } from 'ws';

/** Stands for any text in a `<` line, and in a `>` line for the token of the last message. */
const ANY = '…';

export type SessionLine = { readonly isSent: boolean; readonly frame: unknown };

export function parseSession(text: string): readonly SessionLine[] {
  return text.split('\n').map((line) => {
    const mark = line.slice(0, 2);
    if (mark !== '> ' && mark !== '< ') throw new Error(`neither sent nor received: ${line}`);
    return { isSent: mark === '> ', frame: JSON.parse(line.slice(2)) as unknown };
  });
}

/** @returns what differs, a sentence each */
export async function playSession(
  url: string,
  lines: readonly SessionLine[],
): Promise<readonly string[]> {
  const socket = new WebSocket(url);
  const frames = on(socket, 'message');
  const differences: string[] = [];
  let token = '';
  try {
    await once(socket, 'open');
    for (const { isSent, frame } of lines) {
      if (isSent) {
        socket.send(JSON.stringify(frame).replaceAll(`"${ANY}"`, JSON.stringify(token)));
        continue;
      }
      const { value } = (await frames.next()) as { value: readonly [Buffer] };
      const received = JSON.parse(String(value[0])) as { readonly token?: string };
      token = received.token ?? token;
      differences.push(...differencesOf(frame, received, (frame as { op: string }).op));
    }
  } finally {
    socket.close();
  }
  return differences;
}

/**
 * Same keys and types; texts and truth values are the same, except where a document shows `…`. Numbers are of the moment:
 * only `id` and `subscription` must be those shown.
 */
export function differencesOf(shown: unknown, received: unknown, path: string): readonly string[] {
  if (Array.isArray(shown) && Array.isArray(received)) {
    if (shown.length !== received.length)
      return [`${path} has ${received.length} entries, shown are ${shown.length}`];
    return shown.flatMap((entry, index) =>
      differencesOf(entry, received[index], `${path}[${index}]`),
    );
  }
  if (isObject(shown) && isObject(received)) {
    const names = new Set([...Object.keys(shown), ...Object.keys(received)]);
    return [...names].flatMap((name) => {
      if (!(name in received)) return [`${path}.${name} is shown and did not come`];
      if (!(name in shown)) return [`${path}.${name} came and is not shown`];
      return differencesOf(shown[name], received[name], `${path}.${name}`);
    });
  }
  if (typeof shown !== typeof received)
    return [`${path} is ${JSON.stringify(received)}, shown is ${JSON.stringify(shown)}`];
  const isFree = shown === ANY || (typeof shown === 'number' && !/\.(id|subscription)$/.test(path));
  return isFree || shown === received
    ? []
    : [`${path} is ${JSON.stringify(received)}, shown is ${JSON.stringify(shown)}`];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
