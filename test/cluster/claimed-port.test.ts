/** Ports that processes claim: never the same one twice, given back by the system when a process ends, however it ends. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import { choosePorts } from '../../src/cluster/free-ports.ts';
import { spawnTied } from '../../src/testing/tied-process.ts';

const MODULE = new URL('../../src/cluster/claimed-port.js', import.meta.url).href;
/** Claims ports as if its id were another's, says which, and stays. */
const CLAIMS = `
import { claimPort } from '${MODULE}';
const [count, pid] = process.argv.slice(1).map(Number);
Object.defineProperty(process, 'pid', { value: pid });
const ports = await Promise.all(Array.from({ length: count }, () => claimPort()));
console.log(JSON.stringify(ports));
process.stdin.resume();
`;

type Claimer = { readonly ports: readonly number[]; readonly kill: () => Promise<void> };

/** A process that claims. All begin their search at the same place. */
async function claimer(count: number): Promise<Claimer> {
  const words = ['--input-type=module', '-e', CLAIMS, String(count), String(process.pid)];
  const child = spawnTied(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const [line] = (await once(lines, 'line')) as [string];
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  return { ports: JSON.parse(line) as number[], kill };
}

async function listening(port: number): Promise<() => Promise<void>> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  assert.equal((server.address() as AddressInfo).port, port);
  return async () => {
    server.close();
    await once(server, 'close');
  };
}

describe('claimed ports', () => {
  it('are never those of another process, and lie below the ones that the system gives out', async () => {
    const claimers = await Promise.all([claimer(20), claimer(20), claimer(20)]);
    const own = await Promise.all(Array.from({ length: 20 }, () => claimPort()));
    const all = [...own, ...claimers.flatMap(({ ports }) => ports)];
    assert.equal(new Set(all).size, 80);
    assert.ok(
      all.every((port) => port >= 20_000 && port < 25_000),
      all.join(),
    );
    await Promise.all(claimers.map(({ kill }) => kill()));
  });

  it('are free again when the process that claimed them was killed', async () => {
    const first = await claimer(10);
    await first.kill();
    const second = await claimer(10);
    // Not all of them: tests of another file may claim here at the same moment.
    assert.ok(second.ports.some((port) => first.ports.includes(port)));
    await second.kill();
  });

  it('can be listened on again and again, and are not given out while something listens', async () => {
    const dead = await claimer(1);
    const [port] = dead.ports as [number];
    await dead.kill();
    for (let round = 0; round < 3; round += 1) await (await listening(port))();
    const stop = await listening(port);
    const other = await claimer(1);
    assert.notEqual(other.ports[0], port);
    await Promise.all([other.kill(), stop()]);
  });

  it('are what a cluster gets that asks for free ones', async () => {
    const ports = [...(await choosePorts(0, 5)), ...(await choosePorts(0, 5))];
    assert.equal(new Set(ports).size, 10);
    assert.ok(ports.every((port) => port < 25_000));
  });

  it('are refused by name when a cluster asks for one in use', async () => {
    const port = await claimPort();
    const stop = await listening(port);
    await assert.rejects(choosePorts(port, 1), {
      code: 'INVALID_ARGUMENT',
      message: new RegExp(`port ${port}`),
    });
    await stop();
  });
});
