#!/usr/bin/env node
// The program `gramian`. Nothing but the process's own: arguments in, exit code out. Everything else is in app.ts.
import { runCli } from './app';
import { processIo } from './io';

void runCli(process.argv.slice(2), processIo()).then((code) => {
  process.exitCode = code;
});
