/** Side jobs over a message port: the shard's thread does not run an event loop, so it takes answers when it polls. */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { memoryOf, type SideJob, type SideJobResult, type SideJobs } from '../log/side-job.ts';

export class WorkerJobs implements SideJobs {
  private readonly port: MessagePort;
  private readonly results: SideJobResult[] = [];

  constructor(port: MessagePort) {
    this.port = port;
  }

  submit(job: SideJob): void {
    this.port.postMessage(job, memoryOf(job));
  }

  hasResults(): boolean {
    this.receive();
    return this.results.length > 0;
  }

  poll(): SideJobResult | undefined {
    this.receive();
    return this.results.shift();
  }

  private receive(): void {
    for (
      let next = receiveMessageOnPort(this.port);
      next !== undefined;
      next = receiveMessageOnPort(this.port)
    ) {
      this.results.push(next.message as SideJobResult);
    }
  }
}
