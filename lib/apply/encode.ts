/**
 * Frontend messages of the statements that apply changes. Pure.
 *
 * Source: PostgreSQL documentation, "54.2.3. Extended Query" and "COPY", "Text Format".
 *
 * @module
 */
import {
  copyDone,
  encodeQuery,
  frame,
  textHeaderBytes,
  type Tuple,
  valueKind,
} from "../postgres/internal.ts";
import { ByteWriter } from "./byte_writer.ts";
import type { ArrayParameter, StatementParameter, Step } from "./statements.ts";

/** What a backslash is followed by in a line of COPY. */
const lineEscapes = escapeTable({ "\\": "\\", "\n": "n", "\r": "r", "\t": "t" });

/** The same for a quoted element of an array. */
const elementEscapes = escapeTable({ "\\": "\\", '"': '"' });

function escapeTable(escapes: Readonly<Record<string, string>>): Uint8Array {
  const table = new Uint8Array(256);
  for (const [character, escape] of Object.entries(escapes)) {
    table[character.charCodeAt(0)] = escape.charCodeAt(0);
  }
  return table;
}

const encoder = new TextEncoder();
const nullLine = encoder.encode("\\N");
const nullElement = encoder.encode("NULL");
const tab = 0x09;
const newline = 0x0a;
const quote = 0x22;

/** Rows of one CopyData message end at about this size. */
const copyMessageBytes = 256 * 1024;

/** Statements kept on the server until they are forgotten together. */
const maxKept = 500;

/** Messages to send. */
export interface EncodedSteps {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How many ReadyForQuery answer them. */
  readonly answers: number;
}

/** Encodes the messages of one session, which keeps statements that are repeated. */
export class StepEncoder {
  readonly #writer = new ByteWriter();
  readonly #places = new ValuePlaces();
  /** Names of kept statements. */
  readonly #kept = new Map<string, string>();
  /** Whether messages of the extended protocol await a Sync. */
  #needsSync = false;

  /** The messages of some steps, valid until they are released. */
  encode(steps: readonly Step[]): EncodedSteps {
    let answers = 0;
    const sync = () => {
      if (!this.#needsSync) return;
      this.#sync();
      answers++;
    };
    for (const step of steps) {
      if (step.kind === "bind") {
        this.#bind(step);
        continue;
      }
      sync();
      this.#writer.bytes(encodeQuery(step.sql));
      if (step.kind === "copy") this.#copy(step.lines);
      answers++;
    }
    sync();
    return { bytes: this.#writer.take(), answers };
  }

  /** Lets the bytes be used again. */
  release({ bytes }: EncodedSteps): void {
    this.#writer.recycle(bytes);
  }

  /** Bytes kept for statements would grow without bound: the caller runs DEALLOCATE ALL first. */
  get isFull(): boolean {
    return this.#kept.size >= maxKept;
  }

  /** To be called after DEALLOCATE ALL. */
  forget(): void {
    this.#kept.clear();
  }

  #sync(): void {
    this.#writer.byte(frame.sync);
    this.#writer.int32(4);
    this.#needsSync = false;
  }

  #bind(step: Step & { readonly kind: "bind" }): void {
    const writer = this.#writer;
    const name = this.#parse(step);
    this.#needsSync = true;
    writer.byte(frame.bind);
    const length = writer.openLength();
    writer.byte(0); // the unnamed portal
    writer.string(name);
    writer.int16(0); // all parameters are text
    writer.int16(step.parameters.length);
    for (const parameter of step.parameters) this.#parameter(parameter);
    writer.int16(0); // no result is read
    writer.closeLength(length);
    writer.byte(frame.execute);
    writer.int32(9);
    writer.byte(0);
    writer.int32(0);
  }

  /** @returns the statement's name */
  #parse({ sql, types, isRepeated }: Step & { readonly kind: "bind" }): string {
    const known = isRepeated ? this.#kept.get(sql) : undefined;
    if (known !== undefined) return known;
    const name = isRepeated ? `seren_${this.#kept.size}` : "";
    if (isRepeated) this.#kept.set(sql, name);
    const writer = this.#writer;
    writer.byte(frame.parse);
    const length = writer.openLength();
    writer.string(name);
    writer.string(sql);
    writer.int16(types.length);
    for (const type of types) writer.uint32(type);
    writer.closeLength(length);
    return name;
  }

  #parameter(parameter: StatementParameter): void {
    const writer = this.#writer;
    if ("rows" in parameter) {
      const length = writer.openLength();
      this.#array(parameter);
      writer.closeValueLength(length);
    } else if (parameter.value) {
      writer.int32(parameter.value.length);
      writer.bytes(parameter.value);
    } else writer.int32(-1);
  }

  #array({ rows, position, delimiter }: ArrayParameter): void {
    const writer = this.#writer;
    const places = this.#places.of(rows, position);
    const separator = delimiter.charCodeAt(0);
    writer.byte(0x7b); // {
    for (let index = 0; index < rows.length; index++) {
      if (index > 0) writer.byte(separator);
      const { view } = rows[index] as Tuple;
      const at = places[index] as number;
      if (view.getUint8(at) !== valueKind.text) writer.bytes(nullElement);
      else {
        const place = { start: at + textHeaderBytes, length: view.getUint32(at + 1) };
        writer.byte(quote);
        writer.escaped(view, place, elementEscapes);
        writer.byte(quote);
      }
    }
    writer.byte(0x7d);
  }

  #copy(lines: readonly Tuple[]): void {
    const writer = this.#writer;
    for (let at = 0; at < lines.length;) {
      writer.byte(frame.copyData);
      const length = writer.openLength();
      const start = writer.length;
      while (at < lines.length && writer.length - start < copyMessageBytes) {
        this.#line(lines[at++] as Tuple);
      }
      writer.closeLength(length);
    }
    writer.bytes(copyDone);
  }

  #line({ view, start, columns }: Tuple): void {
    const writer = this.#writer;
    let at = start;
    for (let column = 0; column < columns; column++) {
      if (column > 0) writer.byte(tab);
      if (view.getUint8(at) === valueKind.text) {
        const length = view.getUint32(at + 1);
        at += textHeaderBytes;
        writer.escaped(view, { start: at, length }, lineEscapes);
        at += length;
      } else {
        writer.bytes(nullLine);
        at++;
      }
    }
    writer.byte(newline);
  }
}

/**
 * Where the values of one column are. Columns that are asked for in the order of their positions
 * are found from the previous one, so that a wide row is not searched from its start each time.
 */
class ValuePlaces {
  #rows: readonly Tuple[] = [];
  #position = 0;
  #places = new Float64Array(0);

  of(rows: readonly Tuple[], position: number): Float64Array {
    if (rows !== this.#rows || position < this.#position) {
      this.#rows = rows;
      this.#position = 0;
      this.#places = Float64Array.from(rows, ({ start }) => start);
    }
    for (; this.#position < position; this.#position++) {
      for (let index = 0; index < rows.length; index++) {
        this.#places[index] = (rows[index] as Tuple).after(this.#places[index] as number);
      }
    }
    return this.#places;
  }
}
