/* A connection: two streams, and the requests that wait for their responses. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "limits.h"
#include "verifier.h"

/* IPv4 addresses are mapped into IPv6. Ports are in network order. */
struct key {
	__u32 client[4];
	__u32 server[4];
	__u16 client_port;
	__u16 server_port;
};

/* What the next byte of a stream is. */
enum state {
	LOST,  /* unknown: until a packet from the client begins with a request line */
	START, /* the first line of a message */
	FIELDS,
	BODY,
	CHUNK_SIZE,
	CHUNK_DATA, /* and the line end after it */
	TRAILERS,
	UNTIL_CLOSE, /* a response that ends with the connection */
};

enum stream_flag {
	CHUNKED = 1,
	HAS_LENGTH = 2,
	BAD_FRAMING = 4, /* fields that contradict each other: the end is unknown */
	SKIP_LINE = 8,   /* in a line that has been judged by its beginning */
	EVENTS = 16,     /* text/event-stream */
	COUNTED = 32,    /* the message in progress waits for nothing any more */
	ENDED = 64,      /* nothing follows */
};

enum { TO_SERVER, TO_CLIENT };

/* One direction of a connection. */
struct stream {
	__u64 left;        /* bytes of the body or chunk still to come; Content-Length within a head */
	__u64 early_at;    /* when the last of the early bytes came */
	__u32 next;        /* sequence number of the next byte to look at */
	__u32 early;       /* sequence number of bytes that came before those in front of them */
	__u32 early_end;   /* and of the byte behind them; the same when there are none */
	__u16 early_kept;  /* how many of their first bytes are in the map `kept` */
	__u16 carried;     /* bytes of a line whose end is still to come, in the map `kept` */
	__u32 slot;        /* to the server: route of the request whose head is being read */
	__u16 status;      /* to the client: of the response being read */
	__u8 method;       /* to the server: of the request whose head is being read */
	__u8 state;
	__u8 flags;
	__u8 ending;       /* a FIN came */
	__u8 pad[2];
	__u32 fin;         /* its sequence number */
};

enum method { OTHER_METHOD, HEAD, CONNECT };

struct request {
	__u64 start; /* when its last byte came; 0 until then */
	__u32 slot;
	__u32 method;
};

struct connection {
	struct stream streams[2]; /* TO_SERVER, TO_CLIENT */
	__u64 tag;      /* of the key, as tag_of gives it */
	__u64 first;    /* when the response in progress began */
	__u64 last;     /* when the newest byte came, in either direction */
	__u64 sent;     /* when the server sent its newest byte */
	__u32 busy;     /* held while a packet of the connection is looked at */
	__u16 ignored;  /* TLS, HTTP/2, a tunnel, or nothing we know */
	__u16 owed;     /* while the place is lost: responses to come to requests that were seen */
	__u16 opened;   /* it was seen opening */
	__u16 spoken;   /* the server has sent something */
	__u32 began;    /* sequence number of the first byte of requests */
	__u32 head;     /* requests answered, modulo 2^32 */
	__u32 tail;     /* requests that came */
	__u32 overflow; /* requests after those, already counted as unmeasured */
	__u32 requests; /* heads read, for telling a stranger from a friend gone astray */
	__u32 pad;
	struct request queue[QUEUE];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct key);
	__type(value, struct connection);
} connections SEC(".maps");

/* The client's initial sequence number, until its first byte comes. Floods of
   SYNs push each other out here and take no room from connections. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct key);
	__type(value, __u32);
} openings SEC(".maps");

/* Where the requests of connections that ended did: what comes of them later, was
   overtaken or comes again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, struct key);
	__type(value, __u32);
} endings SEC(".maps");

/* Bytes that cannot be judged yet. */
enum { CARRIED, EARLY };

struct kept_key {
	struct key connection;
	__u16 stream;
	__u16 what; /* CARRIED, EARLY */
};

struct kept {
	__u64 words[WINDOW / 8 + 1];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct kept_key);
	__type(value, struct kept);
} kept SEC(".maps");

/* What is known of the path segment being hashed. */
struct segment {
	__u64 before; /* the hash where it began */
	__u32 length, kinds, digits, changes;
	__u32 dashes; /* how many, where a UUID has them */
	__u32 separators, separator; /* how many, and how many bytes before the first if no digit is among them */
	__u8 first;
	__u8 last; /* class of the newest byte if it is a letter or digit, else 0 */
	__u8 pad[2];
};

struct ipv4 {
	__u8 version_length, tos;
	__u16 total_length, id, fragment;
	__u8 ttl, protocol;
	__u16 checksum;
	__u32 source, destination;
};

struct ipv6 {
	__u32 version_class_label;
	__u16 payload_length;
	__u8 next, hop_limit;
	__u32 source[4], destination[4];
};

struct tcp {
	__u16 source, destination;
	__u32 seq, ack;
	__u8 offset, flags;
	__u16 window, checksum, urgent;
};

struct vlan {
	__u16 tag, protocol;
};

struct shorter {
	__u8 before[20];
	struct ipv4 four;
};

union network {
	struct shorter shorter;
	struct ipv6 six;
};

/* The headers of a packet: TCP's follows on the shortest of the network's. */
struct headers {
	union network network;
	struct tcp tcp;
	struct vlan vlan;
	__u8 extension[4];
	__u8 pad[4];
};

/* What is known of the packet being looked at: too much for the stack. A
   program runs to its end on its processor before the next one begins there. */
struct work {
	struct kept_key kept; /* begins with the connection's key */
	__u32 seq, ack;
	__u32 payload;  /* offset in the packet */
	__u32 length;   /* of the payload */
	__u64 now;
	__u32 stream;   /* TO_SERVER, TO_CLIENT */
	__u32 replay;   /* reading what came early, not the packet */
	/* A cursor over what was carried, followed by the payload. */
	__u32 carried;
	__u32 pos, end;
	__u32 window;   /* position of bytes[0] */
	__u32 filled;   /* bytes that are there */
	__u32 path, path_length; /* the path being hashed */
	__u32 scanned;  /* its bytes so far */
	__u32 pad2;
	struct segment segment;
	__u64 hash;     /* of the path up to there */
	volatile __u64 number; /* being read: here, where the verifier follows no values */
	__u8 tcp_flags;
	__u8 pad[7];
	struct headers headers;
	__u32 place;    /* in an array */
	__u32 slot;     /* of a path seen first */
	__u32 end_of_requests; /* what `endings` is told */
	__u32 pad3;
	struct connection fresh; /* a connection as it is put into the map */
	union {
		__u8 bytes[2 * WINDOW + 64];
		__u64 words[(2 * WINDOW + 64) / 8];
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct work);
} works SEC(".maps");

const volatile __u32 only = 0; /* the key of a map with one value */

static __always_inline struct work *own_work(void)
{
	return bpf_map_lookup_elem(&works, (const void *)&only);
}

static __always_inline struct stream *stream_of(struct connection *c, __u32 stream)
{
	struct stream *s = &c->streams[TO_SERVER];

	if (stream) {
		s++;
		SETTLE(s);
	}
	return s;
}

/* A request's place in the queue. */
static __always_inline struct request *request_at(struct connection *c, __u32 n)
{
	struct request *r = c->queue;

	if (n & 1) {
		r += 1;
		SETTLE(r);
	}
	if (n & 2) {
		r += 2;
		SETTLE(r);
	}
	if (n & 4) {
		r += 4;
		SETTLE(r);
	}
	if (n & 8) {
		r += 8;
		SETTLE(r);
	}
	return r;
}

_Static_assert(QUEUE == 16, "request_at has four bits");

#endif
