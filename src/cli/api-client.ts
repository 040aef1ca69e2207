/** The broker's HTTP side as tools see it: JSON in, JSON out, refusals as the errors that they are. */
import { type ErrorBody, SluiceError } from '../base/errors.ts';
import type { Target } from './target.ts';

const ANSWER_MS_MAX = 30_000;

/** A part of a path. */
export const pathPart: (text: string) => string = encodeURIComponent;

export type HttpAnswer = { readonly status: number; readonly text: string };

export class ApiClient {
  private readonly target: Target;

  constructor(target: Target) {
    this.target = target;
  }

  /** @throws the broker's refusal, DISCONNECTED, BAD_FRAME */
  get<Answer>(path: string): Promise<Answer> {
    return this.ask('GET', path);
  }

  /** @throws as `get` */
  post<Answer>(path: string, body: object): Promise<Answer> {
    return this.ask('POST', path, body);
  }

  /** @throws as `get` */
  delete<Answer>(path: string): Promise<Answer> {
    return this.ask('DELETE', path);
  }

  /** Whatever is answered. @throws DISCONNECTED */
  async raw(method: string, path: string, body?: object): Promise<HttpAnswer> {
    const { http, token } = this.target;
    const url = http + path;
    try {
      const response = await fetch(url, {
        method,
        redirect: 'error',
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, text: await response.text() };
    } catch (error) {
      // "fetch failed" says nothing; what stands behind it does.
      const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
      throw new SluiceError('DISCONNECTED', `no answer from ${url}`, {
        cause,
        hint: 'Is the broker running there? Check with: sluice doctor --url ADDRESS',
      });
    }
  }

  private async ask<Answer>(method: string, path: string, body?: object): Promise<Answer> {
    const { status, text } = await this.raw(method, path, body);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw notOurs(this.target.http, status, cause);
    }
    if (status >= 200 && status < 300) return value as Answer;
    const refusal = (value as { error?: Partial<ErrorBody> } | null)?.error;
    if (refusal === undefined) throw notOurs(this.target.http, status);
    throw SluiceError.fromBody(refusal);
  }
}

function notOurs(url: string, status: number, cause?: unknown): SluiceError {
  return new SluiceError('BAD_FRAME', `${url} answered HTTP ${status} in another form than ours`, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'Is there a proxy, or another server on this port? Check with: sluice doctor --url ADDRESS',
  });
}
