/**
 * RocketMQ's plain_acl.yml as access rights. Everything that is not understood is refused with its line, so that no right is
 * given or taken by a slip of the pen: unknown keys, other words than DENY, PUB, SUB, PUB|SUB, names that no topic has, keys that
 * are given twice. Secrets are in no error. Pure.
 *
 * @source RocketMQ PlainPermissionManager, PlainAccessConfig, Permission.parsePermFromString
 */
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from 'yaml';
import { SluiceError } from '../base/errors.ts';
import { checkGroupName, checkTopicName, RETRY_PREFIX } from '../base/names.ts';
import type { AccessRules, Account, Permission } from './access-rights.ts';
import { DENIED } from './access-rights.ts';
import { WHITE_ADDRESS_FORMS, type WhiteAddress, whiteAddress } from './white-address.ts';

/** RocketMQ takes keys and secrets that are longer than this. @source AclConstants */
const KEY_TOO_SHORT = 6;
const KEY_LENGTH_MAX = 1024;
/** Problems that are named; the rest is counted. */
const PROBLEMS_SHOWN_MAX = 20;
const VALUE_SHOWN_MAX = 80;

const PERMISSIONS: ReadonlyMap<string, Permission> = new Map([
  ['DENY', DENIED],
  ['PUB', { mayPub: true, maySub: false }],
  ['SUB', { mayPub: false, maySub: true }],
  ['PUB|SUB', { mayPub: true, maySub: true }],
  ['SUB|PUB', { mayPub: true, maySub: true }],
]);
const PERMISSION_WORDS = 'DENY, PUB, SUB, PUB|SUB';

/** `dataVersion` is what RocketMQ's own tools leave behind; it says nothing. */
const FILE_KEYS: readonly string[] = ['globalWhiteRemoteAddresses', 'accounts', 'dataVersion'];
const ACCOUNT_KEYS: readonly string[] = [
  ...['accessKey', 'secretKey', 'whiteRemoteAddress', 'admin'],
  ...['defaultTopicPerm', 'defaultGroupPerm', 'topicPerms', 'groupPerms'],
];

/**
 * @param path - for errors
 * @throws INVALID_ARGUMENT that names every line, its key and what is allowed
 */
export function parseAclFile(text: string, path: string): AccessRules {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    // Every value is a text, so that the secret 12345678 is one too, and so is the key null.
    ...{ schema: 'failsafe', uniqueKeys: false, lineCounter: lines, prettyErrors: false },
  });
  const reader = new AclReader(lines);
  for (const { message, pos } of [...document.errors, ...document.warnings])
    reader.problemAt(pos[0], message);
  const rules = reader.problems.length > 0 ? undefined : reader.rulesIn(document.contents);
  if (rules !== undefined && reader.problems.length === 0) return rules;
  throw fileError(path, reader.problems);
}

function fileError(path: string, problems: readonly string[]): SluiceError {
  const shown = problems.slice(0, PROBLEMS_SHOWN_MAX);
  const more = problems.length - shown.length;
  if (more > 0) shown.push(`and ${more} more`);
  const text = `the ACL file ${JSON.stringify(path)} is wrong:\n${shown.join('\n')}`;
  const hint = 'Correct the file; docs/ROCKETMQ.md, "Access", says what it may have.';
  return new SluiceError('INVALID_ARGUMENT', text, { hint });
}

class AclReader {
  private readonly found: { readonly line: number; readonly what: string }[] = [];
  private readonly lines: LineCounter;

  constructor(lines: LineCounter) {
    this.lines = lines;
  }

  /** In the order of the file. */
  get problems(): readonly string[] {
    const sorted = [...this.found].sort((one, other) => one.line - other.line);
    return sorted.map(({ line, what }) => `line ${line}: ${what}`);
  }

  problemAt(offset: number, what: string): void {
    this.found.push({ line: this.lines.linePos(offset).line, what });
  }

  rulesIn(contents: unknown): AccessRules | undefined {
    const entries = this.entriesOf(contents, FILE_KEYS, 'the file');
    if (entries === undefined) return undefined;
    const whiteAddresses = this.listIn(entries.get('globalWhiteRemoteAddresses'), 'addresses').map(
      (node) => this.addressIn(node, 'globalWhiteRemoteAddresses'),
    );
    const accounts = new Map<string, Account>();
    for (const node of this.listIn(entries.get('accounts'), 'accounts')) {
      const account = this.accountIn(node);
      if (account === undefined) continue;
      if (accounts.has(account.accessKey))
        this.problem(node, `accessKey is ${shown(account.accessKey)}, which another account has`);
      accounts.set(account.accessKey, account);
    }
    if (accounts.size === 0 && whiteAddresses.length === 0)
      this.problemAt(0, 'nobody is let in; allowed: at least one account');
    return { whiteAddresses, accounts };
  }

