// Writes a file so that a reader, a crash or a full disk leaves either the old one or the new one, whole. Called by the
// checkpoint writer and the data writers. The rule easy to break: fsync the file before the rename and the folder after.
import { randomBytes } from 'node:crypto';
import nodeIo, { type FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

/** The calls that can fail; tests replace them to fail the n-th one. */
export type AtomicIo = Pick<typeof nodeIo, 'open' | 'rename' | 'rm'>;
export type ByteSink = (bytes: Uint8Array) => Promise<void>;

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    // A single write of more than 2^31-1 bytes is refused by the kernel.
    const { bytesWritten } = await handle.write(bytes, done, Math.min(bytes.length - done, 1 << 30));
    if (bytesWritten === 0) throw new Error(`write stopped after ${done} of ${bytes.length} bytes`);
    done += bytesWritten;
  }
}

async function syncFolder(folder: string, io: AtomicIo): Promise<void> {
  if (process.platform === 'win32') return; // A folder cannot be opened there; the rename itself is journaled.
  const handle = await io.open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A name that no other file has, beside `path`. */
function temporaryBeside(path: string): string {
  return join(dirname(resolve(path)), `.${basename(path)}.${process.pid}.${randomBytes(6).toString('hex')}.tmp`);
}

/** Makes the folder of `path`, and rejects where writeAtomic(path) would: to be asked before long work whose result goes there. */
export async function ensureWritable(path: string): Promise<void> {
  await nodeIo.mkdir(dirname(resolve(path)), { recursive: true });
  const temp = temporaryBeside(path);
  await (await nodeIo.open(temp, 'wx')).close();
  await nodeIo.rm(temp);
  const found = await nodeIo.stat(path).catch(() => undefined);
  if (found?.isDirectory()) throw new Error('it is a folder');
}

/**
 * Replaces `path` with what `produce` writes: temp file in the same folder, fsync, rename, fsync of the folder.
 * On any error before the rename the old file is untouched and the temp file removed; the error passes through.
 */
export async function writeAtomic(
  path: string,
  produce: (write: ByteSink) => Promise<void>,
  io: AtomicIo = nodeIo,
): Promise<void> {
  const temp = temporaryBeside(path);
  let open: FileHandle | undefined;
  try {
    const handle = await io.open(temp, 'wx');
    open = handle;
    await produce((bytes) => writeAll(handle, bytes));
    await handle.sync();
    await handle.close();
    open = undefined;
    await io.rename(temp, path);
  } catch (error) {
    // The first error is the one to report; failures while tidying up add nothing.
    await open?.close().catch(() => undefined);
    await io.rm(temp, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncFolder(dirname(temp), io);
}
