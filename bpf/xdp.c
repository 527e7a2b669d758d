/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who gets a frame: Ballast's engine or the kernel's own stack. Attached to each
 * device of the director. TCP, UDP and SCTP for a virtual service, or for where
 * firewall marks may make a service of it, and what a real server answers to
 * somebody else than the director itself, go to the AF_XDP socket of the queue
 * that they arrived on, and so do fragments and ICMP errors that may belong to
 * those, and AH and ESP; everything else passes. Holds no policy and changes no byte. Without a
 * socket in that slot the frame passes too.
 */
#include "kernel.h"
#include "maps.h"
#include "parse.h"

/* Frames to another station (promiscuous mode, macvlan) and to groups are the kernel's. */
static __always_inline int for_this_device(const struct ethhdr *eth)
{
	__u32 zero = 0;
	const struct device *own = bpf_map_lookup_elem(&device, &zero);
	__u32 difference;

	if (!own)
		return 0;
	difference = *(const __u32 *)eth->dest ^ *(const __u32 *)own->mac;
	difference |= *(const __u16 *)(eth->dest + 4) ^ *(const __u16 *)(own->mac + 4);
	return !difference;
}

/* Exact port, else every port of the address. */
static __always_inline int is_listed(const void *map, struct endpoint *endpoint)
{
	if (bpf_map_lookup_elem(map, endpoint))
		return 1;
	endpoint->port = 0;
	return bpf_map_lookup_elem(map, endpoint) != 0;
}

/* Whether firewall rules may mark what goes there; few directors have such prefixes. */
static __always_inline int is_marked(const struct endpoint *dest)
{
	__u32 zero = 0;
	const struct settings *now = bpf_map_lookup_elem(&settings, &zero);
	struct prefix key;

	if (!now || !now->has_prefixes)
		return 0;
	key.bits = 8 * (sizeof(key) - sizeof(key.bits));
	key.port = dest->port;
	key.protocol = dest->protocol;
	key.family = dest->family;
	__builtin_memcpy(key.address, dest->address, sizeof(key.address));
	if (bpf_map_lookup_elem(&marked, &key))
		return 1;
	key.port = 0;
	return bpf_map_lookup_elem(&marked, &key) != 0;
}

static __always_inline int has_prefixes(void)
{
	__u32 zero = 0;
	const struct settings *now = bpf_map_lookup_elem(&settings, &zero);

	return now && now->has_prefixes;
}

/* To the director's own addresses servers speak for themselves, but for those that it uses as a client of theirs. */
static __always_inline int is_own(const struct endpoint *dest)
{
	const __u32 *use = bpf_map_lookup_elem(&locals, dest->address);

	return use && *use != LOCAL_FULLNAT;
}

/* Whether an ICMP error is about what goes to or from one of our addresses. */
static __always_inline int is_related(const struct endpoint *source, const struct endpoint *dest)
{
	return bpf_map_lookup_elem(&services, source) || bpf_map_lookup_elem(&services, dest) ||
	       bpf_map_lookup_elem(&servers, source) || bpf_map_lookup_elem(&servers, dest) || has_prefixes();
}

static __always_inline int pass(__u32 stat)
{
	count(stat);
	return XDP_PASS;
}

static __always_inline int to_engine(const struct xdp_md *ctx, __u32 stat)
{
	count(stat);
	return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_PASS);
}

SEC("xdp")
int ballast(struct xdp_md *ctx)
{
	const void *end = (const void *)(long)ctx->data_end;
	const struct ethhdr *eth = (const void *)(long)ctx->data;
	struct endpoint source = {};
	struct endpoint dest = {};
	enum parsed parsed;

	if (unlikely((const void *)(eth + 1) > end))
		return pass(STAT_MALFORMED);
	if (!for_this_device(eth))
		return pass(STAT_PASSED);

	if (eth->proto == htons(ETH_P_IP))
		parsed = parse_ipv4((const void *)(eth + 1), end, &source, &dest);
	else if (eth->proto == htons(ETH_P_IPV6))
		parsed = parse_ipv6((const void *)(eth + 1), end, &source, &dest);
	else
		return pass(STAT_PASSED);

	if (unlikely(parsed == FRAGMENT || parsed == SECURITY)) {
		if (bpf_map_lookup_elem(&services, &dest) || has_prefixes() ||
		    (bpf_map_lookup_elem(&servers, &source) && !is_own(&dest)))
			return to_engine(ctx, parsed == FRAGMENT ? STAT_FRAGMENT : STAT_SECURITY);
		return pass(STAT_PASSED);
	}
	if (unlikely(parsed == ICMP_ERROR))
		return is_related(&source, &dest) ? to_engine(ctx, STAT_ERROR) : pass(STAT_PASSED);
	if (unlikely(parsed != PARSED))
		return pass(parsed == MALFORMED ? STAT_MALFORMED : STAT_PASSED);

	if (is_marked(&dest) || is_listed(&services, &dest))
		return to_engine(ctx, STAT_REQUEST);
	if (is_listed(&servers, &source) && !is_own(&dest))
		return to_engine(ctx, STAT_REPLY);
	return pass(STAT_PASSED);
}

char program_license[] SEC("license") = "Dual BSD/GPL";
