/** The HTTP routes of operators, `/api/…`: bodies and parameters checked, the rest is `admin-api.ts`'s. */
import { SluiceError } from '../base/errors.ts';
import {
  ATTEMPTS_MAX,
  DELAYED_LIST_MAX,
  REDRIVE_MAX,
  RETRY_BACKOFF_MS_MAX,
  TOPIC_QUEUES_MAX,
} from '../base/limits.ts';
import type { WhenFull } from '../protocol/shard-control.ts';
import { parseSeekTarget } from '../protocol/web/consume-fields.ts';
import { FieldReader } from '../protocol/web/field-reader.ts';
import { bodyFields, jsonResponse, queryReader } from '../protocol/web/http-codec.ts';
import { readDecision } from '../protocol/web/json-codec.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import type { AcceptorCore } from './acceptor-core.ts';
import type { AcceptorOptions, ReplicationControl } from './acceptor-options.ts';
import { AdminApi } from './admin-api.ts';
import type { Route, RouteHandler } from './http-routes.ts';
import { welcomeLimits } from './operations.ts';

const TRANSACTIONS_LIST_DEFAULT = 100;
const WHEN_FULL: readonly string[] = ['refuse', 'drop-oldest', 'drop-consumed'];

/** @source docs/PROTOCOL.md, section 4 */
export function adminRoutes(core: AcceptorCore, options: AcceptorOptions): readonly Route[] {
  const api = new AdminApi(core);
  const get = (path: string, handler: RouteHandler): Route => ({ method: 'GET', path, handler });
  const post = (path: string, handler: RouteHandler): Route => ({ method: 'POST', path, handler });
  const remove = (path: string, handler: RouteHandler): Route => ({
    method: 'DELETE',
    path,
    handler,
  });
  return [
    get('/api/broker', async () =>
      jsonResponse(200, {
        ...core.identity,
        ...options.brokerFacts(),
        shards: await api.shards(),
        limits: welcomeLimits(core),
      }),
    ),
    get('/api/replication', async () =>
      jsonResponse(200, { ...(await replicationOf(options).facts()), ...options.readyFacts?.() }),
    ),
    post('/api/replication/promote', (request) => promote(options, request)),
    post('/api/replication/resumeWrites', () =>
      jsonResponse(200, replicationOf(options).resumeWrites()),
    ),
    get('/api/topics', () => jsonResponse(200, api.topics())),
    get('/api/topics/{topic}', async (_request, topic) =>
      jsonResponse(200, await api.topic(topic)),
    ),
    post('/api/topics', (request) => createTopic(api, request)),
    remove('/api/topics/{topic}', async (_request, topic) =>
      jsonResponse(200, await api.deleteTopic(topic)),
    ),
    get('/api/topics/{topic}/messages', (request, topic) => findByKey(api, request, topic)),
    get('/api/groups', () => jsonResponse(200, api.groups())),
    get('/api/groups/{group}', async (_request, group) =>
      jsonResponse(200, await api.group(group)),
    ),
    post('/api/groups', (request) => putGroup(api, request)),
    remove('/api/groups/{group}', async (_request, group) =>
      jsonResponse(200, await api.deleteGroup(group)),
    ),
    post('/api/groups/{group}/offsets', (request, group) => resetOffsets(api, request, group)),
    post('/api/groups/{group}/redrive', (request, group) => redrive(api, request, group)),
    get('/api/transactions', (request) => listTransactions(core, request)),
    post('/api/transactions/{messageId}', (request, messageId) =>
      endTransaction(core, request, messageId),
    ),
    get('/api/messages/{messageId}', async (_request, messageId) =>
      jsonResponse(200, await api.message(messageId)),
    ),
  ];
}

/** @throws UNSUPPORTED */
function replicationOf({ replication }: AcceptorOptions): ReplicationControl {
  if (replication !== undefined) return replication;
  throw new SluiceError('UNSUPPORTED', 'this broker has no replication', {
    hint: 'It has some once its configuration says brokerRole.',
  });
}

async function promote(options: AcceptorOptions, request: HttpRequest): Promise<HttpResponse> {
  const reader = readerOf(request, ['force', 'brokerRole']);
  const ack = reader.optionalText('brokerRole') ?? 'ASYNC_MASTER';
  if (ack !== 'ASYNC_MASTER' && ack !== 'SYNC_MASTER')
    reader.wrong('brokerRole', ack, 'ASYNC_MASTER, SYNC_MASTER');
  const isForced = reader.optionalBoolean('force') ?? false;
  const wish = { isForced, ack: ack as 'ASYNC_MASTER' | 'SYNC_MASTER' };
  return jsonResponse(200, await replicationOf(options).promote(wish));
}

