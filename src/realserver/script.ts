// SPDX-License-Identifier: Apache-2.0
// The steps of a real server as a POSIX shell script, for a machine without Ballast: iproute2, sysctl, the kernel's own
// devices. It takes itself back with the argument `down`. Pure; `ballast realserver print` prints it.

import type { Address } from '../packet/address.ts';
import { hostBits, type Step, type TunnelKind } from './plan.ts';

/** Module that brings the device along. */
const MODULES: Readonly<Record<TunnelKind, string>> = {
  ipip: 'ipip',
  sit: 'sit',
  ip6tnl: 'ip6_tunnel',
  gre: 'ip_gre',
  ip6gre: 'ip6_gre',
};

/** The script; `command` is what printed it. Throws a TypeError for steps that only Ballast can do. */
export function formatScript(steps: readonly Step[], command: string): string {
  return `#!/bin/sh
# Makes this machine a real server of LVS: sh SCRIPT up, and back: sh SCRIPT down. As root, any number of times.
# Needs iproute2 and sysctl. What was there before is remembered in $state, which does not survive a reboot, as
# nothing of this does. Made by: ${command}
set -eu
state=\${STATE:-/run/ballast-realserver}
${FUNCTIONS}
up() {
${steps.map((step) => `\t${line(step)}\n`).join('')}}

case \${1:-} in
up) up ;;
down) down ;;
*) echo "usage: $0 up|down" >&2; exit 2 ;;
esac
`;
}

const FUNCTIONS = `
noted() { [ -e "$state" ] && grep -q "^$*" "$state"; }

note() { # how to undo what comes next, the newest first
	if noted "$*$"; then return; fi
	{ echo "$*"; if [ -e "$state" ]; then cat "$state"; fi; } > "$state.new"
	mv "$state.new" "$state"
}

setting() { # NAME VALUE
	noted "setting $1 " || note setting "$1" "$(sysctl -n "$1")" "$2"
	sysctl -qw "$1=$2"
}

loosen() { # DEVICE
	all=$(sysctl -n net/ipv4/conf/all/rp_filter) own=$(sysctl -n "net/ipv4/conf/$1/rp_filter")
	if [ "$all$own" = 01 ] || [ "$all$own" = 10 ] || [ "$all$own" = 11 ]; then
		setting "net/ipv4/conf/$1/rp_filter" 2
	fi
}

fallback() { # DEVICE MODULE
	ip link show dev "$1" > /dev/null 2>&1 || modprobe "$2" || :
	if ! ip link show dev "$1" > /dev/null 2>&1; then
		echo "$0: this kernel has no device $1 (module $2)" >&2
		exit 1
	fi
}

tunnel() { # DEVICE OPTIONS OF ip link add
	if ip link show dev "$1" > /dev/null 2>&1; then return; fi
	note tunnel "$1"
	ip link add name "$@"
}

switch_on() { # DEVICE
	if [ -n "$(ip -o link show up dev "$1")" ]; then return; fi
	note switch_on "$1"
	ip link set dev "$1" up
}

gue() { # -4|-6 PORT
	ip fou show > /dev/null 2>&1 || modprobe fou
	# It lists both families, IPv6 with -6 behind.
	case $1 in -6) but= ;; *) but=-v ;; esac
	if ip fou show | grep "^port $2 gue" | grep -q $but -e ' -6'; then return; fi
	note gue "$1" "$2"
	ip "$1" fou add port "$2" gue
}

address() { # DEVICE ADDRESS/LENGTH OPTIONS
	if [ -n "$(ip -o address show dev "$1" to "$2")" ]; then return; fi
	note address "$1" "$2"
	device=$1 address=$2
	shift 2
	ip address add "$address" dev "$device" "$@"
}

down() {
	if [ ! -e "$state" ]; then echo "$0: nothing is up" >&2; return; fi
	while read -r what name before value; do
		case $what in
		setting)
			if [ "$(sysctl -n "$name" 2> /dev/null)" = "$value" ]; then
				sysctl -qw "$name=$before"
			else
				echo "$0: $name is no longer $value: left alone" >&2
			fi ;;
		tunnel) ip link del dev "$name" ;;
		switch_on) ip link set dev "$name" down ;;
		gue) ip "$name" fou del port "$before" ;;
		address) ip address del "$before" dev "$name" ;;
		esac || echo "$0: not undone: $what $name" >&2
	done < "$state"
	rm -f "$state"
}
`;

function line(step: Step): string {
  switch (step.kind) {
    case 'sysctl':
      return `setting ${quote(step.name)} ${step.value}`;
    case 'loosen':
      return `loosen ${quote(step.device)}`;
    case 'address':
      return `address ${quote(step.device)} ${step.address}/${hostBits(step.address)}${nodad(step.address)}`;
    case 'fallback':
      return `fallback ${step.device} ${MODULES[step.tunnel]}`;
    case 'tunnel': {
      const options = step.checksum ? ' icsum' : ' mode any';
      return `tunnel ${step.device} type ${step.tunnel} local ${step.local} remote any${options}`;
    }
    case 'up':
      return `switch_on ${step.device}`;
    case 'gue':
      return `gue -${step.family} ${step.port}`;
    case 'decapsulate':
      throw new TypeError('a script cannot attach the XDP program');
  }
}

function nodad(address: Address): string {
  return address.includes(':') ? ' nodad' : '';
}

/** For the shell: names of devices may hold nearly anything. */
function quote(text: string): string {
  return /^[\w./:-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
