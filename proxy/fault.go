package proxy

import (
	"strconv"
	"sync/atomic"
)

// fault is why an exchange did not take its ordinary course. Its name is what
// the Countersign-Error header, the logs and the metrics say.
type fault uint8

const (
	faultNone fault = iota
	faultPark       // not a fault: an idle connection is asked for its buffers
	faultBadRequest
	faultHeaderTooLarge
	faultBodyTooLarge
	faultRequestTimeout
	faultMethod
	faultVersion
	faultHTTP2
	faultClientGone
	faultUpstreamRefused
	faultUpstreamNotFound
	faultUpstreamUnreachable
	faultUpstreamTLS
	faultUpstreamCertificate
	faultUpstreamExpired
	faultUpstreamConnectTimeout
	faultUpstreamClosed
	faultUpstreamReset
	faultUpstreamResponse
	faultUpstreamTimeout
	faultTotalTimeout
	faultUpstreamBusy
	faultOverloaded
	faultInternal
	numFaults
)

// faults gives each fault its name, the status a client is sent when none was
// sent before, and a sentence that gives nothing away about what is inside.
var faults = [numFaults]struct {
	name    string
	status  int
	message string
}{
	faultBadRequest:             {"bad_request", 400, "The request is malformed or ambiguous."},
	faultHeaderTooLarge:         {"header_too_large", 431, "The request's header is larger than this server accepts."},
	faultBodyTooLarge:           {"body_too_large", 413, "The request's body is larger than this server accepts."},
	faultRequestTimeout:         {"request_timeout", 408, "The request did not arrive in time."},
	faultMethod:                 {"method_not_supported", 501, "This server does not open tunnels."},
	faultVersion:                {"version_not_supported", 505, "This server speaks HTTP/1.0 and HTTP/1.1."},
	faultHTTP2:                  {"http2_refused", 0, ""},
	faultClientGone:             {"client_gone", 0, ""},
	faultUpstreamRefused:        {"upstream_refused", 502, "The upstream refuses connections."},
	faultUpstreamNotFound:       {"upstream_not_found", 502, "The upstream's name cannot be resolved."},
	faultUpstreamUnreachable:    {"upstream_unreachable", 502, "The upstream cannot be reached."},
	faultUpstreamTLS:            {"upstream_tls", 502, "The upstream's TLS handshake failed."},
	faultUpstreamCertificate:    {"upstream_certificate", 502, "The upstream's certificate is not accepted."},
	faultUpstreamExpired:        {"upstream_certificate_expired", 502, "The upstream's certificate is not valid at this time."},
	faultUpstreamConnectTimeout: {"upstream_connect_timeout", 504, "The upstream did not accept the connection in time."},
	faultUpstreamClosed:         {"upstream_closed", 502, "The upstream closed the connection before it had answered."},
	faultUpstreamReset:          {"upstream_reset", 502, "The upstream reset the connection before it had answered."},
	faultUpstreamResponse:       {"upstream_bad_response", 502, "The upstream's response is malformed or ambiguous."},
	faultUpstreamTimeout:        {"upstream_timeout", 504, "The upstream did not answer in time."},
	faultTotalTimeout:           {"total_timeout", 504, "The exchange took longer than this server allows."},
	faultUpstreamBusy:           {"upstream_busy", 503, "All connections to the upstream are in use."},
	faultOverloaded:             {"overloaded", 503, "This server has as many connections as it accepts."},
	faultInternal:               {"internal", 500, "The proxy failed."},
}

func (f fault) String() string { return faults[f].name }

// faultCounts counts faults by kind. Safe for concurrent use.
type faultCounts [numFaults]atomic.Uint64

func (c *faultCounts) byName() map[string]uint64 {
	m := make(map[string]uint64, numFaults)
	for f := faultPark + 1; f < numFaults; f++ {
		m[f.String()] = c[f].Load()
	}
	return m
}

// appendFault appends a complete response that tells a client about f.
func appendFault(dst []byte, f fault, head, closing bool) []byte {
	info := &faults[f]
	var body []byte
	body = append(body, `{"error":"`...)
	body = append(body, info.name...)
	body = append(body, `","status":`...)
	body = strconv.AppendInt(body, int64(info.status), 10)
	body = append(body, `,"message":"`...)
	body = append(body, info.message...)
	body = append(body, "\"}\n"...)

	dst = appendStatusLine(dst, info.status)
	dst = append(dst, "Content-Type: application/json\r\nCache-Control: no-store\r\nCountersign-Error: "...)
	dst = append(dst, info.name...)
	dst = append(dst, "\r\n"...)
	if closing {
		dst = append(dst, "Connection: close\r\n"...)
	}
	return appendSizedBody(dst, body, head)
}
