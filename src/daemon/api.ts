// SPDX-License-Identifier: Apache-2.0
// The HTTP API: resources under /v1 over one DataPlane, described in docs/api.md. Holds no state of its own and does no
// I/O; the daemon serves it on its Unix socket, tests call it directly. Whoever reaches it may do everything.

import { type Context, Hono } from 'hono';
import type { Change, DataPlane } from '../dataplane/dataplane.ts';
import type { LogFields, Logger } from '../dataplane/logger.ts';
import { formatMarkRule } from '../lvs/classify/mark-rules.ts';
import {
  LvsError,
  type ServerKey,
  type ServerSnapshot,
  type ServiceKey,
  type ServiceSnapshot,
  type ServiceTuning,
} from '../lvs/model.ts';
import { formatServerKey, formatServiceKey, parseServerKey, parseServiceKey } from '../lvs/service-key.ts';
import { refuseSysctl } from '../lvs/sysctl.ts';
import { addLocalAddressRoutes } from './local-address-routes.ts';
import { addMarkRoutes } from './mark-routes.ts';
import type { DaemonStatus, DrainingServer, ErrorAnswer } from './protocol.ts';
import { RequestError, readBody, refusal, validate } from './request.ts';
import {
  changeBody,
  cursorText,
  drainBody,
  newServerBody,
  newServiceBody,
  serverBody,
  serviceBody,
  sysctlBody,
  sysctlsBody,
  timeoutsBody,
  tuningBody,
  tuningPatchBody,
} from './schemas.ts';

export interface ApiOptions {
  readonly version: string;
  readonly pid: number;
  readonly uptimeSeconds: () => number;
}

/** The API as a function of requests. */
export function createApi(options: ApiOptions, deps: { dataplane: DataPlane; log: Logger }): Hono {
  const { dataplane, log } = deps;
  const app = new Hono();

  const apply = async (change: Change): Promise<void> => {
    await dataplane.apply(change);
    log.info('change applied', describeChange(change));
  };
  const findService = async (key: ServiceKey): Promise<ServiceSnapshot> => {
    const id = formatServiceKey(key);
    const found = (await dataplane.snapshot()).services.find((service) => formatServiceKey(service.key) === id);
    if (found === undefined) throw new LvsError('ESRCH', 'No such service');
    return found;
  };

  app.get('/v1/status', async (c) => {
    const snapshot = await dataplane.snapshot();
    const status: DaemonStatus = {
      version: options.version,
      pid: options.pid,
      uptimeSeconds: options.uptimeSeconds(),
      dataplane: dataplane.describe(),
      services: snapshot.services.length,
      servers: snapshot.services.reduce((sum, service) => sum + service.servers.length, 0),
      connections: snapshot.connections,
      draining: snapshot.services.flatMap(drainingServers),
      totals: snapshot.totals,
      verdicts: snapshot.verdicts,
      links: snapshot.links,
    };
    return c.json(status);
  });
  app.get('/v1/snapshot', async (c) => c.json(await dataplane.snapshot()));
  app.get('/v1/connections', async (c) => {
    const cursor = validate(c.req.query('cursor') ?? '0', cursorText, "'cursor'");
    return c.json(await dataplane.connections(cursor));
  });
  app.post('/v1/changes', async (c) => {
    await apply(await readBody(c, changeBody));
    return c.body(null, 204);
  });

  app.get('/v1/timeouts', async (c) => c.json((await dataplane.snapshot()).timeouts));
  app.put('/v1/timeouts', async (c) => {
    await apply({ type: 'set-timeouts', timeouts: await readBody(c, timeoutsBody) });
    return c.json((await dataplane.snapshot()).timeouts);
  });
  app.get('/v1/sysctls', async (c) => c.json((await dataplane.snapshot()).sysctls));
  app.patch('/v1/sysctls', async (c) => {
    await apply({ type: 'set-sysctls', values: await readBody(c, sysctlsBody) });
    return c.json((await dataplane.snapshot()).sysctls);
  });
  const sysctl = async (name: string): Promise<{ name: string; value: number }> => {
    const { sysctls } = await dataplane.snapshot();
    if (!Object.hasOwn(sysctls, name)) throw refuseSysctl(name);
    return { name, value: sysctls[name] };
  };
  app.get('/v1/sysctls/:name', async (c) => c.json(await sysctl(c.req.param('name'))));
  app.put('/v1/sysctls/:name', async (c) => {
    const name = c.req.param('name');
    const { value } = await readBody(c, sysctlBody);
    await apply({ type: 'set-sysctls', values: { [name]: value } });
    return c.json(await sysctl(name));
  });
  app.post('/v1/zero', async (c) => {
    await apply({ type: 'zero' });
    return c.body(null, 204);
  });

  app.get('/v1/services', async (c) => {
    const snapshot = await dataplane.snapshot();
    return c.json({ services: snapshot.services.map(serviceResource) });
  });
  app.post('/v1/services', async (c) => {
    const { key, ...serviceOptions } = await readBody(c, newServiceBody);
    await apply({ type: 'add-service', service: key, options: serviceOptions });
    return c.json(serviceResource(await findService(key)), 201, { location: servicePath(key) });
  });
  app.delete('/v1/services', async (c) => {
    await apply({ type: 'flush' });
    return c.body(null, 204);
  });
  app.get('/v1/services/:service', async (c) => c.json(serviceResource(await findService(serviceOf(c)))));
  app.put('/v1/services/:service', async (c) => {
    const service = serviceOf(c);
    await apply({ type: 'edit-service', service, options: await readBody(c, serviceBody) });
    return c.json(serviceResource(await findService(service)));
  });
  app.delete('/v1/services/:service', async (c) => {
    await apply({ type: 'delete-service', service: serviceOf(c) });
    return c.body(null, 204);
  });
  app.post('/v1/services/:service/zero', async (c) => {
    await apply({ type: 'zero', service: serviceOf(c) });
    return c.body(null, 204);
  });

  const tuningOf = async (service: ServiceKey): Promise<ServiceTuning> => (await findService(service)).tuning ?? {};
  app.get('/v1/services/:service/tuning', async (c) => c.json(await tuningOf(serviceOf(c))));
  app.put('/v1/services/:service/tuning', async (c) => {
    const service = serviceOf(c);
    await apply({ type: 'tune-service', service, tuning: await readBody(c, tuningBody) });
    return c.json(await tuningOf(service));
  });
  app.patch('/v1/services/:service/tuning', async (c) => {
    const service = serviceOf(c);
    await apply({ type: 'adjust-service', service, tuning: await readBody(c, tuningPatchBody) });
    return c.json(await tuningOf(service));
  });

  app.post('/v1/services/:service/servers', async (c) => {
    const service = serviceOf(c);
    const { address, port, ...serverOptions } = await readBody(c, newServerBody);
    const server: ServerKey = { address, port };
    await apply({ type: 'add-server', service, server, options: serverOptions });
    const location = `${servicePath(service)}/servers/${encodeURIComponent(formatServerKey(server))}`;
    return c.json(findServer(await findService(service), server), 201, { location });
  });
  app.put('/v1/services/:service/servers/:server', async (c) => {
    const service = serviceOf(c);
    const server = serverOf(c);
    await apply({ type: 'edit-server', service, server, options: await readBody(c, serverBody) });
    return c.json(findServer(await findService(service), server));
  });
  app.delete('/v1/services/:service/servers/:server', async (c) => {
    await apply({ type: 'delete-server', service: serviceOf(c), server: serverOf(c) });
    return c.body(null, 204);
  });

  app.post('/v1/services/:service/servers/:server/drain', async (c) => {
    const service = serviceOf(c);
    const server = serverOf(c);
    await apply({ type: 'drain-server', service, server, ...(await readBody(c, drainBody)) });
    return c.json(findServer(await findService(service), server));
  });

  addMarkRoutes(app, dataplane, apply);
  addLocalAddressRoutes(app, dataplane, apply);

  app.notFound((c) => refusal(c, new RequestError('NOT_FOUND', 'no such resource, or not with this method'))!);
  app.onError((error, c) => {
    const answer = refusal(c, error);
    if (answer !== undefined) return answer;
    log.error('request failed', { method: c.req.method, path: c.req.routePath, error: error.stack ?? String(error) });
    const body: ErrorAnswer = { error: { code: 'INTERNAL', message: "internal error, see the daemon's log" } };
    return c.json(body, 500);
  });
  return app;
}

