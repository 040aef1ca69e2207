/**
 * Which member of a group gets which queue of a topic: as even as can be, moving as few queues as can be, and the same
 * for the same history. Pure.
 */

/**
 * @param members - subscriptions; the order does not matter
 * @param current - who had each queue before, by queue id
 * @returns the subscription of each queue, by queue id; empty when there are no members
 */
export function assignQueues(
  queues: number,
  members: readonly number[],
  current: ReadonlyMap<number, number>,
): Map<number, number> {
  const assigned = new Map<number, number>();
  if (members.length === 0) return assigned;
  const held = new Map<number, number[]>(members.map((member) => [member, []]));
  for (let queueId = 0; queueId < queues; queueId += 1)
    held.get(current.get(queueId) ?? -1)?.push(queueId);
  const quotas = quotasOf(queues, held);
  const free = new Set(Array.from({ length: queues }, (_, queueId) => queueId));
  for (const [member, queueIds] of held) {
    for (const queueId of queueIds.slice(0, quotas.get(member))) {
      assigned.set(queueId, member);
      free.delete(queueId);
    }
  }
  const freeQueues = [...free];
  for (const member of [...members].sort((one, other) => one - other)) {
    const kept = Math.min(held.get(member)?.length ?? 0, quotas.get(member) ?? 0);
    const missing = (quotas.get(member) ?? 0) - kept;
    for (const queueId of freeQueues.splice(0, missing)) assigned.set(queueId, member);
  }
  return assigned;
}

/** Everybody gets the even share; what is left over goes to those who hold most already, so that they keep it. */
function quotasOf(
  queues: number,
  held: ReadonlyMap<number, readonly number[]>,
): Map<number, number> {
  const share = Math.floor(queues / held.size);
  let left = queues % held.size;
  const byHolding = [...held].sort(
    ([oneMember, one], [otherMember, other]) =>
      other.length - one.length || oneMember - otherMember,
  );
  const quotas = new Map<number, number>();
  for (const [member] of byHolding) {
    quotas.set(member, share + (left > 0 ? 1 : 0));
    left -= 1;
  }
  return quotas;
}
