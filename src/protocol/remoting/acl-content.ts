/**
 * What RocketMQ's access keys sign: the values of all fields but the signature, in the order of their names, and the body.
 * The HMAC itself is the caller's, because a browser computes it only with a promise. Browser-safe.
 *
 * @source RocketMQ AclUtils.combineRequestContent, AclSigner
 */

export const ACCESS_KEY_FIELD = 'AccessKey';
export const SIGNATURE_FIELD = 'Signature';

const encoder = new TextEncoder();

/**
 * The bytes to be signed with HMAC-SHA1.
 *
 * @param fields - exactly as received, or as they will be sent; names are ordered by UTF-16 code units, as Java does
 */
export function signedContent(fields: ReadonlyMap<string, string>, body: Uint8Array): Uint8Array {
  const names = [...fields.keys()].filter((name) => name !== SIGNATURE_FIELD).sort();
  const text = encoder.encode(names.map((name) => fields.get(name) ?? '').join(''));
  const content = new Uint8Array(text.length + body.length);
  content.set(text);
  content.set(body, text.length);
  return content;
}
