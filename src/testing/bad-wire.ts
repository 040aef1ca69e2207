/** What is wrong below requests: bytes that are no WebSocket frames, and text that is no HTTP. */
import { frameHeader } from './e2e-raw-client.ts';

const TEXT = 0x1;
const BINARY = 0x2;
const CONTINUATION = 0x0;
const CLOSE = 0x8;
const PING = 0x9;
const FINAL = 0x80;
const MASKED = 0x80;
const ZERO_MASK = [0, 0, 0, 0];

/** A short frame of a client, masked with zeros. */
function frame(opcode: number, payload: readonly number[], isFinal = true): Uint8Array {
  return Uint8Array.from([
    (isFinal ? FINAL : 0) | opcode,
    MASKED | payload.length,
    ...ZERO_MASK,
    ...payload,
  ]);
}

/** @source RFC 6455, sections 5.1 to 5.6, 7.4 and 8.1: each of these fails the connection */
export const BAD_WEB_SOCKET: Readonly<Record<string, Uint8Array>> = {
  'a frame without a mask': Uint8Array.of(FINAL | TEXT, 2, 0x7b, 0x7d),
  'the first reserved bit': Uint8Array.from([FINAL | 0x40 | TEXT, MASKED | 2, ...ZERO_MASK, 1, 2]),
  'the third reserved bit': Uint8Array.from([FINAL | 0x10 | TEXT, MASKED | 2, ...ZERO_MASK, 1, 2]),
  'an opcode that is none': frame(0x3, [1]),
  'a control opcode that is none': frame(0xb, []),
  'a continuation of nothing': frame(CONTINUATION, [1]),
  'a new message within another': Uint8Array.from([
    ...frame(BINARY, [1], false),
    ...frame(BINARY, [1]),
  ]),
  'a ping in pieces': frame(PING, [1], false),
  'a ping that is too long': Uint8Array.from([
    ...[FINAL | PING, MASKED | 126, 0, 200, ...ZERO_MASK],
    ...new Uint8Array(200),
  ]),
  'a close of one byte': frame(CLOSE, [3]),
  'a close with a code that is none': frame(CLOSE, [0x03, 0xed]),
  'text that is not UTF-8': frame(TEXT, [0xc3, 0x28]),
  'a negative length': frameHeader(BINARY, 2 ** 62).map((byte, at) => (at === 2 ? 0xff : byte)),
  'a length beyond all memory': frameHeader(BINARY, Number.MAX_SAFE_INTEGER),
};

const HOST = 'Host: localhost\r\n';
const POST = `POST /v1/topics/t/messages HTTP/1.1\r\n${HOST}`;

/** @source RFC 9112: requests that a server must refuse, and some that nobody sends by accident */
export const BAD_HTTP: Readonly<Record<string, string>> = {
  'no HTTP at all': 'hello\r\n\r\n',
  'TLS on a plain port': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n',
  'a version that is none': `GET / HTTP/9.9\r\n${HOST}\r\n`,
  'a method that is none': `FETCH THIS /livez HTTP/1.1\r\n${HOST}\r\n`,
  'a header without a colon': `GET /livez HTTP/1.1\r\n${HOST}Nonsense\r\n\r\n`,
  'a blank in a header name': `GET /livez HTTP/1.1\r\n${HOST}X Y: 1\r\n\r\n`,
  'a zero byte in a header': `GET /livez HTTP/1.1\r\n${HOST}X: a\x00b\r\n\r\n`,
  'a folded header': `GET /api/topics HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`,
  'no host': 'GET /api/topics HTTP/1.1\r\n\r\n',
  'a strange host': 'GET /api/topics HTTP/1.1\r\nHost: evil.example\r\n\r\n',
  'a length that is negative': `${POST}Content-Length: -1\r\n\r\n`,
  'a length that is text': `${POST}Content-Length: many\r\n\r\n`,
  'a length beyond all numbers': `${POST}Content-Length: 99999999999999999999\r\n\r\n`,
  'a length that is too large': `${POST}Content-Length: 99999999\r\n\r\n`,
  'two lengths': `${POST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`,
  'a length and chunks': `${POST}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'an encoding that is none': `${POST}Transfer-Encoding: gzip\r\n\r\n`,
  'a chunk that is negative': `${POST}Transfer-Encoding: chunked\r\n\r\n-5\r\nabcde\r\n0\r\n\r\n`,
  'a chunk that is text': `${POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n`,
  'a chunk beyond all memory': `${POST}Transfer-Encoding: chunked\r\n\r\nfffffffffffffff0\r\n`,
  'a path that is too long': `GET /${'a'.repeat(20_000)} HTTP/1.1\r\n${HOST}\r\n`,
  'too many headers': `GET /livez HTTP/1.1\r\n${HOST}${'X: 1\r\n'.repeat(500)}\r\n`,
  'an upgrade to nothing known': `GET /v1/ws HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`,
  'an upgrade without a key': `GET /v1/ws HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n`,
  'an upgrade of another version': `GET /v1/ws HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 7\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  'a path that climbs': `GET /api/topics/../../etc/passwd HTTP/1.1\r\n${HOST}\r\n`,
};
