/**
 * The client's WebSocket in Node, on `ws`: Node 20 has none of its own. The socket alone does not keep the process
 * alive; the client does, while it has work (`runtime.ts`).
 */
import type { Socket as NetSocket } from 'node:net';
import { WebSocket } from 'ws';
import { KIB, MIB } from '../base/units.ts';
import { failedSocket, type OpenSocket } from './socket.ts';

/** Bytes of one frame from the broker: a DELIVER is one batch, a `fetched` may hold several of the largest. */
const RECEIVE_BYTES_MAX = 64 * MIB;
/** Bytes of frames that are gathered for one system call. */
const GATHER_BYTES = 64 * KIB;

/**
 * Frames from a browser are masked so that a hostile page cannot make them look like another protocol to a proxy
 * (RFC 6455, section 10.3). This is no page: a mask of zeros keeps the format and saves both sides a pass over all bytes.
 */
function zeroMask(mask: Buffer): void {
  mask.fill(0);
}

const noCork = (_bytes: number): void => {};

/**
 * Gathers the frames of one turn, so that several go with one system call. To be called before each send.
 *
 * @returns takes the bytes that are sent next
 */
function corkOf(socket: NetSocket): (bytes: number) => void {
  let isCorked = false;
  let gatheredBytes = 0;
  const uncork = (): void => {
    if (!isCorked) return;
    isCorked = false;
    gatheredBytes = 0;
    socket.uncork();
  };
  return (bytes) => {
    // Enough for one call: the other side should not wait for the end of a long turn.
    if (gatheredBytes >= GATHER_BYTES) uncork();
    gatheredBytes += bytes;
    if (isCorked) return;
    isCorked = true;
    socket.cork();
    queueMicrotask(uncork);
  };
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
  let cork = noCork;
  webSocket.on('upgrade', ({ socket }) => {
    socket.unref();
    cork = corkOf(socket);
  });
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
      if (webSocket.readyState !== WebSocket.OPEN) return;
      cork(data.length);
      webSocket.send(data);
    },
    close: () => webSocket.close(1000),
    terminate: () => {
      webSocket.terminate();
      end('terminated');
    },
  };
};
