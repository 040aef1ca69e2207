/**
 * The client's WebSocket in Node, on `ws`: Node 20 has none of its own. The socket alone does not keep the process
 * alive; the client does, while it has work (`runtime.ts`).
 */
import type { Socket as NetSocket } from 'node:net';
import { WebSocket } from 'ws';
import { MIB } from '../base/units.ts';
import { failedSocket, type OpenSocket } from './socket.ts';

/** Bytes of one frame from the broker: a DELIVER is one batch, a `fetched` may hold several of the largest. */
const RECEIVE_BYTES_MAX = 64 * MIB;

/**
 * Frames from a browser are masked so that a hostile page cannot make them look like another protocol to a proxy
 * (RFC 6455, section 10.3). This is no page: a mask of zeros keeps the format and saves both sides a pass over all bytes.
 */
function zeroMask(mask: Buffer): void {
  mask.fill(0);
}

/** Opens a socket on `ws`. */
export const openNodeSocket: OpenSocket = (url, events) => {
  let webSocket: WebSocket;
  try {
    webSocket = new WebSocket(url, {
      perMessageDeflate: false,
      generateMask: zeroMask,
      maxPayload: RECEIVE_BYTES_MAX,
      skipUTF8Validation: true,
    });
  } catch (error) {
    return failedSocket(events, error instanceof Error ? error.message : String(error));
  }
  let failure = '';
  let ended = false;
  const end = (reason: string): void => {
    if (ended) return;
    ended = true;
    events.closed(reason);
  };
  webSocket.on('upgrade', (response) => (response.socket as NetSocket).unref());
  webSocket.on('open', () => events.open());
  webSocket.on('message', (data: Buffer, isBinary) => {
    if (ended) return;
    if (isBinary) events.binary(data);
    else events.text(data.toString('utf8'));
  });
  webSocket.on('error', (error) => {
    failure = error.message;
  });
  webSocket.on('close', (code, reason) =>
    end(failure !== '' ? failure : `closed with code ${code} ${reason.toString('utf8')}`.trimEnd()),
  );
  return {
    send: (data) => {
      if (webSocket.readyState === WebSocket.OPEN) webSocket.send(data);
    },
    close: () => webSocket.close(1000),
    terminate: () => {
      webSocket.terminate();
      end('terminated');
    },
  };
};
