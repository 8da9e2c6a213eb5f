// Packs compiled CUDA kernels for the addon: all files (NAME.ptx80, NAME.sm86 ...) one after the other, compressed together
// by brotli, and a manifest of what lies where (native/cuda/images.h). Together, because the same kernel for four
// architectures is nearly the same text: a sixth of what each file compressed alone would take.
// Run by native/cuda/cuda.cmake: node scripts/pack-cuda-images.mjs OUT.cpp TOOLKIT full|short [FILE ...], and for the size
// by scripts/check-cuda.mjs. The rule easy to break: PTX ends with a zero byte, which is not counted in its `bytes`.
import { readFileSync, realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';

const ALIGN = 16;

/** Bytes of an image; a package has no use for the lines of source in PTX. */
function read(file, strip) {
  const bytes = readFileSync(file);
  if (!strip || !/\.ptx\d+$/.test(file)) return bytes;
  return Buffer.from(bytes.toString('latin1').replaceAll(/^[ \t]*(\.(loc|file)[ \t]|\/\/).*\n/gm, ''), 'latin1');
}

/** { images: [{ module, kind, sm, offset, bytes }], unpacked: bytes, packed: Buffer } of files sorted by module. */
export function packImages(files, { strip, quality }) {
  const images = [];
  const pieces = [];
  let offset = 0;
  for (const file of files) {
    const [, module, kind, sm] = path.basename(file).match(/^(\w+)\.(ptx|sm)(\d+)$/);
    const bytes = read(file, strip);
    images.push({ module, kind, sm: Number(sm), offset, bytes: bytes.length });
    const padding = Buffer.alloc(ALIGN - (bytes.length % ALIGN));
    pieces.push(bytes, padding);
    offset += bytes.length + padding.length;
  }
  const packed = brotliCompressSync(Buffer.concat(pieces), {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: quality,
      [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
      [constants.BROTLI_PARAM_SIZE_HINT]: offset,
    },
  });
  return { images, unpacked: offset, packed };
}

/** What a package holds; the slowest compression, a few seconds. */
export const packFull = (files) => packImages(files, { strip: true, quality: constants.BROTLI_MAX_QUALITY });

function sourceOf({ images, unpacked, packed }, toolkit, blob) {
  const rows = images.map(
    ({ module, kind, sm, offset, bytes }) => `    {"${module}", ${sm}, ${kind === 'ptx'}, ${offset}, ${bytes}},`,
  );
  if (rows.length === 0) rows.push('    {nullptr, 0, false, 0, 0},');
  return [
    '// Written by scripts/pack-cuda-images.mjs.',
    '#include "cuda/images.h"',
    '',
    `__asm__(".section .rodata.images,\\"a\\"\\n.balign 64\\ngramian_images:\\n.incbin \\"${blob}\\"\\n.byte 0\\n.previous");`,
    'extern "C" const unsigned char gramian_images[];',
    '',
    'namespace gramian::cuda {',
    '',
    'const Image kImages[] = {',
    ...rows,
    '};',
    `const size_t kImageCount = ${images.length};`,
    'const unsigned char* const kPacked = gramian_images;',
    `const size_t kPackedBytes = ${packed.length}, kUnpackedBytes = ${unpacked};`,
    `const char* const kToolkit = "${toolkit}";`,
    '',
    '}  // namespace gramian::cuda',
    '',
  ].join('\n');
}

function main([out, toolkit, list, ...files]) {
  const made = list === 'full' ? packFull(files) : packImages(files, { strip: false, quality: 5 });
  const blob = out.replace(/\.cpp$/, '.br');
  writeFileSync(blob, made.packed);
  writeFileSync(out, sourceOf(made, toolkit, blob));
}

if (process.argv[1] && realpathSync(process.argv[1]) === import.meta.filename) main(process.argv.slice(2));
