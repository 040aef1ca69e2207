/**
 * The properties of a RocketMQ message as one text: `name` 0x01 `value` 0x02, again and again. Read in place by one object
 * that is moved along; what has no name or no value is left out, as Java leaves it out. Browser-safe.
 *
 * @source RocketMQ MessageDecoder.string2messageProperties
 */

/** Between a name and its value, and behind each value. */
export const NAME_END = 0x01;
export const VALUE_END = 0x02;

const NAME_END_TEXT = String.fromCharCode(NAME_END);
const VALUE_END_TEXT = String.fromCharCode(VALUE_END);

export class PropertyText {
  /** The property that `next` has found. */
  name = '';
  value = '';
  private text = '';
  private at = 0;

  open(text: string): this {
    this.text = text;
    this.at = 0;
    return this;
  }

  /** Moves to the next property; false after the last. */
  next(): boolean {
    const { text } = this;
    while (this.at < text.length) {
      const found = text.indexOf(VALUE_END_TEXT, this.at);
      const end = found < 0 ? text.length : found;
      const nameEnd = text.indexOf(NAME_END_TEXT, this.at);
      const start = this.at;
      this.at = end + 1;
      if (nameEnd <= start || nameEnd >= end - 1) continue;
      this.name = text.slice(start, nameEnd);
      this.value = text.slice(nameEnd + 1, end);
      return true;
    }
    return false;
  }
}

/** The value of one property in a text; undefined when it is not there. Of two of one name the last counts. */
export function propertyIn(text: string, name: string): string | undefined {
  const reader = new PropertyText().open(text);
  let value: string | undefined;
  while (reader.next()) if (reader.name === name) value = reader.value;
  return value;
}

/** A text of properties with more behind it. Clients of 4.9 end theirs without the last 0x02. */
export function withProperties(text: string, more: Iterable<readonly [string, string]>): string {
  const isOpen = text !== '' && !text.endsWith(VALUE_END_TEXT);
  return `${text}${isOpen ? VALUE_END_TEXT : ''}${propertyText(more)}`;
}

/** The text of properties, in their order. */
export function propertyText(properties: Iterable<readonly [string, string]>): string {
  let text = '';
  for (const [name, value] of properties)
    text += `${name}${NAME_END_TEXT}${value}${VALUE_END_TEXT}`;
  return text;
}