function serviceOf(c: Context): ServiceKey {
  const key = parseServiceKey(c.req.param('service') ?? '');
  if (key !== undefined) return key;
  throw new RequestError('BAD_REQUEST', 'not a service key such as tcp:10.0.0.1:80, udp:[2001:db8::1]:53 or fwm:7');
}

function serverOf(c: Context): ServerKey {
  const key = parseServerKey(c.req.param('server') ?? '');
  if (key !== undefined) return key;
  throw new RequestError('BAD_REQUEST', 'not a server key such as 10.0.0.2:8080 or [2001:db8::2]:8080');
}

function servicePath(key: ServiceKey): string {
  return `/v1/services/${encodeURIComponent(formatServiceKey(key))}`;
}

function serviceResource(service: ServiceSnapshot): object {
  return { id: formatServiceKey(service.key), ...service, servers: service.servers.map(serverResource) };
}

function serverResource(server: ServerSnapshot): object {
  return { id: formatServerKey(server), ...server };
}

function findServer(service: ServiceSnapshot, key: ServerKey): object {
  const id = formatServerKey(key);
  const found = service.servers.find((server) => formatServerKey(server) === id);
  if (found === undefined) throw new LvsError('ENOENT', 'No such destination');
  return serverResource(found);
}

function drainingServers(service: ServiceSnapshot): DrainingServer[] {
  return service.servers
    .filter((server) => server.drain !== undefined)
    .map((server) => ({
      service: formatServiceKey(service.key),
      server: formatServerKey(server),
      connections: server.activeConnections + server.inactiveConnections,
      ...server.drain,
    }));
}

function describeChange(change: Change): LogFields {
  return {
    change: change.type,
    ...('tuning' in change && { tuning: JSON.stringify(change.tuning) }),
    ...(change.type === 'set-sysctls' && change.values),
    ...(change.type === 'drain-server' && { deadlineSeconds: change.deadlineSeconds ?? 'none' }),
    ...('service' in change && change.service && { service: formatServiceKey(change.service) }),
    ...('server' in change && { server: formatServerKey(change.server) }),
    ...('rule' in change && { rule: typeof change.rule === 'number' ? `${change.rule}` : formatMarkRule(change.rule) }),
  };
}
