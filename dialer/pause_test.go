package dialer

import (
	"testing"
	"time"
)

func TestPauseGrowsWithEveryRefusalThatFollowsIt(t *testing.T) {
	limits := pauseLimits{10, 35}
	var p pause
	now := time.Duration(1000)
	for i, want := range []time.Duration{10, 20, 35, 35} {
		if i > 0 && !p.probe(now) {
			t.Error("got no probe, want one after a pause")
		}
		p.begin(now, limits, i > 0)
		if got := p.until - now; got != want || !p.holds(now) || p.holds(now+want) {
			t.Errorf("pause %d: got %v, want %v", i, got, want)
		}
		now += want
	}
	// What was under way when a pause began is refused in it.
	p.clear()
	p.begin(now, limits, false)
	p.begin(now+5, limits, false)
	if got := p.until - now; got != 10 {
		t.Errorf("got a pause of %v, want 10: the second refusal says nothing new", got)
	}
	if !p.clear() || p.clear() || p.holds(now) || p.probe(now) {
		t.Error("got a pause, want none after clear")
	}
}
