/**
 * The JSON frames by hand, with nothing but a WebSocket library: what a client in another language does. Every request has
 * an `op` and an `id` of yours, which comes back in its answer; docs/PROTOCOL.md has all of them.
 *
 *   node dist/examples/json-websocket.js [ws://127.0.0.1:8880]
 */
import { on, once } from 'node:events';
import { WebSocket } from 'ws';

type Answer = { readonly op: string; readonly id?: number; readonly token?: string };

const socket = new WebSocket(`${process.argv[2] ?? 'ws://127.0.0.1:8880'}/v1/ws`);
const say = (frame: object): void => {
  console.log(`> ${JSON.stringify(frame)}`);
  socket.send(JSON.stringify(frame));
};

await once(socket, 'open');
say({ op: 'send', id: 1, topic: 'clicks', key: 'page-7', body: { x: 12, y: 40 } });
say({ op: 'subscribe', id: 2, topic: 'clicks', group: 'heatmap', from: 'earliest', credit: 1 });

for await (const [data] of on(socket, 'message')) {
  console.log(`< ${String(data)}`);
  const answer = JSON.parse(String(data)) as Answer;
  if (answer.op === 'message') say({ op: 'ack', id: 3, tokens: [answer.token] });
  if (answer.op === 'error' || answer.id === 3) break;
}
socket.close();
