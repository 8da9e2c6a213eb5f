// The driver API of the software device: its errors, captures and graphs, fault injection.
// The rule easy to break: codes are written as numbers of cuda.h, with their names in the titles.
import { spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from 'vitest';
import { build, built, type Result, Script } from './client';
import { compile, hasNvcc } from './nvcc';
import { kernel } from './ptx';
import { header } from './rows';

const store = kernel('st.global.u32 [%d5], %r1;');

function started(settings = '') {
  const script = new Script(settings);
  const module = script.module(store);
  const k = script.function(module, 'k');
  const b = script.alloc(256);
  const launch = (stream = '0', n = 7) => script.launch(k, { block: 64, stream }, [`u64:${b}`, `u64:${b}`, `u32:${n}`]);
  return { script, module, k, b, launch };
}

/** Runs the one call the test is about and gives its code. */
function code(make: (world: ReturnType<typeof started>) => number, settings = ''): number {
  const world = started(settings);
  const at = make(world);
  return world.script.run().code(at);
}

beforeAll(build, 600_000);

describe('errors of the driver', () => {
  it('CUDA_ERROR_NOT_INITIALIZED before cuInit, CUDA_ERROR_INVALID_CONTEXT without a context', () => {
    const script = new Script('', true);
    const before = script.call('cuDeviceGetCount', '&n');
    script.call('cuInit', 0);
    const without = script.call('cuMemAlloc_v2', '&a', 4);
    const result = script.run();
    expect([result.code(before), result.code(without)]).toEqual([3, 201]);
  });

  const cases: [string, number, (world: ReturnType<typeof started>) => number][] = [
    ['CUDA_ERROR_INVALID_HANDLE: a stream that never was', 400, ({ launch }) => launch('64')],
    [
      'CUDA_ERROR_INVALID_HANDLE: a function of an unloaded module',
      400,
      ({ script, module, launch }) => {
        script.call('cuModuleUnload', module);
        return launch();
      },
    ],
    [
      'CUDA_ERROR_INVALID_HANDLE: an event after its destruction',
      400,
      ({ script }) => {
        const event = script.event();
        script.call('cuEventDestroy_v2', event);
        return script.call('cuEventRecord', event, 0);
      },
    ],
    [
      'CUDA_ERROR_INVALID_HANDLE: a stream destroyed twice',
      400,
      ({ script }) => {
        const stream = script.stream();
        script.call('cuStreamDestroy_v2', stream);
        return script.call('cuStreamDestroy_v2', stream);
      },
    ],
    [
      'CUDA_ERROR_NOT_FOUND: a kernel that is not in the module',
      500,
      ({ script, module }) => script.call('cuModuleGetFunction', '&f', module, 's:other'),
    ],
    [
      'CUDA_ERROR_INVALID_VALUE: a launch without its parameters',
      1,
      ({ script, k }) => script.call('cuLaunchKernel', k, 1, 1, 1, 32, 1, 1, 0, 0, 0, 0),
    ],
    [
      'CUDA_ERROR_INVALID_VALUE: a grid of zero blocks',
      1,
      ({ script, k }) => script.launch(k, { grid: [1, 0, 1], block: 32 }, ['u64:0', 'u64:0', 'u32:0']),
    ],
    [
      'CUDA_ERROR_INVALID_VALUE: more than 1024 threads',
      1,
      ({ script, k }) => script.launch(k, { block: [64, 32, 1] }, ['u64:0', 'u64:0', 'u32:0']),
    ],
    [
      'CUDA_ERROR_INVALID_VALUE: more shared memory than allowed',
      1,
      ({ script, k }) => script.launch(k, { block: 32, shared: 49153 }, ['u64:0', 'u64:0', 'u32:0']),
    ],
    [
      'CUDA_ERROR_INVALID_VALUE: a parameter buffer of the wrong size',
      1,
      ({ script, k }) => {
        script.line('host buffer 24');
        script.line('host size 8');
        script.line('put $size 1000000000000000'); // 16 bytes, the kernel has 20
        script.line('host extra 40');
        for (const [i, word] of ['1', '$buffer', '2', '$size', '0'].entries())
          script.line(`word $extra+${i * 8} ${word}`);
        return script.call('cuLaunchKernel', k, 1, 1, 1, 32, 1, 1, 0, 0, 0, '$extra');
      },
    ],
    ['CUDA_ERROR_INVALID_VALUE: an allocation of no bytes', 1, ({ script }) => script.call('cuMemAlloc_v2', '&z', 0)],
    [
      'CUDA_ERROR_INVALID_VALUE: a free inside an allocation',
      1,
      ({ script, b }) => script.call('cuMemFree_v2', `${b}+8`),
    ],
    ['CUDA_ERROR_INVALID_DEVICE: a second device', 101, ({ script }) => script.call('cuDeviceGet', '&d', 1)],
    [
      'CUDA_ERROR_INVALID_PTX: an unknown opcode',
      218,
      ({ script }) => {
        script.module(kernel('frobnicate.f32 %f1, %f2;'));
        return script.line('value v9') - 1;
      },
    ],
    [
      'CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED',
      712,
      ({ script }) => {
        script.call('cuMemAllocHost_v2', '&p', 64);
        return script.call('cuMemHostRegister_v2', '$p', 64, 0);
      },
    ],
    [
      'CUDA_ERROR_NOT_FOUND: cuGetProcAddress of what is not there',
      500,
      ({ script }) => script.call('cuGetProcAddress_v2', 's:cuTexObjectCreate', '&p', 13000, 0, '&status'),
    ],
    [
      'CUDA_ERROR_NOT_FOUND: cuGetProcAddress of a versioned name',
      500,
      ({ script }) => script.call('cuGetProcAddress_v2', 's:cuMemAlloc_v2', '&p', 13000, 0, '&status'),
    ],
    [
      'CUDA_ERROR_STREAM_CAPTURE_UNMATCHED',
      903,
      ({ script }) => {
        const [s, t] = [script.stream(), script.stream()];
        script.call('cuStreamBeginCapture_v2', s, 0);
        const event = script.event();
        script.call('cuEventRecord', event, s);
        script.call('cuStreamWaitEvent', t, event, 0);
        return script.call('cuStreamEndCapture', t, '&graph');
      },
    ],
    [
      'CUDA_ERROR_STREAM_CAPTURE_UNJOINED',
      904,
      ({ script, launch }) => {
        const [s, t] = [script.stream(), script.stream()];
        script.call('cuStreamBeginCapture_v2', s, 0);
        const event = script.event();
        script.call('cuEventRecord', event, s);
        script.call('cuStreamWaitEvent', t, event, 0);
        launch(t);
        return script.call('cuStreamEndCapture', s, '&graph');
      },
    ],
    [
      'CUDA_ERROR_STREAM_CAPTURE_ISOLATION',
      905,
      ({ script }) => {
        const [s, event] = [script.stream(), script.event()];
        script.call('cuEventRecord', event, 0);
        script.call('cuStreamBeginCapture_v2', s, 0);
        return script.call('cuStreamWaitEvent', s, event, 0);
      },
    ],
    [
      'CUDA_ERROR_STREAM_CAPTURE_IMPLICIT',
      906,
      ({ script, launch }) => {
        script.call('cuStreamBeginCapture_v2', script.stream(0), 0);
        return launch('0');
      },
    ],
    [
      'CUDA_ERROR_CAPTURED_EVENT',
      907,
      ({ script }) => {
        const [s, event] = [script.stream(), script.event()];
        script.call('cuStreamBeginCapture_v2', s, 0);
        script.call('cuEventRecord', event, s);
        return script.call('cuEventSynchronize', event);
      },
    ],
  ];
  it.each(cases)('%s', (_name, expected, make) => {
    expect(code(make)).toBe(expected);
  });

  it.each([
    'cuMemAlloc_v2 &x 64',
    'cuMemFree_v2 $a',
    'cuMemAllocHost_v2 &x 64',
    'cuStreamSynchronize $s',
    'cuCtxSynchronize',
    'cuStreamQuery $s',
    'cuMemAllocAsync &x 64 $s',
  ])('CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED: %s in a capture, which it ends', (call) => {
    const script = new Script();
    script.call('cuMemAlloc_v2', '&a', 64);
    script.call('cuStreamCreate', '&s', 1);
    script.call('cuStreamBeginCapture_v2', '$s', 0);
    const forbidden = script.line(call);
    const end = script.call('cuStreamEndCapture', '$s', '&graph');
    const result = script.run();
    expect([result.code(forbidden), result.code(end)]).toEqual([900, 901]);
  });

  it('CUDA_ERROR_OUT_OF_MEMORY at the cap, and room again after a free', () => {
    const script = new Script('memory=1000');
    const a = script.alloc(600);
    const second = script.call('cuMemAlloc_v2', '&b', 600);
    script.call('cuMemFree_v2', a);
    const third = script.call('cuMemAlloc_v2', '&b', 600);
    const result = script.run();
    expect([result.code(second), result.code(third)]).toEqual([2, 0]);
  });

  it('an ELF image and PTX for a newer device are refused with CUDA_ERROR_NO_BINARY_FOR_GPU', () => {
    const script = new Script('capability=75');
    const elf = script.host(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0));
    const first = script.call('cuModuleLoadData', '&m', elf);
    script.module(header(90));
    const result = script.run();
    expect(result.code(first)).toBe(209);
    expect(result.failures()).toEqual(['cuModuleLoadData -> 209', 'cuModuleLoadData -> 209']);
  });

  it.each([
    ['add.s32.sideways %r6, %r7, %r8;', "expected a type, came '.sideways'"],
    ['ld.global.L3::keep.f32 %f1, [%d1];', "unknown modifier '.L3::keep'"],
    ['mul.f32 %f1, %r7, %d1;', 'a register of 64 bits where 32 are meant'],
    ['bra NOWHERE;', 'unknown label NOWHERE'],
    ['mma.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 {%f1}, {%r1}, {%r1}, {%f1};', 'expected .m16n8k4'],
  ])('a load error names the line and the spelling: %s', (statement, message) => {
    const text = kernel(`\n\n${statement}`);
    const script = new Script();
    script.module(text);
    const line = text.split('\n').findIndex((each) => each.includes(statement)) + 1;
    const [error] = script.run().report.errors;
    expect(error).toContain(`line ${line}: `);
    expect(error).toContain(message);
  });

  it('a finding ends the context until it is reset', () => {
    const { script, k, b } = started();
    const bad = script.launch(k, { block: 96 }, [`u64:${b}`, `u64:${b}`, 'u32:7']);
    const after = script.call('cuMemAlloc_v2', '&x', 4);
    script.call('cuDevicePrimaryCtxReset_v2', 0);
    const again = script.call('cuMemAlloc_v2', '&x', 4);
    const result = script.run();
    expect([result.code(bad), result.code(after), result.code(again)]).toEqual([700, 700, 0]);
  });

  it('fails the n-th call, or every call of a name, when told to', () => {
    const script = new Script();
    script.line('configure fail=2:999');
    const codes = [0, 1, 2].map(() => script.call('cuMemAlloc_v2', '&x', 4));
    script.line('configure fail=cuStreamCreate:2');
    const named = [0, 1].map(() => script.call('cuStreamCreate', '&s', 1));
    script.line('configure nofail');
    const healed = script.call('cuStreamCreate', '&s', 1);
    const unknown = script.line('configure colour=red');
    const result = script.run();
    expect([...codes, ...named, healed].map((at) => result.code(at))).toEqual([0, 999, 0, 2, 2, 0]);
    expect(result.code(unknown)).toBe(1);
  });

  it('gives base names the version the headers map them to', () => {
    const script = new Script();
    const names = [
      'cuMemAlloc',
      'cuStreamBeginCapture',
      'cuGraphInstantiateWithFlags',
      'cuLaunchKernel',
      'cuGetProcAddress',
      'cuEventElapsedTime',
    ];
    for (const [i, name] of names.entries())
      script.call('cuGetProcAddress_v2', `s:${name}`, `&p${i}`, 13000, 0, '&status');
    expect(script.run().failures()).toEqual([]);
  });

  it('has no cuGraphInstantiate, since a driver gives its form of five parameters', () => {
    const script = new Script();
    const asked = script.call('cuGetProcAddress_v2', 's:cuGraphInstantiate', '&p', 13000, 0, '&status');
    expect(script.run().code(asked)).toBe(500);
  });
});

