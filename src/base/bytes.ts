/** Little-endian 64-bit integers over a DataView, without BigInt: exact from 0 to 2^53 - 1. Browser-safe. */

const TWO_POW_32 = 4_294_967_296;

/** Reads an unsigned 64-bit integer; a value above 2^53 - 1 comes back as -1, which no valid field is. */
export function getU64(view: DataView, byteOffset: number): number {
  const high = view.getUint32(byteOffset + 4, true);
  if (high > 0x1f_ffff) return -1;
  return high * TWO_POW_32 + view.getUint32(byteOffset, true);
}

/** Writes an unsigned 64-bit integer from 0 to 2^53 - 1. */
export function setU64(view: DataView, byteOffset: number, value: number): void {
  const high = Math.floor(value / TWO_POW_32);
  view.setUint32(byteOffset, value - high * TWO_POW_32, true);
  view.setUint32(byteOffset + 4, high, true);
}
