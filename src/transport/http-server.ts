/** node:http with the limits of a front door. Event-loop thread that made it. */
import { createServer, type Server } from 'node:http';
import { HEADER_BYTES_MAX } from './http-refusal.ts';

/** Milliseconds that a connection may be idle between two requests. The same as uWebSockets.js has. */
const KEEP_ALIVE_MS = 10_000;

export function createHttpServer({ requestTimeoutMs }: { requestTimeoutMs: number }): Server {
  return createServer({
    maxHeaderSize: HEADER_BYTES_MAX,
    requestTimeout: requestTimeoutMs,
    headersTimeout: requestTimeoutMs,
    connectionsCheckingInterval: Math.min(500, Math.max(10, requestTimeoutMs >> 3)),
    keepAliveTimeout: KEEP_ALIVE_MS,
    noDelay: true,
  });
}
