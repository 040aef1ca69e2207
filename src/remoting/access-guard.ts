/**
 * Who may ask what: where access rules are configured, whoever signs with the secret of an account, as RocketMQ's clients and
 * tools do with their ACL hook, and has the rights on what the request touches (touched-resources.ts). A signature can be sent
 * again by whoever reads it, so it counts over TLS or within this machine only.
 *
 * @source RocketMQ PlainAccessValidator, PlainPermissionManager, DefaultAuthenticationContextBuilder
 */
import { signatureFits } from '../base/signature.ts';
import {
  ACCESS_KEY_FIELD,
  SIGNATURE_FIELD,
  signedContent,
} from '../protocol/remoting/acl-content.ts';
import type { CommandView } from '../protocol/remoting/command.ts';
import { fieldName } from '../protocol/remoting/header-fields.ts';
import { requestNameOf } from '../protocol/remoting/request-codes.ts';
import type { TcpConnection } from '../transport/tcp.ts';
import { type AccessRules, type Account, rightRefusal, touchedTopic } from './access-rights.ts';
import { isLookedUp, type TouchFacts, touchedResources } from './touched-resources.ts';

const ACCESS_KEY = fieldName(ACCESS_KEY_FIELD);
const SIGNATURE = fieldName(SIGNATURE_FIELD);
/** The Go client sends it and leaves it out of what it signs. */
const SECURITY_TOKEN = 'SecurityToken';
/** Older Java clients add it when they have signed already. */
const UNIQUE_KEY_QUERY = '_UNIQUE_KEY_QUERY';
const VERSION_OF_SIGNED_QUERIES = 401;
/** Who is let in by address has no account. */
const BY_ADDRESS = '';

/** undefined: let in. Else why not, at once or when what is touched has been looked up. */
export type Admission = undefined | string | Promise<string | undefined>;

/** Where rules come from. */
export interface AccessSource {
  readonly rules: AccessRules;
  /** Asked once a second: other rules than before, or undefined. Never throws. */
  changed(): AccessRules | undefined;
}

export class AccessGuard {
  private readonly source: AccessSource | undefined;
  private rules: AccessRules | undefined;
  /** Set when the port serves. */
  private facts: TouchFacts | undefined;
  /** The account by which each connection was let in last. */
  private readonly callers = new WeakMap<TcpConnection, string>();

  /** @param source - undefined: everybody may ask */
  constructor(source: AccessSource | undefined) {
    this.source = source;
    this.rules = source?.rules;
  }

  serve(facts: TouchFacts): void {
    this.facts = facts;
  }

  /** Other rules count from the next request on. */
  keepTime(): void {
    this.rules = this.source?.changed() ?? this.rules;
  }

  /** Must the command of `admission` outlive its frame? */
  needsCopy(code: number): boolean {
    return this.rules !== undefined && isLookedUp(code);
  }

  /**
   * @param isServed - is there a handler? A request that is not served touches nothing, and clients look for the answer to it
   * @throws (or rejects with) INVALID_ARGUMENT, BAD_FRAME, MESSAGE_NOT_FOUND for a request that is wrong in itself
   */
  admission(command: CommandView, connection: TcpConnection, isServed: boolean): Admission {
    const { rules, facts } = this;
    if (rules === undefined) return undefined;
    const { remoteAddress } = connection;
    if (rules.whiteAddresses.some((isWhite) => isWhite(remoteAddress))) {
      this.callers.set(connection, BY_ADDRESS);
      return undefined;
    }
    const account = identified(rules, command, connection);
    if (typeof account === 'string') return account;
    this.callers.set(connection, account.accessKey);
    if (mayEverything(account, remoteAddress) || !isServed) return undefined;
    if (facts === undefined) return 'the broker does not serve yet';
    const touched = touchedResources(command, facts);
    if (touched === 'admin')
      return `the account ${account.accessKey} is no admin, which ${requestNameOf(command.code)} asks for`;
    if (touched instanceof Promise) return touched.then((list) => rightRefusal(account, list));
    return rightRefusal(account, touched);
  }

  /** May the client at the other end get, unasked, what its producers have sent to this topic? */
  mayBeAsked(connection: TcpConnection, topic: string): boolean {
    const { rules } = this;
    if (rules === undefined) return true;
    const { remoteAddress } = connection;
    if (rules.whiteAddresses.some((isWhite) => isWhite(remoteAddress))) return true;
    const account = rules.accounts.get(this.callers.get(connection) ?? BY_ADDRESS);
    if (account === undefined) return false;
    if (mayEverything(account, remoteAddress)) return true;
    return rightRefusal(account, [touchedTopic(topic, 'PUB')]) === undefined;
  }
}

/** The account that asks, or why nobody knows that it is it. */
function identified(
  rules: AccessRules,
  command: CommandView,
  connection: TcpConnection,
): Account | string {
  const accessKey = command.fields.text(ACCESS_KEY);
  const account = accessKey === undefined ? undefined : rules.accounts.get(accessKey);
  if (account?.isWhite(connection.remoteAddress) === true) return account;
  if (!connection.isSecure && !isOfThisMachine(connection.remoteAddress))
    return 'an access key counts over TLS only: switch on TLS in the client';
  if (accessKey === undefined) return 'the request is not signed: set an AclClientRPCHook';
  if (account === undefined)
    return `no access key ${JSON.stringify(accessKey.slice(0, 60))} is known here`;
  return isSigned(command, account.secretKey)
    ? account
    : `the signature of the account ${account.accessKey} does not fit the request: check the secret key`;
}

function mayEverything(account: Account, remoteAddress: string): boolean {
  return account.isAdmin || account.isWhite(remoteAddress);
}

function isSigned(command: CommandView, secret: string): boolean {
  const given = command.fields.text(SIGNATURE) ?? '';
  const fields = command.fields.entries();
  if (command.version < VERSION_OF_SIGNED_QUERIES) fields.delete(UNIQUE_KEY_QUERY);
  if (signatureFits(secret, signedContent(fields, command.body), given)) return true;
  return (
    fields.delete(SECURITY_TOKEN) &&
    signatureFits(secret, signedContent(fields, command.body), given)
  );
}

function isOfThisMachine(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
