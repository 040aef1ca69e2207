/**
 * Who has sent half messages lately, by producer group: a client tells of its groups in heartbeats, and the first that names a
 * new one may come half a minute after its first message. Until then the connection that sent it is asked.
 */
import { REGISTERED_NAME_MAX } from '../base/limits.ts';
import type { RemotingConnection } from './remoting-connection.ts';

/** Groups that are remembered; the one that sent longest ago is forgotten first. */
const GROUPS_MAX = 10_000;

export class HalfSenders {
  private readonly byGroup = new Map<string, RemotingConnection>();

  sent(group: string, connection: RemotingConnection): void {
    // No heartbeat names a longer one, and no client has it.
    if (group.length > REGISTERED_NAME_MAX) return;
    // Taken out and put back, the order of the map is the order of use.
    this.byGroup.delete(group);
    this.byGroup.set(group, connection);
    if (this.byGroup.size <= GROUPS_MAX) return;
    for (const [oldest] of this.byGroup) {
      this.byGroup.delete(oldest);
      return;
    }
  }

  /** The connection that sent last; undefined when it is gone. */
  last(group: string): RemotingConnection | undefined {
    const connection = this.byGroup.get(group);
    if (connection === undefined || !connection.isClosed) return connection;
    this.byGroup.delete(group);
    return undefined;
  }
}
