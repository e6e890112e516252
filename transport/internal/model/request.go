package model

import "time"

// Outcome is how a request ended, as far as that bears on its connection.
type Outcome uint8

const (
	// Kept: the response was read to its end, and the connection may serve again.
	Kept Outcome = iota
	// Abandoned: the response's body was closed before its end.
	Abandoned
	// Lost: the connection ended with the exchange, which was canceled or
	// broken, or agreed to be the last, or handed the connection out.
	Lost
	// GaveUp: the request ended before it had a connection, by itself.
	GaveUp
	// Refused: the request ended before it had a connection, by a dial's error.
	Refused
)

// Ending is what is known about a request when it has ended.
type Ending struct {
	Outcome Outcome
	Major   int   // of the version of HTTP that the response came by; zero: there was none
	Left    int64 // bytes left of an abandoned body; negative: unknown

	// Got is when the request had its connection, zero if it is not known.
	// From then to its end it will take as long on any other connection.
	Got time.Time
}

// Request is one request on its way through a model. The zero value is ready
// for [Model.Begin]. The model keeps it until the request's simulation has
// ended, so that it must not be used again. The model's mutex guards it, except
// that ending is End's to write.
type Request struct {
	origin *origin
	began  time.Duration
	state  state
	dialed bool   // a dial that was started for it runs
	number uint32 // among those that waited for the origin; it may have passed its highest
	conn   *conn
	start  time.Duration // when it got conn

	over    bool // it has ended, and what follows is known
	at      time.Duration
	ending  Ending
	service time.Duration // from the connection to the end
}

type state uint8

const (
	unborn state = iota // not simulated yet
	waiting
	running
	done
)

// lacksDial reports whether the request waits and has no dial.
func (r *Request) lacksDial() bool { return r.state == waiting && !r.dialed }

// before reports whether the request began to wait earlier than other.
func (r *Request) before(other *Request) bool { return int32(r.number-other.number) < 0 }

// hadNone reports whether the request is known to have ended without a
// connection.
func (r *Request) hadNone() bool {
	return r.over && (r.ending.Outcome == GaveUp || r.ending.Outcome == Refused)
}

// refused reports whether a dial for the request is known to fail.
func (r *Request) refused() bool { return r.over && r.ending.Outcome == Refused }

// fate is whether c can serve again after the request.
func (r *Request) fate(drain int64) (reusable bool) {
	switch e := r.ending; e.Outcome {
	case Kept:
		return true
	case Abandoned:
		return e.Left >= 0 && e.Left <= drain && drain > 0
	}
	return false
}
