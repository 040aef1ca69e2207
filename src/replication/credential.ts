/**
 * Both ends prove that they know the credential, over the nonces of both, so that no proof serves twice and none of one
 * direction serves for the other. The credential itself never travels.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

/** One connection's proofs. */
export class Credential {
  private readonly secret: string;
  private readonly slaveNonce: Uint8Array;
  private readonly masterNonce: Uint8Array;

  constructor(secret: string, slaveNonce: Uint8Array, masterNonce: Uint8Array) {
    this.secret = secret;
    this.slaveNonce = slaveNonce;
    this.masterNonce = masterNonce;
  }

  /** @param role - whose proof it is */
  prove(role: 'slave' | 'master', body: Uint8Array): Uint8Array {
    return createHmac('sha256', this.secret)
      .update(`sluicemq replication ${role}\n`)
      .update(this.slaveNonce)
      .update(this.masterNonce)
      .update(body)
      .digest();
  }

  isProof(role: 'slave' | 'master', proof: Uint8Array, body: Uint8Array): boolean {
    const expected = this.prove(role, body);
    return proof.length === expected.length && timingSafeEqual(proof, expected);
  }

  /** Number of this connection, known to its two ends: what is sent on another carries another. */
  session(): number {
    const digest = this.prove('master', new TextEncoder().encode('session'));
    return new DataView(digest.buffer, digest.byteOffset).getUint32(0, true);
  }
}
