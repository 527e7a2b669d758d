// SPDX-License-Identifier: Apache-2.0
// `ballast tune`: shows or changes what one service does otherwise than IPVS. Names only what changes; the director puts
// that into what was tuned before, so that two who tune at once lose nothing of each other.

import { parseArgs } from 'node:util';
import { socketPath } from '../daemon/protocol.ts';
import { LvsError, type ServiceKey, type ServiceTuning } from '../lvs/model.ts';
import { patchTuning } from '../lvs/service/tuning.ts';
import { formatServiceKey } from '../lvs/service-key.ts';
import { type ApiDataPlane, withDaemon } from './client.ts';
import { refuseWords, SERVICE_OPTIONS, takeService } from './service-argument.ts';
import { formatTuning, readTuning, TUNE_OPTIONS } from './tune-options.ts';

export const TUNE_HELP = `usage: ballast tune SERVICE [OPTIONS]

Shows what a service does otherwise than IPVS, or changes it: what is not named stays as it is. SERVICE is written as for
ipvsadm (-t ADDRESS:PORT, -u ADDRESS:PORT, --sctp-service ADDRESS:PORT, -f MARK [-6]) or as tcp:ADDRESS:PORT, fwm:MARK.

  --timeout STATE=SECONDS         life of its connections in a state, by the names of 'ipvsadm -Lc'; for UDP: UDP=SECONDS;
                                  repeat for more; STATE=default follows the director's own times again
  --fresh-syn on|off              a SYN on a connection that is closing, or whose server is gone or quiesced, begins anew
  --quiesce-ends-affinity on|off  persistent clients leave a server when its weight becomes 0
  --hash-skips-quiesced on|off    mh sends the clients of servers of weight 0 elsewhere, and nobody else
  --slow-start SECONDS            time in which the weight of a server that comes rises to its own; 0 for none
  --local-pool NAME               addresses from which FULLNAT speaks to its servers ('ballast local')
  --client-address HOW            how servers with FULLNAT hear of the client: toa, toa:KIND (a TCP option), proxy-v1,
                                  proxy-v2 (a PROXY header; UDP has proxy-v2 alone), or off
  --quic ENCODING                 QUIC clients keep their server when their address changes: how servers write their id into
                                  connection IDs, quic-lb[:ID-LENGTH], katran, dpvs, or off
  --quic-id SERVER=ID             the id of a server, ADDRESS:PORT=ID: hexadecimal for quic-lb, a number for katran; repeat
  --reset                         forget what was tuned; together with others: all but those
  --socket PATH                   socket of the daemon
`;

/** Runs the command, returns its exit status. */
export async function runTune(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ...SERVICE_OPTIONS,
      ...TUNE_OPTIONS,
      socket: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(TUNE_HELP);
    return 0;
  }
  const service = await takeService(values, positionals);
  refuseWords(positionals);
  const tuning = readTuning(values, service);
  const isReset = values.reset === true;
  await withDaemon(values.socket ?? socketPath(process.env), async (client) => {
    if (isReset) await client.apply({ type: 'tune-service', service, tuning: patchTuning({}, tuning) });
    else if (Object.keys(tuning).length > 0) await client.apply({ type: 'adjust-service', service, tuning });
    else process.stdout.write(formatTuning(await currentTuning(client, service), service));
  });
  return 0;
}

async function currentTuning(client: ApiDataPlane, key: ServiceKey): Promise<ServiceTuning> {
  const { services } = await client.snapshot();
  const id = formatServiceKey(key);
  const found = services.find((service) => formatServiceKey(service.key) === id);
  if (found === undefined) throw new LvsError('ESRCH', `no service ${id}`);
  return found.tuning ?? {};
}
