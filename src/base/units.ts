/** Numbers that know what they measure, and the sizes of the field. Free at run time. Browser-safe. */

declare const unit: unique symbol;

/** A number that must not be mixed up with another kind of number. */
export type Unit<Name extends string> = number & { readonly [unit]: Name };

/** Byte address in a shard's log: grows forever from 0, below 2^48. */
export type Position = Unit<'position'>;
/** Index of a message within its queue, from 0, below 2^53. */
export type QueueOffset = Unit<'queueOffset'>;

export const KIB = 1024;
export const MIB: number = 1024 * 1024;

/** Rounds `value` up to a multiple of `alignment`, a power of two; exact up to 2^53. */
export function alignUp(value: number, alignment: number): number {
  const rest = value % alignment;
  return rest === 0 ? value : value + alignment - rest;
}

/** Is `value` a power of two (1 included)? Up to 2^31. */
export function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}
