/** The hand tools against a real broker, each in a process of its own. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  CliBroker,
  type CliOptions,
  type CliResult,
  gather,
  runCli,
  startCli,
  temporaryDirectory,
} from '../../src/testing/cli-run.ts';

const directory = temporaryDirectory();
let broker: CliBroker;

before(async () => {
  broker = await CliBroker.start(['--data', directory.path]);
});

after(async () => {
  await broker.stop();
  directory.remove();
});

function sluice(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return runCli([...args, '--url', broker.ws, '--json'], options);
}

/** As many messages of a topic as are known to be there, printed for a new group. */
function take(topic: string, max: number, ...args: string[]): Promise<CliResult> {
  const from = ['--from', 'earliest', '--max', String(max)];
  return sluice(['consume', topic, '--group', groupOf(topic), ...from, ...args]);
}

/** Lag and the like are of a group in all topics: so each topic has one of its own. */
const groupOf = (topic: string): string => `g-${topic}`;

/** Messages of a topic that its group has not acknowledged. */
async function lagOf(topic: string): Promise<number> {
  const response = await fetch(`${broker.http}/api/groups/${groupOf(topic)}`);
  return ((await response.json()) as { lag: number }).lag;
}

const lines = (count: number, from = 1): string =>
  Array.from({ length: count }, (_, index) => `{"n":${from + index}}\n`).join('');

describe('produce and consume', () => {
  test('a thousand lines come back as they were, each once', async () => {
    const sent = await sluice(['produce', 'thousand'], { input: lines(1000) });
    assert.equal(sent.code, 0);
    const { ms, ...counts } = sent.values.at(-1) ?? {};
    assert.deepEqual(counts, { sent: 1000, acked: 1000, duplicates: 0, refused: 0 });
    assert.equal(typeof ms, 'number');
    const got = await take('thousand', 1000);
    assert.equal(got.code, 0);
    const numbers = got.values.map(({ body }) => (body as { n: number }).n);
    assert.deepEqual(
      numbers.toSorted((one, other) => one - other),
      Array.from({ length: 1000 }, (_, index) => index + 1),
    );
    assert.equal(await lagOf('thousand'), 0);
  });

  test('a message is printed as the frame of the JSON dialect', async () => {
    const input = '{"id":"o-17","kind":"created","total":12}\n';
    await sluice(['produce', 'frames', '--key-field', 'id', '--tag-field', 'kind'], { input });
    const { values } = await take('frames', 1);
    const [frame] = values;
    assert.deepEqual(Object.keys(frame ?? {}).toSorted(), [
      ...['attempt', 'body', 'key', 'messageId', 'op', 'properties', 'queueId', 'queueOffset'],
      ...['storedAt', 'subscription', 'tag', 'token', 'topic'],
    ]);
    assert.deepEqual(
      [frame?.['op'], frame?.['topic'], frame?.['key'], frame?.['tag'], frame?.['body']],
      ['message', 'frames', 'o-17', 'created', { id: 'o-17', kind: 'created', total: 12 }],
    );
  });

  test('JSON, text and bytes come back as what they were; empty lines are none', async () => {
    const input = Buffer.concat([
      Buffer.from('\ufeff{"a":1}\r\n\nplain text\n"quoted"\n[1,2]\n{"$bytes":"AAEC"}\n'),
      Buffer.from([0xff, 0xfe, 0x0a]),
      Buffer.from('{not json}'),
    ]);
    const sent = await sluice(['produce', 'kinds', '--producer-id', 'k'], { input });
    assert.equal(sent.values.at(-1)?.['acked'], 7);
    const { values } = await take('kinds', 7);
    assert.deepEqual(
      values.map(({ body }) => body),
      [
        { a: 1 },
        'plain text',
        'quoted',
        [1, 2],
        { $bytes: 'AAEC' },
        { $bytes: '//4=' },
        '{not json}',
      ],
    );
  });

  test('a filter lets only its tags through', async () => {
    const input = '{"t":"a"}\n{"t":"b"}\n{"t":"c"}\n';
    await sluice(['produce', 'tags', '--tag-field', 't'], { input });
    const { values } = await take('tags', 2, '--filter', 'a || c');
    assert.deepEqual(values.map(({ tag }) => tag).toSorted(), ['a', 'c']);
  });

  test('--max leaves the rest to the next run', async () => {
    await sluice(['produce', 'some'], { input: lines(10) });
    const first = await take('some', 4);
    assert.equal(await lagOf('some'), 6);
    const rest = await take('some', 6);
    assert.deepEqual([first.values.length, rest.values.length], [4, 6]);
    assert.ok(rest.values.every(({ attempt }) => attempt === 1));
  });

  test('a reader that goes away ends it quietly, and loses nothing', async () => {
    // More than a pipe and the buffers before it hold.
    const body = 'x'.repeat(2000);
    await sluice(['produce', 'piped'], { input: `{"body":"${body}"}\n`.repeat(1000) });
    const args = [
      'consume',
      'piped',
      '--group',
      groupOf('piped'),
      '--from',
      'earliest',
      '--json',
      '--url',
      broker.ws,
    ];
    const child = startCli(args);
    const ended = gather(child);
    const read = await new Promise<string>((resolve) => {
      child.stdout?.once('data', (text: string) => {
        resolve(text);
        child.stdout?.destroy();
      });
    });
    const { code, stderr } = await ended;
    assert.equal(code, 0, stderr);
    assert.ok(read.length > 0);
    const left = await lagOf('piped');
    // What the pipe had taken counts as printed; what was still before it goes back.
    assert.ok(left > 0 && left < 1000, `${left} of 1000 left`);
  });

  test('for people it is a line a message, and a sentence at the end', async () => {
    const args = ['produce', 'people', '--tag-field', 't', '--url', broker.ws];
    const sent = await runCli(args, { input: '{"t":"x"}\n' });
    assert.match(sent.stdout, /^1 message sent, 1 acknowledged in \d+ ms/);
    const read = ['consume', 'people', '--group', 'g', '--from', 'earliest', '--max', '1'];
    const got = await runCli([...read, '--url', broker.ws]);
    assert.match(got.stdout, /^\d+:0 {2}x {2}- {2}\{"t":"x"\}\n$/);
  });

  test('Ctrl-C acknowledges what was printed and leaves with 130', async () => {
    await sluice(['produce', 'interrupted'], { input: lines(3) });
    const args = [
      'consume',
      'interrupted',
      '--group',
      groupOf('interrupted'),
      '--from',
      'earliest',
      '--json',
    ];
    const child = startCli([...args, '--url', broker.ws]);
    const ended = gather(child);
    let text = '';
    await new Promise<void>((resolve) => {
      child.stdout?.on('data', (part: string) => {
        text += part;
        if (text.split('\n').length > 3) resolve();
      });
    });
    child.kill('SIGINT');
    assert.equal((await ended).code, 130);
    assert.equal(await lagOf('interrupted'), 0);
  });
});

