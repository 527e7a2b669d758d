#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Entry of the program `ipvsadm`: the same as `ballast ipvsadm`.

import { main } from './main.ts';

await main([process.argv[0], 'ipvsadm', ...process.argv.slice(2)]);
