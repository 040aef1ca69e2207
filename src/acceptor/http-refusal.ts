/** A refusal whose body was put together already, thrown through the HTTP handlers. */
import type { ErrorBody } from '../base/errors.ts';

export class HttpRefusal extends Error {
  readonly body: ErrorBody;

  constructor(body: ErrorBody) {
    super(body.message);
    this.body = body;
  }
}
