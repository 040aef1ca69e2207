/**
 * The JSON header form. The reader goes over the bytes once and leaves the fields where they are; it takes JSON, with
 * numbers and booleans as field values too, because not every client puts them in quotes. The writer puts every value
 * in quotes, because one that is not makes the Go client drop the frame. Browser-safe.
 *
 * @source RocketMQ RemotingSerializable; the order of the names is that of fastjson
 */
import { readText } from '../batch/text-bytes.ts';
import {
  type Command,
  type CommandVerdict,
  type CommandView,
  type FieldList,
  LANGUAGE_JAVA,
  LANGUAGE_OTHER,
  LANGUAGES,
  REMOTING_VERSION,
} from './command.ts';
import { SPAN_KEY_ESCAPED, SPAN_VALUE_ESCAPED, unescapeJson } from './header-fields.ts';
import { JsonScanner, KIND_NUMBER, KIND_OBJECT, KIND_STRING, KIND_WORD } from './json-scanner.ts';

const scanner = new JsonScanner();
const INT32_MAX = 0x7fff_ffff;

/** The names of a header, by what distinguishes them most quickly: their text. */
type NumberName = 'code' | 'flag' | 'opaque' | 'version';

/** Reads the header between `start` and `end` into `into`. Never throws. */
export function readJsonHeader(
  bytes: Uint8Array,
  start: number,
  end: number,
  into: CommandView,
): CommandVerdict {
  scanner.start(bytes, start, end);
  if (!scanner.enterObject()) return 'header-syntax';
  let hasCode = false;
  while (scanner.nextKey()) {
    const name = readText(bytes, scanner.keyStart, scanner.keyEnd);
    if (name === 'extFields') {
      const verdict = readFields(into);
      if (verdict !== 'ok') return verdict;
      continue;
    }
    if (!scanner.value()) return 'header-syntax';
    if (name === 'code') hasCode = true;
    const isRead = readMember(bytes, name, into);
    if (!isRead) return 'header-value';
  }
  if (!scanner.isAtEnd()) return 'header-syntax';
  return hasCode ? 'ok' : 'header-value';
}

/** One member beside the fields; a name that is not known is passed over. */
function readMember(bytes: Uint8Array, name: string, into: CommandView): boolean {
  switch (name) {
    case 'code':
    case 'flag':
    case 'opaque':
    case 'version':
      return readNumber(bytes, name, into);
    case 'language':
      into.language = languageOf(bytes);
      return true;
    case 'remark':
      if (scanner.kind === KIND_STRING) into.remark = scannedText(bytes);
      return scanner.kind === KIND_STRING || isNull(bytes);
    default:
      return true;
  }
}

function readNumber(bytes: Uint8Array, name: NumberName, into: CommandView): boolean {
  if (scanner.kind !== KIND_NUMBER) return false;
  const value = Number(readText(bytes, scanner.valueStart, scanner.valueEnd));
  if (!Number.isInteger(value) || value > INT32_MAX || value < -INT32_MAX - 1) return false;
  // -0 is 0 to everybody but Object.is.
  into[name] = value + 0;
  return true;
}

/** An unknown name is a language like any other: no client is refused for it. */
function languageOf(bytes: Uint8Array): number {
  const text = readText(bytes, scanner.valueStart, scanner.valueEnd);
  if (scanner.kind === KIND_NUMBER) return Number(text) & 0xff;
  if (scanner.kind !== KIND_STRING) return LANGUAGE_JAVA;
  const index = LANGUAGES.indexOf(text);
  return index >= 0 ? index : LANGUAGE_OTHER;
}

function scannedText(bytes: Uint8Array): string {
  const text = readText(bytes, scanner.valueStart, scanner.valueEnd);
  return scanner.isValueEscaped ? unescapeJson(text) : text;
}

function isNull(bytes: Uint8Array): boolean {
  // 0x6e is n, and of the three words only null begins with it.
  return scanner.kind === KIND_WORD && bytes[scanner.valueStart] === 0x6e;
}

function readFields(into: CommandView): CommandVerdict {
  if (!scanner.beginsObject()) {
    if (!scanner.value()) return 'header-syntax';
    return scanner.kind === KIND_WORD ? 'ok' : 'header-value';
  }
  if (!scanner.enterObject()) return 'header-syntax';
  while (scanner.nextKey()) {
    const { keyStart, keyEnd, isKeyEscaped } = scanner;
    if (!scanner.value()) return 'header-syntax';
    if (scanner.kind === KIND_OBJECT) return 'header-value';
    if (isNull(scanner.bytes)) continue;
    const marks =
      (isKeyEscaped ? SPAN_KEY_ESCAPED : 0) | (scanner.isValueEscaped ? SPAN_VALUE_ESCAPED : 0);
    const { valueStart, valueEnd } = scanner;
    if (!into.fields.add(keyStart, keyEnd, valueStart, valueEnd, marks)) return 'too-many-fields';
  }
  return scanner.hasFailed ? 'header-syntax' : 'ok';
}

/** What JSON writes as it is: most of what is ever written. */
const PLAIN = /^[ !#-[\]-~]*$/;

function quoted(text = ''): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}

/** The header of a command as JSON text: what fastjson writes for it, byte for byte. */
export function jsonHeaderText(command: Command, fields: FieldList): string {
  const { code, opaque, flag, remark } = command;
  const language = LANGUAGES[command.language ?? LANGUAGE_JAVA] ?? 'OTHER';
  let text = `{"code":${code},`;
  if (fields.length > 0) {
    let separator = '"extFields":{';
    for (let index = 0; index < fields.length; index += 2) {
      text += `${separator}${quoted(fields[index])}:${quoted(fields[index + 1])}`;
      separator = ',';
    }
    text += '},';
  }
  text += `"flag":${flag},"language":"${language}","opaque":${opaque},`;
  if (remark !== undefined) text += `"remark":${JSON.stringify(remark)},`;
  return `${text}"serializeTypeCurrentRPC":"JSON","version":${command.version ?? REMOTING_VERSION}}`;
}
