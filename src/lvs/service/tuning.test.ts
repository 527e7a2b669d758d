// SPDX-License-Identifier: Apache-2.0
// Tuning a service: what is named changes, what is not stays, and what is refused changes nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestDirector } from '../../../test/support/test-director.ts';
import type { ServiceKey, ServiceTuning, TuningPatch } from '../model.ts';

class Tuned {
  readonly lab = new TestDirector();
  readonly key: ServiceKey;

  constructor(key = 'tcp:10.0.0.1:80') {
    this.key = this.lab.addService(key);
  }

  tune(tuning: ServiceTuning): ServiceTuning | undefined {
    this.lab.tune(this.key, tuning);
    return this.now;
  }

  adjust(tuning: TuningPatch): ServiceTuning | undefined {
    this.lab.dataplane.applyNow({ type: 'adjust-service', service: this.key, tuning });
    return this.now;
  }

  get now(): ServiceTuning | undefined {
    return this.lab.dataplane.snapshotNow().services[0].tuning;
  }
}

test('an adjustment changes what it names and keeps the rest, down to single states', () => {
  const service = new Tuned();
  service.tune({ freshSyn: true, slowStartSeconds: 30, timeouts: { tcp: { ESTABLISHED: 60, FIN_WAIT: 5 } } });
  const kept = { freshSyn: true, slowStartSeconds: 30 };
  assert.deepEqual(service.adjust({ timeouts: { tcp: { FIN_WAIT: 7, CLOSE: 1 } } }), {
    ...kept,
    timeouts: { tcp: { ESTABLISHED: 60, FIN_WAIT: 7, CLOSE: 1 } },
  });
  assert.deepEqual(service.adjust({ timeouts: { tcp: { ESTABLISHED: null, CLOSE: null } }, freshSyn: null }), {
    slowStartSeconds: 30,
    timeouts: { tcp: { FIN_WAIT: 7 } },
  });
  assert.deepEqual(service.adjust({ hashSkipsQuiesced: true, timeouts: null }), {
    slowStartSeconds: 30,
    hashSkipsQuiesced: true,
  });
  assert.deepEqual(service.adjust({}), { slowStartSeconds: 30, hashSkipsQuiesced: true });
});

test('replacing leaves nothing of what was; what is off does not show', () => {
  const service = new Tuned();
  assert.equal(service.now, undefined);
  service.tune({ freshSyn: true, quiesceEndsAffinity: true });
  assert.deepEqual(service.tune({ hashSkipsQuiesced: true }), { hashSkipsQuiesced: true });
  assert.equal(service.tune({ hashSkipsQuiesced: false, slowStartSeconds: 0, timeouts: { tcp: {} } }), undefined);
  assert.equal(service.adjust({ freshSyn: false, timeouts: { tcp: { CLOSE: null } } }), undefined);
});

test('the last time of a state taken back follows the director again', () => {
  const service = new Tuned();
  service.adjust({ timeouts: { tcp: { ESTABLISHED: 5 } } });
  service.adjust({ timeouts: { tcp: { ESTABLISHED: null } } });
  const { times } = service.lab.director.services.find(service.key);
  assert.equal(times, service.lab.director.connections.times);
});

test('a refused tuning changes nothing of what was tuned', () => {
  const before = { freshSyn: true, timeouts: { tcp: { ESTABLISHED: 60 } } } as const;
  const refused: readonly TuningPatch[] = [
    { freshSyn: null, slowStartSeconds: -1 },
    { freshSyn: null, slowStartSeconds: 1.5 },
    { freshSyn: null, slowStartSeconds: 2678401 },
    { freshSyn: null, timeouts: { tcp: { ESTABLISHED: 0 } } },
    { freshSyn: null, timeouts: { tcp: { ESTABLISHED: 2678401 } } },
    { freshSyn: null, timeouts: { tcp: { OPEN: 5 } as never } },
    { freshSyn: null, timeouts: { tcp: { constructor: 5 } as never } },
    { freshSyn: null, timeouts: { sctp: { ESTABLISHED: 5 } } },
    { freshSyn: null, timeouts: { udp: 5 } },
  ];
  const service = new Tuned();
  service.tune(before);
  for (const patch of refused) {
    assert.throws(() => service.adjust(patch), { name: 'LvsError', code: 'EINVAL' }, JSON.stringify(patch));
    assert.deepEqual(service.now, before);
  }
  const nobody = { kind: 'fwmark', mark: 9, family: 4 } as const;
  assert.throws(() => service.lab.dataplane.applyNow({ type: 'adjust-service', service: nobody, tuning: {} }), {
    code: 'ESRCH',
  });
});

test('a service on a mark has times for every protocol, the others for their own', () => {
  const timeouts = { tcp: { ESTABLISHED: 1 }, sctp: { ESTABLISHED: 2 }, udp: 3 } as const;
  assert.deepEqual(new Tuned('fwm:7').tune({ timeouts }), { timeouts });
  assert.deepEqual(new Tuned('udp:10.0.0.1:53').tune({ timeouts: { udp: 3 } }), { timeouts: { udp: 3 } });
  assert.deepEqual(new Tuned('sctp:10.0.0.1:9').tune({ timeouts: { sctp: { CLOSED: 3 } } }), {
    timeouts: { sctp: { CLOSED: 3 } },
  });
  assert.throws(() => new Tuned('udp:10.0.0.1:53').tune({ timeouts: { tcp: { CLOSE: 3 } } }), {
    message: 'udp:10.0.0.1:53 has no TCP connections to time out',
  });
});
