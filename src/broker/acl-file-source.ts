/**
 * The file with the accounts of RocketMQ's clients: read at the start, and again when it has changed and then been left alone for
 * a second, so that no half of it counts. A file that is wrong changes nothing, and an error in the log says what is wrong with
 * it. Main thread; looked at once a second.
 */
import { readFileSync, statSync } from 'node:fs';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import type { Logger } from '../base/log-sink.ts';
import { KIB } from '../base/units.ts';
import type { AccessSource } from '../remoting/access-guard.ts';
import type { AccessRules } from '../remoting/access-rights.ts';
import { parseAclFile } from '../remoting/acl-file.ts';

/** Some thousand accounts. Parsing takes some 100 ms of the main thread at most. */
const ACL_FILE_BYTES_MAX: number = 256 * KIB;

export class AclFileSource implements AccessSource {
  readonly rules: AccessRules;
  private readonly path: string;
  private readonly log: Logger;
  /** What the file looked like when it was read, and at the last look. */
  private readStamp: string;
  private seenStamp: string;

  /** @throws INVALID_ARGUMENT when it cannot be read, or is wrong */
  constructor(path: string, log: Logger) {
    this.path = path;
    this.log = log;
    this.readStamp = stampOf(path);
    this.seenStamp = this.readStamp;
    this.rules = read(path);
  }

  /** Other rules than before; undefined: the same. Never throws. */
  changed(): AccessRules | undefined {
    const before = this.seenStamp;
    this.seenStamp = stampOf(this.path);
    if (this.seenStamp === this.readStamp || this.seenStamp !== before) return undefined;
    this.readStamp = this.seenStamp;
    try {
      const rules = read(this.path);
      this.log.info('acl-changed', { path: this.path, accounts: rules.accounts.size });
      return rules;
    } catch (error) {
      const next = 'correct the file: until then the rights from before hold';
      this.log.error('acl-refused', { path: this.path, error: toSluiceError(error), next });
      return undefined;
    }
  }
}

/** Differs when the file was written or replaced; the same for one that is not there. */
function stampOf(path: string): string {
  try {
    const { mtimeMs, ctimeMs, size, ino } = statSync(path);
    return `${mtimeMs} ${ctimeMs} ${size} ${ino}`;
  } catch {
    return 'none';
  }
}

function read(path: string): AccessRules {
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch (error) {
    const text = `the ACL file ${JSON.stringify(path)} cannot be read: ${(error as Error).message}`;
    const hint = 'Check aclFile; the path starts in the working directory.';
    throw new SluiceError('INVALID_ARGUMENT', text, { cause: error, hint });
  }
  if (content.length > ACL_FILE_BYTES_MAX) {
    const text = `the ACL file ${JSON.stringify(path)} has ${content.length} bytes; allowed: ${ACL_FILE_BYTES_MAX}`;
    throw new SluiceError('INVALID_ARGUMENT', text, { hint: 'Keep only accounts in this file.' });
  }
  return parseAclFile(content.toString('utf8'), path);
}
