/** Consumer groups by name and id: found, made with their first subscribe where that is allowed, changed and deleted. */
import { SluiceError } from '../base/errors.ts';
import { checkGroupName } from '../base/names.ts';
import type { GroupRecord } from '../protocol/shard-control.ts';
import type { AcceptorConfig } from './acceptor-options.ts';
import { RecordRegistry } from './record-registry.ts';
import type { ShardLinks } from './shard-links.ts';

/** What can be chosen for a group; what is left out stays, or has the broker's default. */
export type GroupSettings = {
  readonly maxAttempts?: number | undefined;
  readonly retryBackoffMs?: readonly number[] | undefined;
};

export class GroupRecords {
  readonly records: RecordRegistry<GroupRecord>;
  private readonly config: AcceptorConfig;

  constructor(config: AcceptorConfig, links: ShardLinks) {
    this.config = config;
    this.records = new RecordRegistry<GroupRecord>(
      {
        noun: 'group',
        countMax: config.groupsMax,
        idOf: (group) => group.groupId,
        nameOf: (group) => group.group,
        put: (group) => ({ op: 'putGroup', group }),
        remove: (groupId) => ({ op: 'deleteGroup', groupId }),
      },
      links,
    );
  }

  get(groupId: number): GroupRecord | undefined {
    return this.records.get(groupId);
  }

  /** @throws INVALID_NAME, GROUP_NOT_FOUND, LIMIT_REACHED */
  async require(name: string): Promise<GroupRecord> {
    const found = this.records.find(name);
    if (found !== undefined) return found;
    if (!this.config.autoCreateGroups) return this.existing(name);
    return this.put(name, {});
  }

  /** @throws INVALID_NAME, GROUP_NOT_FOUND */
  existing(name: string): GroupRecord {
    const found = this.records.find(name);
    if (found !== undefined) return found;
    checkGroupName(name);
    throw new SluiceError('GROUP_NOT_FOUND', `the group ${name} does not exist`);
  }

  /** Makes the group, or changes what `settings` names. @throws INVALID_NAME, LIMIT_REACHED */
  async put(name: string, settings: GroupSettings): Promise<GroupRecord> {
    checkGroupName(name);
    const record = await this.records.create(name, (groupId) => ({
      groupId,
      group: name,
      maxAttempts: settings.maxAttempts ?? this.config.defaultMaxAttempts,
      retryBackoffMs: settings.retryBackoffMs ?? this.config.defaultRetryBackoffMs,
    }));
    const wanted: GroupRecord = {
      ...record,
      maxAttempts: settings.maxAttempts ?? record.maxAttempts,
      retryBackoffMs: settings.retryBackoffMs ?? record.retryBackoffMs,
    };
    return JSON.stringify(wanted) === JSON.stringify(record) ? record : this.records.change(wanted);
  }
}
