/** Where the messages of `sluice produce` go; there are two kinds. */
import type { LineMessage } from './message-line.ts';

/** Where messages go: the client, or a sender that numbers them. */
export interface LineSender {
  /** Takes a message; waits while there is no room for it. @throws when this one is refused */
  add(message: LineMessage): Promise<void>;
  /** Sends what is waiting for company; called when the input has nothing more for now. */
  pause(): Promise<void>;
  /** Resolves when everything is answered. */
  close(): Promise<void>;
}
