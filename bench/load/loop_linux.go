package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	rest      = int64(10 * time.Millisecond) // for a connection after a failure, so that failing fast is not a load of its own
	glance    = int64(20 * time.Millisecond) // how often it looks whether it is to stop
	readBytes = 64 << 10
	batch     = 64 // events that are handled before it looks again what is due
)

var (
	errUnanswered = errors.New("no answer by the end")
	errUnsent     = errors.New("not sent by the end: every connection was busy")
)

// loop is one thread: its connections, its requests, what it has seen. Times are nanoseconds since epoch.
type loop struct {
	plan     Plan
	target   target
	messages []message
	epoch    time.Time
	poll     int
	events   []unix.EpollEvent
	buffer   []byte
	conns    []conn
	next     int     // of messages
	idle     ring    // connections without a request, the longest idle first
	resting  ring    // after a failure
	restings []int64 // until when, by connection
	busy     int

	schedule         schedule // open loop
	tail             tail
	timer            int64  // when the timer was to end that the last wait ended by, 0 if it did not
	noticed, begun   uint64 // requests that were due, and of them those that were begun
	measureFrom, end int64

	result Result
}

func newLoop(p Plan, t target, all []message, connections int, epoch time.Time) (*loop, error) {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot watch connections: %w", err)
	}
	l := &loop{
		plan: p, target: t, messages: all, epoch: epoch, poll: poll,
		events: make([]unix.EpollEvent, min(connections, batch)), buffer: make([]byte, readBytes),
		conns: make([]conn, connections), idle: newRing(connections), resting: newRing(connections), restings: make([]int64, connections),
		tail: firstTail, result: newResult(p),
	}
	for i := range l.conns {
		l.conns[i].fd = -1
		l.conns[i].answer.part = make([]byte, 0, 256)
		l.idle.push(i)
	}
	return l, nil
}

func (l *loop) close() {
	for i := range l.conns {
		l.conns[i].hangUp()
	}
	_ = unix.Close(l.poll)
}

func (l *loop) now() int64 { return int64(time.Since(l.epoch)) }