function readerOf(request: HttpRequest, allowed: readonly string[]): FieldReader {
  return new FieldReader(bodyFields(request.body), 'the body').allow(allowed);
}

async function createTopic(api: AdminApi, request: HttpRequest): Promise<HttpResponse> {
  const reader = readerOf(request, [
    'topic',
    'queues',
    'retentionMs',
    'retentionBytes',
    'whenFull',
  ]);
  const whenFull = reader.optionalText('whenFull');
  if (whenFull !== undefined && !WHEN_FULL.includes(whenFull))
    reader.wrong('whenFull', whenFull, WHEN_FULL.join(', '));
  const topic = await api.createTopic(reader.text('topic'), {
    queues: reader.optionalInteger('queues', 1, TOPIC_QUEUES_MAX),
    retentionMs: reader.optionalInteger('retentionMs', 1, Number.MAX_SAFE_INTEGER),
    retentionBytes: reader.optionalInteger('retentionBytes', 1, Number.MAX_SAFE_INTEGER),
    whenFull: whenFull as WhenFull | undefined,
  });
  return jsonResponse(200, topic);
}

async function putGroup(api: AdminApi, request: HttpRequest): Promise<HttpResponse> {
  const reader = readerOf(request, ['group', 'maxAttempts', 'retryBackoffMs']);
  const group = await api.putGroup(reader.text('group'), {
    maxAttempts: reader.optionalInteger('maxAttempts', 1, ATTEMPTS_MAX),
    retryBackoffMs: readBackoff(reader),
  });
  return jsonResponse(200, group);
}

function readBackoff(reader: FieldReader): readonly number[] | undefined {
  if (reader.raw('retryBackoffMs') === undefined) return undefined;
  const steps = reader.array('retryBackoffMs', ATTEMPTS_MAX);
  for (const [index, step] of steps.entries()) {
    const fits = typeof step === 'number' && Number.isSafeInteger(step) && step >= 0;
    if (!fits || step > RETRY_BACKOFF_MS_MAX)
      reader.wrong(`retryBackoffMs[${index}]`, step, `0 to ${RETRY_BACKOFF_MS_MAX} milliseconds`);
  }
  return steps as readonly number[];
}

async function resetOffsets(
  api: AdminApi,
  request: HttpRequest,
  group: string,
): Promise<HttpResponse> {
  const reader = readerOf(request, ['topic', 'to', 'dryRun']);
  const to = reader.raw('to') ?? reader.missing('to', '"earliest", "latest", a time or offsets');
  const result = await api.resetOffsets(
    group,
    reader.text('topic'),
    parseSeekTarget(to, 'to'),
    reader.optionalBoolean('dryRun') ?? false,
  );
  return jsonResponse(200, result);
}

async function redrive(api: AdminApi, request: HttpRequest, group: string): Promise<HttpResponse> {
  const max = readerOf(request, ['max']).optionalInteger('max', 1, REDRIVE_MAX) ?? REDRIVE_MAX;
  return jsonResponse(200, await api.redrive(group, max));
}

async function findByKey(
  api: AdminApi,
  request: HttpRequest,
  topic: string,
): Promise<HttpResponse> {
  const key = queryReader(request.query, ['key']).text('key');
  return jsonResponse(200, `{"messages":${await api.messagesByKey(topic, key)}}`);
}

async function listTransactions(core: AcceptorCore, request: HttpRequest): Promise<HttpResponse> {
  const reader = queryReader(request.query, ['max', 'state']);
  const state = reader.optionalText('state') ?? 'parked';
  if (state !== 'parked' && state !== 'all') reader.wrong('state', state, '"parked" or "all"');
  const max = reader.optionalInteger('max', 1, DELAYED_LIST_MAX) ?? TRANSACTIONS_LIST_DEFAULT;
  return jsonResponse(200, await core.transactions.list(state === 'parked', max));
}

async function endTransaction(
  core: AcceptorCore,
  request: HttpRequest,
  messageId: string,
): Promise<HttpResponse> {
  const isCommit = readDecision(readerOf(request, ['decision']));
  return jsonResponse(200, { outcome: await core.transactions.end(messageId, isCommit) });
}
