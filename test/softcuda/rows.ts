// Turns rows [spelling, types, cases] into PTX kernels, one a row, and runs them all. Used by opcodes.test.ts.
// A case is its inputs and then its outputs, in the order of the types "in in > out". The rule easy to break: each case is
// one lane, so a row has at most 32 of them and an operation may not look at other lanes.
import { Script } from './client';

export type Value = number | bigint | boolean;
export type Row = readonly [spelling: string, types: string, cases: readonly (readonly Value[])[]];

/** 3, -0x1f, 0x1.8p-3, nan, -inf, true: integers of integer types as bigint. */
function value(text: string, type: string): Value {
  if (type === 'pred') return text === 'true';
  if (type !== 'f32' && type !== 'f64') return text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
  const [, sign, rest] = /^(-?)(.*)$/.exec(text) as unknown as [string, string, string];
  const hex = /^0x1(?:\.([0-9a-f]+))?p(-?\d+)$/.exec(rest);
  const fraction = hex?.[1] === undefined ? 0 : Number(`0x${hex[1]}`) / 16 ** hex[1].length;
  const size = hex
    ? (1 + fraction) * 2 ** Number(hex[2])
    : rest === 'nan'
      ? Number.NaN
      : rest === 'inf'
        ? Number.POSITIVE_INFINITY
        : Number(rest);
  return sign === '-' ? -size : size;
}

const split = (text: string, by: string) =>
  text
    .split(by)
    .map((part) => part.trim())
    .filter(Boolean);

/** The groups of a table of opcodes; its head says how it is written. */
export function readTable(text: string): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  let rows: Row[] = [];
  for (const line of text.split('\n').filter((each) => each !== '' && !each.startsWith('#'))) {
    const name = /^\[(\w+)\]$/.exec(line)?.[1];
    if (name !== undefined) {
      rows = [];
      groups.set(name, rows);
      continue;
    }
    const [spelling, types, cases] = line.split(' | ') as [string, string, string];
    const all = split(types.replace('>', ' '), ' ');
    const lanes = cases
      .split('; ')
      .map((lane) => split(lane.replace('>', ' '), ' ').map((word, i) => value(word, all[i] as string)));
    if (lanes.some((lane) => lane.length !== all.length))
      throw new Error(`[opcodes] expected ${all.length} values, came ${cases}`);
    rows.push([spelling, types, lanes]);
  }
  return groups;
}

const bits = (type: string) => (type === 'pred' ? 32 : Number(/\d+/.exec(type)?.[0]) * (type.endsWith('x2') ? 2 : 1));
const registerType = (type: string) => (type === 'pred' ? 'pred' : `b${Math.max(16, bits(type))}`);

/** The bits of a value as the type stores them; f16, bf16 and packed types are given as bits. */
function encode(type: string, value: Value): bigint {
  if (typeof value === 'boolean') return value ? 1n : 0n;
  if (type === 'f32') return BigInt(new Uint32Array(new Float32Array([Number(value)]).buffer)[0] as number);
  if (type === 'f64') return new BigUint64Array(new Float64Array([Number(value)]).buffer)[0] as bigint;
  return BigInt.asUintN(bits(type), BigInt(value));
}

/** What a test compares: numbers for floats, so that every NaN is one, and unsigned bits for the rest. */
function decode(type: string, word: bigint): number | bigint | boolean {
  if (type === 'pred') return word !== 0n;
  if (type === 'f32') return new Float32Array(new Uint32Array([Number(BigInt.asUintN(32, word))]).buffer)[0] as number;
  if (type === 'f64') return new Float64Array(new BigUint64Array([word]).buffer)[0] as number;
  return BigInt.asUintN(bits(type), word);
}