  private accountIn(node: Node | null): Account | undefined {
    const entries = this.entriesOf(node, ACCOUNT_KEYS, 'an account');
    if (entries === undefined) return undefined;
    const topicPerms = this.permsIn(entries.get('topicPerms'), 'topicPerms', checkTopicName);
    const groupPerms = this.permsIn(entries.get('groupPerms'), 'groupPerms', checkGroupName);
    // RocketMQ keeps both in one table, where a group stands by its retry topic.
    for (const [name, permission] of topicPerms) {
      if (!name.startsWith(RETRY_PREFIX)) continue;
      const group = name.slice(RETRY_PREFIX.length);
      if (groupPerms.has(group)) this.problem(node, `${name} and the group ${group} are one`);
      topicPerms.delete(name);
      groupPerms.set(group, permission);
    }
    return {
      accessKey: this.keyIn(entries, 'accessKey', node),
      secretKey: this.keyIn(entries, 'secretKey', node),
      isWhite: this.addressIn(entries.get('whiteRemoteAddress') ?? null, 'whiteRemoteAddress'),
      isAdmin: this.isTrue(entries.get('admin') ?? null),
      defaultTopicPerm: this.defaultIn(entries, 'defaultTopicPerm'),
      defaultGroupPerm: this.defaultIn(entries, 'defaultGroupPerm'),
      ...{ topicPerms, groupPerms },
    };
  }

  /** The keys of a mapping, each once and known; undefined when it is none. */
  private entriesOf(
    node: unknown,
    known: readonly string[],
    what: string,
  ): ReadonlyMap<string, Node | null> | undefined {
    if (!isMap(node)) {
      this.problem(node, `${what} is no list of "key: value"; allowed: ${known.join(', ')}`);
      return undefined;
    }
    const entries = new Map<string, Node | null>();
    for (const { key, value } of (node as YAMLMap<unknown, Node | null>).items) {
      const name = textOf(key) ?? '';
      if (!known.includes(name))
        this.problem(key, `${shown(name)} is no key of ${what}; allowed: ${known.join(', ')}`);
      else if (entries.has(name)) this.problem(key, `${name} is there twice; allowed: once`);
      entries.set(name, value);
    }
    return entries;
  }

  /** Without entries where nothing is written behind the key. */
  private listIn(node: Node | null | undefined, what: string): readonly (Node | null)[] {
    if (node === undefined || node === null || textOf(node) === '') return [];
    if (isSeq(node)) return node.items as (Node | null)[];
    this.problem(node, `that is no list of ${what}; allowed: lines that begin with "- "`);
    return [];
  }

  private keyIn(
    entries: ReadonlyMap<string, Node | null>,
    name: 'accessKey' | 'secretKey',
    account: unknown,
  ): string {
    const node = entries.get(name) ?? null;
    const value = textOf(node) ?? '';
    const isLong = value.length > KEY_TOO_SHORT && value.length <= KEY_LENGTH_MAX;
    if (isLong && !/\s/.test(value)) return value;
    const what = node === null ? 'missing' : 'not allowed (its value is not shown)';
    const allowed = `allowed: ${KEY_TOO_SHORT + 1} to ${KEY_LENGTH_MAX} characters without blanks`;
    this.problem(node ?? account, `${name} is ${what}; ${allowed}`);
    return '';
  }

  private addressIn(node: Node | null, name: string): WhiteAddress {
    const text = node === null ? '' : textOf(node);
    const address = text === undefined ? undefined : whiteAddress(text.trim());
    if (address !== undefined) return address;
    this.problem(node, `${name} is ${shown(text ?? 'no text')}; allowed: ${WHITE_ADDRESS_FORMS}`);
    return () => false;
  }

  private isTrue(node: Node | null): boolean {
    const text = (node === null ? '' : (textOf(node) ?? '?')).toLowerCase();
    if (text !== '' && text !== 'true' && text !== 'false')
      this.problem(node, `admin is ${shown(text)}; allowed: true, false`);
    return text === 'true';
  }

  private defaultIn(entries: ReadonlyMap<string, Node | null>, name: string): Permission {
    const node = entries.get(name) ?? null;
    const text = node === null ? '' : (textOf(node) ?? '?');
    const permission = text === '' ? DENIED : PERMISSIONS.get(text);
    if (permission !== undefined) return permission;
    this.problem(node, `${name} is ${shown(text)}; allowed: ${PERMISSION_WORDS}`);
    return DENIED;
  }

  private permsIn(
    list: Node | null | undefined,
    what: string,
    checkName: (name: unknown) => void,
  ): Map<string, Permission> {
    const perms = new Map<string, Permission>();
    for (const node of this.listIn(list, what)) {
      const [name = '', word, ...rest] = (textOf(node) ?? '').split('=').map((part) => part.trim());
      const permission = rest.length > 0 ? undefined : PERMISSIONS.get(word ?? '');
      if (permission === undefined || !isName(name, checkName)) {
        const allowed = `allowed: NAME=PERMISSION with one of ${PERMISSION_WORDS}`;
        this.problem(node, `${what} has ${shown(textOf(node) ?? 'no text')}; ${allowed}`);
      } else if (perms.has(name)) this.problem(node, `${what} has ${shown(name)} twice`);
      else perms.set(name, permission);
    }
    return perms;
  }

  private problem(node: unknown, what: string): void {
    const range = (node as Node | null | undefined)?.range;
    this.problemAt(range?.[0] ?? 0, what);
  }
}

function isName(name: string, check: (name: unknown) => void): boolean {
  try {
    check(name);
    return true;
  } catch {
    return false;
  }
}

/** The text of a scalar; undefined for a list, a mapping, an alias. */
function textOf(node: unknown): string | undefined {
  if (node === null) return '';
  if (!isScalar(node)) return undefined;
  return typeof node.value === 'string' ? node.value : '';
}

/** Short, on one line. */
function shown(text: string): string {
  const written = JSON.stringify(text);
  return written.length <= VALUE_SHOWN_MAX ? written : `${written.slice(0, VALUE_SHOWN_MAX - 1)}…`;
}
