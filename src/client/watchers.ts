/** Those who wait for a state: asked after every change that may have brought it. Browser-safe. */
export class Watchers {
  private readonly watchers = new Set<() => void>();

  /** Calls `check`, now and after every change, until it returns true. @returns stops that */
  watch(check: () => boolean): () => void {
    const watcher = (): void => {
      if (check()) this.watchers.delete(watcher);
    };
    this.watchers.add(watcher);
    watcher();
    return () => this.watchers.delete(watcher);
  }

  /** Something changed. */
  tell(): void {
    for (const watcher of [...this.watchers]) watcher();
  }
}
