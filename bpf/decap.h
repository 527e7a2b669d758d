/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tunnels that a real server takes apart, and the maps by which it is told
 * what for (src/realserver/decapsulator.ts writes them, in the same layout).
 */
#ifndef BALLAST_DECAP_H
#define BALLAST_DECAP_H

#include "kernel.h"

#define IPPROTO_IPIP 4
#define IPPROTO_IPV6 41
#define IPPROTO_GRE 47

#define TUNNEL_IPIP (1U << 0)
#define TUNNEL_GUE (1U << 1)
#define TUNNEL_GRE (1U << 2)

struct udphdr {
	__be16 source;
	__be16 dest;
	__be16 len;
	__be16 check;
};

/* RFC 2784; of the flags only C is known, with a checksum and a reserved word behind. */
struct grehdr {
	__be16 flags;
	__be16 proto;
};

#define GRE_CSUM 0x8000

/* Generic UDP encapsulation, variant 0, as the kernel's include/net/gue.h has it. */
struct guehdr {
	__u8 version_control_hlen; /* 2, 1 and 5 bits; the length in words of 4 bytes beyond this one */
	__u8 proto;
	__be16 flags;
};

#define GUE_FLAG_PRIV 0x0001

/* What follows with GUE_FLAG_PRIV and GUE_PFLAG_REMCSUM alone: 8 bytes, 2 words. */
struct gue_remcsum {
	__be32 private_flags;
	__be16 start;  /* of what the inner checksum covers, from the inner header on */
	__be16 offset; /* of the inner checksum itself */
};

#define GUE_PFLAG_REMCSUM 0x80000000

/* Address bytes in wire order; an IPv4 address is the first word, zeros follow. */
struct host {
	__be32 address[4];
	__u32 family; /* 4 or 6 */
};

struct decap_settings {
	__u32 tunnels;   /* TUNNEL_ bits */
	__be16 gue_port; /* UDP destination port of GUE */
	__u16 pad;
};

struct map_definition settings SEC("maps") = {
	BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct decap_settings), 1, 0,
};
/* Virtual addresses: what is in the tunnel has to be for one of them. */
struct map_definition vips SEC("maps") = {
	BPF_MAP_TYPE_HASH, sizeof(struct host), sizeof(__u32), 4096, BPF_F_NO_PREALLOC,
};
/* Addresses of this machine that a director sends to. */
struct map_definition locals SEC("maps") = {
	BPF_MAP_TYPE_HASH, sizeof(struct host), sizeof(__u32), 4096, BPF_F_NO_PREALLOC,
};

#endif
