#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Entry of the program `ballast`; a link to it that is called `ipvsadm` is ipvsadm.

import { main } from './main.ts';

await main(process.argv);