describe('--producer-id', () => {
  const produce = (input: string, ...args: string[]): Promise<CliResult> =>
    sluice(['produce', 'numbered', '--producer-id', 'file-1', ...args], { input });
  const counts = ({ values }: CliResult): unknown => {
    const { acked, duplicates, refused } = values.at(-1) ?? {};
    return { acked, duplicates, refused };
  };

  test('the same input again is all duplicates, a longer one adds only what is new', async () => {
    const input = lines(1200);
    assert.deepEqual(counts(await produce(input)), { acked: 1200, duplicates: 0, refused: 0 });
    const again = await produce(input);
    assert.deepEqual(counts(again), { acked: 1200, duplicates: 1200, refused: 0 });
    assert.equal(again.code, 0);
    const longer = await produce(input + lines(77, 1201));
    assert.deepEqual(counts(longer), { acked: 1277, duplicates: 1200, refused: 0 });
    const { values } = await take('numbered', 1277);
    assert.deepEqual(
      values.map(({ body }) => (body as { n: number }).n),
      Array.from({ length: 1277 }, (_, index) => index + 1),
    );
  });

  test('a higher epoch starts over', async () => {
    const newer = await produce(lines(5), '--producer-epoch', '1');
    assert.deepEqual(counts(newer), { acked: 5, duplicates: 0, refused: 0 });
    const older = await produce(lines(5));
    assert.deepEqual(counts(older), { acked: 0, duplicates: 0, refused: 5 });
    assert.equal(older.code, 1);
    assert.match(older.stderr, /STALE_PRODUCER_EPOCH/);
  });
});

describe('what is refused', () => {
  test('a message that is too large is counted and named; the others are stored', async () => {
    const large = 'x'.repeat(4 * 1024 * 1024 + 10);
    const longKey = JSON.stringify({ id: 'k'.repeat(2000) });
    for (const mode of [[], ['--producer-id', 'large']]) {
      const input = `{"id":"a"}\n${large}\n${longKey}\n{"id":"b"}\n`;
      const sent = await sluice(['produce', 'large', '--key-field', 'id', ...mode], { input });
      const { sent: offered, acked, refused } = sent.values.at(-1) ?? {};
      assert.deepEqual({ offered, acked, refused }, { offered: 4, acked: 2, refused: 2 });
      assert.equal(sent.code, 1);
      assert.match(sent.stderr, /line 2: MESSAGE_TOO_LARGE/);
      assert.match(sent.stderr, /line 3: /);
    }
  });

  test('a name that breaks the rule is told once, with code and hint', async () => {
    const sent = await sluice(['produce', 'no good'], { input: lines(3) });
    assert.equal(sent.code, 1);
    const [{ error } = {}] = sent.values;
    const { code, hint } = error as { code: string; hint: string };
    assert.equal(code, 'INVALID_NAME');
    assert.match(hint, /a-z/);
    assert.doesNotMatch(sent.stdout + sent.stderr, /at .*\.js:/);
  });

  test('no broker: exit 1 at once, with the address and what to do', async () => {
    for (const args of [
      ['produce', 't'],
      ['consume', 't', '--group', 'g'],
      ['admin', 'topics', 'list'],
    ]) {
      const result = await runCli([...args, '--url', 'ws://127.0.0.1:1'], { input: lines(3) });
      assert.equal(result.code, 1, args.join(' '));
      assert.match(result.stderr, /^DISCONNECTED .*127\.0\.0\.1:1/);
      assert.match(result.stderr, /hint/);
    }
  });
});

test('--idle-ms ends a wait for what does not come', async () => {
  const result = await sluice(['consume', 'quiet', '--group', groupOf('quiet'), '--idle-ms', '50']);
  assert.deepEqual([result.code, result.values], [0, []]);
});
