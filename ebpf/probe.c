//go:build ignore

/* The probe: HTTP/1.1 on one port, measured from the packets. One parser, and
   an entry point for each kind of hook. docs/PROBE.md says how it works. */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "glance.h"
#include "hold.h"
#include "packet.h"

char __license[] SEC("license") = "Apache-2.0";

#define TCX_NEXT -1

static __always_inline __u64 tag_of(struct key *k)
{
	__u64 tag = k->client[3] ^ k->server[3];

	tag = mix(tag, k->client[0] ^ k->server[0]);
	tag = mix(tag, k->client[1] ^ k->server[1]);
	tag = mix(tag, k->client[2] ^ k->server[2]);
	return mix(tag, k->client_port);
}

static __always_inline void start_streams(struct connection *c, __u32 next, __u32 ack)
{
	struct stream *s;

	s = &c->streams[TO_SERVER];
	begin_message(s);
	s->next = next;
	s->early_end = s->early;
	s = &c->streams[TO_CLIENT];
	begin_message(s);
	s->next = ack;
	s->early_end = s->early;
}

enum { UNKNOWN, KNOWN, HELD };

#define EEXIST 17

/* A connection that is not known is followed from its first byte if it was seen
   opening, else from a request line. Returns HELD if it is now, for this packet
   first, and KNOWN if another processor was faster. */
__noinline int meet(struct __sk_buff *ctx, struct work *w)
{
	struct connection *c;
	struct key key;
	__u32 *at, next, opened = 0;
	int kind, failed;

	if (!w)
		return UNKNOWN;
	key = w->kept.connection;
	next = w->seq;
	at = bpf_map_lookup_elem(&openings, &key);
	if (at) {
		next = *at;
		opened = 1;
		bpf_map_delete_elem(&openings, &key);
	} else {
		at = bpf_map_lookup_elem(&endings, &key);
		if (at && (__s32)(*at - next) > 0)
			return UNKNOWN;
	}
	kind = recognise(ctx, w);
	if (!opened && kind == NOT_A_REQUEST)
		return UNKNOWN;
	w = own_work(); /* an argument's memory is nothing to put into a map, in Linux 6.1 */
	if (!w)
		return UNKNOWN;
	/* What is not set here is 0, and stays so. */
	c = &w->fresh;
	c->tag = tag_of(&key);
	c->busy = 1;
	c->opened = opened;
	c->began = next;
	c->ignored = 0;
	start_streams(c, next, w->ack);
	if (!opened && kind == MAYBE_TLS)
		ignore(c);
	failed = bpf_map_update_elem(&connections, &key, c, BPF_NOEXIST);
	if (failed == -EEXIST)
		return KNOWN;
	if (failed) {
		count_seen_unmeasured(MAP_FULL);
		return UNKNOWN;
	}
	if (!opened && kind == MAYBE_TLS)
		count_seen_unmeasured(TLS);
	return HELD;
}

/* A payload, at the place that its sequence number says. */
static __always_inline void receive(struct __sk_buff *ctx, struct connection *c, struct stream *s, struct work *w)
{
	__s32 gap = w->seq - s->next;

	if (s->state == LOST) {
		if (gap < 0)
			return;
		s->next = w->seq + w->length;
		if (w->stream == TO_CLIENT) {
			overhear(ctx, c, w);
			return;
		}
		if (recognise(ctx, w) != A_REQUEST)
			return;
		if (waiting(c)) { /* whose answer is it that comes next? */
			count_seen_unmeasured(RESYNC);
			return;
		}
		start_streams(c, w->seq, w->ack);
	}
	if (!trim(s, w))
		return;
	if (w->stream == TO_CLIENT)
		c->sent = w->now;
	gap = w->seq - s->next;
	if (gap > 0 && w->stream == TO_CLIENT) {
		/* Sent in order, so what is missing was sent before. */
		if (s->state == UNTIL_CLOSE || (s->state == START && !waiting(c) && !c->overflow))
			s->next = w->seq;
		else if (inside_body(s, gap))
			pass_body(c, s, TO_CLIENT, gap, w->now);
	}
	if (w->seq != s->next) {
		if (set_aside(ctx, c) < 0)
			lose(c, SEQUENCE_GAP, w->stream == TO_SERVER && s->state == START);
		return;
	}
	if (within_body(s, w->length)) {
		pass_body(c, s, w->stream, w->length, w->now);
	} else {
		if (w->stream == TO_CLIENT && s->state == START && !waiting(c))
			answered_early(ctx, c, w);
		drain(ctx, c, w);
	}
	replay(ctx, c, s, w);
}

/* No byte follows in the stream. */
static __always_inline void end_stream(struct connection *c, struct stream *s, struct work *w)
{
	s->flags |= ENDED;
	if (c->ignored || w->stream == TO_SERVER)
		return;
	if (s->state == UNTIL_CLOSE)
		complete_response(c, s, c->sent);
	break_off(c, w->now);
}

/* Looks at a packet of the connection. Returns whether that is over. */
__noinline int attend(struct __sk_buff *ctx, struct connection *c, struct work *w)
{
	struct stream *s;

	if (!c || !w)
		return 0;
	s = stream_of(c, w->stream);
	c->last = w->now;
	if (w->tcp_flags & RST) {
		/* One without ACK says that there is no such connection (RFC 9293
		   §3.10.7.1). If nothing else was seen of the server there was none:
		   the request came too late, or to nobody. */
		if (w->stream == TO_CLIENT && (c->opened || c->spoken || w->tcp_flags & ACK))
			break_off(c, w->now);
		give_up(c, CLIENT_GONE);
		return 1;
	}
	if (w->stream == TO_CLIENT)
		c->spoken = 1;
	if (w->tcp_flags & ACK)
		missed(c, !w->stream, w->ack);
	if (w->tcp_flags & FIN && !s->ending) {
		s->ending = 1;
		s->fin = w->seq + w->length;
	}
	if (w->length && !c->ignored)
		receive(ctx, c, s, w);
	if (s->ending && !(s->flags & ENDED) && (s->state == LOST || (__s32)(s->next - s->fin) >= 0))
		end_stream(c, s, w);
	if (!(c->streams[TO_SERVER].flags & c->streams[TO_CLIENT].flags & ENDED))
		return 0;
	give_up(c, CLIENT_GONE);
	return 1;
}

