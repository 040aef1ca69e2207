/** A network that can be cut: bytes pass, then none do and nobody is told, then all of them arrive. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { ByteProxy } from '../../src/cluster/byte-proxy.ts';
import { until } from '../../src/testing/e2e-broker.ts';

test('what is sent while it is cut arrives when it is healed, both ways, and no connection breaks', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { readonly port: number };
  const proxy = await ByteProxy.open(port);
  const near = connect(proxy.port, '127.0.0.1');
  const [far] = (await once(server, 'connection')) as [Socket];
  const heard = { near: '', far: '' };
  near.on('data', (bytes) => {
    heard.near += String(bytes);
  });
  far.on('data', (bytes) => {
    heard.far += String(bytes);
  });
  near.write('a');
  far.write('b');
  await until('both heard', () => heard.near === 'b' && heard.far === 'a');
  proxy.cut();
  near.write('c');
  far.write('d');
  // Another connection through the same proxy is taken and told nothing either.
  const late = connect(proxy.port, '127.0.0.1');
  await once(late, 'connect');
  assert.deepEqual(heard, { near: 'b', far: 'a' });
  proxy.heal();
  await until('all arrived', () => heard.near === 'bd' && heard.far === 'ac');
  near.destroy();
  await once(far, 'close');
  late.destroy();
  proxy.close();
  server.close();
});

test('one beside its target has the same port, and counts who goes through it', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { readonly port: number };
  const proxy = await ByteProxy.beside(port);
  assert.equal(proxy.port, port);
  assert.notEqual(proxy.host, '127.0.0.1');
  assert.equal(proxy.connections, 0);
  const near = connect(port, proxy.host);
  const [far] = (await once(server, 'connection')) as [Socket];
  await until('it is counted', () => proxy.connections === 1);
  near.destroy();
  await once(far, 'close');
  await until('it is gone', () => proxy.connections === 0);
  proxy.close();
  server.close();
});
