/**
 * "Who reigns?" between two brokers that were or may be master of the same log: both prove that they know the credential, both
 * tell their epoch, and whoever has the older one knows that its reign is over. No log is compared and none is changed.
 */
import type { ByteLink } from './byte-link.ts';
import { Credential } from './credential.ts';
import { lastEpoch } from './epoch-history.ts';
import { FrameReader } from './frame-reader.ts';
import * as codec from './transfer-codec.ts';
import * as layout from './transfer-layout.ts';

export type ReignCallOptions = {
  readonly link: ByteLink;
  readonly secret: string;
  readonly nonce: Uint8Array;
  /** Of this broker's reign. */
  readonly epoch: number;
  readonly name: string;
  /** The other reigns under this epoch, as it has proved. */
  readonly onEpoch: (epoch: number) => void;
};

/** One end of the call; `asks` on the broker that has connected. */
export class ReignCall {
  private readonly options: ReignCallOptions;
  private readonly asks: boolean;
  private readonly reader = new FrameReader();
  private credential: Credential | undefined;
  private isClosed = false;

  constructor(options: ReignCallOptions, asks: boolean) {
    this.options = options;
    this.asks = asks;
    if (asks) options.link.send(codec.encodeNonce(layout.HELLO, options.nonce));
  }

  get canReceive(): boolean {
    return !this.isClosed;
  }

  receive(bytes: Uint8Array): void {
    if (this.isClosed) return;
    this.reader.push(bytes);
    for (let frame = this.reader.peek(); frame !== 'more'; frame = this.reader.peek()) {
      if (frame === 'broken' || !this.take(frame)) {
        this.close();
        return;
      }
      this.reader.shift(frame);
      if (this.isClosed) return;
    }
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.options.link.close();
  }

  /** @returns false for what does not belong here */
  private take(frame: codec.Frame): boolean {
    const { asks, credential } = this;
    if (frame.type === layout.HELLO && !asks && credential === undefined)
      return this.challenge(frame);
    if (frame.type === layout.CHALLENGE && asks && credential === undefined)
      return this.tell(frame);
    if (credential === undefined) return false;
    if (frame.type === layout.STATE && !asks) return this.answer(frame, credential);
    if (frame.type === layout.VERDICT && asks) return this.hear(frame, credential);
    return false;
  }

  private challenge(frame: codec.Frame): true {
    const { secret, nonce, link } = this.options;
    this.credential = new Credential(secret, codec.decodeNonce(frame), nonce);
    link.send(codec.encodeNonce(layout.CHALLENGE, nonce));
    return true;
  }

  private tell(frame: codec.Frame): true {
    const { secret, nonce, link, epoch, name } = this.options;
    const credential = new Credential(secret, nonce, codec.decodeNonce(frame));
    this.credential = credential;
    const state = {
      ...{ shard: 0, shards: 0, segmentBytes: 0, chunkBytes: 0, end: 0, lastHeaderAt: -1 },
      ...{ lastCrc: 0, logId: '', name, epochs: [{ epoch, first: 0 }] },
    };
    link.send(codec.encodeState(state, (body) => credential.prove('slave', body)));
    return true;
  }

  private answer(frame: codec.Frame, credential: Credential): boolean {
    const { proof, body } = codec.proofOf(frame);
    if (!credential.isProof('slave', proof, body)) return false;
    const state = codec.decodeState(frame);
    if (state === undefined) return false;
    const { link, epoch, onEpoch } = this.options;
    const verdict = {
      ...{ kind: layout.VERDICT_REFUSED, epoch, position: 0, lastHeaderAt: -1, lastCrc: 0 },
      text: `reigns under epoch ${epoch}`,
    };
    link.send(codec.encodeVerdict(verdict, (bytes) => credential.prove('master', bytes)));
    this.close();
    onEpoch(lastEpoch(state.epochs));
    return true;
  }

  private hear(frame: codec.Frame, credential: Credential): boolean {
    const { proof, body } = codec.proofOf(frame);
    if (!credential.isProof('master', proof, body)) return false;
    const verdict = codec.decodeVerdict(frame);
    if (verdict === undefined) return false;
    this.close();
    this.options.onEpoch(verdict.epoch);
    return true;
  }
}
