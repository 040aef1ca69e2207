/**
 * One remoting command: as a view over the frame it came in, and as a plain value to be written. The view is filled
 * again for each frame, so that a connection makes no garbage by receiving. Browser-safe.
 *
 * @source RocketMQ RemotingCommand
 */
import { FLAG_ONEWAY, FLAG_RESPONSE, FORM_JSON, type HeaderForm } from './frame-layout.ts';
import { HeaderFields } from './header-fields.ts';

/** Names and values in turn, each name once: for answers that are made by the ten thousand, where a Map costs more than its bytes. */
export type FieldList = readonly string[];

/** A command to be written. */
export type Command = {
  /** Request code or response code. */
  readonly code: number;
  /** A number of LANGUAGES; default JAVA, which every client knows. */
  readonly language?: number;
  /** The ordinal of RocketMQ's version; default REMOTING_VERSION. */
  readonly version?: number;
  /** Chosen by who asks, repeated by who answers. */
  readonly opaque: number;
  readonly flag: number;
  readonly remark?: string | undefined;
  /** Written in this order. */
  readonly fields?: ReadonlyMap<string, string> | FieldList | undefined;
  readonly body?: Uint8Array | undefined;
};

const NO_FIELDS: FieldList = [];

/** The fields of a command in either form as the one that is written. */
export function fieldListOf(fields: Command['fields']): FieldList {
  if (fields === undefined) return NO_FIELDS;
  return fields instanceof Map ? [...fields].flat() : (fields as FieldList);
}

/** A command that was received: everything is there but the remark, which need not be. */
export type ReceivedCommand = Required<Omit<Command, 'fields' | 'body'>> & {
  readonly fields: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
};

/** RocketMQ 5.3.3: what we speak, so what we say we are. A client that sees 0 does not use SQL filters. */
export const REMOTING_VERSION = 479;

/** Languages by their number in the binary form. @source RocketMQ LanguageCode */
export const LANGUAGES: readonly string[] = [
  ...['JAVA', 'CPP', 'DOTNET', 'PYTHON', 'DELPHI', 'ERLANG', 'RUBY', 'OTHER', 'HTTP', 'GO'],
  ...['PHP', 'OMS', 'RUST', 'NODE_JS'],
];
export const LANGUAGE_JAVA = 0;
export const LANGUAGE_OTHER = 7;

/** The name of a language's number. */
export function languageName(language: number): string {
  return LANGUAGES[language] ?? (LANGUAGES[LANGUAGE_OTHER] as string);
}

/** `ok`, or the first rule that the bytes break. */
export type CommandVerdict =
  | 'ok'
  | 'frame-length'
  | 'header-length'
  | 'header-form'
  | 'header-syntax'
  | 'header-value'
  | 'too-many-fields';

const NO_BYTES = new Uint8Array(0);

/** A received command. Valid until the next frame is decoded into it; all it gives is borrowed from the frame. */
export class CommandView {
  form: HeaderForm = FORM_JSON;
  code = 0;
  language: number = LANGUAGE_JAVA;
  version = 0;
  opaque = 0;
  flag = 0;
  remark: string | undefined = undefined;
  readonly fields: HeaderFields = new HeaderFields();
  /** Without bytes when there is no body. */
  body: Uint8Array = NO_BYTES;

  reset(frame: Uint8Array, form: HeaderForm): void {
    this.form = form;
    this.code = 0;
    this.language = LANGUAGE_JAVA;
    this.version = 0;
    this.opaque = 0;
    this.flag = 0;
    this.remark = undefined;
    this.fields.reset(frame);
    this.body = NO_BYTES;
  }

  get isResponse(): boolean {
    return (this.flag & FLAG_RESPONSE) !== 0;
  }

  get isOneway(): boolean {
    return (this.flag & FLAG_ONEWAY) !== 0;
  }

  /** A copy that outlives the frame. Allocates; for tests, tools and the control path. */
  toCommand(): ReceivedCommand {
    const { code, language, version, opaque, flag, remark } = this;
    const fields = this.fields.entries();
    return { code, language, version, opaque, flag, remark, fields, body: this.body.slice() };
  }
}
