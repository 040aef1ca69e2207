/**
 * Reads the fields of a received command, one check each: a missing, wrong or too long one is INVALID_ARGUMENT that names
 * it. For the control path; the message path reads HeaderFields itself, which never throws. Browser-safe.
 */
import { SluiceError } from '../../base/errors.ts';
import { type FieldName, fieldName, type HeaderFields } from './header-fields.ts';

const names = new Map<string, FieldName>();

/** The prepared form of a name; every name that a handler uses is prepared once. */
function prepared(name: string): FieldName {
  let found = names.get(name);
  if (found === undefined) {
    found = fieldName(name);
    names.set(name, found);
  }
  return found;
}

export class CommandFieldReader {
  private readonly fields: HeaderFields;
  private readonly request: string;

  /** @param request - name of the request, for errors */
  constructor(fields: HeaderFields, request: string) {
    this.fields = fields;
    this.request = request;
  }

  text(name: string, lengthMax: number): string {
    const value = this.optionalText(name, lengthMax);
    if (value === undefined || value === '') throw this.missing(name);
    return value;
  }

  optionalText(name: string, lengthMax: number): string | undefined {
    const value = this.fields.text(prepared(name));
    if (value === undefined || value.length <= lengthMax) return value;
    const text = `the field ${name} has ${value.length} characters; at most ${lengthMax} are allowed`;
    throw new SluiceError('INVALID_ARGUMENT', `${this.request}: ${text}`);
  }

  integer(name: string, min: number, max: number): number {
    const value = this.optionalInteger(name, min, max);
    if (value === undefined) throw this.missing(name);
    return value;
  }

  optionalInteger(name: string, min: number, max: number): number | undefined {
    const value = this.fields.long(prepared(name));
    if (value === undefined || (value >= min && value <= max)) return value;
    const text = `the field ${name} must be an integer from ${min} to ${max}`;
    throw new SluiceError('INVALID_ARGUMENT', `${this.request}: ${text}`);
  }

  /** Anything but the word true is false, as Java reads it. */
  optionalBoolean(name: string): boolean | undefined {
    return this.fields.boolean(prepared(name));
  }

  private missing(name: string): SluiceError {
    const text = `${this.request}: the field ${name} is missing`;
    return new SluiceError('INVALID_ARGUMENT', text, { hint: 'Send it as a field of the header.' });
  }
}
