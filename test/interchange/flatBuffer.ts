// Writes a small TFLite file from the schema's definition, front to back: each object is put down, then the offsets to it are
// filled in. Only what the reader looks at is there.

export interface MadeTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Number of the type in the schema; absent means the field is left out, which says float32. */
  readonly type?: number;
  readonly data: Uint8Array;
}

class Writer {
  readonly bytes: number[] = [];

  u8(...values: number[]): number {
    const at = this.bytes.length;
    this.bytes.push(...values.map((value) => value & 255));
    return at;
  }
  u16(value: number): number {
    return this.u8(value, value >> 8);
  }
  u32(value: number): number {
    return this.u8(value, value >> 8, value >> 16, value >> 24);
  }
  align(to = 4): void {
    while (this.bytes.length % to !== 0) this.bytes.push(0);
  }
  /** Makes the offset at `at` lead to `target`. */
  point(at: number, target: number): void {
    const distance = target - at;
    for (let byte = 0; byte < 4; byte += 1) this.bytes[at + byte] = (distance >> (8 * byte)) & 255;
  }

  /** A table of 4-byte fields; undefined ones are left out. Returns its address and those of its fields. */
  table(fields: readonly (number | undefined)[]): { at: number; field: (number: number) => number } {
    this.align();
    const present = fields.map((value, index) => ({ value, index })).filter(({ value }) => value !== undefined);
    const vtable = this.u16(4 + 2 * fields.length);
    this.u16(4 + 4 * present.length);
    const place = (index: number): number => present.findIndex((one) => one.index === index);
    fields.forEach((_, index) => {
      this.u16(place(index) < 0 ? 0 : 4 + 4 * place(index));
    });
    this.align();
    const at = this.u32(0);
    const back = at - vtable;
    for (let byte = 0; byte < 4; byte += 1) this.bytes[at + byte] = (back >> (8 * byte)) & 255;
    for (const { value } of present) this.u32(value as number);
    return { at, field: (number) => at + 4 + 4 * place(number) };
  }

  /** A vector of so many offsets, to be pointed. */
  offsets(count: number): { at: number; item: (index: number) => number } {
    this.align();
    const at = this.u32(count);
    for (let index = 0; index < count; index += 1) this.u32(0);
    return { at, item: (index) => at + 4 + 4 * index };
  }

  data(values: Uint8Array, aligned = 16): number {
    // The content, behind the length, is aligned.
    while ((this.bytes.length + 4) % aligned !== 0) this.bytes.push(0);
    const at = this.u32(values.length);
    this.u8(...values);
    return at;
  }
}

export function tfliteOf(tensors: readonly MadeTensor[]): Uint8Array {
  const out = new Writer();
  out.u32(0);
  out.u8(...Buffer.from('TFL3'));
  // Fields: version, operator codes, subgraphs, description, buffers.
  const model = out.table([3, undefined, 0, undefined, 0]);
  out.point(0, model.at);
  const subgraphs = out.offsets(1);
  out.point(model.field(2), subgraphs.at);
  const subgraph = out.table([0]);
  out.point(subgraphs.item(0), subgraph.at);
  const list = out.offsets(tensors.length);
  out.point(subgraph.field(0), list.at);
  tensors.forEach(({ name, shape, type }, index) => {
    // Fields: shape, type, buffer, name. A one-byte field may stand in four.
    const tensor = out.table([0, type, index + 1, 0]);
    out.point(list.item(index), tensor.at);
    out.align();
    out.point(tensor.field(0), out.u32(shape.length));
    for (const extent of shape) out.u32(extent);
    out.point(tensor.field(3), out.data(Buffer.from(name), 4));
    out.u8(0);
  });
  out.align();
  const buffers = out.offsets(tensors.length + 1);
  out.point(model.field(4), buffers.at);
  out.point(buffers.item(0), out.table([]).at);
  tensors.forEach(({ data }, index) => {
    const buffer = out.table(data.length === 0 ? [] : [0]);
    out.point(buffers.item(index + 1), buffer.at);
    if (data.length > 0) out.point(buffer.field(0), out.data(data));
  });
  return Uint8Array.from(out.bytes);
}
