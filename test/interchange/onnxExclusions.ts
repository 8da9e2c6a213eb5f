// docs/onnx-exclusions.md: every test of ONNX's suite that the engine does not compute, with its reason. Written by
// `npm run onnx:exclusions` and compared by onnxBackend.test.ts. The rule easy to break: a reason that the importer gives is
// taken from its own error; only a test that runs and differs is explained by hand, below.
import type { Outcome, Part } from './onnxSuite';

/** Why a test that is supported gives other values. */
const DIFFERS: Readonly<Record<string, string>> = {
  test_cast_BFLOAT16_to_FLOAT: 'the test hands over bfloat16 values as whole numbers of 16 bits',
  test_cast_FLOAT_to_BFLOAT16: 'the test expects bfloat16 values as whole numbers of 16 bits',
  test_resize_downsample_scales_cubic_align_corners:
    'the test divides by the scaled size before it is rounded down; PyTorch and ONNX Runtime divide by the size',
  test_resize_downsample_scales_linear_align_corners:
    'the test divides by the scaled size before it is rounded down; PyTorch and ONNX Runtime divide by the size',
  test_operator_add_broadcast: 'float64 values beyond the range of float32',
  test_operator_add_size1_right_broadcast: 'float64 values beyond the range of float32',
  test_operator_add_size1_singleton_broadcast: 'float64 values beyond the range of float32',
  test_operator_addconstant: 'float64 values beyond the range of float32',
};

/** A reason without the names of nodes and tensors, so that alike ones stand together. */
function general(reason: string): string {
  return reason
    .replace(/^node "[^"]*" \((\w+)\): the operator is not supported/, 'the operator $1 is not supported')
    .replace(/^node "[^"]*" \((\w+)\): /, '$1: ')
    .replace(/ \(node "[^"]*".*$/, '');
}

export function reasonOf({ name, state, reason }: Outcome): string {
  if (state === 'folded') return 'worked out while the model is imported, rightly: nothing is left for the engine';
  if (state === 'failed') return DIFFERS[name] ?? `UNEXPLAINED: ${reason}`;
  return general(reason);
}

const TITLES: Readonly<Record<Part, string>> = {
  node: 'Tests of single operators',
  'pytorch-converted': 'Models converted from PyTorch modules',
  'pytorch-operator': 'Models converted from PyTorch operators',
  simple: 'Small models',
};

export function exclusionsPage(outcomes: readonly Outcome[]): string {
  const lines = [
    "# ONNX's own tests that the engine does not compute",
    '',
    'The Debian package `libonnx-testdata` holds the backend tests of ONNX 1.12. Those that are not listed here are computed by the engine on the CPU and give',
    "the values expected, to the relative 1e-3 and absolute 1e-7 of ONNX's own runner (`test/interchange/onnxBackend.test.ts`). Written by",
    '`npm run onnx:exclusions`; the test compares this page with what it sees.',
    '',
    `On device cuda all ${outcomes.filter(({ state }) => state === 'passed').length} that the CPU computes give the values expected too, to the same tolerances: \`GRAMIAN_SOFTCUDA=1 npm run onnx:cuda\``,
    'executes them on the [software device](softcuda.md), which found no fault (`test/cuda/onnx.test.ts` repeats a sample). cuda excludes nothing of its own.',
    '',
    '| part | tests | computed by the engine | worked out at import | not supported or different |',
    '|---|---|---|---|---|',
  ];
  const parts = Object.keys(TITLES) as Part[];
  for (const part of parts) {
    const all = outcomes.filter((one) => one.part === part);
    const count = (state: Outcome['state']): number => all.filter((one) => one.state === state).length;
    const rest = count('failed') + count('unsupported');
    lines.push(`| ${TITLES[part]} | ${all.length} | ${count('passed')} | ${count('folded')} | ${rest} |`);
  }
  for (const part of parts) {
    const groups = new Map<string, string[]>();
    for (const outcome of outcomes) {
      if (outcome.part !== part || outcome.state === 'passed') continue;
      const reason = reasonOf(outcome);
      groups.set(reason, [...(groups.get(reason) ?? []), outcome.name]);
    }
    lines.push('', `## ${TITLES[part]}`, '', '| reason | tests |', '|---|---|');
    for (const [reason, names] of [...groups].sort(([a], [b]) => (a < b ? -1 : 1))) {
      lines.push(
        `| ${reason.replaceAll('|', '\\|')} | ${names.map((name) => name.replace(/^test_/, '')).join(', ')} |`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}
