package dialer

import (
	"net"
	"os"
	"sync"
	"time"
)

// slots are the rights to have a connection open. A nil *slots never runs out.
type slots struct {
	taken  chan struct{} // holds one for each; never closed
	closed chan struct{} // closed by close

	// mu guards the rest.
	mu     sync.Mutex
	timer  *time.Timer   // closes passed; nil without a deadline to come
	passed chan struct{} // closed when the deadline has passed
}

func newSlots(n int) *slots {
	return &slots{taken: make(chan struct{}, n), closed: make(chan struct{}), passed: make(chan struct{})}
}

// take waits for a slot. It fails when the slots are closed or the deadline has
// passed; with a slot left it does not look at either, the caller's own call
// will.
func (s *slots) take() error {
	if s == nil {
		return nil
	}
	for {
		passed := s.deadline()
		select {
		case s.taken <- struct{}{}:
			return nil
		default:
		}
		select {
		case s.taken <- struct{}{}:
			return nil
		case <-s.closed:
			return net.ErrClosed
		case <-passed:
			if passed == s.deadline() { // else it was moved just then
				return os.ErrDeadlineExceeded
			}
		}
	}
}

// free gives back a slot that was taken.
func (s *slots) free() {
	if s != nil {
		<-s.taken
	}
}

// close is called once.
func (s *slots) close() {
	if s != nil {
		s.setDeadline(time.Time{})
		close(s.closed)
	}
}

func (s *slots) deadline() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passed
}

// setDeadline sets when take fails at the latest. Those who wait already keep to
// it, too.
func (s *slots) setDeadline(t time.Time) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil && !s.timer.Stop() {
		<-s.passed // the timer's function runs; it takes no lock
	}
	s.timer = nil
	select {
	case <-s.passed:
		s.passed = make(chan struct{})
	default:
	}
	switch wait := time.Until(t); {
	case t.IsZero():
	case wait <= 0:
		close(s.passed)
	default:
		passed := s.passed
		s.timer = time.AfterFunc(wait, func() { close(passed) })
	}
}
