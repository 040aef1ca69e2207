/**
 * Starts the processes of a cluster in order, stops them in reverse, and starts none again by itself: what died is shown, so
 * that a person sees what a fault does. Only one supervisor at a time has a directory.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SluiceError } from '../base/errors.ts';
import {
  type BrokerPlan,
  type ClusterPlan,
  type ProcessPlan,
  propertiesTextOf,
} from './cluster-plan.ts';
import { ClusterProcess } from './cluster-process.ts';
import { ProcessBook } from './process-book.ts';

export type SupervisorOptions = {
  readonly plan: ClusterPlan;
  /** The file of the command `sluice`. */
  readonly main: string;
  /** A process has ended that nobody asked to end. */
  readonly onExit: (name: string) => void;
};

/** Beside the data: which shape they belong to. */
const SHAPE_FILE = 'shape';

/** Makes the directory of a cluster, or finds that it is one. @throws INVALID_ARGUMENT for one of another shape */
export function openClusterDirectory(root: string, shape: string): void {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const path = join(root, SHAPE_FILE);
  const before = existsSync(path) ? readFileSync(path, 'utf8').trim() : shape;
  if (before !== shape)
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `${root} holds a cluster of the shape ${before}, not ${shape}`,
      {
        hint: `Start it as ${before}, or give another directory.`,
      },
    );
  writeFileSync(path, `${shape}\n`, { mode: 0o600 });
}

export class Supervisor {
  readonly plan: ClusterPlan;
  private readonly options: SupervisorOptions;
  private readonly book: ProcessBook;
  /** In the order in which they were started. */
  private readonly processes = new Map<string, ClusterProcess>();
  private isStopping = false;

  /** @throws INVALID_ARGUMENT when processes of the directory still run */
  constructor(options: SupervisorOptions) {
    this.options = options;
    this.plan = options.plan;
    this.book = new ProcessBook(options.plan.root);
    this.book.open();
  }

  /** Writes the properties files and starts everything; when one does not start, the others are stopped again. */
  async start(): Promise<void> {
    const { nameServers, brokers } = this.plan;
    try {
      for (const plan of [...nameServers, ...brokers]) {
        writeFileSync(plan.propertiesFile, propertiesTextOf(plan), { mode: 0o600 });
        if (this.isStopping) throw new SluiceError('CLOSED', 'the cluster is being stopped');
        await this.startOne(plan);
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Starts one process, for the first time or again. */
  async startOne(plan: ProcessPlan): Promise<ClusterProcess> {
    const { main, onExit } = this.options;
    const { root } = this.plan;
    const note = (pid: number): void => this.book.set(plan.name, pid);
    const started = await ClusterProcess.start(main, root, plan, note);
    this.processes.set(plan.name, started);
    void started.exited.then(() => {
      if (!this.isStopping && this.processes.get(plan.name) === started) onExit(plan.name);
    });
    return started;
  }

  /** The process of a name, alive or not. @throws INVALID_ARGUMENT when it was never started */
  processOf(name: string): ClusterProcess {
    const found = this.processes.get(name);
    if (found !== undefined) return found;
    throw new SluiceError('INVALID_ARGUMENT', `there is no process ${name}`);
  }

  isAlive(name: string): boolean {
    return this.processes.get(name)?.isAlive ?? false;
  }

  /** `http://host:port` of a broker. */
  httpOf({ port }: BrokerPlan): string {
    return `http://127.0.0.1:${port}`;
  }

  /** `host:port` of the NameServers, `;` between. */
  get namesrvAddr(): string {
    return this.plan.nameServers.map(({ port }) => `127.0.0.1:${port}`).join(';');
  }

  /** Ends everything: brokers before the NameServers that know them, slaves before their masters. */
  async stop(): Promise<void> {
    this.isStopping = true;
    for (const started of [...this.processes.values()].reverse()) await started.stop();
    this.book.close();
  }
}
