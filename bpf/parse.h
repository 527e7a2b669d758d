/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From the first byte of a frame to the addresses, the protocol and the ports.
 * Reads, never writes; what is cut short or senseless is a verdict, not a crash.
 */
#ifndef BALLAST_PARSE_H
#define BALLAST_PARSE_H

#include "headers.h"

/* More headers than this before the transport header are nobody's honest packet. */
#define MAX_EXTENSION_HEADERS 6

/* Start of each extension header; `length` counts 8 bytes beyond the first 8. */
struct ipv6_extension {
	__u8 nexthdr;
	__u8 length;
};

/* TCP, UDP and SCTP begin alike. */
struct ports {
	__be16 source;
	__be16 dest;
};

struct icmphdr {
	__u8 type;
	__u8 code;
	__be16 check;
	__be32 rest;
};

#define ICMP_DEST_UNREACH 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_TIME_EXCEEDED 11
/* Types of ICMPv6 from here on are no errors. */
#define ICMPV6_INFOMSG 128

enum parsed {
	PARSED,     /* source and dest hold the endpoints */
	OTHER,      /* another protocol: none of our business */
	FRAGMENT,   /* source and dest hold the addresses, with port and protocol 0 */
	ICMP_ERROR, /* the same of the packet that it quotes */
	MALFORMED,
};

static __always_inline void read_ipv4(const struct iphdr *ip, struct endpoint *source, struct endpoint *dest)
{
	source->address[0] = ip->saddr;
	dest->address[0] = ip->daddr;
	source->family = dest->family = 4;
}

static __always_inline void read_ipv6(const struct ipv6hdr *ip, struct endpoint *source, struct endpoint *dest)
{
	__builtin_memcpy(source->address, ip->saddr, sizeof(source->address));
	__builtin_memcpy(dest->address, ip->daddr, sizeof(dest->address));
	source->family = dest->family = 6;
}

/* The addresses of the packet that an ICMP error quotes; others are none of our business. */
static __always_inline enum parsed parse_icmp(const struct icmphdr *icmp, const void *end, struct endpoint *source,
					      struct endpoint *dest)
{
	const struct iphdr *quoted = (const void *)(icmp + 1);

	if ((const void *)(quoted + 1) > end)
		return OTHER;
	if (icmp->type != ICMP_DEST_UNREACH && icmp->type != ICMP_SOURCE_QUENCH && icmp->type != ICMP_TIME_EXCEEDED)
		return OTHER;
	read_ipv4(quoted, source, dest);
	return ICMP_ERROR;
}

static __always_inline enum parsed parse_icmpv6(const struct icmphdr *icmp, const void *end, struct endpoint *source,
						struct endpoint *dest)
{
	const struct ipv6hdr *quoted = (const void *)(icmp + 1);

	if ((const void *)(quoted + 1) > end || icmp->type >= ICMPV6_INFOMSG)
		return OTHER;
	read_ipv6(quoted, source, dest);
	return ICMP_ERROR;
}

static __always_inline enum parsed parse_ports(const struct ports *ports, const void *end, __u8 protocol,
					       struct endpoint *source, struct endpoint *dest)
{
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_SCTP)
		return OTHER;
	if ((const void *)(ports + 1) > end)
		return MALFORMED;
	source->port = ports->source;
	dest->port = ports->dest;
	source->protocol = dest->protocol = protocol;
	return PARSED;
}

static __always_inline enum parsed parse_ipv4(const struct iphdr *ip, const void *end, struct endpoint *source,
					      struct endpoint *dest)
{
	__u32 header;

	if ((const void *)(ip + 1) > end)
		return MALFORMED;
	header = (ip->version_ihl & 15) * 4;
	if (ip->version_ihl >> 4 != 4 || header < sizeof(*ip))
		return MALFORMED;
	if (ip->protocol == IPPROTO_ICMP && !(ip->frag_off & htons(IP_FRAGMENT)))
		return parse_icmp((const void *)ip + header, end, source, dest);
	read_ipv4(ip, source, dest);
	if (ip->frag_off & htons(IP_FRAGMENT))
		return FRAGMENT;
	return parse_ports((const void *)ip + header, end, ip->protocol, source, dest);
}

static __always_inline enum parsed parse_ipv6(const struct ipv6hdr *ip, const void *end, struct endpoint *source,
					      struct endpoint *dest)
{
	const void *next = ip + 1;
	const struct ipv6_extension *extension;
	__u8 protocol;
	int i;

	if (next > end || (*(const __u8 *)ip) >> 4 != 6)
		return MALFORMED;
	protocol = ip->nexthdr;
#pragma unroll
	for (i = 0; i < MAX_EXTENSION_HEADERS; i++) {
		if (protocol == IPPROTO_FRAGMENT) {
			read_ipv6(ip, source, dest);
			return FRAGMENT;
		}
		if (protocol != IPPROTO_HOPOPTS && protocol != IPPROTO_ROUTING && protocol != IPPROTO_DSTOPTS &&
		    protocol != IPPROTO_AH)
			break;
		extension = next;
		if ((const void *)(extension + 1) > end)
			return MALFORMED;
		/* RFC 4302 §2.2: an authentication header counts in units of 4 bytes, less 2. */
		next += protocol == IPPROTO_AH ? (extension->length + 2) * 4 : (extension->length + 1) * 8;
		protocol = extension->nexthdr;
	}
	if (protocol == IPPROTO_ICMPV6)
		return parse_icmpv6(next, end, source, dest);
	read_ipv6(ip, source, dest);
	return parse_ports(next, end, protocol, source, dest);
}

#endif
