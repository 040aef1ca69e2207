/** HMAC-SHA1 as RocketMQ's access keys sign, and secrets compared in a time that tells nothing. Node only. */
import { createHmac, timingSafeEqual } from 'node:crypto';

/** Is this the signature of the content in base64, made with the secret? */
export function signatureFits(secret: string, content: Uint8Array, signature: string): boolean {
  return sameText(signature, createHmac('sha1', secret).update(content).digest('base64'));
}

/** Compares in a time that tells nothing about where they differ. */
export function sameText(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
