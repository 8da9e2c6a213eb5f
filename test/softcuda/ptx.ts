// Small PTX kernels written by hand, for tests that need no compiler. The rule easy to break: the registers named in
// `prelude` are taken; bodies use the higher numbers.
import { header } from './rows';

/** a + 4 tid in %d4, b + 4 tid in %d5, the shared address tile + 4 tid in %r5, tid in %r2, n in %r1, tile in %r3. */
const prelude = `
  .reg .pred %p<8>; .reg .b32 %r<32>; .reg .f32 %f<16>; .reg .b64 %d<16>;
  .shared .align 16 .b8 tile[8192];
  ld.param.u64 %d1, [a]; ld.param.u64 %d2, [b]; ld.param.u32 %r1, [n];
  mov.u32 %r2, %tid.x; mul.wide.u32 %d3, %r2, 4; add.s64 %d4, %d1, %d3; add.s64 %d5, %d2, %d3;
  mov.u32 %r3, tile; shl.b32 %r4, %r2, 2; add.s32 %r5, %r3, %r4;
`;

/** A module with one kernel (a, b, n) of this body, which ends with ret. */
export function kernel(body: string, name = 'k', before = ''): string {
  return `${header(80)}${before}\n.visible .entry ${name}(.param .u64 a, .param .u64 b, .param .u32 n)\n{${prelude}${body}\n  ret;\n}\n`;
}
