/**
 * HTTP requests: who may ask, which route it is, and how an answer or refusal looks; CORS for the pages that are allowed.
 * What the routes do is in `http-messages.ts` and `http-admin.ts`. Never throws or rejects.
 */
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { HTTP_REQUESTS_MAX } from '../base/limits.ts';
import { pathSegments, refusalResponse } from '../protocol/web/http-codec.ts';
import { preflight, withCors } from '../transport/cors.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import type { AcceptorCore } from './acceptor-core.ts';
import { bearerToken } from './auth-guard.ts';
import { RING_RETRY_MS } from './back-pressure.ts';
import { HttpRefusal } from './http-refusal.ts';
import type { HttpRoutes, Route } from './http-routes.ts';
import { refusalBody } from './responder.ts';

const ALLOWED_HEADERS =
  'Authorization, Content-Type, X-Message-Key, X-Message-Tag, X-Producer-Id, X-Producer-Epoch, X-Sequence';

export class HttpFront {
  private readonly core: AcceptorCore;
  private readonly routes: HttpRoutes;
  /** Requests under way. */
  inFlight = 0;

  constructor(core: AcceptorCore, routes: HttpRoutes) {
    this.core = core;
    this.routes = routes;
  }

  async handle(request: HttpRequest): Promise<HttpResponse> {
    this.core.counters.httpRequests += 1;
    this.inFlight += 1;
    try {
      return withCors(request, await this.answer(request));
    } catch (error) {
      return withCors(request, this.refused(error));
    } finally {
      this.inFlight -= 1;
    }
  }

  private answer(request: HttpRequest): Promise<HttpResponse> | HttpResponse {
    const origin = request.headers.get('origin');
    if (request.method === 'OPTIONS' && origin !== undefined) {
      this.checkOrigin(request);
      return preflight('GET, POST, DELETE', ALLOWED_HEADERS);
    }
    const matched = this.routes.match(request.method, pathSegments(request.path));
    if (matched.route.isProbe !== true) this.check(request, matched.route);
    return matched.route.handler(request, matched.first, matched.second);
  }

  /** @throws FORBIDDEN, UNAUTHENTICATED, RATE_LIMITED, DRAINING, BUSY */
  private check(request: HttpRequest, route: Route): void {
    const { core } = this;
    this.checkOrigin(request);
    const token = bearerToken(request.headers.get('authorization'));
    const refusal = core.auth.check(token, request.remoteAddress);
    if (refusal !== undefined) throw refusal;
    if (core.isDraining && route.beginsWork === true) throw new SluiceError('DRAINING');
    if (this.inFlight > HTTP_REQUESTS_MAX) {
      const text = `${this.inFlight} HTTP requests are under way; at most ${HTTP_REQUESTS_MAX} may be`;
      throw new SluiceError('BUSY', text, { retryAfterMs: RING_RETRY_MS });
    }
  }

  private checkOrigin(request: HttpRequest): void {
    const { headers } = request;
    const refusal = this.core.origins.check(headers.get('origin'), headers.get('host'));
    if (refusal !== undefined) throw refusal;
  }

  private refused(error: unknown): HttpResponse {
    if (error instanceof HttpRefusal) {
      this.core.counters.refused(error.body.code);
      return refusalResponse(error.body);
    }
    const refusal = toSluiceError(error);
    if (!(error instanceof SluiceError)) {
      this.core.counters.internalErrors += 1;
      this.core.log.error('http-failed', { error: refusal });
    }
    this.core.counters.refused(refusal.code);
    return refusalResponse(refusalBody(refusal));
  }
}
