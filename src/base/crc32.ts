/**
 * CRC-32 (IEEE 802.3, the polynomial of zlib and of Java's CRC32) in plain JavaScript, slicing by 8: the browser's
 * and every small header's version. Node's native one is faster above some 256 bytes; `crc32-native.ts` picks.
 *
 * @source "High Octane CRC Generation with the Intel Slicing-by-8 Algorithm", Kounavis and Berry, 2006
 */

const POLYNOMIAL = 0xedb88320;
const TABLES: Int32Array = buildTables();

function buildTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let index = 0; index < 256; index += 1) {
    let crc = index;
    for (let bit = 0; bit < 8; bit += 1)
      crc = (crc & 1) === 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    tables[index] = crc;
  }
  for (let table = 1; table < 8; table += 1) {
    for (let index = 0; index < 256; index += 1) {
      const before = at(tables, (table - 1) * 256 + index);
      tables[table * 256 + index] = (before >>> 8) ^ at(tables, before & 0xff);
    }
  }
  return tables;
}

function at(words: Int32Array, index: number): number {
  return words[index] as number;
}

/**
 * @param start - first byte, inclusive
 * @param end - last byte, exclusive
 * @returns the checksum as an unsigned 32-bit number
 */
export function crc32(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  const t = TABLES;
  let crc = -1;
  let index = start;
  for (const stop = end - 7; index < stop; index += 8) {
    const low =
      crc ^
      ((bytes[index] as number) |
        ((bytes[index + 1] as number) << 8) |
        ((bytes[index + 2] as number) << 16) |
        ((bytes[index + 3] as number) << 24));
    crc =
      at(t, 1792 + (low & 0xff)) ^
      at(t, 1536 + ((low >>> 8) & 0xff)) ^
      at(t, 1280 + ((low >>> 16) & 0xff)) ^
      at(t, 1024 + (low >>> 24)) ^
      at(t, 768 + (bytes[index + 4] as number)) ^
      at(t, 512 + (bytes[index + 5] as number)) ^
      at(t, 256 + (bytes[index + 6] as number)) ^
      at(t, bytes[index + 7] as number);
  }
  for (; index < end; index += 1)
    crc = (crc >>> 8) ^ at(t, (crc ^ (bytes[index] as number)) & 0xff);
  return ~crc >>> 0;
}
