import assert from 'node:assert/strict';
import { it } from 'node:test';
import { httpUrlOf, webSocketUrls } from '../../src/client/servers.ts';

it('addresses become WebSocket URLs', () => {
  const urls: [string, string][] = [
    ['ws://127.0.0.1:8880', 'ws://127.0.0.1:8880/v1/ws'],
    ['127.0.0.1:9000', 'ws://127.0.0.1:9000/v1/ws'],
    ['broker', 'ws://broker:8880/v1/ws'],
    ['[::1]:8880', 'ws://[::1]:8880/v1/ws'],
    ['wss://events.example.com', 'wss://events.example.com/v1/ws'],
    ['http://localhost:8880/', 'ws://localhost:8880/v1/ws'],
    ['https://example.com/proxy/v1/ws', 'wss://example.com/proxy/v1/ws'],
  ];
  for (const [server, url] of urls) assert.deepEqual(webSocketUrls(server), [url]);
  assert.deepEqual(webSocketUrls(['a:1', 'b:2']), ['ws://a:1/v1/ws', 'ws://b:2/v1/ws']);
});

it('what is no address is refused, and named', () => {
  for (const server of ['', ' ', 'ws://', 'ftp://host', 7, null, undefined])
    assert.throws(() => webSocketUrls(server), { code: 'INVALID_ARGUMENT' }, String(server));
  assert.throws(() => webSocketUrls([]), /0 addresses/);
  assert.throws(() => webSocketUrls(Array(65).fill('a')), /65 addresses/);
});

it('HTTP is on the same port and path', () => {
  assert.equal(httpUrlOf('ws://127.0.0.1:8880/v1/ws'), 'http://127.0.0.1:8880');
  assert.equal(httpUrlOf('wss://example.com/proxy/v1/ws'), 'https://example.com/proxy');
});
