// SPDX-License-Identifier: Apache-2.0
// The steps of a real server as a POSIX shell script, for a machine without Ballast: iproute2 and the kernel's own
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
# Needs iproute2. What was there before is remembered in $state, which does not survive a reboot, as
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
# How to undo what was done, the newest first, a line each.
lines=
if [ -e "$state" ]; then lines=$(cat "$state"); fi

noted() { # BEGINNING OF A LINE
	case "
$lines" in *"
$*"*) return 0 ;; esac
	return 1
}

note() {
	lines="$*
$lines"
	echo "$lines" > "$state.new"
	mv "$state.new" "$state"
}

setting() { # NAME VALUE
	noted "setting $1 " || note setting "$1" "$(cat "/proc/sys/$1")" "$2"
	echo "$2" > "/proc/sys/$1"
}

loosen() { # DEVICE
	case $(cat /proc/sys/net/ipv4/conf/all/rp_filter "/proc/sys/net/ipv4/conf/$1/rp_filter") in
	*2*) ;;
	*1*) setting "net/ipv4/conf/$1/rp_filter" 2 ;;
	esac
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
	noted "tunnel $1" || note tunnel "$1"
	ip link add name "$@"
}

switch_on() { # DEVICE
	if [ -n "$(ip -o link show up dev "$1")" ]; then return; fi
	noted "switch_on $1" || note switch_on "$1"
	ip link set dev "$1" up
}

gue() { # -4|-6 PORT
	ip fou show > /dev/null 2>&1 || modprobe fou
	# It lists both families, IPv6 with -6 behind.
	case $1 in -6) but= ;; *) but=-v ;; esac
	if ip fou show | grep "^port $2 gue" | grep -q $but -e ' -6'; then return; fi
	noted "gue $1 $2" || note gue "$1" "$2"
	ip "$1" fou add port "$2" gue
}

address() { # DEVICE ADDRESS/LENGTH OPTIONS
	if [ -n "$(ip -o address show dev "$1" to "$2")" ]; then return; fi
	noted "address $1 $2" || note address "$1" "$2"
	device=$1 address=$2
	shift 2
	ip address add "$address" dev "$device" "$@"
}

down() {
	if [ -z "$lines" ]; then echo "$0: nothing is up" >&2; return; fi
	while read -r what name before value; do
		case $what in
		setting)
			now=$(cat "/proc/sys/$name" 2> /dev/null || :)
			if [ "$now" = "$value" ]; then
				echo "$before" > "/proc/sys/$name"
			elif [ -n "$now" ]; then
				echo "$0: $name is $now, not the $value that was set: left alone" >&2
			fi ;;
		tunnel) ip link del dev "$name" ;;
		switch_on) ip link set dev "$name" down ;;
		gue) ip "$name" fou del port "$before" ;;
		address) ip address del "$before" dev "$name" ;;
		esac || echo "$0: not undone: $what $name" >&2
	done <<- END
		$lines
	END
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
