// Bugs of a program around its kernels: order between streams, frees, copies, graphs. Each beside its corrected twin.
// The rule easy to break: streams here are made non-blocking, so that the default stream orders nothing by itself.
import { beforeAll, describe, expect, it } from 'vitest';
import { build, type Result, Script } from './client';
import { kernel } from './ptx';

const copyText = kernel('ld.global.f32 %f1, [%d4]; st.global.f32 [%d5], %f1;');
const fillText = kernel('mov.f32 %f1, 0f3F800000; st.global.f32 [%d5], %f1;', 'fill');
const countText = kernel('red.global.add.u32 [%d5], 1;', 'count');

interface World {
  script: Script;
  a: string;
  b: string;
  streams: [string, string];
  copy(stream: string, from: string, to: string): number;
  fill(stream: string, to: string): number;
  /** Adds to every word, atomically. */
  count(stream: string, to: string): number;
  /** An edge: what `after` does later waits for what `before` has done. */
  edge(before: string, after: string): void;
}

function world(settings = ''): World {
  const script = new Script(settings);
  const copyKernel = script.function(script.module(copyText), 'k');
  const fillKernel = script.function(script.module(fillText), 'fill');
  const countKernel = script.function(script.module(countText), 'count');
  const a = script.upload(new Float32Array(64));
  const b = script.alloc(256);
  const launch = (k: string, stream: string, from: string, to: string) =>
    script.launch(k, { block: 64, stream }, [`u64:${from}`, `u64:${to}`, 'u32:64']);
  return {
    script,
    a,
    b,
    streams: [script.stream(), script.stream()],
    copy: (stream, from, to) => launch(copyKernel, stream, from, to),
    fill: (stream, to) => launch(fillKernel, stream, to, to),
    count: (stream, to) => launch(countKernel, stream, to, to),
    edge(before, after) {
      const event = script.event();
      script.call('cuEventRecord', event, before);
      script.call('cuStreamWaitEvent', after, event, 0);
    },
  };
}

interface Bug {
  name: string;
  check: string;
  /** Code of the call the function names. */
  error: number;
  act(world: World, wrong: boolean): number;
}

