import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/house/fresh-build.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Two cores: more workers than that only make timing-sensitive end-to-end tests wait for the scheduler.
    maxWorkers: 2,
    // Files share a process and what it has loaded: half of the CPU of small ones went into loading. None may leave anything behind.
    isolate: false,
  },
});
