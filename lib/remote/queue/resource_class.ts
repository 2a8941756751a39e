const gigabyte = 1024 ** 3;

/**
 * Queues by amount of data. Operators map them to machines: `worker --queues large,huge` on large
 * ones.
 */
const resourceClasses = [
  { queue: "small", belowBytes: 10 * gigabyte },
  { queue: "medium", belowBytes: 100 * gigabyte },
  { queue: "large", belowBytes: 1024 * gigabyte },
  { queue: "huge", belowBytes: Infinity },
] as const;

/** The name of a queue. */
export type QueueName = typeof resourceClasses[number]["queue"];

/** All queues, smallest first. */
export const queueNames: readonly QueueName[] = resourceClasses.map(({ queue }) => queue);

/** Whether a queue is for larger jobs than another. */
export function isLarger(queue: QueueName, than: QueueName): boolean {
  return queueNames.indexOf(queue) > queueNames.indexOf(than);
}

/**
 * The queue for a job of this size; unknown sizes count as small until a worker measures them.
 */
export function queueFor(bytes: number | undefined): QueueName {
  return resourceClasses.find(({ belowBytes }) => (bytes ?? 0) < belowBytes)?.queue ?? "huge";
}
