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
	Malformed     Reason = iota // refused before it was forwarded: bad framing, limits
	ClientGone                  // the client left before the answer was complete
	EarlyResponse               // the answer ended before the request did
	HTTP2                       // an HTTP/2 preface was refused
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
	case Internal:
		return "internal"
	default:
		return "unknown"
	}
}
