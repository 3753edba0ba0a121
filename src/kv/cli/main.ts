#!/usr/bin/env node
/** The program `quorate`. */
import { run } from './program.js';

// A reader that has seen enough (`quorate list | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

process.exitCode = await run(process.argv.slice(2), process.env);
