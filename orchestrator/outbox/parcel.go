package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/egress"
	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// Parcel is one attempt: a letter to a contact by a channel.
type Parcel struct {
	// ID is the idempotency key, the same at every attempt by every channel.
	ID      string
	Letter  Letter
	Contact string
	Step    Step
	Channel string
	// Attempt counts from 1, over all channels and since the process started.
	Attempt int
	// Repeated is true when the person may have got it before.
	Repeated bool
	// Link is true when the message is to bring a link: a decision was asked for and
	// has not been taken.
	Link bool

	proof Receipt // once it is accepted
}

// parcel makes out an attempt of a delivery.
func (d delivery) parcel(m *mark, channel string) Parcel {
	p := Parcel{
		ID: d.id, Letter: *d.letter, Contact: d.contact, Step: d.step, Channel: channel,
		Attempt: m.attempts + 1, Repeated: m.repeated, Link: d.link, proof: d.receipt(Delivered, time.Time{}),
	}
	// What the box goes on writing to is not for others.
	p.Letter.also, p.Letter.done, p.Letter.ids = nil, nil, nil
	return p
}

func (p Parcel) key() key { return p.proof.key() }

// receipt is that of a parcel which its channel has accepted.
func (p Parcel) receipt(reference string, at time.Time) Receipt {
	r := p.proof
	r.At, r.Channel, r.Attempts, r.Repeated, r.Reference = at.UTC().Round(0), p.Channel, p.Attempt, p.Repeated, plain(reference)
	return r
}

// Carrier makes a parcel into a message and hands it to its channel, once. It is
// called from several goroutines and must return when ctx ends. The error is a
// [*notify.Error], a [Moot], or wraps [egress.ErrShadow]; any other is taken for one
// that may pass.
type Carrier interface {
	Carry(ctx context.Context, p Parcel) (notify.Receipt, error)
}

// Moot is the error of a message that need not be said any more, and says why.
type Moot string

func (m Moot) Error() string { return "it need not be said any more: " + string(m) }

// Post is the carrier over the channels of package notify.
type Post struct {
	// Channels are all that there are.
	Channels []notify.Channel
	// Compose writes the message; its ID is set afterwards. Its errors are those of a
	// carrier.
	Compose func(ctx context.Context, p Parcel) (notify.Message, error)
}

// Carry composes the message of a parcel and sends it.
func (c Post) Carry(ctx context.Context, p Parcel) (notify.Receipt, error) {
	for _, channel := range c.Channels {
		if channel.Name() != p.Channel {
			continue
		}
		m, err := c.Compose(ctx, p)
		if err != nil {
			return notify.Receipt{}, err
		}
		m.ID = p.ID
		return channel.Send(ctx, m)
	}
	return notify.Receipt{}, &notify.Error{Text: fmt.Sprintf("there is no channel %q", p.Channel), Mend: "configure it, or take it from its contacts"}
}

// failure is what an attempt's error means.
func failure(err error) *notify.Error {
	if e, ok := errors.AsType[*notify.Error](err); ok {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &notify.Error{Retry: true, Unsure: true, Text: "no answer came in time", Mend: "check that the channel's address can be reached from here", Cause: err}
	}
	return &notify.Error{Retry: true, Text: err.Error(), Cause: err}
}

// silenced says whether shadow mode is why nothing was sent.
func silenced(err error) bool { return errors.Is(err, egress.ErrShadow) }
