/** Pairs side jobs with what is to happen when they end. Shard thread. */
import type { SideJob, SideJobInput, SideJobResult, SideJobs } from '../log/side-job.ts';

export class JobQueue {
  private readonly jobs: SideJobs;
  private readonly waiting = new Map<number, (result: SideJobResult) => void>();
  private nextJob = 1;

  constructor(jobs: SideJobs) {
    this.jobs = jobs;
  }

  get isBusy(): boolean {
    return this.waiting.size > 0;
  }

  submit(input: SideJobInput, done: (result: SideJobResult) => void): void {
    const job = this.nextJob;
    this.nextJob += 1;
    this.waiting.set(job, done);
    this.jobs.submit({ ...input, job } as SideJob);
  }

  hasResults(): boolean {
    return this.waiting.size > 0 && this.jobs.hasResults();
  }

  /** Ends the jobs that are done. @returns how many */
  poll(): number {
    let ended = 0;
    if (this.waiting.size === 0) return 0;
    for (let result = this.jobs.poll(); result !== undefined; result = this.jobs.poll()) {
      const done = this.waiting.get(result.job);
      this.waiting.delete(result.job);
      done?.(result);
      ended += 1;
    }
    return ended;
  }
}
