/**
 * Whatever comes in over a connection or HTTP: nothing throws, nothing hangs, nothing is changed by what is refused, and
 * the acceptor goes on. Valid frames are bent as well as random ones made up.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeControl } from '../../src/protocol/web/control-codec.ts';
import { REQUEST_FIELDS, type RequestOp } from '../../src/protocol/web/messages.ts';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';
import { sendBatchFrame, settleFrame } from '../../src/testing/batch-frames.ts';
import { fuzzPlan } from '../../src/testing/fuzz-plan.ts';

const OPS = Object.keys(REQUEST_FIELDS) as RequestOp[];
const ODD_NAMES = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'toJSON',
  'then',
  'id',
  'op',
];

/** Values that fields are given: right ones among them, so that checks behind the first are reached. */
const oddValue = fc.oneof(
  fc.constantFrom<unknown>(
    't',
    'g',
    'nope',
    'earliest',
    '1.1.1.1.1',
    '',
    -1,
    0,
    1,
    4,
    1e9,
    2 ** 53,
    null,
    true,
    [],
    {},
  ),
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(
    { $bytes: 'AAA=' },
    { $bytes: '*' },
    [{ body: 1 }],
    [{ body: 1, key: 'k' }],
    { '0': 1 },
  ),
);

const oddRequest = fc
  .tuple(
    fc.oneof({ weight: 9, arbitrary: fc.constantFrom<unknown>(...OPS) }, oddValue),
    fc.array(
      fc.tuple(
        fc.oneof(
          fc.constantFrom(...new Set(Object.values(REQUEST_FIELDS).flat())),
          fc.constantFrom(...ODD_NAMES),
          fc.string({ maxLength: 5 }),
        ),
        oddValue,
      ),
      { maxLength: 6 },
    ),
  )
  .map(([op, fields]) => Object.fromEntries([...fields, ['op', op]]) as Record<string, unknown>);

/** As a CONTROL frame; the encoder stumbles over one name, and then it is another request. */
function encodable(request: object): Uint8Array {
  try {
    return encodeControl(request);
  } catch {
    return encodeControl({ op: 'ping' });
  }
}

async function startFixed(): Promise<AcceptorRig> {
  const rig = await AcceptorRig.start({
    config: { autoCreateTopics: false, autoCreateGroups: false },
  });
  assert.equal((await rig.http('POST', '/api/topics', { body: { topic: 't' } })).status, 200);
  return rig;
}

/** The acceptor works, and has neither a new topic nor a new group. */
async function checkIntact(rig: AcceptorRig): Promise<void> {
  const client = rig.connect();
  assert.equal((await rig.ask(client, { op: 'ping' })).op, 'pong');
  rig.disconnect(client);
  const list = async (what: string): Promise<unknown[]> =>
    Object.values(
      JSON.parse((await rig.http('GET', `/api/${what}`)).body as string) as object,
    )[0] as unknown[];
  assert.equal((await list('topics')).length, 1);
  assert.equal((await list('groups')).length, 0);
  const internal = rig.acceptor
    .metrics()
    .find(({ name }) => name === 'sluice_internal_errors_total');
  assert.equal(internal?.value, 0, JSON.stringify(rig.lines));
  assert.equal((Object.prototype as Record<string, unknown>)['polluted'], undefined);
}

