// Prints how fast the software device executes the product and the depthwise kernel with every check on:
// `npx tsx test/softcuda/bench.ts`. Needs nvcc. The rule easy to break: this is no test and judges nothing.
import { build, Script } from './client';
import { architectures, compile } from './nvcc';

function rate(kernel: string, architecture: number, start: (script: Script, kernel: string) => void): string {
  const script = new Script('capability=120');
  const compiled = script.function(script.moduleFile(compile(`${kernel}.cu`, architecture)), kernel);
  start(script, compiled); // brings pages in
  const before = script.line('clock');
  start(script, compiled);
  const after = script.line('clock');
  const result = script.run();
  const { threadInstructions } = result.kernel(kernel);
  const seconds = Number(result.value(after) - result.value(before)) / 1e9;
  return `${kernel} compute_${architecture}: ${(threadInstructions / 2 / seconds / 1e9).toFixed(2)} G thread-instructions/s, ${(seconds * 1e3).toFixed(0)} ms`;
}

/** The arguments are uploaded the first time only, so that the second run is the launch alone. */
function launcher(grid: readonly [number, number, number], inputs: number[], output: number, numbers: number[]) {
  let args: string[] | undefined;
  return (script: Script, kernel: string) => {
    args ??= [...inputs.map((length) => script.upload(new Float32Array(length).fill(1))), script.alloc(output * 4)].map(
      (at) => `u64:${at}`,
    );
    script.launch(kernel, { grid, block: 256 }, [...args, ...numbers.map((value) => `u32:${value}`)]);
  };
}

build();
const [m, n, k, side, channels, batch] = [1024, 256, 128, 32, 128, 8];
for (const architecture of architectures) {
  console.log(rate('product', architecture, launcher([n / 64, m / 64, 1], [m * k, k * n, n], m * n, [m, n, k])));
  const pixels = batch * side * side * channels;
  const grid = [(side / 8) ** 2, channels / 32, batch] as const;
  console.log(
    rate('depthwise', architecture, launcher(grid, [pixels, 9 * channels], pixels, [side, side, channels, side / 8])),
  );
}
