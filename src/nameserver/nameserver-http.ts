/**
 * The HTTP side of a NameServer, on the port of its frames: routes and brokers as JSON for clients and people, probes and
 * counters. Reads the tables, changes nothing. Never rejects.
 *
 * @source docs/PROTOCOL.md, section 9
 */
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { checkTopicName } from '../base/names.ts';
import type { QueueData } from '../protocol/remoting/route-codec.ts';
import { jsonResponse, refusalResponse } from '../protocol/web/http-codec.ts';
import { preflight, withCors } from '../transport/cors.ts';
import type { OriginPolicy } from '../transport/origin-policy.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import type { BrokerGroup } from './broker-table.ts';
import type { NameServerCore } from './nameserver-core.ts';

export type NameServerHttpOptions = {
  readonly core: NameServerCore;
  readonly origins: OriginPolicy;
  /** Numbers for /metrics, by name. */
  readonly statistics: () => Readonly<Record<string, number>>;
};

type Handler = (request: HttpRequest) => HttpResponse;

export class NameServerHttp {
  private readonly options: NameServerHttpOptions;
  private readonly handlers: ReadonlyMap<string, Handler> = new Map<string, Handler>([
    ['/v1/route', (request) => this.route(request)],
    ['/v1/cluster', () => this.cluster()],
    ['/livez', () => jsonResponse(200, { status: 'ok' })],
    ['/readyz', () => this.readiness()],
    ['/metrics', () => this.metrics()],
  ]);

  constructor(options: NameServerHttpOptions) {
    this.options = options;
  }

  async handle(request: HttpRequest): Promise<HttpResponse> {
    try {
      return withCors(request, this.answer(request));
    } catch (error) {
      const body = toSluiceError(error).toBody();
      return withCors(request, refusalResponse(body));
    }
  }

  private answer(request: HttpRequest): HttpResponse {
    const { method, path, headers } = request;
    const origin = headers.get('origin');
    const handler = this.handlers.get(path);
    const isProbe = path === '/livez' || path === '/readyz';
    const refusal = isProbe ? undefined : this.options.origins.check(origin, headers.get('host'));
    if (refusal !== undefined) throw refusal;
    if (method === 'OPTIONS' && origin !== undefined) return preflight('GET', 'Authorization');
    if (handler === undefined)
      throw new SluiceError('NOT_FOUND', 'a NameServer has nothing at this path', {
        hint: `It has: ${[...this.handlers.keys()].join(', ')}`,
      });
    if (method !== 'GET' && method !== 'HEAD')
      throw new SluiceError('NOT_FOUND', 'a NameServer answers GET only');
    return handler(request);
  }

  private route({ query }: HttpRequest): HttpResponse {
    const { core } = this.options;
    const topic = query.get('topic') ?? '';
    checkTopicName(topic);
    if (core.isStarting()) throw new SluiceError('BUSY', 'it waits for brokers to register first');
    const queues = core.routes.queuesOf(topic);
    core.counters.routes += 1;
    if (queues === undefined) {
      core.counters.routesNotFound += 1;
      throw new SluiceError('TOPIC_NOT_FOUND', `no broker has the topic ${topic}`);
    }
    const brokers = [...queues.values()].flatMap((data) => this.brokerOf(data));
    return jsonResponse(200, { topic, brokers });
  }

  private cluster(): HttpResponse {
    const { routes, refused, options } = this.options.core;
    const brokers = [...routes.brokers.allGroups()].map((group) => this.groupFacts(group));
    const nowMs = options.clock.monotonicMs();
    const refusedBrokers = refused.all().map(({ refusedAtMs, connectionId: _, ...facts }) => ({
      ...facts,
      refusedMsAgo: Math.round(nowMs - refusedAtMs),
    }));
    return jsonResponse(200, { brokers, topics: routes.topicCount, refused: refusedBrokers });
  }

  private readiness(): HttpResponse {
    const { core } = this.options;
    const reasons = core.isStarting() ? ['it waits for brokers to register first'] : [];
    const { brokerCount } = core.routes.brokers;
    return jsonResponse(reasons.length === 0 ? 200 : 503, {
      ready: reasons.length === 0,
      reasons,
      brokers: brokerCount,
      topics: core.routes.topicCount,
    });
  }

  private metrics(): HttpResponse {
    const lines = Object.entries(this.options.statistics()).map(([name, value]) => {
      const isGauge = ['brokers', 'topics', 'connections'].includes(name);
      const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      const metric = `sluice_namesrv_${snake}${isGauge ? '' : '_total'}`;
      return `# TYPE ${metric} ${isGauge ? 'gauge' : 'counter'}\n${metric} ${value}\n`;
    });
    const headers = { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' };
    return { status: 200, headers, body: lines.join('') };
  }

  /** Nothing for a broker that is gone by now. */
  private brokerOf(data: QueueData): readonly object[] {
    const group = this.options.core.routes.brokers.group(data.brokerName);
    if (group === undefined) return [];
    const { readQueueNums, writeQueueNums, perm } = data;
    return [{ ...this.groupFacts(group), readQueueNums, writeQueueNums, perm }];
  }

  private groupFacts({ brokerName, clusterName, members }: BrokerGroup): object {
    const nowMs = this.options.core.options.clock.monotonicMs();
    const sorted = [...members.values()].sort((one, other) => one.brokerId - other.brokerId);
    return {
      brokerName,
      cluster: clusterName,
      members: sorted.map(({ brokerId, brokerAddr, haServerAddr, epoch, further, heardAtMs }) => ({
        brokerId,
        brokerAddr,
        haServerAddr: haServerAddr === '' ? null : haServerAddr,
        epoch,
        role: further.role ?? null,
        position: further.position ?? null,
        webSocketAddrs: further.webSocketAddrs,
        heardMsAgo: Math.round(nowMs - heardAtMs),
      })),
    };
  }
}
