/** A connection as replication sees it: bytes go out or do not, bytes that came are handed in by whoever owns the socket. */
export interface ByteLink {
  /**
   * Sends all of `bytes`, or nothing.
   * @shape `bytes` are borrowed until the call returns
   * @returns false when the connection takes no more now
   */
  send(bytes: Uint8Array): boolean;
  /** Ends the connection. Called twice, or on a connection that is gone, it does nothing. */
  close(): void;
}