test('text frames', async () => {
  const rig = await startFixed();
  const frame = fc.oneof(
    fc.string({ maxLength: 60 }),
    oddRequest.map((request) => JSON.stringify(request)),
    fc.tuple(oddRequest, fc.nat(200), fc.string({ maxLength: 2 })).map(([request, at, text]) => {
      const json = JSON.stringify(request);
      return (
        json.slice(0, at % (json.length + 1)) + text + json.slice((at + 1) % (json.length + 1))
      );
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(frame, { maxLength: 8 }), async (frames) => {
      const client = rig.connect();
      for (const text of frames) rig.acceptor.text(client, text);
      await rig.settle();
      const silent = frames.length - client.answers.length;
      // Only a credit without an id, a frame after a close, and a fetch that waits have no answer.
      if (client.closeCode === undefined)
        assert.ok(silent <= frames.filter((text) => /credit|waitMs/.test(text)).length);
      rig.disconnect(client);
    }),
    fuzzPlan(150),
  );
  await checkIntact(rig);
});

test('binary frames', async () => {
  const rig = await startFixed();
  const range = { queueId: 0, queueOffset: 0, count: 1, leaseId: 1 };
  const valid = fc.oneof(
    fc.constant(
      sendBatchFrame({ topicId: 1, correlationId: 5, messages: ['a', { body: 'b', tag: 't' }] }),
    ),
    fc.constant(
      settleFrame({
        action: 2,
        subscription: 1,
        correlationId: 6,
        ranges: [range, range],
        reason: 'r',
      }),
    ),
    oddRequest.map(encodable),
  );
  const bent = fc
    .tuple(valid, fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 4 }), fc.nat(400))
    .map(([frame, changes, cut]) => {
      const copy = frame.slice();
      for (const [at, value] of changes) copy[at % copy.length] = value;
      return cut < 200 ? copy.subarray(0, cut % (copy.length + 1)) : copy;
    });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(bent, fc.uint8Array({ maxLength: 80 })), { maxLength: 8 }),
      async (frames) => {
        const client = rig.connect();
        for (const bytes of frames) rig.acceptor.binary(client, bytes);
        await rig.settle();
        rig.disconnect(client);
      },
    ),
    fuzzPlan(200),
  );
  await checkIntact(rig);
});

test('HTTP requests', async () => {
  const rig = await startFixed();
  const path = fc.oneof(
    fc.constantFrom(
      '/v1/topics/t/messages',
      '/v1/topics/nope/messages',
      '/v1/groups/g/acks',
      '/api/topics/t',
      '/api/topics/t/messages',
      '/api/groups/g/offsets',
      '/api/groups/g/redrive',
      '/api/messages/0',
      '/livez',
      '/metrics',
    ),
    fc.string({ maxLength: 30 }).map((text) => `/${text.replace(/[?#\s\\]/g, '_')}`),
    fc
      .array(fc.constantFrom('v1', 'topics', '%2e%2e', '%', '%00', '..', 't', 'messages'), {
        maxLength: 6,
      })
      .map((parts) => `/${parts.join('/')}`),
  );
  const query = fc
    .array(
      fc.tuple(
        fc.constantFrom('group', 'max', 'waitMs', 'filter', 'from', 'key', '__proto__'),
        fc.constantFrom('g', '0', '1', '-1', 'a||b', 'x y', ''),
      ),
      { maxLength: 4 },
    )
    .map(
      (pairs) => new URLSearchParams(pairs.map(([name, value]): [string, string] => [name, value])),
    );
  const header = fc.tuple(
    fc.constantFrom(
      'content-type',
      'origin',
      'authorization',
      'x-sequence',
      'x-producer-id',
      'x-message-key',
      '__proto__',
    ),
    fc.constantFrom(
      'application/json',
      'application/x-ndjson',
      'text/plain',
      'null',
      '5',
      '',
      'Bearer x',
      'http://localhost',
    ),
  );
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    oddRequest.map((request) => new TextEncoder().encode(JSON.stringify(request))),
    fc.constant(new TextEncoder().encode('{"body":1}\n[]\n{')),
  );
  const method = fc.constantFrom('GET', 'POST', 'PUT', 'OPTIONS', 'HEAD', 'PATCH');
  await fc.assert(
    fc
      .asyncProperty(
        method,
        path,
        query,
        fc.array(header, { maxLength: 3 }),
        body,
        async (...input) => {
          const [asked, at, search, headers, bytes] = input;
          const response = await rig.acceptor
            .http({
              method: asked,
              path: at,
              query: new URLSearchParams([...search, ['waitMs', '0']]),
              headers: new Map([['host', 'localhost'], ...headers]),
              body: bytes,
              remoteAddress: '127.0.0.1',
              signal: AbortSignal.abort(),
            })
            .then(
              (value) => value,
              (error: unknown) => assert.fail(String(error)),
            );
          assert.ok(
            response.status >= 200 && response.status < 600 && response.status !== 500,
            JSON.stringify(response),
          );
        },
      )
      .beforeEach(() => {
        pumping = true;
        void pump(rig);
      })
      .afterEach(() => {
        pumping = false;
      }),
    fuzzPlan(400),
  );
  await checkIntact(rig);
});

let pumping = false;

/** Turns for everybody while a request is under way. */
async function pump(rig: AcceptorRig): Promise<void> {
  while (pumping) await rig.settle(() => !pumping);
}
