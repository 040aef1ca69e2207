/** One request over TLS, as RocketMQ's clients make it when they are told to; and the certificate that tests have. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { CommandView, type ReceivedCommand } from '../protocol/remoting/command.ts';
import { decodeCommand } from '../protocol/remoting/command-decoder.ts';
import { encodeCommand } from '../protocol/remoting/command-encoder.ts';
import { REMOTING_FRAMES } from '../protocol/remoting/frame-layout.ts';
import { FrameCutter, PartialBudget } from '../transport/frame-cutter.ts';
import { projectRoot } from './source-tree.ts';

export const TLS_FILES: {
  readonly remotingTlsCertFile: string;
  readonly remotingTlsKeyFile: string;
} = {
  remotingTlsCertFile: join(projectRoot(), 'test/remoting/tls/cert.pem'),
  remotingTlsKeyFile: join(projectRoot(), 'test/remoting/tls/key.pem'),
};

/** A connection that ends with the test at the latest. */
export async function openTls(
  port: number,
  t: { readonly after: (action: () => void) => void },
): Promise<TLSSocket> {
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

/** Sends one request and resolves with its answer. */
export function askTls(socket: TLSSocket, code: number): Promise<ReceivedCommand> {
  const cutter = new FrameCutter(REMOTING_FRAMES, new PartialBudget(1 << 20));
  const view = new CommandView();
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      cutter.push(new Uint8Array(chunk), (frame) => {
        assert.equal(decodeCommand(frame, view), 'ok');
        resolve(view.toCommand());
        return true;
      });
    });
    socket.write(encodeCommand({ code, opaque: 7, flag: 0 }));
  });
}
