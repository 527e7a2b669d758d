// SPDX-License-Identifier: Apache-2.0
// Reading requests and answering refusals: bodies are bounded and validated here, every refusal becomes the same JSON
// with the right status. Used by the routes; knows nothing of what they do.

import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { ZodType } from 'zod';
import { LvsError, type LvsErrorCode } from '../lvs/model.ts';
import type { ErrorAnswer, RequestErrorCode } from './protocol.ts';

/** Most bytes of a request's body. */
export const BODY_MAX = 1024 * 1024;

/** Most issues that one answer lists, and the longest text of one. */
const ISSUES_MAX = 20;
const ISSUE_LENGTH_MAX = 200;

type Issues = NonNullable<ErrorAnswer['error']['issues']>;

/** HTTP status of each error code. */
export const ERROR_STATUS: Readonly<Record<LvsErrorCode | RequestErrorCode, ContentfulStatusCode>> = {
  BAD_REQUEST: 400,
  NOT_FOUND: 404,
  TOO_LARGE: 413,
  INVALID: 422,
  INTERNAL: 500,
  EEXIST: 409,
  ENOENT: 404,
  ESRCH: 404,
  EINVAL: 422,
  ERANGE: 422,
  EAFNOSUPPORT: 422,
  EOPNOTSUPP: 501,
  ENOMEM: 507,
};

/** A request that is refused before the data plane hears of it. */
export class RequestError extends Error {
  readonly code: RequestErrorCode;
  readonly issues: Issues | undefined;

  constructor(code: RequestErrorCode, message: string, issues?: Issues) {
    super(message);
    this.name = 'RequestError';
    this.code = code;
    this.issues = issues;
  }
}

/** The answer to a failure, or undefined when it is none that a client can cause. */
export function refusal(c: Context, error: unknown): Response | undefined {
  if (error instanceof LvsError) {
    const body: ErrorAnswer = { error: { code: error.code, message: error.message } };
    return c.json(body, ERROR_STATUS[error.code]);
  }
  if (error instanceof RequestError) {
    const { code, message, issues } = error;
    const body: ErrorAnswer = { error: { code, message, ...(issues && { issues }) } };
    return c.json(body, ERROR_STATUS[code]);
  }
  return undefined;
}

/** The request's JSON body after `schema`; throws a RequestError when it is too large, no JSON, or not of that form. */
export async function readBody<T>(c: Context, schema: ZodType<T>): Promise<T> {
  const text = await readText(c);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new RequestError('BAD_REQUEST', 'the body is not JSON');
  }
  return validate(value, schema, 'the body');
}

/** `value` after `schema`, or a RequestError that lists what is wrong with `what`. */
export function validate<T>(value: unknown, schema: ZodType<T>, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.slice(0, ISSUES_MAX).map((issue) => ({
    path: issue.path.map(String).join('.'),
    message: shorten(issue.message),
  }));
  const first = issues[0];
  const where = first.path === '' ? what : `'${first.path}' of ${what}`;
  throw new RequestError('INVALID', `${where}: ${first.message}`, issues);
}

async function readText(c: Context): Promise<string> {
  const declared = c.req.header('content-length');
  if (declared !== undefined) {
    if (Number(declared) > BODY_MAX) throw tooLarge();
    return await c.req.text();
  }
  // No declared length: a chunked body, counted while it comes.
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of c.req.raw.body ?? []) {
    size += chunk.length;
    if (size > BODY_MAX) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function tooLarge(): RequestError {
  return new RequestError('TOO_LARGE', `the body is larger than ${BODY_MAX} bytes`);
}

function shorten(text: string): string {
  return text.length <= ISSUE_LENGTH_MAX ? text : `${text.slice(0, ISSUE_LENGTH_MAX)}…`;
}
