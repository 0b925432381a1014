/* What the probe remembers at most. docs/PROBE.md states each of these. */
#ifndef LIMITS_H
#define LIMITS_H

#define LINE 512      /* bytes of a line that are judged, and kept when a packet ends within it */
#define WINDOW 1536   /* bytes of a packet looked at together: a segment of Ethernet */
#define QUEUE 16      /* requests of one connection that wait for their responses */
#define STEPS 4096    /* lines and pieces of body in one packet */
#define PATH 256      /* bytes of a path that tell it from others */
#define TARGET 288    /* bytes of a request line that user space is shown */
#define NEW_PATHS 256 /* paths named between two readings */
#define PAGES 32768   /* of counts, of all routes together */
#define SEGMENT 64    /* a longer path segment is an identifier; so says histogram.Collapse */

#endif
