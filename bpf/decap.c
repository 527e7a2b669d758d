/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Takes tunnels apart on a real server whose kernel has no tunnel devices: IPIP
 * and its kin of IPv6, GUE and GRE that are addressed to this machine and hold a
 * packet for one of the virtual addresses. The outer headers go, the frame gets
 * the inner packet's type, the kernel's stack takes it from there. Everything
 * else passes as it came: fragments, options of GRE and GUE beyond the known,
 * IPv6 with extension headers, lengths that do not fit, inner packets for
 * anybody else.
 *
 * Checksums of the tunnel (UDP's of GUE, GRE's) are not verified: those of the
 * inner packet cover what matters and the stack verifies them, and on virtual
 * devices senders leave the outer ones open. An inner checksum that the sender
 * left to us (GUE's remote checksum offload) is completed here.
 */
#include "kernel.h"
#include "headers.h"
#include "decap.h"

/* Longest piece of an inner packet whose checksum is completed, in words of 2 bytes. */
#define MAX_CSUM_WORDS 2048

#define ECN_MASK 3
#define ECN_CE 3

struct tunnel {
	__u32 end;    /* of the outer packet, from the start of the frame; the frame may be padded */
	__u32 inner;  /* where the inner packet begins */
	__u32 family; /* its own, 4 or 6 */
	__u32 ecn;    /* of the outer header */
	__u32 csum_start, csum_offset; /* from the inner header on; 0, 0: nothing to complete */
};

static __always_inline __u32 family_of(__u8 protocol)
{
	return protocol == IPPROTO_IPIP ? 4 : protocol == IPPROTO_IPV6 ? 6 : 0;
}

static __always_inline int is_listed(const void *map, __u32 family, const __be32 *address)
{
	struct host host = { .family = family };

	host.address[0] = address[0];
	if (family == 6) {
		host.address[1] = address[1];
		host.address[2] = address[2];
		host.address[3] = address[3];
	}
	return bpf_map_lookup_elem(map, &host) != 0;
}

/* Each of these is 0 when there is nothing that we know. */

static __always_inline int parse_gre(const struct grehdr *gre, const void *end, struct tunnel *tunnel)
{
	if ((const void *)(gre + 1) > end)
		return 0;
	if (gre->flags == htons(GRE_CSUM))
		tunnel->inner += 4;
	else if (gre->flags != 0)
		return 0;
	tunnel->inner += sizeof(*gre);
	tunnel->family = gre->proto == htons(ETH_P_IP) ? 4 : gre->proto == htons(ETH_P_IPV6) ? 6 : 0;
	return tunnel->family != 0;
}

static __always_inline int parse_gue(const struct udphdr *udp, const void *end, __be16 port, struct tunnel *tunnel)
{
	const struct guehdr *gue = (const void *)(udp + 1);
	const struct gue_remcsum *remcsum = (const void *)(gue + 1);

	if ((const void *)(gue + 1) > end || udp->dest != port)
		return 0;
	tunnel->family = family_of(gue->proto);
	tunnel->inner += sizeof(*udp) + sizeof(*gue);
	/* Version and control bit are 0, so that what is left of the byte is the length. */
	if (gue->flags == 0)
		return gue->version_control_hlen == 0 && tunnel->family != 0;
	/* The one option that IPVS sends; what others change in a packet nobody knows here. */
	if (gue->flags != htons(GUE_FLAG_PRIV) || gue->version_control_hlen != sizeof(*remcsum) / 4)
		return 0;
	if ((const void *)(remcsum + 1) > end || remcsum->private_flags != htonl(GUE_PFLAG_REMCSUM))
		return 0;
	tunnel->inner += sizeof(*remcsum);
	tunnel->csum_start = htons(remcsum->start);
	tunnel->csum_offset = htons(remcsum->offset);
	return tunnel->csum_offset > tunnel->csum_start && tunnel->family != 0;
}

static __always_inline int parse_tunnel(__u8 protocol, const void *next, const void *end, struct tunnel *tunnel)
{
	__u32 zero = 0;
	const struct decap_settings *now = bpf_map_lookup_elem(&settings, &zero);

	if (!now)
		return 0;
	switch (protocol) {
	case IPPROTO_GRE:
		return now->tunnels & TUNNEL_GRE && parse_gre(next, end, tunnel);
	case IPPROTO_UDP:
		return now->tunnels & TUNNEL_GUE && parse_gue(next, end, now->gue_port, tunnel);
	default:
		tunnel->family = family_of(protocol);
		return now->tunnels & TUNNEL_IPIP && tunnel->family != 0;
	}
}

static __always_inline int parse_outer(const struct ethhdr *eth, const void *end, struct tunnel *tunnel)
{
	const struct iphdr *ip = (const void *)(eth + 1);
	const struct ipv6hdr *ip6 = (const void *)(eth + 1);
	__u32 header;

	if (eth->proto == htons(ETH_P_IP)) {
		if ((const void *)(ip + 1) > end || ip->version_ihl >> 4 != 4)
			return 0;
		header = (ip->version_ihl & 15) * 4;
		if (header < sizeof(*ip) || ip->frag_off & htons(IP_FRAGMENT) || !is_listed(&locals, 4, &ip->daddr))
			return 0;
		tunnel->inner = sizeof(*eth) + header;
		tunnel->end = sizeof(*eth) + htons(ip->tot_len);
		tunnel->ecn = ip->tos & ECN_MASK;
		return parse_tunnel(ip->protocol, (const void *)ip + header, end, tunnel);
	}
	if (eth->proto != htons(ETH_P_IPV6) || (const void *)(ip6 + 1) > end)
		return 0;
	if (*(const __u8 *)ip6 >> 4 != 6 || !is_listed(&locals, 6, ip6->daddr))
		return 0;
	tunnel->inner = sizeof(*eth) + sizeof(*ip6);
	tunnel->end = sizeof(*eth) + sizeof(*ip6) + htons(ip6->payload_len);
	tunnel->ecn = htonl(ip6->flow) >> 20 & ECN_MASK;
	return parse_tunnel(ip6->nexthdr, ip6 + 1, end, tunnel);
}

/* RFC 6040 §4.2: congestion that the tunnel met is told to the inner packet, which knows ECN. */
static __always_inline void mark_ipv4(struct iphdr *ip)
{
	__u32 check = (__be16)~ip->check;

	/* RFC 1624: the word of version and TOS goes out of the sum and comes in again. */
	check += (__be16)~*(const __be16 *)ip;
	ip->tos |= ECN_CE;
	check += *(const __be16 *)ip;
	check = (check & 0xffff) + (check >> 16);
	check = (check & 0xffff) + (check >> 16);
	ip->check = ~check;
}

/* Sums from csum_start to the inner packet's end, where its checksum field holds the sum of the pseudo-header. */
static __always_inline int complete_checksum(void *data, const void *data_end, __u32 inner_end,
					     const struct tunnel *tunnel)
{
	__u32 start = tunnel->inner + tunnel->csum_start, field = tunnel->inner + tunnel->csum_offset;
	const __be16 *word;
	__be16 *check;
	__u64 sum = 0;
	__u32 i, words;

	if (field + sizeof(*check) > inner_end || inner_end - start > 2 * MAX_CSUM_WORDS)
		return 0;
	words = (inner_end - start) / 2;
	start &= 0xfff;
	word = data + start;
	for (i = 0; i < MAX_CSUM_WORDS; i++) {
		if (i >= words || (const void *)(word + 1) > data_end)
			break;
		sum += *word++;
	}
	/* RFC 1071: a byte that is left over counts as one with a zero behind it. */
	if ((inner_end - tunnel->inner - tunnel->csum_start) & 1) {
		if ((const void *)word + 1 > data_end)
			return 0;
		sum += *(const __u8 *)word;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	check = data + (field & 0xfff);
	if ((const void *)(check + 1) > data_end)
		return 0;
	*check = (__be16)~sum ? (__be16)~sum : 0xffff;
	return 1;
}

/* The inner packet, made ready for the stack; 0 when it is not for a virtual address, or not whole. */
static __always_inline int prepare_inner(void *data, const void *data_end, const struct tunnel *tunnel)
{
	struct iphdr *ip = data + tunnel->inner;
	struct ipv6hdr *ip6 = data + tunnel->inner;
	__u32 end = tunnel->inner, ecn;

	if (tunnel->end > data_end - data)
		return 0;
	if (tunnel->family == 4) {
		if ((const void *)(ip + 1) > data_end || ip->version_ihl >> 4 != 4 || (ip->version_ihl & 15) < 5)
			return 0;
		ecn = ip->tos & ECN_MASK;
		end += htons(ip->tot_len);
		if (htons(ip->tot_len) < sizeof(*ip) || !is_listed(&vips, 4, &ip->daddr))
			return 0;
	} else {
		if ((const void *)(ip6 + 1) > data_end || *(const __u8 *)ip6 >> 4 != 6)
			return 0;
		ecn = htonl(ip6->flow) >> 20 & ECN_MASK;
		end += sizeof(*ip6) + htons(ip6->payload_len);
		if (!is_listed(&vips, 6, ip6->daddr))
			return 0;
	}
	if (end > tunnel->end || (tunnel->ecn == ECN_CE && ecn == 0))
		return 0;
	if (tunnel->csum_offset && !complete_checksum(data, data_end, end, tunnel))
		return 0;
	if (tunnel->ecn == ECN_CE && tunnel->family == 4)
		mark_ipv4(ip);
	else if (tunnel->ecn == ECN_CE)
		ip6->flow |= htonl(ECN_CE << 20);
	return 1;
}

SEC("xdp")
int ballast_decap(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	const void *data_end = (const void *)(long)ctx->data_end;
	struct tunnel tunnel = {};
	struct ethhdr eth;

	if ((const void *)((struct ethhdr *)data + 1) > data_end)
		return XDP_PASS;
	if (!parse_outer(data, data_end, &tunnel) || !prepare_inner(data, data_end, &tunnel))
		return XDP_PASS;

	__builtin_memcpy(&eth, data, sizeof(eth));
	eth.proto = tunnel.family == 4 ? htons(ETH_P_IP) : htons(ETH_P_IPV6);
	/* What cannot be taken apart after all goes where a broken packet goes. */
	if (bpf_xdp_adjust_head(ctx, tunnel.inner - sizeof(eth)))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	data_end = (const void *)(long)ctx->data_end;
	if ((const void *)((struct ethhdr *)data + 1) > data_end)
		return XDP_DROP;
	__builtin_memcpy(data, &eth, sizeof(eth));
	return XDP_PASS;
}

char program_license[] SEC("license") = "Dual BSD/GPL";
