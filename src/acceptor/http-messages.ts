/** The HTTP routes of messages: sending, polling, acks; and the probes. */
import type { SluiceError } from '../base/errors.ts';
import { METRICS_CONTENT_TYPE } from '../observe/metrics-text.ts';
import {
  decodeAcks,
  decodeDelayedList,
  decodeDelayedTarget,
  decodePoll,
  decodePost,
  jsonResponse,
} from '../protocol/web/http-codec.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import type { AcceptorCore } from './acceptor-core.ts';
import type { AcceptorOptions } from './acceptor-options.ts';
import { HttpRefusal } from './http-refusal.ts';
import type { Route } from './http-routes.ts';

/** @source docs/PROTOCOL.md, section 2 */
export function messageRoutes(core: AcceptorCore, options: AcceptorOptions): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/v1/topics/{topic}/messages',
      beginsWork: true,
      handler: (request, topic) => post(core, request, topic),
    },
    {
      method: 'GET',
      path: '/v1/topics/{topic}/messages',
      beginsWork: true,
      handler: (request, topic) => poll(core, request, topic),
    },
    {
      method: 'GET',
      path: '/v1/topics/{topic}/delayed',
      handler: async (request, topic) => {
        const { key, max } = decodeDelayedList(request.query);
        return jsonResponse(200, await core.delayed.list(topic, key, max));
      },
    },
    {
      method: 'DELETE',
      path: '/v1/topics/{topic}/delayed',
      handler: async (request, topic) => {
        const target = decodeDelayedTarget(request.query);
        return jsonResponse(200, await core.delayed.cancel(topic, target));
      },
    },
    {
      method: 'POST',
      path: '/v1/groups/{group}/acks',
      handler: (request, group) => acks(core, request, group),
    },
    {
      method: 'GET',
      path: '/livez',
      isProbe: true,
      handler: () => jsonResponse(200, { live: true }),
    },
    { method: 'GET', path: '/readyz', isProbe: true, handler: () => readiness(core, options) },
    {
      method: 'GET',
      path: '/metrics',
      handler: async () => ({
        status: 200,
        headers: { 'Content-Type': METRICS_CONTENT_TYPE },
        body: await options.metricsText(),
      }),
    },
  ];
}

function post(core: AcceptorCore, request: HttpRequest, topic: string): Promise<HttpResponse> {
  const { headers, body, remoteAddress } = request;
  const command = decodePost(topic, headers, body);
  const messages = command.records.length;
  const nowMs = core.clock.monotonicMs();
  const tooFast = core.addressRates.refusal(remoteAddress, messages, body.length, nowMs);
  if (tooFast !== undefined) throw tooFast;
  return new Promise((resolve, reject) => {
    core.sends.submit(command, undefined, (outcome) => {
      if ('refusal' in outcome) reject(new HttpRefusal(outcome.refusal));
      else resolve(jsonResponse(200, outcome));
    });
  });
}

async function poll(core: AcceptorCore, request: HttpRequest, name: string): Promise<HttpResponse> {
  const command = decodePoll(name, request.query);
  const topic = await core.topics.require(command.topic);
  const group = await core.groups.require(command.group);
  return new Promise((resolve, reject) => {
    core.polls.poll(topic, group, command, request.signal, (messages, failure) => {
      if (failure !== undefined) reject(failure);
      else resolve(jsonResponse(200, `{"messages":[${messages.join(',')}]}`));
    });
  });
}

function acks(core: AcceptorCore, request: HttpRequest, group: string): Promise<HttpResponse> {
  const command = decodeAcks(request.body);
  core.groups.existing(group);
  return new Promise((resolve, reject) => {
    core.settles.settleTokens(command, group, (failure: SluiceError | undefined) => {
      if (failure === undefined) resolve(jsonResponse(200, { ok: true }));
      else reject(failure);
    });
  });
}

function readiness(core: AcceptorCore, options: AcceptorOptions): HttpResponse {
  const reasons = [
    ...(core.isDraining ? ['the broker is shutting down'] : []),
    ...core.links.all.filter((link) => !link.isRunning).map((link) => link.refusal().message),
    ...options.unreadyReasons(),
  ];
  const ready = reasons.length === 0;
  return jsonResponse(ready ? 200 : 503, { ready, reasons, ...options.readyFacts?.() });
}
