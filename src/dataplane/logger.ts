// SPDX-License-Identifier: Apache-2.0
// What every layer above packets logs through. Values are fields, never part of the message; packet data is never a
// field. error: an operator must act. warn: degraded. info: a transition of state. debug: all else. Nothing per packet.

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}
