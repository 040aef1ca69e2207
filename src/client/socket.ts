/**
 * The WebSocket as the client sees it: the platform's own in browsers (and in runtimes that have one), `ws` in Node
 * (`socket-node.ts`). All calls and events are on one thread. Browser-safe.
 */

/** What a socket tells its owner. */
export type SocketEvents = {
  /** Frames may be sent from now on. */
  open(): void;
  /** @shape `bytes` belong to the receiver: the socket does not touch them again */
  binary(bytes: Uint8Array): void;
  text(text: string): void;
  /** The end, exactly once, also when it never opened. `reason` is for people. */
  closed(reason: string): void;
};

export interface Socket {
  /** @shape the bytes are borrowed until the socket is closed or an answer shows that they arrived */
  send(data: Uint8Array | string): void;
  /** Ends the connection politely: what was sent before is delivered first. */
  close(): void;
  /** Ends it at once; `closed` is called before this returns. */
  terminate(): void;
}

/** Opens a socket; never throws, a bad address is reported by `closed`. */
export type OpenSocket = (url: string, events: SocketEvents) => Socket;

/** A socket on the platform's `WebSocket`. */
export const openPlatformSocket: OpenSocket = (url, events) => {
  if (typeof WebSocket === 'undefined')
    return failedSocket(events, 'this platform has no WebSocket: import sluicemq/client/node');
  let webSocket: WebSocket;
  try {
    webSocket = new WebSocket(url);
  } catch (error) {
    return failedSocket(events, error instanceof Error ? error.message : String(error));
  }
  webSocket.binaryType = 'arraybuffer';
  let ended = false;
  const end = (reason: string): void => {
    if (ended) return;
    ended = true;
    webSocket.onopen = webSocket.onmessage = webSocket.onerror = webSocket.onclose = null;
    events.closed(reason);
  };
  webSocket.onopen = () => events.open();
  webSocket.onmessage = ({ data }: { data: unknown }) => {
    if (typeof data === 'string') events.text(data);
    else if (data instanceof ArrayBuffer) events.binary(new Uint8Array(data));
  };
  webSocket.onclose = ({ code, reason }: { code: number; reason: string }) =>
    end(reason === '' ? `closed with code ${code}` : `closed with code ${code}: ${reason}`);
  return {
    send: (data) => {
      // Only the browser's buffer can take it: a shared one is refused by the platform, and ours never is.
      if (webSocket.readyState === 1) webSocket.send(data as Uint8Array<ArrayBuffer> | string);
    },
    close: () => webSocket.close(1000),
    terminate: () => {
      // A page cannot cut a connection; what comes after this is nobody's any more.
      webSocket.close();
      end('terminated');
    },
  };
};

/** A socket that was over before it began. */
export function failedSocket(events: SocketEvents, reason: string): Socket {
  queueMicrotask(() => events.closed(reason));
  return { send: () => {}, close: () => {}, terminate: () => {} };
}
