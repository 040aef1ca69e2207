/** What browsers are told about answers to pages of other origins. Whether a page may ask at all: `origin-policy.ts`. */
import type { HttpRequest, HttpResponse } from './transport.ts';

const PREFLIGHT_SECONDS = '600';

/** The answer to a page that asks what it may send. */
export function preflight(methods: string, headers: string): HttpResponse {
  return {
    status: 204,
    headers: {
      'Access-Control-Allow-Methods': methods,
      'Access-Control-Allow-Headers': headers,
      'Access-Control-Max-Age': PREFLIGHT_SECONDS,
    },
    body: '',
  };
}

/** Lets the page that asked read the answer: pages that may not have got a refusal already, which tells them nothing. */
export function withCors(request: HttpRequest, response: HttpResponse): HttpResponse {
  const origin = request.headers.get('origin');
  if (origin === undefined) return response;
  return {
    ...response,
    headers: {
      ...response.headers,
      Vary: 'Origin',
      ...(response.status === 403
        ? {}
        : {
            'Access-Control-Allow-Origin': origin,
            'Access-Control-Expose-Headers': 'Retry-After',
          }),
    },
  };
}
