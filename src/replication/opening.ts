/**
 * The first bytes of a connection to the HA port, before any frame: what it is about, so that the port can hand it to the
 * master of the right shard. They prove nothing: the shard is said again in what is proved.
 *
 *   0 u32 magic   4 u16 version   6 u16 kind   8 u32 shard   12 u32 0
 */
export const OPENING_BYTES = 16;
/** The log of a shard. */
export const OPENING_STREAM = 1;
/** Who reigns? */
export const OPENING_REIGN = 2;

const MAGIC = 0x41485153;
const VERSION = 1;

export type Opening = { readonly kind: number; readonly shard: number };

export function encodeOpening({ kind, shard }: Opening): Uint8Array {
  const bytes = new Uint8Array(OPENING_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint16(4, VERSION, true);
  view.setUint16(6, kind, true);
  view.setUint32(8, shard, true);
  return bytes;
}

/** @param bytes - at least OPENING_BYTES of them @returns undefined for anything else */
export function decodeOpening(bytes: Uint8Array): Opening | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, OPENING_BYTES);
  if (view.getUint32(0, true) !== MAGIC || view.getUint16(4, true) !== VERSION) return undefined;
  const kind = view.getUint16(6, true);
  if (kind !== OPENING_STREAM && kind !== OPENING_REIGN) return undefined;
  return { kind, shard: view.getUint32(8, true) };
}
