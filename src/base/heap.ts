/** A binary heap in an array: the first element is before all others. An array in order is one. */

/** Does one come before the other? */
export type IsBefore<Element> = (one: Element, other: Element) => boolean;

export function heapPush<Element>(
  heap: Element[],
  element: Element,
  isBefore: IsBefore<Element>,
): void {
  let at = heap.push(element) - 1;
  while (at > 0) {
    const parent = (at - 1) >>> 1;
    if (!isBefore(element, heap[parent] as Element)) break;
    heap[at] = heap[parent] as Element;
    at = parent;
  }
  heap[at] = element;
}

/** Takes the first out of a heap that has one. */
export function heapPop<Element>(heap: Element[], isBefore: IsBefore<Element>): void {
  const last = heap.pop() as Element;
  if (heap.length === 0) return;
  heap[0] = last;
  heapSink(heap, isBefore);
}

/** The first has become later: puts it where it belongs. */
export function heapSink<Element>(heap: Element[], isBefore: IsBefore<Element>): void {
  const element = heap[0] as Element;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1] as Element, heap[child] as Element))
      child += 1;
    if (!isBefore(heap[child] as Element, element)) break;
    heap[at] = heap[child] as Element;
    at = child;
  }
  heap[at] = element;
}