const bugs: Bug[] = [
  {
    name: 'missing event edge between a writer and a reader',
    check: 'order',
    error: 719,
    act({ fill, copy, edge, b, script, streams: [s, t] }, wrong) {
      fill(s, b);
      if (!wrong) edge(s, t);
      return copy(t, b, script.alloc(256));
    },
  },
  {
    name: 'two streams write one buffer',
    check: 'order',
    error: 719,
    act({ fill, edge, b, streams: [s, t] }, wrong) {
      fill(s, b);
      if (!wrong) edge(s, t);
      return fill(t, b);
    },
  },
  {
    name: 'a plain write beside atomics of another stream',
    check: 'order',
    error: 719,
    act({ count, fill, a, streams: [s, t] }, wrong) {
      count(s, a);
      return wrong ? fill(t, a) : count(t, a);
    },
  },
  {
    name: 'a buffer is overwritten while another stream reads it',
    check: 'order',
    error: 719,
    act({ fill, copy, edge, a, b, streams: [s, t] }, wrong) {
      copy(s, a, b);
      if (!wrong) edge(s, t);
      return fill(t, a);
    },
  },
  {
    name: 'an event recorded before the work it should cover',
    check: 'order',
    error: 719,
    act({ fill, script, b, streams: [s, t] }, wrong) {
      const event = script.event();
      if (wrong) script.call('cuEventRecord', event, s);
      fill(s, b);
      if (!wrong) script.call('cuEventRecord', event, s);
      script.call('cuStreamWaitEvent', t, event, 0);
      return fill(t, b);
    },
  },
  {
    name: 'an asynchronous copy in without an edge to the kernel',
    check: 'order',
    error: 719,
    act({ copy, edge, script, a, b, streams: [s, t] }, wrong) {
      script.call('cuMemAllocHost_v2', '&pinned', 256);
      script.call('cuMemcpyHtoDAsync_v2', a, '$pinned', 256, s);
      if (!wrong) edge(s, t);
      return copy(t, a, b);
    },
  },
  {
    name: 'an asynchronous copy out without an edge from the kernel',
    check: 'order',
    error: 719,
    act({ fill, edge, script, b, streams: [s, t] }, wrong) {
      script.call('cuMemAllocHost_v2', '&pinned', 256);
      fill(s, b);
      if (!wrong) edge(s, t);
      return script.call('cuMemcpyDtoHAsync_v2', '$pinned', b, 256, t);
    },
  },
  {
    name: 'pool memory used on another stream before its allocation',
    check: 'order',
    error: 719,
    act({ fill, edge, script, streams: [s, t] }, wrong) {
      script.call('cuMemAllocAsync', '&pool', 256, s);
      if (!wrong) edge(s, t);
      return fill(t, '$pool');
    },
  },
  {
    name: 'a pinned source reused before its copy is waited for',
    check: 'host',
    error: 719,
    act({ script, a, streams: [s] }, wrong) {
      script.call('cuMemAllocHost_v2', '&pinned', 256);
      script.line(`put $pinned ${'01'.repeat(256)}`);
      script.call('cuMemcpyHtoDAsync_v2', a, '$pinned', 256, s);
      if (!wrong) script.call('cuStreamSynchronize', s);
      script.line(`put $pinned ${'02'.repeat(256)}`);
      return script.call('cuStreamSynchronize', s);
    },
  },
  {
    name: 'use after free',
    check: 'freed',
    error: 700,
    act({ copy, script, a, b, streams: [s] }, wrong) {
      if (wrong) script.call('cuMemFree_v2', a);
      return copy(s, a, b);
    },
  },
  {
    name: 'double free',
    check: 'freed',
    error: 1,
    act({ script, a, b }, wrong) {
      script.call('cuMemFree_v2', a);
      return script.call('cuMemFree_v2', wrong ? a : b);
    },
  },
  {
    name: 'a copy beyond its buffer',
    check: 'bounds',
    error: 1,
    act: ({ script, a }, wrong) =>
      script.call('cuMemcpyHtoD_v2', a, script.host(new Uint8Array(260)), wrong ? 260 : 256),
  },
  {
    name: 'a result copied out that nothing has written',
    check: 'uninitialised',
    error: 719,
    act({ fill, script, b, streams: [s] }, wrong) {
      if (!wrong) fill(s, b);
      script.call('cuStreamSynchronize', s);
      return script.call('cuMemcpyDtoH_v2', script.host(new Uint8Array(256)), b, 256);
    },
  },
  {
    name: 'a graph whose new parameter points beyond the buffer',
    check: 'bounds',
    error: 700,
    act({ fill, script, b, streams: [s] }, wrong) {
      script.call('cuStreamBeginCapture_v2', s, 0);
      fill(s, b);
      script.call('cuStreamEndCapture', s, '&graph');
      script.call('cuGraphInstantiateWithFlags', '&exec', '$graph', 0);
      script.line('host nodes 64');
      script.line('put $nodes 0100000000000000');
      script.call('cuGraphGetNodes', '$graph', '$nodes+8', '$nodes');
      const list = script.params([`u64:${b}`, `u64:${b}${wrong ? '+4' : ''}`, 'u32:64']);
      script.line(`node params ${script.function(script.module(fillText), 'fill')} 1 1 1 64 1 1 0 ${list}`);
      script.line('load node $nodes+8');
      script.call('cuGraphExecKernelNodeSetParams_v2', '$exec', '$node', '$params');
      return script.call('cuGraphLaunch', '$exec', s);
    },
  },
  {
    name: 'branches of a captured graph that touch one buffer',
    check: 'order',
    error: 719,
    act({ fill, edge, script, b, streams: [s, t] }, wrong) {
      script.call('cuStreamBeginCapture_v2', s, 0);
      edge(s, t);
      fill(s, b);
      if (!wrong) edge(s, t);
      fill(t, b);
      edge(t, s);
      script.call('cuStreamEndCapture', s, '&graph');
      script.call('cuGraphInstantiateWithFlags', '&exec', '$graph', 0);
      return script.call('cuGraphLaunch', '$exec', s);
    },
  },
  {
    name: 'an operand of a product smaller than its shape',
    check: 'bounds',
    error: 13,
    act({ script, a, b, streams: [s] }, wrong) {
      script.call('cublasCreate_v2', '&blas');
      script.call('cublasSetStream_v2', '$blas', s);
      const one = script.host(Float32Array.of(1, 0));
      return script.call(
        'cublasSgemm_v2',
        '$blas',
        0,
        0,
        8,
        8,
        wrong ? 9 : 8,
        one,
        a,
        8,
        a,
        wrong ? 9 : 8,
        `${one}+4`,
        b,
        8,
      );
    },
  },
];

function run(of: Bug, wrong: boolean): { result: Result; code: number } {
  const made = world();
  const at = of.act(made, wrong);
  const result = made.script.run();
  return { result, code: result.code(at) };
}

describe('a bug around kernels', () => {
  beforeAll(build, 600_000);
  it.each(bugs.map((of) => [of.name, of] as const))('%s', (_name, of) => {
    const bad = run(of, true);
    expect(bad.result.checks(), bad.result.report.errors.join()).toEqual([of.check]);
    expect(bad.code).toBe(of.error);
    const good = run(of, false);
    expect(good.result.failures(), good.result.report.errors.join()).toEqual([]);
    expect(good.result.report.findings).toEqual([]);
  });

  it('pinned memory holds no result before the host has waited', () => {
    const { script, fill: write, b, streams } = world();
    write(streams[0], b);
    script.call('cuMemAllocHost_v2', '&pinned', 256);
    script.call('cuMemcpyDtoHAsync_v2', '$pinned', b, 256, streams[0]);
    const early = script.line('get $pinned 8');
    script.call('cuStreamSynchronize', streams[0]);
    const late = script.line('get $pinned 8');
    const result = script.run();
    expect([...result.words(early)]).toEqual([0xa5a5a5a5, 0xa5a5a5a5]);
    expect([...result.floats(late)]).toEqual([1, 1]);
  });

  it('waiting on the host and the default stream are edges too', () => {
    const { script, fill: write, b, streams } = world();
    write(streams[0], b);
    script.call('cuStreamSynchronize', streams[0]);
    write(streams[1], b);
    script.call('cuCtxSynchronize');
    write('0', b);
    const blocking = script.stream(0);
    write(blocking, b);
    write('0', b);
    const result = script.run();
    expect(result.report.findings).toEqual([]);
    expect(result.failures()).toEqual([]);
  });
});