/* A new connection has the place of an old one whose end was not seen, unless its
   opening comes again. */
static __always_inline void opening(struct work *w, struct connection *c)
{
	struct key *key = &w->kept.connection;
	__u32 first = w->seq + 1;

	if (w->stream == TO_CLIENT || w->tcp_flags & ACK)
		return;
	if (c) {
		if (c->opened && c->began == first)
			return;
		if (acquire(c)) {
			if (c->tag == tag_of(key)) {
				give_up(c, CLIENT_GONE);
				bpf_map_delete_elem(&connections, key);
			} else {
				release(c);
			}
		}
	}
	bpf_map_delete_elem(&endings, key);
	bpf_map_update_elem(&openings, key, &first, BPF_ANY);
}

/* The connection is over. */
static __always_inline void forget(struct work *w, struct connection *c)
{
	__u32 end = c->streams[TO_SERVER].next;

	if (w->stream == TO_SERVER && (__s32)(w->seq - end) > 0)
		end = w->seq;
	w->end_of_requests = end;
	bpf_map_update_elem(&endings, &w->kept.connection, &w->end_of_requests, BPF_ANY);
	bpf_map_delete_elem(&connections, &w->kept.connection);
}

static __always_inline int look(struct __sk_buff *ctx, __u32 network, __u32 roles)
{
	struct work *w = own_work();
	struct counters *n;
	struct connection *c;
	int met = KNOWN;

	if (!w || !locate(ctx, w, network, roles))
		return 0;
	n = counters();
	if (!n)
		return 0;
	n->packets++;
	w->now = bpf_ktime_get_ns();
	w->replay = 0;
	c = bpf_map_lookup_elem(&connections, &w->kept.connection);
	if (w->tcp_flags & SYN) {
		opening(w, c);
		return 0;
	}
	if (!c) {
		if (w->stream == TO_CLIENT || !w->length)
			return 0;
		met = meet(ctx, w);
		if (met == UNKNOWN)
			return 0;
		c = bpf_map_lookup_elem(&connections, &w->kept.connection);
		if (!c)
			return 0;
	}
	if (met != HELD && !acquire(c)) {
		n->contended++;
		return 0;
	}
	if (c->tag != tag_of(&w->kept.connection)) {
		/* It ended, and its memory is another one's now. */
	} else if (attend(ctx, c, w)) {
		forget(w, c);
		return 0;
	}
	release(c);
	return 0;
}

#define ETHERNET 14

/* What arrives for another host, to a bridge's port or one that listens to
   everything, is not for the API. */
#define PACKET_HOST 0

SEC("tcx/ingress")
int ingress(struct __sk_buff *ctx)
{
	if (ctx->pkt_type == PACKET_HOST)
		look(ctx, ETHERNET, REQUESTS);
	return TCX_NEXT;
}

SEC("tcx/egress")
int egress(struct __sk_buff *ctx)
{
	look(ctx, ETHERNET, RESPONSES);
	return TCX_NEXT;
}

/* What is sent over loopback arrives there: one direction has it all. */
SEC("tcx/egress")
int loopback(struct __sk_buff *ctx)
{
	look(ctx, ETHERNET, REQUESTS | RESPONSES);
	return TCX_NEXT;
}

/* Devices without a link header, such as tunnels. */
SEC("tcx/ingress")
int ingress_bare(struct __sk_buff *ctx)
{
	if (ctx->pkt_type == PACKET_HOST)
		look(ctx, 0, REQUESTS);
	return TCX_NEXT;
}

SEC("tcx/egress")
int egress_bare(struct __sk_buff *ctx)
{
	look(ctx, 0, RESPONSES);
	return TCX_NEXT;
}

#define LOOPBACK_INDEX 1 /* in every network namespace */
#define PACKET_OUTGOING 4

/* The filter of a SOCK_DGRAM packet socket: packets begin at the network header,
   and none is wanted. */
SEC("socket")
int tap(struct __sk_buff *ctx)
{
	__u32 type = ctx->pkt_type, roles = 0;

	if (type == PACKET_OUTGOING)
		roles = ctx->ifindex == LOOPBACK_INDEX ? REQUESTS | RESPONSES : RESPONSES;
	else if (type == PACKET_HOST && ctx->ifindex != LOOPBACK_INDEX)
		roles = REQUESTS;
	if (roles)
		look(ctx, 0, roles);
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} taps SEC(".maps");

/* What is attached to the socket: a filter's size counts against
   net.core.optmem_max, which was 20 KiB before Linux 6.7. */
SEC("socket")
int filter(struct __sk_buff *ctx)
{
	bpf_tail_call(ctx, &taps, 0);
	return 0;
}

/* For the test that compares buckets with those of package histogram: the index
   of the nanoseconds that the packet begins with. */
SEC("socket")
int bucket(struct __sk_buff *ctx)
{
	__u64 ns = 0;

	bpf_skb_load_bytes(ctx, 0, &ns, sizeof(ns));
	return bucket_of(ns);
}
