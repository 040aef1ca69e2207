/** Every program of examples/ is run as its head says, in a small size, and must end well with the output it promises. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Broker, createBroker } from '../../src/index.ts';
import { projectRoot } from '../../src/testing/source-tree.ts';

const run = promisify(execFile);
const folder = fileURLToPath(new URL('../../examples', import.meta.url));

async function output(name: string, ...options: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [join(folder, `${name}.js`), ...options]);
  return stdout;
}

// Most of them wait more than they work.
describe('examples', { concurrency: 3 }, () => {
  let broker: Broker;
  before(async () => {
    broker = await createBroker({ memory: true });
  });
  after(() => broker.close());

  it('are all run here', () => {
    const programs = readdirSync(join(projectRoot(), 'examples'))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => name.replace(/\.ts$/, ''));
    // pace.ts is a part of peak-shaving.
    const here = [
      'cluster',
      'dead-letters',
      'embedded',
      'flights',
      'json-websocket',
      'pace',
      'peak-shaving',
    ];
    assert.deepEqual(programs.sort(), [...here, 'produce-consume']);
  });

  it('embed a broker', async () => {
    assert.match(await output('cluster'), /broker-a is away, stored by broker-b\n$/);
    assert.match(await output('embedded'), /^stored in queue \d at offset 0\nreceived hello\n$/);
  });

  it('produce and consume', async () => {
    const text = await output('produce-consume', broker.ready.ws);
    assert.match(text, /^10 orders stored, durability memory\n/);
    const orders = [...text.matchAll(/^(customer-\d) (created|paid): order (\d), total \d+$/gm)];
    assert.equal(orders.length, 10);
    for (const customer of ['customer-0', 'customer-1', 'customer-2']) {
      const own = orders.filter((match) => match[1] === customer).map((match) => Number(match[3]));
      assert.deepEqual(own, [...own].sort());
    }
  });

  it('speak JSON by hand', async () => {
    const text = await output('json-websocket', broker.ready.ws);
    for (const part of ['"op":"sent","id":1', '"op":"subscribed","id":2', '"op":"ok","id":3'])
      assert.ok(text.includes(part), `${part} in\n${text}`);
    assert.match(text, /< \{"op":"message".*"key":"page-7".*"body":\{"x":12,"y":40\}/);
  });

  it('bury a message that nobody can process, and send it back', async () => {
    assert.equal(
      await output('dead-letters'),
      'dead after 3 attempts: o-17, 12,50 is not a number\nattempt 1: billed 12.5\nsent back: 1\n',
    );
  });

  it('shave a peak', async () => {
    const sizes = ['--normal', '200', '--peak', '2000', '--peak-seconds', '1', '--rate', '1000'];
    const text = await output('peak-shaving', ...sizes);
    const found = /(\d+) requests, (\d+) worked on, .* saw at most (\d+)\./.exec(text);
    assert.deepEqual(found?.slice(1, 3), ['2400', '2400'], text);
    // A printed second and one of the consumer are not the same to the millisecond.
    assert.ok(Number(found?.[3]) <= 1000 * 1.25, text);
  });

  it('prove on a broker that runs that flight records arrive, and leave it as it was', async () => {
    const options = ['--records', '2000', '--url', broker.ready.ws, '--json'];
    const result = JSON.parse(await output('flights', ...options));
    assert.deepEqual(result.faults, []);
    assert.equal(result.proven, true);
    const { topics } = (await (await fetch(`${broker.ready.http}/api/topics`)).json()) as {
      topics: { topic: string }[];
    };
    assert.ok(topics.every(({ topic }) => !topic.startsWith('flights-')));
  });

  it('prove it through a kill -9 of the broker', async () => {
    const result = JSON.parse(await output('flights', '--records', '30000', '--chaos', '--json'));
    assert.deepEqual(result.faults, []);
    assert.equal(result.proven, true);
    assert.equal(result.onDisk, 30_000);
    assert.ok(result.connects > 7, 'clients reconnected');
  });

  it('end with 2 when they are used wrongly', async () => {
    for (const options of [['--records', '0'], ['--chaos', '--url', 'ws://x'], ['--nonsense']])
      await assert.rejects(output('flights', ...options), { code: 2 });
  });
});
