/** Connections of replication that break: each ends once and tells its user, and none ends the thread. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { dial, type SocketLink } from '../../src/replication/socket-link.ts';

async function dialled(port: number): Promise<SocketLink | undefined> {
  return new Promise((resolve) => dial({ host: '127.0.0.1', port }, () => {}, resolve));
}

describe('a dialled connection', () => {
  it('that the peer resets is closed for its user, and throws nothing', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const link = await dialled((server.address() as AddressInfo).port);
    const [peer] = await accepted;
    let closed = 0;
    const isClosed = new Promise<void>((resolve) => {
      link?.use({
        receive: () => {},
        canReceive: () => true,
        closed: () => {
          closed += 1;
          resolve();
        },
      });
    });
    peer.resetAndDestroy();
    await isClosed;
    await new Promise(setImmediate);
    assert.equal(closed, 1);
    server.close();
  });

  it('that nobody takes is none', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    assert.equal(await dialled(port), undefined);
  });
});
