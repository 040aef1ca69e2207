/**
 * A broker whose port of RocketMQ's clients asks for the rights of accounts, with messages in two topics that most accounts may
 * not both touch, and requests signed as RocketMQ's clients sign them. For tests of who may do what.
 */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KIB, MIB } from '../base/units.ts';
import { type Broker, createBroker } from '../broker/create-broker.ts';
import { signedContent } from '../protocol/remoting/acl-content.ts';
import type { ReceivedCommand } from '../protocol/remoting/command.ts';
import { TRANSACTION_PREPARED } from '../protocol/remoting/message-flags.ts';
import { propertyText } from '../protocol/remoting/property-text.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import { temporaryDirectory } from './cli-run.ts';
import { type Asked, RemotingClient } from './remoting-client.ts';

/** A log so small that looking a message up in it takes no time. */
const SMALL = { segmentBytes: MIB, tailBytes: MIB, maxMessageSize: 64 * KIB };

/** Who asks. Without a secret the request is not signed. */
export type Signer = { readonly accessKey?: string; readonly secretKey?: string };

/** The request with the fields by which an account signs it. */
export function signedAs({ accessKey, secretKey }: Signer, asked: Asked): Asked {
  if (accessKey === undefined || secretKey === undefined) return asked;
  const fields = { ...asked.fields, AccessKey: accessKey };
  const content = signedContent(new Map(Object.entries(fields)), asked.body ?? new Uint8Array(0));
  const signature = createHmac('sha1', secretKey).update(content).digest('base64');
  return { ...asked, fields: { ...fields, Signature: signature } };
}

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The fields of SEND_MESSAGE_V2, or of SEND_BATCH_MESSAGE. */
export function sendFields(
  topic: string,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    ...{ a: 'producers', b: topic, c: 'TBW102', d: '4', e: '0', f: '0', g: '1700000000000' },
    ...{ h: '0', i: '', j: '0', k: 'false', l: '0', m: 'false', ...more },
  };
}

/** One that its producer has not ended; asked about after ten minutes, or as said. */
export function halfFields(topic: string, firstCheckSeconds = 600): Record<string, string> {
  const i = propertyText([
    ['TRAN_MSG', 'true'],
    ['PGROUP', 'producers'],
    ['CHECK_IMMUNITY_TIME_IN_SECONDS', String(firstCheckSeconds)],
  ]);
  return sendFields(topic, { i, f: String(TRANSACTION_PREPARED) });
}

/** The digits behind the address in the id that the broker gave a message. */
export function offsetOf(sent: ReceivedCommand): string {
  return BigInt(`0x${sent.fields.get('msgId')?.slice(-16)}`).toString();
}

export class AccessRig {
  readonly broker: Broker;
  readonly client: RemotingClient;
  /** Where the accounts are. */
  readonly aclFile: string;
  private readonly admin: Signer;
  private readonly remove: () => void;

  private constructor(
    broker: Broker,
    client: RemotingClient,
    aclFile: string,
    admin: Signer,
    remove: () => void,
  ) {
    this.broker = broker;
    this.client = client;
    this.aclFile = aclFile;
    this.admin = admin;
    this.remove = remove;
  }

  /** @param acl - text of the file of accounts @param admin - one of them that may do everything */
  static async start(
    acl: string,
    admin: Signer,
    settings: Readonly<Record<string, unknown>> = {},
  ): Promise<AccessRig> {
    const directory = temporaryDirectory();
    const aclFile = join(directory.path, 'plain_acl.yml');
    writeFileSync(aclFile, acl);
    const config = { remotingPort: 0, aclFile, ...SMALL, ...settings };
    const broker = await createBroker({ memory: true, config });
    const client = await RemotingClient.connect(Number(broker.ready.remoting?.split(':')[1]));
    return new AccessRig(broker, client, aclFile, admin, () => directory.remove());
  }

  /** Another connection. */
  connect(): Promise<RemotingClient> {
    return RemotingClient.connect(Number(this.broker.ready.remoting?.split(':')[1]));
  }

  ask(signer: Signer, code: number, asked: Asked = {}): Promise<ReceivedCommand> {
    return this.client.ask(code, signedAs(signer, asked));
  }

  /** As the account that may do everything. @returns an answer of success */
  async prepare(code: number, asked: Asked): Promise<ReceivedCommand> {
    const answer = await this.ask(this.admin, code, asked);
    assert.equal(answer.code, RESPONSE_CODES.SUCCESS, answer.remark);
    return answer;
  }

  /** Stores a message. @returns its physical offset */
  async stored(fields: Readonly<Record<string, string>>): Promise<string> {
    const code = REQUEST_CODES.SEND_MESSAGE_V2;
    return offsetOf(await this.prepare(code, { fields, body: bytesOf('body') }));
  }

  /** Is a half message still waiting for its end? */
  async isWaiting(offset: string): Promise<boolean> {
    const fields = { commitLogOffset: offset, commitOrRollback: '12', producerGroup: 'producers' };
    const { code } = await this.ask(this.admin, REQUEST_CODES.END_TRANSACTION, { fields });
    return code === RESPONSE_CODES.SUCCESS;
  }

  async close(): Promise<void> {
    this.client.close();
    await this.broker.close();
    this.remove();
  }
}
