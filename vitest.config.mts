// Two projects: `unit` is what `npm test` runs; `package` packs and installs the real tarball (`npm run test:package`).
// Each test file gets a process of its own, because native code may not leak state or a crash into the next file.
import { defineConfig } from 'vitest/config';

const slow = ['test/package/**/*.test.ts'];

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: slow } },
      { extends: true, test: { name: 'package', include: slow, testTimeout: 300_000, hookTimeout: 600_000 } },
    ],
  },
});
