/** How a front door opens: on which port, and on which transport. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import {
  EchoHandler,
  openTestDoor,
  RawWebSocket,
  testOptions,
  transportsHere,
} from '../../src/testing/front-door-fixture.ts';
import { openFrontDoor } from '../../src/transport/front-door.ts';
import { loadUws, type UwsApp, type UwsLibrary } from '../../src/transport/uws-library.ts';

const uws = await loadUws().catch(() => undefined);

for (const [transport, skip] of await transportsHere()) {
  describe(`the port of a front door on ${transport}`, { skip }, () => {
    const isBusy = (error: unknown): boolean =>
      error instanceof SluiceError &&
      error.code === 'INVALID_ARGUMENT' &&
      error.message.includes('127.0.0.1') &&
      /port \d+ .* is in use/.test(error.message);

    it('is its own: a second door of either transport is refused', async () => {
      const { door } = await openTestDoor(transport);
      for (const [other, missing] of await transportsHere()) {
        if (missing !== false) continue;
        await assert.rejects(openTestDoor(other, { port: door.port }), isBusy);
      }
      await door.close();
    });

    it('can be opened again at once, while closed connections linger in the kernel', async () => {
      const port = await claimPort();
      for (let round = 0; round < 3; round += 1) {
        const { door } = await openTestDoor(transport, { port });
        assert.equal(door.port, port);
        await new RawWebSocket(port).open();
        await door.close();
      }
    });

    it('is refused in words where host or port are not ours', async () => {
      await assert.rejects(openTestDoor(transport, { host: '192.0.2.1' }), /192\.0\.2\.1/);
      await assert.rejects(openTestDoor(transport, { port: 70_000 }), /port is 70000/);
      const limits = { idleTimeoutSeconds: 0 };
      await assert.rejects(openTestDoor(transport, { limits }), /idleTimeoutSeconds is 0/);
    });

    it('is refused with a time for requests that the transport cannot keep', async () => {
      const limits = { requestTimeoutMs: 60_000 };
      if (transport === 'uws') {
        await assert.rejects(
          openTestDoor(transport, { limits }),
          /requestTimeoutMs is 60000; .* from 1 to 10000 with uWebSockets\.js/,
        );
        limits.requestTimeoutMs = 10_000;
      }
      const { door } = await openTestDoor(transport, { limits });
      await door.close();
    });
  });
}

describe('the choice of the transport', () => {
  const clock = { epochMs: () => 0, monotonicMs: () => 0 };
  const cause = new Error('no file for this platform');
  const failure = new SluiceError('UNSUPPORTED', 'it does not load', { cause, hint: 'install it' });
  const without = { clock, loadUws: () => Promise.reject(failure) };
  const options = testOptions(new EchoHandler());

  it('falls back to ws by itself and says why', async () => {
    const door = await openFrontDoor('auto', options, without);
    assert.equal(door.transport, 'ws');
    assert.match(door.reason, /it does not load/);
    await door.close();
  });

  it('takes uWebSockets.js by itself where it loads', async (t) => {
    const missing = await loadUws().catch((error: Error) => error.message);
    if (typeof missing === 'string') t.diagnostic(missing);
    const door = await openFrontDoor('auto', options);
    assert.equal(door.transport, typeof missing === 'string' ? 'ws' : 'uws');
    await door.close();
  });

  it('takes another free port where somebody was faster', {
    skip: uws === undefined && 'uWebSockets.js does not load',
  }, async () => {
    assert.ok(uws !== undefined);
    const library = uws;
    const others: UwsApp[] = [];
    const appThatIsLate = (): UwsApp => {
      const app = library.App();
      const listen = app.listen.bind(app);
      app.listen = (host, port, exclusive, done) => {
        if (others.length < 2) {
          const other = library.App();
          others.push(other);
          other.listen(host, port, exclusive, (token) => assert.notEqual(token, false));
        }
        return listen(host, port, exclusive, done);
      };
      return app;
    };
    const late: UwsLibrary = {
      App: appThatIsLate,
      us_listen_socket_close: library.us_listen_socket_close,
      us_socket_local_port: library.us_socket_local_port,
      LIBUS_LISTEN_EXCLUSIVE_PORT: library.LIBUS_LISTEN_EXCLUSIVE_PORT,
    };
    const world = { clock, loadUws: () => Promise.resolve(late) };
    const door = await openFrontDoor('uws', options, world);
    assert.equal(others.length, 2);
    await new RawWebSocket(door.port).open();
    await door.close();
    for (const other of others) other.close();
  });

  it('does not load what was not asked for', async () => {
    const door = await openFrontDoor('ws', options, {
      clock,
      loadUws: () => assert.fail('it was loaded'),
    });
    assert.match(door.reason, /asked for/);
    await door.close();
  });

  it('fails with cause and advice when what was asked for does not load', async () => {
    await assert.rejects(openFrontDoor('uws', options, without), failure);
    await assert.rejects(loadUws('uWebSockets.js-that-nobody-has'), (error) => {
      assert.ok(error instanceof SluiceError && error.code === 'UNSUPPORTED');
      assert.ok(error.cause instanceof Error);
      assert.match(error.hint, /npm install uWebSockets\.js@/);
      return true;
    });
    await assert.rejects(loadUws('node:path'), /lacks calls/);
  });
});
