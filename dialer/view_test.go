package dialer

import (
	"testing"
	"testing/synctest"
)

// A port that comes free ends the pauses of the ranges that it is in.
func TestPauseIsThatOfARange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		low, high := PortRange{Lo: 1000, Hi: 1009}, PortRange{Lo: 2000, Hi: 2009}
		ask := func(r PortRange) *ask { return &ask{dst: destA, from: list("10.0.0.1/32"), ports: r, size: 10} }
		out := func(r PortRange) bool {
			lease, o, _ := l.choose(t.Context(), ask(r))
			lease.release(false) // of which it is not known what port it had
			return o == outOfPorts
		}
		refuse := func(r PortRange) {
			lease, _, _ := l.choose(t.Context(), ask(r))
			lease.refused(noPort, errNoPort)
		}
		one, _, _ := l.choose(t.Context(), ask(low))
		one.opened(1000)
		other, _, _ := l.choose(t.Context(), ask(high))
		other.opened(2000)

		refuse(low)
		refuse(high)
		if !out(low) || !out(high) {
			t.Error("got a try, want none: both ranges have just been refused")
		}
		one.release(false)
		if !out(high) {
			t.Error("got a try in the high range, want none: a port of the low one came free")
		}
		if out(low) {
			t.Error("got no try in the low range, want one: a port of it came free")
		}
		other.release(false)
	})
}
