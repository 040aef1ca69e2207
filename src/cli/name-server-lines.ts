/** How it stands between a broker and its NameServers, as lines for people. */
import { escapeControl } from '../observe/log-text.ts';
import { paint } from './terminal.ts';

/** Address of a NameServer → `registered`, or why not. */
export type NameServerStates = { readonly [address: string]: string };

/** A line for each NameServer; what keeps the broker from being found stands out. */
export function nameServerLines({
  namesrv,
}: {
  readonly namesrv?: NameServerStates;
}): readonly string[] {
  return Object.entries(namesrv ?? {}).map(([address, state]) => {
    const text = `NameServer ${address}: ${escapeControl(state)}`;
    return state === 'registered' ? text : paint(process.stdout, 'yellow', text);
  });
}
