import { errorMessage } from "../core/internal.ts";
import postgres from "postgres";

/** Options of {@linkcode startShopLoad}. */
export interface ShopLoadOptions {
  /** Concurrent sessions. Default: 2. */
  readonly sessions?: number;
  /** Pause between the transactions of a session, in milliseconds. Default: 0. */
  readonly pauseMs?: number;
  /**
   * Another server with the same database: a session that is refused, or loses its connection,
   * continues there. Default: none.
   */
  readonly otherUrl?: string;
}

/** What a load has done so far. Rows are counted once their transaction has committed. */
export interface ShopLoadCounts {
  /** Committed transactions. */
  readonly committed: number;
  /** Transactions rolled back intentionally. */
  readonly rolledBack: number;
  /** Rows. */
  readonly inserted: number;
  /** Rows. */
  readonly updated: number;
  /** Rows, excluding cascaded deletions. */
  readonly deleted: number;
  /**
   * Transactions that failed, for example due to a deadlock or a lost connection; the load
   * continues.
   */
  readonly failed: number;
  /** The last of those errors. */
  readonly lastError: string | undefined;
}

type Counters = { -readonly [key in keyof ShopLoadCounts]: ShopLoadCounts[key] };
type DemoSession = postgres.Sql;

/** Rows written by a step. */
interface Written {
  readonly inserted?: number;
  readonly updated?: number;
  readonly deleted?: number;
}

/**
 * Transactions of the shop's application. Together they insert, update (including keys and rows
 * that move to another partition), delete (including cascades), use savepoints and roll back.
 */
const STEPS: readonly ((sql: DemoSession) => Promise<Written>)[] = [
  placeOrder,
  placeOrder,
  payOrder,
  shipOrder,
  moveOrderToAnotherMonth,
  renameCart,
  newCustomer,
  forgetCustomer,
  writeReview,
  changePrice,
  trackEvents,
  cleanUpLog,
];

