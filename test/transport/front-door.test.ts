/**
 * WebSockets through the front door. Every test runs on both transports: what they do must not differ, except where a
 * test says so.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { SluiceError } from '../../src/base/errors.ts';
import {
  clientFrame,
  OPCODES,
  openTestDoor,
  RawWebSocket,
  transportsHere,
  until,
} from '../../src/testing/front-door-fixture.ts';

async function connectClient(port: number): Promise<WebSocket> {
  const client = new WebSocket(`ws://127.0.0.1:${port}/v1/ws`);
  await once(client, 'open');
  return client;
}

async function nextMessage(client: WebSocket): Promise<{ data: Buffer; isBinary: boolean }> {
  const [data, isBinary] = (await once(client, 'message')) as [Buffer, boolean];
  return { data, isBinary };
}

/** Bytes in which every position has its own value, as far as a byte can. */
function pattern(length: number, seed = 1): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => (index * 31 + seed) & 0xff));
}

for (const [transport, skip] of await transportsHere()) {
  describe(`a WebSocket on ${transport}`, { skip, concurrency: true }, () => {
    it('echoes text and binary frames of every length class', async () => {
      const { door, handler } = await openTestDoor(transport);
      const client = await connectClient(door.port);
      for (const length of [0, 1, 125, 126, 127, 4096, 65_535, 65_536, 256 * 1024]) {
        const sent = pattern(length);
        client.send(sent);
        const { data, isBinary } = await nextMessage(client);
        assert.equal(isBinary, true);
        assert.ok(data.equals(sent), `${length} bytes came back changed`);
      }
      for (const text of ['', 'a', 'größer €uro 😀', 'x'.repeat(70_000)]) {
        client.send(text);
        const { data, isBinary } = await nextMessage(client);
        assert.equal(isBinary, false);
        assert.equal(data.toString(), text);
      }
      assert.equal(handler.last.remoteAddress, '127.0.0.1');
      await door.close();
    });

    it('knows the address of its peer, written the same way on IPv4 and IPv6', async (t) => {
      const isV6 = await openTestDoor(transport, { host: '::1' }).then(
        ({ door }) => door.close().then(() => true),
        () => false,
      );
      if (!isV6) t.diagnostic('there is no IPv6 here');
      const pairs = isV6
        ? [
            ['::1', '::1'],
            ['::', '127.0.0.1'],
            ['::', '::1'],
          ]
        : [];
      for (const [host, peerHost] of [['0.0.0.0', '127.0.0.1'], ...pairs]) {
        const { door, handler } = await openTestDoor(transport, { host: host as string });
        await new RawWebSocket(door.port, peerHost).open();
        assert.equal(handler.last.remoteAddress, peerHost);
        await door.close();
      }
    });

    it('hands on nothing before the last fragment, and the whole then', async () => {
      const { door, handler } = await openTestDoor(transport);
      const peer = await new RawWebSocket(door.port).open();
      const parts = [pattern(10, 1), pattern(70_000, 2), pattern(0), pattern(3, 3)];
      await peer.send(clientFrame(OPCODES.binary, parts[0] as Buffer, false));
      await peer.send(clientFrame(OPCODES.continuation, parts[1] as Buffer, false));
      // A control frame may come between fragments.
      await peer.send(clientFrame(OPCODES.ping, Buffer.from('p')));
      await until(() => peer.frames.length === 1);
      assert.equal(peer.frames[0]?.opcode, OPCODES.pong);
      assert.equal(handler.messages, 0);
      await peer.send(clientFrame(OPCODES.continuation, parts[2] as Buffer, false));
      await peer.send(clientFrame(OPCODES.continuation, parts[3] as Buffer));
      await until(() => peer.frames.length === 2);
      assert.ok(peer.frames[1]?.payload.equals(Buffer.concat(parts)));
      await door.close();
    });

    it('reads frames that arrive byte by byte, and many in one piece', async () => {
      const { door } = await openTestDoor(transport);
      const peer = await new RawWebSocket(door.port).open();
      for (const byte of clientFrame(OPCODES.binary, pattern(200))) {
        await peer.send(Uint8Array.of(byte));
      }
      const many = Array.from({ length: 500 }, () => clientFrame(OPCODES.text, Buffer.from('hi')));
      await peer.send(Buffer.concat(many));
      await until(() => peer.frames.length === 501);
      assert.ok(peer.frames[0]?.payload.equals(pattern(200)));
      await door.close();
    });

    it('takes a frame at the limit and closes with 1009 above it', async () => {
      const limits = { frameBytesMax: 1000 };
      const { door, handler } = await openTestDoor(transport, { limits });
      for (const length of [999, 1000]) {
        const peer = await new RawWebSocket(door.port).open();
        await peer.send(clientFrame(OPCODES.binary, pattern(length)));
        await until(() => peer.frames.length === 1);
        assert.equal(peer.frames[0]?.payload.length, length);
      }
      const whole = await new RawWebSocket(door.port).open();
      await whole.send(clientFrame(OPCODES.binary, pattern(1001)));
      assert.equal(await whole.closeCode(), 1009);
      const inParts = await new RawWebSocket(door.port).open();
      await inParts.send(clientFrame(OPCODES.binary, pattern(600), false));
      await inParts.send(clientFrame(OPCODES.continuation, pattern(600)));
      assert.equal(await inParts.closeCode(), 1009);
      assert.equal(handler.messages, 2);
      await until(() => handler.closes.length === 2);
      assert.deepEqual(
        handler.closes.map(({ code }) => code),
        [1009, 1009],
      );
      await door.close();
    });

    it('gives up a frame that announces more than it can ever hold', async () => {
      const { door, handler } = await openTestDoor(transport);
      for (const announced of [2 ** 31, 2 ** 32 - 1, 2 ** 40, 2 ** 53 - 1]) {
        const peer = await new RawWebSocket(door.port).open();
        await peer.send(clientFrame(OPCODES.binary, pattern(100), true, announced));
        // uWebSockets.js ends such a connection without a close frame.
        assert.equal(await peer.closeCode(), transport === 'ws' ? 1009 : 0);
        await until(() => handler.closes.at(-1)?.id === handler.last.id);
        assert.equal(handler.closes.at(-1)?.code, 1009);
      }
      await door.close();
    });

    it('closes what is not a WebSocket frame, and text that is not UTF-8', async () => {
      const { door, handler } = await openTestDoor(transport);
      const bad: [Buffer, number, number][] = [
        [clientFrame(OPCODES.text, Buffer.from([0xff, 0xfe])), 1007, 1007],
        [clientFrame(3, pattern(1)), 1002, 1006],
        [clientFrame(OPCODES.continuation, pattern(1)), 1002, 1006],
        [clientFrame(OPCODES.ping, pattern(126)), 1002, 1006],
      ];
      for (const [frame, onWs, onUws] of bad) {
        const peer = await new RawWebSocket(door.port).open();
        await peer.send(frame);
        assert.equal(await peer.closeCode(), transport === 'ws' ? onWs : 0);
        await until(() => handler.closes.at(-1)?.id === handler.last.id);
        assert.equal(handler.closes.at(-1)?.code, transport === 'ws' ? onWs : onUws);
      }
      assert.equal(handler.messages, 0);
      await door.close();
    });

    it('copies what it sends, also from shared memory and while the peer does not read', async () => {
      const { door, handler } = await openTestDoor(transport);
      const client = await connectClient(door.port);
      const connection = handler.last;
      client.pause();
      const frameBytes = 64 * 1024;
      const source = new Uint8Array(new SharedArrayBuffer(frameBytes + 8), 8, frameBytes);
      let sent = 0;
      let isWaiting = false;
      // Until well after the kernel's buffers are full; what is sent is overwritten at once.
      for (; sent < 600 && connection.bufferedBytes() < 4 * 1024 * 1024; sent += 1) {
        source.fill(sent & 0xff);
        if (!connection.sendBinary(source)) isWaiting = true;
        source.fill(0xee);
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.equal(isWaiting, true);
      assert.ok(connection.bufferedBytes() > 0);
      let received = 0;
      client.on('message', (data: Buffer) => {
        const expected = received & 0xff;
        assert.ok(data.every((byte) => byte === expected));
        received += 1;
      });
      client.resume();
      await until(() => received === sent);
      await until(() => connection.bufferedBytes() === 0);
      assert.ok(handler.drains > 0);
      await door.close();
    });

    it('keeps the order of frames sent in and outside of cork', async () => {
      const { door, handler } = await openTestDoor(transport);
      const client = await connectClient(door.port);
      const received: number[] = [];
      client.on('message', (data: Buffer) => received.push(data.readUInt32LE(0)));
      const { last } = handler;
      const send = (number: number, bytes: number): void => {
        const frame = Buffer.alloc(bytes);
        frame.writeUInt32LE(number, 0);
        last.sendBinary(frame);
      };
      send(0, 100);
      last.cork(() => {
        for (let number = 1; number < 400; number += 1) send(number, 200);
        send(400, 100_000);
        last.cork(() => send(401, 10));
        send(402, 20);
      });
      send(403, 30);
      await until(() => received.length === 404);
      assert.deepEqual(
        received,
        Array.from({ length: 404 }, (_, number) => number),
      );
      await door.close();
    });

    it('says truthfully whether it can stop the sender', async () => {
      const { door, handler } = await openTestDoor(transport);
      handler.echoes = false;
      assert.equal(door.canPause, transport === 'ws');
      const client = await connectClient(door.port);
      const { last } = handler;
      last.pause();
      const frame = pattern(64 * 1024);
      let accepted = 0;
      for (let count = 0; count < 600; count += 1) {
        client.send(frame, () => {
          accepted += 1;
        });
      }
      if (door.canPause) {
        // The sender's socket stalls: frames stay with it however often the loop turns.
        let stalled = 0;
        let before = -1;
        while (stalled < 2000) {
          stalled = accepted === before ? stalled + 1 : 0;
          before = accepted;
          await new Promise((resolve) => setImmediate(resolve));
        }
        assert.ok(accepted < 600, 'everything was taken although the connection is paused');
        assert.ok(handler.messages < 10, `${handler.messages} frames arrived while paused`);
        last.resume();
      }
      await until(() => handler.messages === 600);
      assert.equal(handler.bytes, 600 * frame.length);
      await door.close();
    });
  });

  describe(`the end of a WebSocket on ${transport}`, { skip, concurrency: true }, () => {
    it('carries the code of whoever closed', async () => {
      const { door, handler } = await openTestDoor(transport);
      const cases: [(client: WebSocket) => void, number][] = [
        [(client) => client.close(), 1005],
        [(client) => client.close(1000), 1000],
        [(client) => client.close(4001, 'because'), 4001],
        [(client) => client.terminate(), 1006],
      ];
      for (const [close, code] of cases) {
        const client = await connectClient(door.port);
        close(client);
        await until(() => handler.closes.at(-1)?.id === handler.last.id);
        assert.equal(handler.closes.at(-1)?.code, code);
      }
      const client = await connectClient(door.port);
      handler.last.close(4002, 'ours');
      const [code, reason] = (await once(client, 'close')) as [number, Buffer];
      assert.deepEqual([code, reason.toString()], [4002, 'ours']);
      assert.deepEqual(handler.closes.at(-1), { id: handler.last.id, code: 4002 });
      await door.close();
    });

    it('is told exactly once, after the code that closed has returned', async () => {
      const { door, handler } = await openTestDoor(transport);
      const client = await connectClient(door.port);
      const { last } = handler;
      last.close(1000, 'first');
      last.close(1001, 'second');
      assert.equal(handler.closes.length, 0);
      assert.equal(last.sendBinary(pattern(10)), true);
      assert.equal(last.sendText('late'), true);
      assert.equal(last.bufferedBytes(), 0);
      last.pause();
      last.resume();
      let ran = false;
      last.cork(() => {
        ran = true;
      });
      assert.equal(ran, true);
      await once(client, 'close');
      await until(() => door.connectionCount === 0);
      await door.close();
      assert.deepEqual(handler.closes, [{ id: last.id, code: 1000 }]);
    });

    it('leaves no frame to the handler after close', async () => {
      const { door, handler } = await openTestDoor(transport);
      handler.echoes = false;
      const peer = await new RawWebSocket(door.port).open();
      const original = handler.binary.bind(handler);
      handler.binary = (connection, bytes) => {
        original(connection, bytes);
        connection.close(1000, '');
      };
      const frame = clientFrame(OPCODES.binary, pattern(10));
      await peer.send(Buffer.concat(Array.from({ length: 50 }, () => frame)));
      assert.equal(await peer.closeCode(), 1000);
      assert.equal(handler.messages, 1);
      await door.close();
    });

    it('cuts a reason that is too long at a character, and refuses codes that are never sent', async () => {
      const { door, handler } = await openTestDoor(transport);
      const client = await connectClient(door.port);
      for (const code of [0, 999, 1005, 1006, 1015, 2999, 5000, 1000.5]) {
        assert.throws(
          () => handler.last.close(code, ''),
          (error) => error instanceof SluiceError && error.code === 'INVALID_ARGUMENT',
        );
      }
      handler.last.close(1008, '€'.repeat(100));
      const [, reason] = (await once(client, 'close')) as [number, Buffer];
      assert.equal(reason.toString(), '€'.repeat(41));
      await door.close();
    });

    it('comes for all when the door closes, and the port is free then', async () => {
      const { door, handler } = await openTestDoor(transport);
      const clients = await Promise.all([1, 2, 3].map(() => connectClient(door.port)));
      const codes = clients.map(async (client) => (await once(client, 'close'))[0] as number);
      await door.close();
      assert.equal(handler.closes.length, 3);
      assert.equal(door.connectionCount, 0);
      assert.deepEqual(await Promise.all(codes), [1001, 1001, 1001]);
      await door.close();
    });

    it('is not the end of others when the door stops listening', async () => {
      const { door } = await openTestDoor(transport);
      const client = await connectClient(door.port);
      door.stopListening();
      await assert.rejects(connectClient(door.port));
      client.send('still here');
      assert.equal((await nextMessage(client)).data.toString(), 'still here');
      await door.close();
    });
  });
}