describe('graphs', () => {
  function captured(script: Script, work: (stream: string) => void) {
    const stream = script.stream();
    script.call('cuStreamBeginCapture_v2', stream, 0);
    work(stream);
    script.call('cuStreamEndCapture', stream, '&graph');
    script.call('cuGraphInstantiateWithFlags', '&exec', '$graph', 0);
    return stream;
  }

  it('run what was captured, as often as they are launched, and nothing before', () => {
    const { script, k, b } = started();
    script.call('cuMemsetD32_v2', b, 1, 64);
    const stream = captured(script, (s) => {
      script.call('cuMemsetD32Async', b, 5, 64, s);
      script.launch(k, { block: 32, stream: s }, [`u64:${b}`, `u64:${b}`, 'u32:9']);
      script.line('callback f');
      script.call('cuLaunchHostFunc', s, '$f', 0);
    });
    const before = script.download(b, 256);
    script.call('cuGraphLaunch', '$exec', stream);
    script.call('cuGraphLaunch', '$exec', stream);
    script.call('cuStreamSynchronize', stream);
    const after = script.download(b, 256);
    const callbacks = script.line('callbacks');
    const result = script.run();
    expect(result.failures(), result.report.errors.join()).toEqual([]);
    expect([...result.words(before)]).toEqual(Array(64).fill(1));
    expect([...result.words(after)]).toEqual([...Array(32).fill(9), ...Array(32).fill(5)]);
    expect(result.value(callbacks)).toBe(2n);
    expect(result.report.counters).toMatchObject({
      graphLaunches: 2,
      graphNodes: 6,
      launches: 2,
      memsets: 3,
      hostFunctions: 2,
    });
    expect(result.report.findings).toEqual([]);
  });

  it('take new kernel parameters and report the types and parameters of their nodes', () => {
    const { script, k, b } = started();
    const stream = captured(script, (s) => {
      script.launch(k, { block: 64, stream: s }, [`u64:${b}`, `u64:${b}`, 'u32:9']);
    });
    script.line('host nodes 32');
    script.line('word $nodes 1');
    script.call('cuGraphGetNodes', '$graph', '$nodes+8', '$nodes');
    script.line('load node $nodes+8');
    const type = script.call('cuGraphNodeGetType', '$node', '&type');
    const typeValue = script.line('value type');
    script.line(`node params ${k} 1 1 1 16 1 1 0 ${script.params([`u64:${b}`, `u64:${b}`, 'u32:33'])}`);
    script.call('cuGraphExecKernelNodeSetParams_v2', '$exec', '$node', '$params');
    script.call('cuMemsetD32Async', b, 0, 64, stream);
    script.call('cuGraphLaunch', '$exec', stream);
    script.call('cuStreamSynchronize', stream);
    const out = script.download(b, 256);
    const result = script.run();
    expect(result.failures(), result.report.errors.join()).toEqual([]);
    expect([result.code(type), result.value(typeValue)]).toEqual([0, 0n]);
    expect([...result.words(out)]).toEqual([...Array(16).fill(33), ...Array(48).fill(0)]);
  });

  it('built by hand run in the order of their edges, whatever the seed', () => {
    for (const seed of [1, 2, 3, 4]) {
      const { script, k, b } = started(`seed=${seed}`);
      script.call('cuGraphCreate', '&graph', 0);
      script.line('host before 8');
      for (let i = 0; i < 4; i += 1) {
        script.line(`node params ${k} 1 1 1 64 1 1 0 ${script.params([`u64:${b}`, `u64:${b}`, `u32:${i}`])}`);
        script.call('cuGraphAddKernelNode_v2', '&node', '$graph', '$before', Math.min(i, 1), '$params');
        script.line('word $before $node');
      }
      script.call('cuGraphInstantiateWithFlags', '&exec', '$graph', 0);
      script.call('cuGraphLaunch', '$exec', 0);
      const out = script.download(b, 256);
      const result: Result = script.run();
      expect(result.failures(), result.report.errors.join()).toEqual([]);
      expect(new Set(result.words(out))).toEqual(new Set([3]));
      expect(result.report.findings).toEqual([]);
    }
  });
});

describe('the libraries', () => {
  it('carry the real sonames and the toolkit-independent binary interface', () => {
    for (const soname of ['libcuda.so.1', 'libcublas.so.13']) {
      const read = spawnSync('readelf', ['-d', `${built}/${soname}`], { encoding: 'utf8' });
      expect(read.stdout).toContain(`soname: [${soname}]`);
    }
  });

  it.skipIf(!hasNvcc)('load the PTX of a fat binary', () => {
    const source = compile('adam.cu', 90).replace(/\.ptx$/, '.fat');
    const made = spawnSync(
      'nvcc',
      [
        '-fatbin',
        '--no-compress',
        '-gencode',
        'arch=compute_80,code=compute_80',
        `${__dirname}/kernels/adam.cu`,
        '-o',
        source,
      ],
      { encoding: 'utf8' },
    );
    expect(made.stderr).toBe('');
    const script = new Script('capability=86');
    script.function(script.moduleFile(source), 'adam');
    const result = script.run();
    expect(result.failures(), result.report.errors.join()).toEqual([]);
  });
});