/** A continuous mixed write load on the shop of `shopSql`. States: running → stopped. */
export class ShopLoad implements AsyncDisposable {
  readonly #counters: Counters = {
    committed: 0,
    rolledBack: 0,
    inserted: 0,
    updated: 0,
    deleted: 0,
    failed: 0,
    lastError: undefined,
  };
  readonly #urls: readonly string[];
  readonly #sessions: Promise<void>[];
  readonly #stopping = new AbortController();
  #longestPauseMs = 0;

  /** Use {@linkcode startShopLoad}. */
  constructor(url: string, options: ShopLoadOptions) {
    this.#urls = options.otherUrl === undefined ? [url] : [url, options.otherUrl];
    const sessions = options.sessions ?? 2;
    this.#sessions = Array.from({ length: sessions }, () => this.#run(options.pauseMs ?? 0));
  }

  /** What the load has done so far. */
  get counts(): ShopLoadCounts {
    return { ...this.#counters };
  }

  /** The longest time between two commits of a session since the last call, in milliseconds. */
  takeLongestPauseMs(): number {
    const longest = this.#longestPauseMs;
    this.#longestPauseMs = 0;
    return longest;
  }

  /** Stops the sessions after their current transactions and returns what was done. */
  async stop(): Promise<ShopLoadCounts> {
    this.#stopping.abort();
    await Promise.all(this.#sessions);
    return this.counts;
  }

  /** Same as {@linkcode ShopLoad.stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** One session; reconnects when the connection is lost. */
  async #run(pauseMs: number): Promise<void> {
    const signal = this.#stopping.signal;
    let committedAt = performance.now();
    for (let place = 0; !signal.aborted; place++) {
      const sql = openDemoSession(this.#urls[place % this.#urls.length]!);
      let connected = true;
      while (connected && !signal.aborted) {
        connected = await this.#transaction(sql);
        const now = performance.now();
        if (connected) {
          this.#longestPauseMs = Math.max(this.#longestPauseMs, now - committedAt);
          committedAt = now;
        }
        await pauseUnlessAborted(connected ? pauseMs : reconnectMs, signal);
      }
      // after a broken connection, end() would always wait for its timeout
      await sql.end({ timeout: connected ? 5 : 0 });
    }
  }

  /**
   * Executes a step in a transaction; returns `false` if the session is no longer usable. Does not
   * use `sql.begin()`: on a lost connection it writes ROLLBACK to a null socket from a timer, where
   * the error cannot be caught.
   */
  async #transaction(sql: DemoSession): Promise<boolean> {
    try {
      await sql.unsafe("BEGIN").simple();
      const written = await pick(STEPS)(sql);
      if (Math.random() < 0.08) {
        await sql.unsafe("ROLLBACK").simple();
        this.#counters.rolledBack++;
        return true;
      }
      await sql.unsafe("COMMIT").simple();
      this.#counters.committed++;
      this.#counters.inserted += written.inserted ?? 0;
      this.#counters.updated += written.updated ?? 0;
      this.#counters.deleted += written.deleted ?? 0;
      return true;
    } catch (error) {
      this.#counters.failed++;
      this.#counters.lastError = errorMessage(error);
      // an error raised by the server, such as a deadlock, ends the transaction but not the session
      if (!(error instanceof postgres.PostgresError) || /^(08|57P)/.test(error.code)) return false;
      // refused by the fence of a cutover: the data is on the other server
      if (error.code === "25006" && this.#urls.length > 1) return false;
      return await sql.unsafe("ROLLBACK").simple().then(() => true, () => false);
    }
  }
}

const reconnectMs = 50;

function openDemoSession(url: string): DemoSession {
  return postgres(url, {
    max: 1,
    onnotice: () => {},
    fetch_types: false,
    connection: { application_name: "shop load" },
    // the driver would otherwise read these from the environment, which needs permissions
    sslnegotiation: null,
    max_pipeline: 100,
    debug: false,
    publications: "alltables",
    idle_timeout: 0,
    connect_timeout: 10,
    max_lifetime: null,
    keep_alive: 60,
    backoff: () => 0,
    prepare: true,
    ssl: false,
    target_session_attrs: null,
  } as unknown as postgres.Options<Record<string, never>>);
}

/**
 * Starts a write load on a shop. Disposing stops it.
 *
 * Requires `--allow-net` to the server and `--allow-env`.
 */
export function startShopLoad(url: string, options: ShopLoadOptions = {}): ShopLoad {
  return new ShopLoad(url, options);
}

async function placeOrder(sql: DemoSession): Promise<Written> {
  const [order] = await sql<{ id: string }[]>`
    INSERT INTO shop.orders (customer_id, note)
    SELECT id, ${Math.random() < 0.3 ? "as quick as you can\n\\." : null}
    FROM shop.customers WHERE id >= (SELECT random() * max(id) FROM shop.customers)
    ORDER BY id LIMIT 1 RETURNING id`;
  if (!order) return {};
  const items = await sql`
    INSERT INTO shop.order_items (order_id, line, product_id, quantity, unit_price)
    SELECT ${order.id}, row_number() OVER (), id, 1 + id % 3, price / 100.0
    FROM shop.products WHERE id % 89 = floor(random() * 89)::int LIMIT 3`;
  await sql`SAVEPOINT before_payment`;
  const payment = await sql`
    INSERT INTO shop.payments (order_id, method, amount, reference)
    VALUES (${order.id}, 'card', shop.order_total(${order.id}), ${crypto.randomUUID()})`;
  const declined = Math.random() < 0.3;
  // the card was declined: keep the order, undo the payment
  if (declined) await sql`ROLLBACK TO SAVEPOINT before_payment`;
  return { inserted: 1 + items.count + (declined ? 0 : payment.count) };
}

async function payOrder(sql: DemoSession): Promise<Written> {
  const orders = await sql`
    UPDATE shop.orders SET status = 'paid', total = shop.order_total(id), invoice = nextval('shop.invoice_number')
    WHERE id IN (SELECT id FROM shop.orders WHERE status = 'new' ORDER BY id DESC LIMIT 3) AND status = 'new'`;
  return { updated: orders.count };
}

async function shipOrder(sql: DemoSession): Promise<Written> {
  const orders = await sql`
    UPDATE shop.orders SET status = 'shipped'
    WHERE id IN (SELECT id FROM shop.orders WHERE status = 'paid' LIMIT 5) AND status = 'paid'`;
  return { updated: orders.count };
}

async function moveOrderToAnotherMonth(sql: DemoSession): Promise<Written> {
  const orders = await sql`
    UPDATE shop.orders SET ordered_at = ordered_at + interval '31 days'
    WHERE id = (SELECT floor(random() * max(id))::bigint FROM shop.orders)`;
  return { updated: orders.count };
}

async function renameCart(sql: DemoSession): Promise<Written> {
  const carts = await sql`
    UPDATE shop.carts SET session_id = ${crypto.randomUUID()}, content = content || '[null]'
    WHERE session_id = (SELECT session_id FROM shop.carts WHERE jsonb_array_length(content) < 9 LIMIT 1)`;
  if (carts.count) return { updated: carts.count };
  const fresh = await sql`INSERT INTO shop.carts (session_id) VALUES (${crypto.randomUUID()})`;
  return { inserted: fresh.count };
}

async function newCustomer(sql: DemoSession): Promise<Written> {
  const id = crypto.randomUUID();
  // circular foreign keys: the address references the customer, whose default is the address
  await sql`
    WITH customer AS (
      INSERT INTO shop.customers (public_id, email, name, default_address_id)
      VALUES (${id}, ${`${id}@example.org`}, 'New ''Customer''', nextval('shop.addresses_id_seq'))
      RETURNING id, default_address_id
    )
    INSERT INTO shop.addresses (id, customer_id, street, city, postcode)
    SELECT default_address_id, id, 'Neue Straße 1', 'Berlin', '10115' FROM customer`;
  return { inserted: 2 };
}

async function forgetCustomer(sql: DemoSession): Promise<Written> {
  const customers = await sql`
    DELETE FROM shop.customers WHERE id = (
      SELECT id FROM shop.customers AS c WHERE email LIKE '%example.org'
      AND NOT EXISTS (SELECT FROM shop.orders WHERE customer_id = c.id)
      AND NOT EXISTS (SELECT FROM shop.reviews WHERE customer_id = c.id)
      LIMIT 1)`;
  return { deleted: customers.count };
}

async function writeReview(sql: DemoSession): Promise<Written> {
  const reviews = await sql`
    INSERT INTO shop.reviews (product_id, customer_id, stars, body)
    SELECT p.id, c.id, 1 + p.id % 5, ${"tab\there, backslash \\ there"}
    FROM (SELECT id FROM shop.products ORDER BY random() LIMIT 1) AS p,
      (SELECT floor(1 + random() * 100)::bigint AS id) AS c
    ON CONFLICT (product_id, customer_id) DO UPDATE SET body = NULL, helpful = 'NaN'`;
  return { inserted: reviews.count };
}

async function changePrice(sql: DemoSession): Promise<Written> {
  const products = await sql`
    UPDATE shop.products SET price = price + 1, stock = stock - 1, description = description || '!'
    WHERE id = (SELECT 1000 + floor(random() * count(*))::bigint FROM shop.products)`;
  return { updated: products.count };
}

async function trackEvents(sql: DemoSession): Promise<Written> {
  const events = await sql`
    INSERT INTO audit.events (kind, payload, client, took)
    SELECT 'load', decode(repeat(md5(random()::text), 20), 'hex'), '::1', '5 ms' FROM generate_series(1, 10)`;
  return { inserted: events.count };
}

async function cleanUpLog(sql: DemoSession): Promise<Written> {
  const events = await sql`
    DELETE FROM audit.events WHERE id IN (SELECT id FROM audit.events ORDER BY id LIMIT 3)`;
  return { deleted: events.count };
}

function pick<T>(values: readonly T[]): T {
  return values[Math.floor(Math.random() * values.length)]!;
}

async function pauseUnlessAborted(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted || ms <= 0) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
