/**
 * Who may do what with which topic and group: accounts as RocketMQ's plain_acl.yml describes them, and the one decision about
 * them. Retry topics and dead letters belong to their group; whoever may consume for it may read and write them. Pure.
 *
 * @source RocketMQ Permission, PlainPermissionChecker, PlainPermissionManager
 */
import { DEAD_LETTER_PREFIX, RETRY_PREFIX } from '../base/names.ts';
import type { WhiteAddress } from './white-address.ts';

/** ANY: either of the two will do. */
export type Right = 'PUB' | 'SUB' | 'ANY';

/** What an account may do with a topic or a group; neither is DENY. */
export type Permission = { readonly mayPub: boolean; readonly maySub: boolean };

export const DENIED: Permission = { mayPub: false, maySub: false };

/** A topic or group that a request touches, and what it does to it. */
export type Touched = {
  readonly kind: 'topic' | 'group';
  readonly name: string;
  readonly right: Right;
};

export type Account = {
  readonly accessKey: string;
  readonly secretKey: string;
  /** From these addresses the account need not sign, and may do everything. */
  readonly isWhite: WhiteAddress;
  /** May do everything. */
  readonly isAdmin: boolean;
  readonly defaultTopicPerm: Permission;
  readonly defaultGroupPerm: Permission;
  readonly topicPerms: ReadonlyMap<string, Permission>;
  readonly groupPerms: ReadonlyMap<string, Permission>;
};

export type AccessRules = {
  /** Who comes from one of these addresses may do everything, unsigned. */
  readonly whiteAddresses: readonly WhiteAddress[];
  /** By access key. */
  readonly accounts: ReadonlyMap<string, Account>;
};

/** Every account may write its trace: clients that trace do so whatever else they may. @source RocketMQ PlainPermissionManager */
const TRACE_TOPIC = 'RMQ_SYS_TRACE_TOPIC';

/** The rules of one key that may do everything. */
export function rulesOfOneKey(accessKey: string, secretKey: string): AccessRules {
  const account: Account = {
    ...{ accessKey, secretKey, isWhite: () => false, isAdmin: true },
    ...{ defaultTopicPerm: DENIED, defaultGroupPerm: DENIED },
    ...{ topicPerms: new Map(), groupPerms: new Map() },
  };
  return { whiteAddresses: [], accounts: new Map([[accessKey, account]]) };
}

/** Who reads or writes the retry topic of a group consumes for it. */
export function touchedTopic(name: string, right: Right): Touched {
  return name.startsWith(RETRY_PREFIX)
    ? touchedGroup(name.slice(RETRY_PREFIX.length))
    : { kind: 'topic', name, right };
}

export function touchedGroup(name: string): Touched {
  return { kind: 'group', name, right: 'SUB' };
}

/** @returns undefined to let the account go on, or which right it lacks */
export function rightRefusal(account: Account, touched: readonly Touched[]): string | undefined {
  if (account.isAdmin) return undefined;
  for (const one of touched) {
    const { permission, source } = permissionOf(account, one);
    if (!allows(permission, one.right)) {
      const right = one.right === 'ANY' ? 'PUB or SUB' : one.right;
      const name = JSON.stringify(one.name.slice(0, NAME_SHOWN_MAX));
      return `the account ${account.accessKey} has no right ${right} on the ${one.kind} ${name} (${source} is ${permissionText(permission)})`;
    }
  }
  return undefined;
}

const NAME_SHOWN_MAX = 255;

/** What counts for a resource, and where it stands. */
function permissionOf(
  account: Account,
  { kind, name, right }: Touched,
): { readonly permission: Permission; readonly source: string } {
  if (kind === 'group') return groupPermission(account, name);
  const listed = account.topicPerms.get(name);
  if (listed !== undefined) return { permission: listed, source: 'topicPerms' };
  if (name.startsWith(DEAD_LETTER_PREFIX))
    return groupPermission(account, name.slice(DEAD_LETTER_PREFIX.length));
  if (name === TRACE_TOPIC && right === 'PUB')
    return { permission: { mayPub: true, maySub: false }, source: 'the trace topic' };
  return { permission: account.defaultTopicPerm, source: 'defaultTopicPerm' };
}

function groupPermission(
  { groupPerms, defaultGroupPerm }: Account,
  group: string,
): { readonly permission: Permission; readonly source: string } {
  const listed = groupPerms.get(group);
  return listed === undefined
    ? { permission: defaultGroupPerm, source: 'defaultGroupPerm' }
    : { permission: listed, source: 'groupPerms' };
}

function allows({ mayPub, maySub }: Permission, right: Right): boolean {
  switch (right) {
    case 'PUB':
      return mayPub;
    case 'SUB':
      return maySub;
    case 'ANY':
      return mayPub || maySub;
  }
}

function permissionText({ mayPub, maySub }: Permission): string {
  if (mayPub) return maySub ? 'PUB|SUB' : 'PUB';
  return maySub ? 'SUB' : 'DENY';
}
