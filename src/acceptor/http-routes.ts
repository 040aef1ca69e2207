/** Paths and methods of the HTTP side: a table, matched segment by segment; what is not in it is told what there is. */
import { SluiceError } from '../base/errors.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';

/** What a handler is given beside the request: the segments that stand for `{…}`, decoded, in order. */
export type RouteHandler = (
  request: HttpRequest,
  first: string,
  second: string,
) => Promise<HttpResponse> | HttpResponse;

export type Route = {
  readonly method: string;
  /** As in docs/PROTOCOL.md: `/v1/topics/{topic}/messages`. */
  readonly path: string;
  readonly handler: RouteHandler;
  /** Answered without token and Host check. */
  readonly isProbe?: boolean;
  /** Refused during a drain. */
  readonly beginsWork?: boolean;
};

export type Matched = {
  readonly route: Route;
  readonly first: string;
  readonly second: string;
};

type Compiled = { readonly route: Route; readonly segments: readonly string[] };

const isParameter = (segment: string): boolean => segment.startsWith('{');

export class HttpRoutes {
  private readonly routes: readonly Compiled[];

  constructor(routes: readonly Route[]) {
    this.routes = routes.map((route) => ({ route, segments: route.path.split('/').slice(1) }));
  }

  /** @throws NOT_FOUND that names the methods of the path, or all paths */
  match(method: string, segments: readonly string[]): Matched {
    const methods: string[] = [];
    for (const { route, segments: pattern } of this.routes) {
      const values = valuesOf(pattern, segments);
      if (values === undefined) continue;
      if (route.method !== method) {
        methods.push(route.method);
        continue;
      }
      const [first = '', second = ''] = values;
      return { route, first, second };
    }
    if (methods.length > 0) {
      throw new SluiceError('NOT_FOUND', `${method} is not offered at this path`, {
        hint: `Use ${methods.join(' or ')}.`,
      });
    }
    throw new SluiceError('NOT_FOUND', `there is nothing at /${segments.join('/').slice(0, 200)}`, {
      hint: `The paths are: ${this.list()}; the WebSocket is at /v1/ws.`,
    });
  }

  private list(): string {
    return this.routes.map(({ route }) => `${route.method} ${route.path}`).join(', ');
  }
}

/** The segments that stand for parameters; undefined when the path is another one. */
function valuesOf(
  pattern: readonly string[],
  segments: readonly string[],
): readonly string[] | undefined {
  if (pattern.length !== segments.length) return undefined;
  const values: string[] = [];
  for (const [index, expected] of pattern.entries()) {
    const segment = segments[index] as string;
    if (isParameter(expected)) values.push(segment);
    else if (expected !== segment) return undefined;
  }
  return values;
}