// connect opens all connections before the run, unless each request gets its own.
func (l *loop) connect(ctx context.Context) error {
	if l.plan.NewConnections {
		return nil
	}
	for i := range l.conns {
		if err := l.conns[i].dial(l.target, l.poll, i); err != nil {
			return err
		}
	}
	deadline := l.now() + int64(l.plan.Grace)
	for left := len(l.conns); left > 0; {
		n, err := l.wait(l.now(), glance)
		if err != nil {
			return err
		}
		for _, e := range l.events[:n] {
			if c := &l.conns[e.Fd]; c.dialing {
				if err := c.dialed(); err != nil {
					return err
				}
				left--
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if left > 0 && l.now() > deadline {
			return fmt.Errorf("%d of %d connections were not accepted in %v: give fewer", left, len(l.conns), l.plan.Grace)
		}
	}
	return nil
}

// run sends from start on, on the clock of the run, and returns when all is answered.
func (l *loop) run(ctx context.Context, start int64) error {
	defer l.close()
	defer precise()()
	l.measureFrom = start + int64(l.plan.Warm)
	l.end = l.measureFrom + int64(l.plan.For)
	l.schedule.start = start
	last := l.end + int64(l.plan.Grace)
	for {
		now := l.now()
		if l.timer > 0 {
			l.tail.learn(now - l.timer)
		}
		l.wake(now)
		if l.plan.Rate > 0 {
			l.notice(now)
		}
		l.begin(now)
		switch {
		case now >= l.end && l.busy == 0 && l.begun == l.noticed:
			l.result.Elapsed = max(l.result.Elapsed, l.plan.For)
			return nil
		case now >= last:
			l.giveUp(now)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		n, err := l.wait(now, l.pause(now, last))
		if err != nil {
			return err
		}
		for _, e := range l.events[:n] {
			l.handle(e)
		}
	}
}

// pause is how long nothing is to be done unless a connection has something; 0 or less is not at all.
func (l *loop) pause(now, last int64) int64 {
	until := now + glance
	if now < l.end {
		until = min(until, l.end)
	}
	if i, ok := l.resting.first(); ok {
		until = min(until, l.restings[i])
	}
	if now < l.schedule.start {
		until = min(until, l.schedule.start)
	}
	if l.plan.Rate > 0 && now < l.end {
		until = min(until, l.schedule.at(l.noticed)-int64(l.tail))
	}
	return min(until, last) - now
}

// wait returns the number of events. A pause is ended by the first, or by a timer: of whole milliseconds, which the poll
// has itself, and of the rest of the last, for which it takes one more call.
func (l *loop) wait(now, pause int64) (int, error) {
	l.timer = 0
	if pause > 0 && pause < int64(time.Millisecond) {
		timeout := unix.NsecToTimespec(pause)
		ready := [1]unix.PollFd{{Fd: int32(l.poll), Events: unix.POLLIN}}
		n, err := unix.Ppoll(ready[:], &timeout, nil)
		if err != nil {
			return 0, unlessInterrupted(err)
		}
		if n == 0 {
			l.timer = now + pause
			return 0, nil
		}
	}
	n, err := unix.EpollWait(l.poll, l.events, int(max(pause, 0)/int64(time.Millisecond)))
	if err != nil {
		return 0, unlessInterrupted(err)
	}
	return n, nil
}

func unlessInterrupted(err error) error {
	if err == nil || errors.Is(err, unix.EINTR) {
		return nil
	}
	return fmt.Errorf("cannot wait for connections: %w", err)
}

// notice finds the requests that are due.
func (l *loop) notice(now int64) {
	for {
		due := l.schedule.at(l.noticed)
		if due > now || due >= l.end {
			return
		}
		if due >= l.measureFrom {
			_ = l.result.GeneratorLag.RecordValue(min(now-due, highest))
		}
		l.noticed++
	}
}

// begin gives idle connections what is to be sent.
func (l *loop) begin(now int64) {
	if l.plan.Rate == 0 {
		for now >= l.schedule.start && now < l.end {
			i, ok := l.idle.pop()
			if !ok {
				return
			}
			l.request(i, now)
		}
		return
	}
	for l.begun < l.noticed {
		i, ok := l.idle.pop()
		if !ok {
			return
		}
		due := l.schedule.at(l.begun)
		l.begun++
		if due >= l.measureFrom && now-due > int64(late) {
			l.result.Late++
		}
		l.request(i, due)
	}
}

// request has a connection send the next message, which counts from start.
func (l *loop) request(i int, start int64) {
	c := &l.conns[i]
	c.message = &l.messages[l.next]
	if l.next++; l.next == len(l.messages) {
		l.next = 0
	}
	c.busy, c.start, c.unsent, c.measured = true, start, c.message.bytes, start >= l.measureFrom
	c.answer.begin(c.message.head)
	l.busy++
	if c.measured {
		l.result.Sent++
	} else {
		l.result.Warmed++
	}
	var err error
	if c.fd < 0 {
		err = c.dial(l.target, l.poll, i)
	} else {
		err = c.send()
	}
	if err != nil {
		l.fail(i, err)
	}
}

// handle goes on with a connection on which something has happened.
func (l *loop) handle(e unix.EpollEvent) {
	i := int(e.Fd)
	c := &l.conns[i]
	if c.fd < 0 || c.generation != e.Pad {
		return
	}
	closed := e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	if !c.busy {
		if closed || e.Events&unix.EPOLLIN != 0 {
			c.hangUp()
		}
		return
	}
	if c.dialing {
		if err := c.dialed(); err != nil {
			l.fail(i, err)
			return
		}
	}
	if len(c.unsent) > 0 {
		if err := c.send(); err != nil && !closed {
			l.fail(i, err)
			return
		}
	}
	if !closed && e.Events&unix.EPOLLIN == 0 {
		return
	}
	n, err := c.receive(l.buffer, closed)
	if c.measured {
		l.result.Bytes += n
	}
	switch {
	case err != nil:
		l.fail(i, err)
	case c.answer.stage == atEnd:
		if closed || len(c.unsent) > 0 || l.plan.NewConnections {
			c.answer.close = true
		}
		l.finish(i)
	}
}

// finish counts an answer and frees its connection.
func (l *loop) finish(i int) {
	c := &l.conns[i]
	now := l.now()
	l.busy--
	if c.answer.status >= 400 {
		if c.measured {
			l.failed(fmt.Sprintf("answered %d", c.answer.status), 1)
		}
	} else {
		if now >= l.measureFrom && now < l.end {
			l.result.Answered++
		}
		if c.measured {
			l.result.Done++
			_ = l.result.Latency.RecordValue(min(now-c.start, highest))
		}
	}
	l.result.Elapsed = max(l.result.Elapsed, time.Duration(now-l.measureFrom))
	c.busy = false
	if c.answer.close {
		c.hangUp()
	}
	l.idle.push(i)
	l.begin(now)
}

// fail counts a request without an answer, and has its connection rest.
func (l *loop) fail(i int, err error) {
	c := &l.conns[i]
	if c.measured {
		l.failed(err.Error(), 1)
	}
	c.hangUp()
	l.busy--
	l.restings[i] = l.now() + rest
	l.resting.push(i)
}

func (l *loop) failed(what string, n uint64) {
	l.result.Failed += n
	l.result.Errors[what] += n
}

// wake takes the connections back that have rested.
func (l *loop) wake(now int64) {
	for {
		i, ok := l.resting.first()
		if !ok || l.restings[i] > now {
			return
		}
		l.resting.pop()
		l.idle.push(i)
	}
}

// giveUp counts what has no answer at its age: leaving it out would make a hanging server look fast.
func (l *loop) giveUp(now int64) {
	l.result.Elapsed = time.Duration(now - l.measureFrom)
	for i := range l.conns {
		if c := &l.conns[i]; c.busy && c.measured {
			l.failed(errUnanswered.Error(), 1)
			_ = l.result.Latency.RecordValue(min(now-c.start, highest))
		}
	}
	for ; l.begun < l.noticed; l.begun++ {
		if due := l.schedule.at(l.begun); due >= l.measureFrom {
			l.failed(errUnsent.Error(), 1)
			_ = l.result.Latency.RecordValue(min(now-due, highest))
		}
	}
}