/** operands: "d, a, b" by default; a spelling may hold its own text with $0 (first output), $1 ... for the inputs. */
function kernel(name: string, [spelling, types]: Row): string {
  const [inputs, outputs] = types.split('>').map((part) => part.trim().split(' ').filter(Boolean)) as [
    string[],
    string[],
  ];
  const lines: string[] = [];
  const declare = (register: string, type: string) => lines.push(`.reg .${registerType(type)} ${register};`);
  lines.push(
    '.reg .b32 %lane, %word; .reg .b64 %base, %offset;',
    'mov.u32 %lane, %tid.x;',
    'mul.wide.u32 %offset, %lane, 8;',
  );
  const names = [...outputs.map((_, i) => `%d${i}`), ...inputs.map((_, i) => `%s${i}`)];
  const point = (i: number) => {
    lines.push(`ld.param.u64 %base, [p${i}];`, 'add.s64 %base, %base, %offset;');
  };
  inputs.forEach((type, i) => {
    declare(`%s${i}`, type);
    point(i);
    if (type === 'pred') lines.push('ld.global.u32 %word, [%base];', `setp.ne.u32 %s${i}, %word, 0;`);
    else lines.push(`ld.global.b${Math.max(16, bits(type))} %s${i}, [%base];`);
  });
  for (const [i, type] of outputs.entries()) declare(`%d${i}`, type);
  if (spelling.includes('$'))
    lines.push(
      `${spelling.replaceAll(/\$(\d)/g, (_, n) => names[Number(n)] as string)}${spelling.startsWith('{') ? '' : ';'}`,
    );
  else
    lines.push(
      `${spelling} ${[`${names.slice(0, outputs.length).join('|')}`, ...names.slice(outputs.length)].join(', ')};`,
    );
  outputs.forEach((type, i) => {
    point(inputs.length + i);
    if (type === 'pred') lines.push(`selp.u32 %word, 1, 0, %d${i};`, 'st.global.u32 [%base], %word;');
    else lines.push(`st.global.b${bits(type)} [%base], %d${i};`);
  });
  const params = [...inputs, ...outputs].map((_, i) => `.param .u64 p${i}`).join(', ');
  return `.visible .entry ${name}(${params})\n{\n${lines.join('\n')}\nret;\n}\n`;
}

export const header = (target = 90) => `.version 8.7\n.target sm_${target}\n.address_size 64\n`;

export interface Outcome {
  got: (number | bigint | boolean)[][];
  expected: (number | bigint | boolean)[][];
}

/** Runs every row in one process; outcome[i] belongs to rows[i]. */
export function runRows(rows: readonly Row[], settings = ''): Outcome[] {
  const script = new Script(`capability=120;${settings}`);
  const module = script.module(header() + rows.map((row, i) => kernel(`row${i}`, row)).join(''));
  const downloads = rows.map(([, types, cases], i) => {
    const all = types.replace('>', ' ').split(' ').filter(Boolean);
    const inputs = (types.split('>')[0] as string).split(' ').filter(Boolean).length;
    const buffers = all.map((type, n) => {
      const zero = BigUint64Array.from(cases, (values) => (n < inputs ? encode(type, values[n] as Value) : 0n));
      return script.upload(zero);
    });
    script.launch(
      script.function(module, `row${i}`),
      { block: cases.length },
      buffers.map((buffer) => `u64:${buffer}`),
    );
    return buffers.slice(inputs).map((buffer) => script.download(buffer, cases.length * 8));
  });
  const result = script.run();
  if (result.failures().length > 0) throw new Error(`${result.failures()[0]}: ${result.report.errors[0]}`);
  return rows.map(([, types, cases], i) => {
    const outputs = (types.split('>')[1] as string).trim().split(' ');
    const inputs = (types.split('>')[0] as string).split(' ').filter(Boolean).length;
    const words = (downloads[i] as number[]).map((index) => new BigUint64Array(result.bytes(index)));
    const got = cases.map((_, lane) =>
      outputs.map((type, n) => decode(type, (words[n] as BigUint64Array)[lane] as bigint)),
    );
    const expected = cases.map((values) =>
      outputs.map((type, n) => decode(type, encode(type, values[inputs + n] as Value))),
    );
    return { got, expected };
  });
}
