/**
 * One request of a RocketMQ client: what it asks, borrowed from its frame until the handler returns, and the way to answer it,
 * exactly once, at once or later. A oneway request is answered by nothing, and so is a connection that has closed meanwhile.
 */
import { toSluiceError } from '../base/errors.ts';
import type { Command, CommandView } from '../protocol/remoting/command.ts';
import { CommandFieldReader } from '../protocol/remoting/field-reader.ts';
import { FLAG_RESPONSE, type HeaderForm } from '../protocol/remoting/frame-layout.ts';
import type { HeaderFields } from '../protocol/remoting/header-fields.ts';
import { requestNameOf } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import type { RemotingConnection } from './remoting-connection.ts';
import { remotingRefusal } from './remoting-refusal.ts';

/** An answer; without a code it is SUCCESS. */
export type RemotingAnswer = Partial<Pick<Command, 'code' | 'remark' | 'fields' | 'body'>>;

/** Told how each request ended. */
export type RequestEnd = (request: RemotingRequest, code: number) => void;

export class RemotingRequest {
  readonly connection: RemotingConnection;
  readonly code: number;
  /** Ordinal of the client's version. */
  readonly version: number;
  /** Number of the client's language. */
  readonly language: number;
  readonly isOneway: boolean;
  /** It waits for messages, so it does not count as work under way. */
  isParked = false;
  private readonly opaque: number;
  private readonly form: HeaderForm;
  private readonly command: CommandView;
  private readonly onEnd: RequestEnd;
  private isAnswered = false;

  constructor(connection: RemotingConnection, command: CommandView, onEnd: RequestEnd) {
    this.connection = connection;
    this.command = command;
    this.onEnd = onEnd;
    this.code = command.code;
    this.version = command.version;
    this.language = command.language;
    this.isOneway = command.isOneway;
    this.opaque = command.opaque;
    this.form = command.form;
  }

  /** @shape borrowed until the handler returns, or until its first `await` */
  get fields(): HeaderFields {
    return this.command.fields;
  }

  /** @shape borrowed until the handler returns, or until its first `await` */
  get body(): Uint8Array {
    return this.command.body;
  }

  /** Reads fields with checks that refuse the request. @shape as `fields` */
  checkedFields(): CommandFieldReader {
    return new CommandFieldReader(this.command.fields, requestNameOf(this.code));
  }

  answer(answer: RemotingAnswer): void {
    if (this.isAnswered) return;
    this.isAnswered = true;
    const { code = RESPONSE_CODES.SUCCESS } = answer;
    this.onEnd(this, code);
    if (!this.isOneway) this.send(code, answer);
  }

  /** Answers with RocketMQ's code for a refusal, and what it says. */
  readonly refuse = (error: unknown): void => {
    this.answer(remotingRefusal(toSluiceError(error)));
  };

  /** An answer that does not fit into a frame is told so. */
  private send(code: number, { remark, fields, body }: RemotingAnswer): void {
    const { connection, opaque, form } = this;
    const flag = FLAG_RESPONSE;
    try {
      connection.send({ code, opaque, flag, remark, fields, body }, form);
    } catch (error) {
      const refusal = { code: RESPONSE_CODES.SYSTEM_ERROR, remark: (error as Error).message };
      connection.send({ opaque, flag, ...refusal }, form);
    }
  }
}
