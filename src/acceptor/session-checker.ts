/** Producers on WebSocket connections that answer for transactions of their group: asked in turn, by a `check` frame. */
import { STORED_HEADER_BYTES } from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { encodeJsonAnswerText } from '../protocol/web/json-codec.ts';
import { messageFieldsJson } from '../protocol/web/message-codec.ts';
import type { ReplyOutbox } from './reply-outbox.ts';
import type { Session } from './session.ts';
import type { HalfMessage, TransactionChecker } from './transactions.ts';

export class SessionChecker implements TransactionChecker {
  private readonly outbox: ReplyOutbox;
  /** By group, who was asked longest ago first. */
  private readonly byGroup = new Map<string, Session[]>();

  constructor(outbox: ReplyOutbox) {
    this.outbox = outbox;
  }

  /** The session answers for this group from now on. */
  join(group: string, session: Session): void {
    const sessions = (this.byGroup.get(group) ?? []).filter((one) => !one.isClosed);
    if (!sessions.includes(session)) sessions.push(session);
    this.byGroup.set(group, sessions);
  }

  check(half: HalfMessage): boolean {
    const sessions = (this.byGroup.get(half.group) ?? []).filter((one) => !one.isClosed);
    const session = sessions.shift();
    if (session === undefined) {
      this.byGroup.delete(half.group);
      return false;
    }
    this.byGroup.set(half.group, [...sessions, session]);
    this.outbox.send(session, encodeJsonAnswerText('check', undefined, fieldsOf(half)));
    return true;
  }
}

function fieldsOf(half: HalfMessage): string {
  const { stored, topic, queueId, messageId, storedAt, group, checks } = half;
  const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength);
  const reader = new BatchReader().open(stored, view, STORED_HEADER_BYTES);
  reader.next();
  const place = { topic: topic.topic, queueId, queueOffset: -1, messageId, storedAt };
  const message = messageFieldsJson(place, reader);
  return `"group":${JSON.stringify(group)},"checks":${checks},${message}`;
}
