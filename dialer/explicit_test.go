package dialer

import (
	"testing"
	"time"
)

// The peer's FIN is mostly a round trip away: to wait a second for the port would
// be an outage where every port is closing.
func TestPortThatIsStillClosingIsTriedAgainSoonAndThenLessOften(t *testing.T) {
	r := PortRange{Lo: 1000, Hi: 1000}
	p := newExplicitPool(r)
	var now time.Duration
	take := func() uint16 {
		port, ok := p.take(now)
		if !ok {
			t.Fatalf("got no port after %v, want the one there is", now)
		}
		return port
	}
	p.giveBack(take())
	for _, wait := range []time.Duration{pausePorts.first, 2 * pausePorts.first, 4 * pausePorts.first} {
		p.refused(take(), true, now)
		if p.left(now + wait - 1) {
			t.Errorf("got the port before %v are over, want it left alone: it was closing", wait)
		}
		now += wait
	}
	for range 10 {
		p.refused(take(), true, now)
		now += closingTime
	}
	p.giveBack(take()) // after a connection
	p.refused(take(), true, now)
	if now += pausePorts.first; !p.left(now) {
		t.Errorf("got no port after %v, want it: the last time it was to be had", pausePorts.first)
	}
	p.refused(take(), false, now)
	if p.left(now + foreignTime - 1) {
		t.Errorf("got the port before %v are over, want it left alone: it is somebody else's", foreignTime)
	}
}
