/**
 * Steps over the opcodes of one msgpack value before any of it is decoded: untrusted bytes reach the library only when
 * they are maps, arrays, strings, numbers, booleans, null and bin, whole, and at most 16 deep. Extensions (dates,
 * regular expressions, errors, typed arrays, records) are refused. Allocates nothing, never throws. Browser-safe.
 *
 * @source docs/PROTOCOL.md, section 3; msgpack specification, section "Formats"
 */
import { CONTROL_DEPTH_MAX } from './frames-layout.ts';

/** `ok`, or the first rule that the bytes break. */
export type ControlVerdict =
  | 'ok'
  | 'too-short'
  | 'trailing-bytes'
  | 'not-a-map'
  | 'too-deep'
  | 'too-many-items'
  | 'extension-refused'
  | 'unknown-opcode'
  | 'key-not-a-string'
  | 'number-too-large';

const OPCODE_FIXMAP = 0x80;
const OPCODE_FIXARRAY = 0x90;
const OPCODE_FIXSTR = 0xa0;
const OPCODE_NIL = 0xc0;
const OPCODE_NEVER_USED = 0xc1;
const OPCODE_BIN8 = 0xc4;
const OPCODE_EXT8 = 0xc7;
const OPCODE_FLOAT32 = 0xca;
const OPCODE_UINT64 = 0xcf;
const OPCODE_INT64 = 0xd3;
const OPCODE_FIXEXT1 = 0xd4;
const OPCODE_STR8 = 0xd9;
const OPCODE_STR32 = 0xdb;
const OPCODE_ARRAY16 = 0xdc;
const OPCODE_MAP16 = 0xde;
const OPCODE_MAP32 = 0xdf;
const OPCODE_NEGATIVE_FIXINT = 0xe0;
/** Bytes after the opcodes 0xca to 0xd3: float 32, 64, uint 8 to 64, int 8 to 64. */
const NUMBER_BYTES: readonly number[] = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8];

/** One scan; kept and used again, so that scanning makes no garbage. */
export class ControlScan {
  /** Items still to come at each depth; a map's keys and values both count. */
  private readonly remaining = new Float64Array(CONTROL_DEPTH_MAX + 1);
  private readonly isMap = new Uint8Array(CONTROL_DEPTH_MAX + 1);
  private view: DataView = new DataView(new ArrayBuffer(0));
  private at = 0;
  private depth = 0;

  /** @returns `ok` when the bytes of `view` from `start` to its end are exactly one acceptable map */
  scan(view: DataView, start: number): ControlVerdict {
    this.view = view;
    this.at = start;
    this.depth = 0;
    if (start >= view.byteLength) return 'too-short';
    if (!opensMap(view.getUint8(start))) return 'not-a-map';
    for (;;) {
      const verdict = this.scanItem();
      if (verdict !== 'ok') return verdict;
      while (this.depth > 0 && (this.remaining[this.depth] as number) === 0) this.depth -= 1;
      if (this.depth === 0) break;
    }
    return this.at === view.byteLength ? 'ok' : 'trailing-bytes';
  }

  private scanItem(): ControlVerdict {
    if (this.at >= this.view.byteLength) return 'too-short';
    const opcode = this.view.getUint8(this.at);
    this.at += 1;
    if (this.depth > 0) {
      const left = this.remaining[this.depth] as number;
      // A map has two items a pair, so an even number left means that a key comes now.
      if (this.isMap[this.depth] === 1 && left % 2 === 0 && !isString(opcode))
        return 'key-not-a-string';
      this.remaining[this.depth] = left - 1;
    }
    if (opcode < OPCODE_FIXMAP || opcode >= OPCODE_NEGATIVE_FIXINT) return 'ok';
    if (opcode < OPCODE_FIXARRAY) return this.enter(opcode & 0x0f, true);
    if (opcode < OPCODE_FIXSTR) return this.enter(opcode & 0x0f, false);
    if (opcode < OPCODE_NIL) return this.skip(opcode & 0x1f);
    if (opcode === OPCODE_NEVER_USED) return 'unknown-opcode';
    if (opcode < OPCODE_BIN8) return 'ok';
    if (opcode < OPCODE_EXT8) return this.skipSized(opcode - OPCODE_BIN8);
    if (opcode < OPCODE_FLOAT32) return 'extension-refused';
    if (opcode < OPCODE_FIXEXT1) return this.skipNumber(opcode);
    if (opcode < OPCODE_STR8) return 'extension-refused';
    if (opcode <= OPCODE_STR32) return this.skipSized(opcode - OPCODE_STR8);
    const count = this.readLength(opcode === OPCODE_ARRAY16 || opcode === OPCODE_MAP16 ? 1 : 2);
    if (count < 0) return 'too-short';
    return this.enter(count, opcode >= OPCODE_MAP16);
  }

  /** A number of 8 bytes must be one that JavaScript can hold. */
  private skipNumber(opcode: number): ControlVerdict {
    if (opcode === OPCODE_UINT64 || opcode === OPCODE_INT64) {
      if (this.at + 8 > this.view.byteLength) return 'too-short';
      const high =
        opcode === OPCODE_UINT64 ? this.view.getUint32(this.at) : this.view.getInt32(this.at);
      if (high > 0x1f_ffff || high < -0x20_0000) return 'number-too-large';
    }
    return this.skip(NUMBER_BYTES[opcode - OPCODE_FLOAT32] as number);
  }

  private enter(count: number, map: boolean): ControlVerdict {
    const items = map ? count * 2 : count;
    // Every item takes a byte at least: a count above the bytes left is a lie, found before anything is allocated.
    if (items > this.view.byteLength - this.at) return 'too-many-items';
    if (this.depth === CONTROL_DEPTH_MAX) return 'too-deep';
    this.depth += 1;
    this.remaining[this.depth] = items;
    this.isMap[this.depth] = map ? 1 : 0;
    return 'ok';
  }

  private skip(bytes: number): ControlVerdict {
    if (bytes > this.view.byteLength - this.at) return 'too-short';
    this.at += bytes;
    return 'ok';
  }

  private skipSized(sizeLog2: number): ControlVerdict {
    const length = this.readLength(sizeLog2);
    return length < 0 ? 'too-short' : this.skip(length);
  }

  /** Reads a big-endian length of 1, 2 or 4 bytes; -1 when it is cut. */
  private readLength(sizeLog2: number): number {
    const at = this.at;
    if (at + (1 << sizeLog2) > this.view.byteLength) return -1;
    this.at += 1 << sizeLog2;
    if (sizeLog2 === 0) return this.view.getUint8(at);
    return sizeLog2 === 1 ? this.view.getUint16(at) : this.view.getUint32(at);
  }
}

function isString(opcode: number): boolean {
  return (
    (opcode >= OPCODE_FIXSTR && opcode < OPCODE_NIL) ||
    (opcode >= OPCODE_STR8 && opcode <= OPCODE_STR32)
  );
}

function opensMap(opcode: number): boolean {
  return (
    (opcode >= OPCODE_FIXMAP && opcode < OPCODE_FIXARRAY) ||
    opcode === OPCODE_MAP16 ||
    opcode === OPCODE_MAP32
  );
}
