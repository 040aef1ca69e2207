/** `sluice doctor`: where the way to a broker ends, and what it says then. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { type AddressInfo, createServer as createTcp } from 'node:net';
import { describe, test } from 'node:test';
import { checkNode } from '../../src/cli/doctor-local.ts';
import {
  CliBroker,
  type CliResult,
  runCli,
  temporaryDirectory,
} from '../../src/testing/cli-run.ts';

/** How full the disk of this machine is, and how long it takes, is not the test's. */
const DEPEND_ON_DISK: ReadonlySet<string> = new Set(['disk', 'sync']);

const statesOf = ({ values }: CliResult): Record<string, unknown> =>
  Object.fromEntries(
    values.flatMap(({ check, state }) => (check === undefined ? [] : [[String(check), state]])),
  );

const nextOf = ({ values }: CliResult, check: string): string =>
  String(values.find((value) => value['check'] === check)?.['next']);

test('all is well: every step is ok, and nothing is left behind', async () => {
  const directory = temporaryDirectory();
  const broker = await CliBroker.start(['--data', directory.path]);
  const before = readdirSync(directory.path);
  const result = await runCli(['doctor', '--url', broker.ws, '--data', directory.path, '--json']);
  assert.equal(result.code, 0, result.stdout);
  const states = statesOf(result);
  const steps = ['node', 'data', 'disk', 'sync', 'name', 'tcp', 'livez', 'readyz', 'permission'];
  for (const step of [
    ...steps,
    'transport',
    'shard 0',
    'websocket',
    'hello',
    'round trip',
    'topics',
  ])
    assert.ok(
      states[step] === 'ok' || (DEPEND_ON_DISK.has(step) && states[step] === 'warn'),
      `${step}: ${states[step]}`,
    );
  assert.deepEqual(readdirSync(directory.path), before);
  const missing = await runCli(['doctor', '--url', broker.ws, '--topic', 'nope', '--json']);
  assert.equal(missing.code, 1);
  assert.match(nextOf(missing, 'topic'), /sluice admin topics create/);
  await broker.stop();
  directory.remove();
});

test('a broker that wants a token: the way is fine, the right is missing', async () => {
  const broker = await CliBroker.start(['--memory', '--auth-token', 'secret-of-this-test-only']);
  const result = await runCli(['doctor', '--url', broker.ws, '--json']);
  assert.equal(result.code, 1);
  const states = statesOf(result);
  assert.deepEqual(
    [
      states['readyz'],
      states['permission'],
      states['websocket'],
      states['hello'],
      states['topics'],
    ],
    ['ok', 'fail', 'ok', 'fail', 'skip'],
  );
  assert.match(nextOf(result, 'permission'), /SLUICE_TOKEN/);
  const wrong = await runCli([
    'doctor',
    '--url',
    broker.ws,
    '--token',
    'secret-of-another-test',
    '--json',
  ]);
  assert.equal(statesOf(wrong)['websocket'], 'fail');
  await broker.stop();
});

describe('where the way ends', () => {
  test('no such name', async () => {
    const result = await runCli(['doctor', '--url', 'ws://no-such-host.invalid:8880', '--json']);
    assert.equal(result.code, 1);
    assert.equal(statesOf(result)['name'], 'fail');
    assert.equal(statesOf(result)['tcp'], undefined);
  });

  test('nobody listens: for people, with the next step', async () => {
    const { code, stdout } = await runCli(['doctor', '--url', 'ws://127.0.0.1:1']);
    assert.equal(code, 1);
    assert.match(
      stdout,
      /fail +tcp +no connection to 127\.0\.0\.1:1: ECONNREFUSED\n +next: .*sluice up/,
    );
    assert.match(stdout, /1 check failed\.\n$/);
  });

  test('another HTTP server', async () => {
    const server = createHttp((_request, response) => response.writeHead(404).end('<html>')).listen(
      0,
      '127.0.0.1',
    );
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const result = await runCli(['doctor', '--url', `127.0.0.1:${port}`, '--json']);
    assert.equal(result.code, 1);
    assert.equal(statesOf(result)['livez'], 'fail');
    assert.match(nextOf(result, 'livez'), /Another server/);
    server.closeAllConnections();
    server.close();
  });

  test('something that speaks no HTTP', async () => {
    const server = createTcp((socket) => {
      socket.on('error', () => {});
      socket.end('220 mail\r\n');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const result = await runCli(['doctor', '--url', `127.0.0.1:${port}`, '--json']);
    assert.equal(result.code, 1);
    assert.match(nextOf(result, 'livez'), /no SluiceMQ broker|wss/);
    server.close();
  });
});

test('an old Node is told', () => {
  assert.equal(checkNode('20.19.0').state, 'ok');
  assert.equal(checkNode('22.1.0').state, 'ok');
  assert.equal(checkNode('20.18.9').state, 'fail');
  assert.equal(checkNode('18.20.0').state, 'fail');
});
