// gramian info: version, platform and devices. It answers even when the addon does not load, and then says why.
import { json } from '../io';
import type { OptionTable } from '../options';
import { version } from '../version';
import { type Command, jsonOption } from './shared';

interface Device {
  readonly id: string;
  readonly available: boolean;
  readonly isa?: string;
  readonly threads?: number;
  readonly reason?: string;
  readonly name?: string;
  readonly driver?: string;
  readonly toolkit?: string;
  readonly image?: string;
}

/** What is known of a device, in one line. */
function factsOf({ name, isa, threads, driver, toolkit, image }: Device): string {
  return [
    name,
    isa,
    threads === undefined ? undefined : `${threads} threads`,
    driver === undefined ? undefined : `driver for CUDA ${driver}`,
    toolkit === undefined ? undefined : `kernels of CUDA ${toolkit}`,
    image,
  ]
    .filter(Boolean)
    .join(', ');
}

const options = { json: jsonOption } as const satisfies OptionTable;

export const command: Command<typeof options> = {
  spec: {
    name: 'info',
    options,
    examples: ['gramian info', 'gramian info --json'],
  },
  async run({ values }, io, engine) {
    let devices: readonly Device[];
    try {
      devices = await engine.devices();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      devices = ['cpu', 'cuda'].map((id) => ({ id, available: false, reason }));
    }
    const { platform, arch } = process;
    if (values.json) {
      json(io, { version: version(), node: process.versions.node, platform, arch, devices });
      return 0;
    }
    io.out(`gramian ${version()}, Node.js ${process.versions.node}, ${platform} ${arch}\n`);
    for (const device of devices) {
      const known = factsOf(device);
      const facts = device.available
        ? known
        : `not available: ${device.reason ?? 'no reason given'}${known ? ` (${known})` : ''}`;
      io.out(`${device.id.padEnd(6)}${facts}\n`);
    }
    return 0;
  },
};
