package histogram

// Outcome is how a measured request ended.
type Outcome uint8

const (
	Success      Outcome = iota // an upgrade, 2xx or 3xx
	ClientError                 // 4xx
	ServerError                 // 5xx sent by the upstream
	GatewayError                // upstream unreachable, timed out, reset or unintelligible: the sensor's own 502, 503, 504

	NumOutcomes // how many outcomes there are; an array bound, not an outcome
)

// IsError reports whether the outcome counts towards the error rate.
// A client's own mistakes do not.
func (o Outcome) IsError() bool { return o == ServerError || o == GatewayError }

// String is the outcome's name as metrics print it.
func (o Outcome) String() string {
	switch o {
	case Success:
		return "success"
	case ClientError:
		return "client_error"
	case ServerError:
		return "server_error"
	case GatewayError:
		return "gateway_error"
	default:
		return "unknown"
	}
}

// Reason is why a request that was seen has no latency.
type Reason uint8

const (
	Malformed     Reason = iota // refused before it was forwarded: bad framing, limits; or not HTTP at all
	ClientGone                  // the client left before the answer was complete
	EarlyResponse               // the answer ended before the request did
	HTTP2                       // an HTTP/2 preface was refused, or seen by a sensor that measures HTTP/1.1
	TLS                         // the connection is encrypted, and the sensor only listens
	SequenceGap                 // a sensor that only listens missed bytes that it needed
	Resync                      // it lost its place in the connection, and took it up again at a later request
	ParseLimit                  // a limit of what the sensor parses or remembers of one connection
	MapFull                     // a limit of what the sensor remembers in all
	Internal                    // a fault of the sensor's own

	NumReasons // how many reasons there are; an array bound, not a reason
)

// String is the reason's name as metrics print it.
func (r Reason) String() string {
	switch r {
	case Malformed:
		return "malformed"
	case ClientGone:
		return "client_gone"
	case EarlyResponse:
		return "early_response"
	case HTTP2:
		return "http2"
	case TLS:
		return "tls"
	case SequenceGap:
		return "sequence_gap"
	case Resync:
		return "resync"
	case ParseLimit:
		return "parse_limit"
	case MapFull:
		return "map_full"
	case Internal:
		return "internal"
	default:
		return "unknown"
	}
}
