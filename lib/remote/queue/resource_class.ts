const gigabyte = 1024 ** 3;

/**
 * Queues by how much there is to copy. Operators map them to machines: `worker --queues large,huge`
 * on the big ones.
 */
export const resourceClasses = [
  { queue: "small", belowBytes: 10 * gigabyte },
  { queue: "medium", belowBytes: 100 * gigabyte },
  { queue: "large", belowBytes: 1024 * gigabyte },
  { queue: "huge", belowBytes: Infinity },
] as const;

/** The name of a queue. */
export type QueueName = typeof resourceClasses[number]["queue"];

/** All queues, from small to huge. */
export const queueNames: readonly QueueName[] = resourceClasses.map(({ queue }) => queue);

/** Whether jobs of a queue are larger than those of another one. */
export function isLarger(queue: QueueName, than: QueueName): boolean {
  return queueNames.indexOf(queue) > queueNames.indexOf(than);
}

/**
 * The queue for a job of this size; what is unknown counts as small until a worker has measured it.
 */
export function queueFor(bytes: number | undefined): QueueName {
  return resourceClasses.find(({ belowBytes }) => (bytes ?? 0) < belowBytes)?.queue ?? "huge";
}
