/**
 * Keys of RocketMQ that are known and checked, and have no effect here yet. A configuration that names them starts, and one
 * warning names them.
 */
import type { ZodType } from 'zod';
import { text } from './setting-kinds.ts';

/** A key that is checked and then has no effect. */
export type UnusedKey = {
  readonly sentence: string;
  readonly allowed: string;
  readonly schema: ZodType;
};

export const UNUSED_KEYS: Readonly<Record<string, UnusedKey>> = {
  deleteWhen: {
    ...text('hours of the day with ; between', (value) => /^\d{1,2}(;\d{1,2})*$/.test(value)),
    sentence: 'Hour at which old files are removed. Here that happens all day long.',
  },
};
