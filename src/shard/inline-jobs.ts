/** Side jobs carried out by whoever asks for the next result: for tests, simulation and a broker without threads. */
import { runSideJob } from '../log/run-side-job.ts';
import type { SideJob, SideJobResult, SideJobs } from '../log/side-job.ts';
import type { Storage } from '../log/storage.ts';

export class InlineJobs implements SideJobs {
  private readonly storage: Storage;
  private readonly jobs: SideJob[] = [];

  constructor(storage: Storage) {
    this.storage = storage;
  }

  submit(job: SideJob): void {
    this.jobs.push(job);
  }

  hasResults(): boolean {
    return this.jobs.length > 0;
  }

  poll(): SideJobResult | undefined {
    const job = this.jobs.shift();
    return job === undefined ? undefined : runSideJob(this.storage, job);
  }
}
