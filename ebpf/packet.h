/* From a packet's headers to where in which connection its payload stands. */
#ifndef PACKET_H
#define PACKET_H

#include "connection.h"

/* The port of the API, in network order. */
const volatile __u16 port;

/* Which packets of a hook count: what arrives for the API, and what it sends. */
enum { REQUESTS = 1, RESPONSES = 2 };

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

#define IPV4 bpf_htons(0x0800)
#define IPV6 bpf_htons(0x86dd)
#define VLAN_8021Q bpf_htons(0x8100)
#define VLAN_8021AD bpf_htons(0x88a8)

#define TCP_PROTOCOL 6

/* The transport header behind IPv6 extension headers, 0 when it is not TCP's or
   the packet is a fragment. At most six of them are followed. */
__noinline int behind_extensions(struct __sk_buff *ctx, struct work *w, __u32 at, __u8 next)
{
	if (!w)
		return 0;
	TIMES(i, 7) {
		__u8 *header = w->headers.extension;

		if (next == TCP_PROTOCOL)
			return at;
		if (next != 0 && next != 43 && next != 44 && next != 51 && next != 60)
			return 0;
		if (bpf_skb_load_bytes(ctx, at, header, 4) < 0)
			return 0;
		if (next == 44) { /* a fragment, unless it is all of them */
			if (header[2] | (header[3] & 0xf9))
				return 0;
			at += 8;
		} else if (next == 51) {
			at += (header[1] + 2) * 4;
		} else {
			at += (header[1] + 1) * 8;
		}
		next = header[0];
	}
	return 0;
}

/* locate fills work from the packet's headers, network is the offset of the
   first behind the link's. It returns whether the packet is one to look at. */
__noinline int locate(struct __sk_buff *ctx, struct work *w, __u32 network, __u32 roles)
{
	__u16 protocol = ctx->protocol;
	__u32 transport, end, size = ctx->len;
	struct headers *h;
	struct ipv4 *four;
	struct ipv6 *six;
	struct key *key;

	if (!w)
		return 0;
	h = &w->headers;
	four = &h->network.shorter.four;
	six = &h->network.six;
	key = &w->kept.connection;

	/* Tags that the device did not take out of the packet. */
	TIMES(i, 2) {
		if (protocol != VLAN_8021Q && protocol != VLAN_8021AD)
			break;
		if (bpf_skb_load_bytes(ctx, network, &h->vlan, sizeof(h->vlan)) < 0)
			return 0;
		protocol = h->vlan.protocol;
		network += sizeof(h->vlan);
	}
	/* The shortest headers in one piece; TCP's again where they are longer. */
	if (protocol == IPV4) {
		if (bpf_skb_load_bytes(ctx, network, four, sizeof(*four) + sizeof(h->tcp)) < 0)
			return 0;
		if (four->protocol != TCP_PROTOCOL || four->fragment & bpf_htons(0x3fff))
			return 0;
		transport = network + (four->version_length & 15) * 4;
		end = network + bpf_ntohs(four->total_length);
		if (!four->total_length) /* larger than it can say */
			end = size;
		if (four->version_length != 0x45 && bpf_skb_load_bytes(ctx, transport, &h->tcp, sizeof(h->tcp)) < 0)
			return 0;
	} else if (protocol == IPV6) {
		if (bpf_skb_load_bytes(ctx, network, six, sizeof(*six) + sizeof(h->tcp)) < 0)
			return 0;
		transport = network + sizeof(*six);
		end = transport + bpf_ntohs(six->payload_length);
		if (!six->payload_length)
			end = size;
		if (six->next != TCP_PROTOCOL) {
			transport = behind_extensions(ctx, w, transport, six->next);
			if (!transport || bpf_skb_load_bytes(ctx, transport, &h->tcp, sizeof(h->tcp)) < 0)
				return 0;
		}
	} else {
		return 0;
	}
	if (roles & REQUESTS && h->tcp.destination == port)
		w->stream = TO_SERVER;
	else if (roles & RESPONSES && h->tcp.source == port)
		w->stream = TO_CLIENT;
	else
		return 0;
	if (end > size) /* the link may pad, and a packet may be cut short */
		end = size;
	w->tcp_flags = h->tcp.flags;
	w->seq = bpf_ntohl(h->tcp.seq);
	w->ack = bpf_ntohl(h->tcp.ack);
	w->payload = transport + (h->tcp.offset >> 4) * 4;
	w->length = end > w->payload ? end - w->payload : 0;
	if (!w->length && !(h->tcp.flags & (FIN | SYN | RST)))
		return 0;
	key->client_port = chosen(w->stream == TO_SERVER, h->tcp.source, h->tcp.destination);
	if (protocol == IPV4) {
		key->client[0] = key->client[1] = key->server[0] = key->server[1] = 0;
		key->client[2] = key->server[2] = bpf_htonl(0xffff);
		key->client[3] = chosen(w->stream == TO_SERVER, four->source, four->destination);
		key->server[3] = chosen(w->stream == TO_SERVER, four->destination, four->source);
	} else if (w->stream == TO_SERVER) {
		__builtin_memcpy(key->client, six->source, 16);
		__builtin_memcpy(key->server, six->destination, 16);
	} else {
		__builtin_memcpy(key->client, six->destination, 16);
		__builtin_memcpy(key->server, six->source, 16);
	}
	key->server_port = port;
	return 1;
}

#endif
