/**
 * Keys of RocketMQ that are known and checked, and have no effect here yet: they belong to clusters and to the remoting
 * protocol. A configuration that names them starts, and one warning names them.
 */
import type { ZodType } from 'zod';
import { boolean, integer, text } from './setting-kinds.ts';

/** A key that is checked and then has no effect. */
export type UnusedKey = {
  readonly sentence: string;
  readonly allowed: string;
  readonly schema: ZodType;
};

export const UNUSED_KEYS: Readonly<Record<string, UnusedKey>> = {
  listenPort: { ...integer('', 0, 65_535), sentence: 'Port of the RocketMQ remoting protocol.' },
  slaveReadEnable: { ...boolean(), sentence: 'Sends consumers far behind to a slave.' },
  deleteWhen: {
    ...text('hours of the day with ; between', (value) => /^\d{1,2}(;\d{1,2})*$/.test(value)),
    sentence: 'Hour at which old files are removed. Here that happens all day long.',
  },
};
