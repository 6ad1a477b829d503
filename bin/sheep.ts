#!/usr/bin/env node
import { supervise } from '../lib/daemon/supervisor.js';

supervise(process.argv.slice(2));
