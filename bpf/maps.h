/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps, and the keys and counters that the loader shares with the program
 * (src/dataplane/engine/xdp-program.ts writes them, in the same layout).
 */
#ifndef BALLAST_MAPS_H
#define BALLAST_MAPS_H

#include "kernel.h"

/* Address bytes in wire order; an IPv4 address is the first word, zeros follow. */
struct endpoint {
	__be32 address[4];
	__be16 port;   /* 0: every port of the address */
	__u8 protocol; /* 0: the address, for fragments and ICMP errors */
	__u8 family; /* 4 or 6 */
};

/* Key of a longest-prefix match: 32 bits that must be equal, then those of the address. */
struct prefix {
	__u32 bits;
	__be16 port; /* 0: every port */
	__u8 protocol;
	__u8 family;
	__be32 address[4];
};

struct local {
	__be32 address[4];
};

/* Value of a local address from which the engine opens connections to servers. */
#define LOCAL_FULLNAT 1

/* What the program is told as a whole. */
struct settings {
	__u32 has_prefixes; /* `marked` is not empty */
};

/* The device that this instance of the program is attached to. */
struct device {
	__u8 mac[6];
	__u8 pad[2];
};

/* Indexes of `stats`. */
enum stat {
	STAT_PASSED,    /* nothing of ours: to the kernel's stack */
	STAT_REQUEST,   /* for a virtual service, or marked perhaps: to the engine */
	STAT_REPLY,     /* from a real server: to the engine */
	STAT_FRAGMENT,  /* a fragment that may be one of those: to the engine */
	STAT_MALFORMED, /* headers cut short or senseless: to the kernel's stack */
	STAT_ERROR,     /* an ICMP error about one of those: to the engine */
	STAT_SECURITY,  /* AH or ESP between such addresses: to the engine */
	STAT_MAX,
};

/* Shared by the program's instances on all devices. Values are flags, none yet. */
struct map_definition services SEC("maps") = {
	BPF_MAP_TYPE_HASH, sizeof(struct endpoint), sizeof(__u32), 65536, BPF_F_NO_PREALLOC,
};
/* Destinations that firewall marks may concern and that are no single addresses. */
struct map_definition marked SEC("maps") = {
	BPF_MAP_TYPE_LPM_TRIE, sizeof(struct prefix), sizeof(__u32), 16384, BPF_F_NO_PREALLOC,
};
struct map_definition settings SEC("maps") = {
	BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct settings), 1, 0,
};
struct map_definition servers SEC("maps") = {
	BPF_MAP_TYPE_HASH, sizeof(struct endpoint), sizeof(__u32), 262144, BPF_F_NO_PREALLOC,
};
/*
 * The director's own addresses: what servers send to them are its own conversations,
 * where the value is not LOCAL_FULLNAT.
 */
struct map_definition locals SEC("maps") = {
	BPF_MAP_TYPE_HASH, sizeof(struct local), sizeof(__u32), 16384, BPF_F_NO_PREALLOC,
};
struct map_definition stats SEC("maps") = {
	BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), sizeof(__u64), STAT_MAX, 0,
};

/* One of these for each device. */
struct map_definition xsks SEC("maps") = {
	BPF_MAP_TYPE_XSKMAP, sizeof(__u32), sizeof(__u32), 256, 0,
};
struct map_definition device SEC("maps") = {
	BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct device), 1, 0,
};

static __always_inline void count(__u32 stat)
{
	__u64 *value = bpf_map_lookup_elem(&stats, &stat);

	if (value)
		*value += 1;
}

#endif
