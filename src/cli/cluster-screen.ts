/** The live table of `sluice cluster` for a terminal of a given size, and how it is drawn over the one before. Pure. */
import type { ProcessStatus } from '../cluster/cluster-status.ts';
import { type Column, sizeText, tableLines } from './output.ts';
import { paint } from './terminal.ts';

/** From the upper left corner on; what a line does not write over is erased, not the whole screen, so that it does not flicker. */
const HOME = '\u001b[H';
const ERASE_LINE_END = '\u001b[K';
const ERASE_BELOW = '\u001b[J';

const NAME: Column<ProcessStatus> = { title: 'process', value: ({ name }) => name };
const STATE: Column<ProcessStatus> = { title: 'state', value: ({ state }) => state };
const ROLE: Column<ProcessStatus> = { title: 'role', value: ({ role }) => role };
const ID: Column<ProcessStatus> = { title: 'id', value: ({ brokerId }) => brokerId };
const ADDRESS: Column<ProcessStatus> = { title: 'address', value: ({ address }) => address };
const HA: Column<ProcessStatus> = { title: 'slaves at', value: ({ haAddress }) => haAddress };
const EPOCH: Column<ProcessStatus> = { title: 'epoch', value: ({ epoch }) => epoch };
const APPENDED: Column<ProcessStatus> = { title: 'appended', value: ({ appended }) => appended };
const COMMIT: Column<ProcessStatus> = { title: 'commit', value: ({ commit }) => commit };
const LAG: Column<ProcessStatus> = { title: 'lag', value: ({ lagBytes }) => size(lagBytes) };
const RATE: Column<ProcessStatus> = {
  title: 'a second',
  value: ({ bytesPerSecond }) => size(bytesPerSecond),
};

const COLUMNS: readonly Column<ProcessStatus>[] = [
  ...[NAME, STATE, ROLE, ID, ADDRESS, HA, EPOCH, APPENDED, COMMIT, LAG, RATE],
];
/** What a narrow terminal does without, in this order: what stands in the properties files first. */
const DISPENSABLE: readonly Column<ProcessStatus>[] = [
  ...[HA, COMMIT, ID, EPOCH, ADDRESS, APPENDED, RATE, LAG, ROLE],
];

function size(bytes: number | null): string | null {
  return bytes === null ? null : sizeText(bytes);
}

/** Size of a terminal in characters. */
export type ScreenSize = { readonly columns: number; readonly rows: number };

export type ClusterView = {
  readonly processes: readonly ProcessStatus[];
  readonly root: string;
  readonly namesrvAddr: string;
};

/**
 * The lines of the screen, none longer than the terminal is wide and not more than fit on it.
 *
 * @param screen - undefined: no terminal, and no limit
 */
export function clusterLines(view: ClusterView, screen?: ScreenSize): readonly string[] {
  const { processes, root, namesrvAddr } = view;
  const width = screen?.columns ?? Number.POSITIVE_INFINITY;
  const [head = '', ...body] = fittingTable(processes, width);
  const lines = [
    paint(process.stdout, 'bold', cut(head, width)),
    ...body.map((line, index) => painted(cut(line, width), processes[index]?.state)),
    ...[
      '',
      `Properties files, data and logs: ${root}`,
      `Clients find it by: nameServers ${namesrvAddr}`,
      'Ctrl-C stops it.',
    ].map((line) => cut(line, width)),
  ];
  // The cursor stands on the line behind the last one.
  return screen === undefined ? lines : lines.slice(0, Math.max(1, screen.rows - 1));
}

/** What makes a terminal that shows an older screen show these lines. */
export function drawOver(lines: readonly string[]): string {
  return `${HOME}${lines.map((line) => `${line}${ERASE_LINE_END}\n`).join('')}${ERASE_BELOW}`;
}

function fittingTable(processes: readonly ProcessStatus[], width: number): readonly string[] {
  let columns = COLUMNS;
  let lines = tableLines(columns, processes);
  for (const one of DISPENSABLE) {
    if (lines.every(({ length }) => length <= width)) break;
    columns = columns.filter((column) => column !== one);
    lines = tableLines(columns, processes);
  }
  return lines;
}

/** A long path keeps its end out of sight; the terminal would put it on a line of its own. */
function cut(line: string, width: number): string {
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
}

function painted(line: string, state: ProcessStatus['state'] | undefined): string {
  if (state === 'down') return paint(process.stdout, 'red', line);
  return state === 'silent' ? paint(process.stdout, 'yellow', line) : line;
}
