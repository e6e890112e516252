package dialer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Drain closes the listener without losing connections: it goes on handing what
// is queued to those who call Accept, and closes when nothing is left. Accept
// then fails with net.ErrClosed. Somebody must be calling Accept for as long; if
// ctx ends first, Drain closes what is left and returns an error with that of the
// context in it. After Drain the listener is closed in any case.
//
// Drain of a listener that is closed already, or that somebody else closes
// meanwhile, be it by another Drain, returns an error that is net.ErrClosed: what
// became of the queue is for the other call to say. Close after Drain returns nil.
//
// On Linux Drain takes in no new connections towards its end, and waits for
// handshakes that have begun: a client whose first packet (SYN) arrives then asks
// again a second later by itself, and is answered by whoever listens on the port
// by that time. That end is over at once if nobody is connecting, and otherwise
// takes a round trip to those who are, 900 ms at most. It begins when the queue
// has been empty once, or after 100 ms in which it never was. It is left out, at
// the price of a connection lost now and then, where the socket may be another
// process's, too (taken over, handed over, or copied by File: then it goes on
// without us, and there is nothing to lose), where the socket has a filter of the
// user's or /proc cannot be read, and on other systems. Where the queue cannot be
// seen (Windows among others) Drain closes at once and returns an error that is
// errors.ErrUnsupported.
//
// To replace an http.Server, with its successor listening on the same port by
// ReusePort already: Drain first, which makes Serve return an error that is
// net.ErrClosed; then Server.SetKeepAlivesEnabled(false), and wait until Open in
// Stats is 0, for as long as you like; then Server.Shutdown. Shutdown by itself
// closes the listener like Close, which resets what is queued, and then closes
// connections that were accepted with their first request still on the way.
func (l *Listener) Drain(ctx context.Context) error {
	l.draining.Store(true)
	err := l.drain(ctx)
	if errors.Is(err, net.ErrClosed) {
		err = errNotDrained
	}
	if closeErr := l.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return &net.OpError{Op: "drain", Net: l.Addr().Network(), Addr: l.Addr(), Err: err}
	}
	return nil
}

// errNotDrained is the error of a Drain that comes too late.
var errNotDrained = fmt.Errorf("dialer: the listener was closed before, not by this call: %w", net.ErrClosed)

const (
	// letInLimit bounds the time in which clients are let in though we want to
	// close: with a limit on connections the queue might never be empty.
	letInLimit = 100 * time.Millisecond
	// handshakeLimit bounds the wait for handshakes. A client that was turned
	// away asks again after a second, and should not be turned away twice.
	handshakeLimit = 900 * time.Millisecond
)

// drain returns when the listener can be closed.
func (l *Listener) drain(ctx context.Context) error {
	if l.shared.Load() {
		return l.untilAccepted(ctx)
	}
	short, cancel := context.WithTimeout(ctx, letInLimit)
	defer cancel()
	if err := l.untilAccepted(short); err != nil && short.Err() == nil {
		return err
	}
	if l.turnAway() {
		limit, cancel := context.WithTimeout(ctx, handshakeLimit)
		defer cancel()
		waitUntil(limit, l.atRest) // a handshake that takes longer is given up
	}
	return l.untilAccepted(ctx)
}

// untilAccepted returns when nothing is queued.
func (l *Listener) untilAccepted(ctx context.Context) error {
	var failed error
	err := waitUntil(ctx, func() bool {
		var queued bool
		queued, failed = l.queued()
		return failed != nil || !queued
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("dialer: closed before everything that was queued had been accepted: %w", err)
	}
	return nil
}

// waitUntil asks again and again, soon at first, until the condition holds or the
// context ends.
func waitUntil(ctx context.Context, condition func() bool) error {
	const soon, late = 50 * time.Microsecond, 2 * time.Millisecond
	timer := time.NewTimer(soon)
	defer timer.Stop()
	for pause := soon; !condition(); pause = min(2*pause, late) {
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
