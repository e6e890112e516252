package growth

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// turn lets n leases of hold begin and end one after the other.
func (p *Pace) turn(n int, hold time.Duration) {
	for range n {
		p.Count(p.at+hold, 1)
		p.SlotFreed(hold, 1)
	}
}

func TestFreesFollowsHowLongSlotsAreTaken(t *testing.T) {
	near := func(p *Pace, leases int, want float64) {
		t.Helper()
		if got := p.frees(leases); math.Abs(got-want) > want/10 {
			t.Errorf("slots that come free in a dial's time, of %d: got %.1f, want about %.1f", leases, got, want)
		}
	}
	var p Pace
	p.Dialed(10 * time.Millisecond)
	p.turn(10, time.Millisecond)
	near(&p, 1, 10)
	near(&p, 8, 80)
	p.turn(500, 20*time.Millisecond) // it has become slow
	near(&p, 1, 0.5)
	p.turn(500, time.Millisecond)
	near(&p, 1, 10)
}

func TestLeasesThatDoNotEndCountWhileTheyDoNot(t *testing.T) {
	var p Pace
	p.Dialed(10 * time.Millisecond)
	p.turn(30, time.Millisecond)
	p.Count(p.at+time.Second, 10)
	if got := p.frees(10); got > 1 {
		t.Errorf("ten leases have been out for a second: got %.1f that come free in 10 ms, want at most 1", got)
	}
}

func TestOneSlowDialDoesNotCountForAllOfIt(t *testing.T) {
	var p Pace
	for range 10 {
		p.Dialed(time.Millisecond)
	}
	p.Dialed(time.Second)
	if got := time.Duration(p.dial); got > 2*time.Millisecond {
		t.Errorf("after one dial of 1 s among many of 1 ms: got %v, want at most 2 ms", got)
	}
	for range 20 {
		p.Dialed(time.Second)
	}
	if got := time.Duration(p.dial); got < 800*time.Millisecond {
		t.Errorf("after 20 dials of 1 s: got %v, want about that", got)
	}
}

func TestQuickIsWhatATenthIsBelow(t *testing.T) {
	var p Pace
	r := rand.New(rand.NewPCG(1, 2))
	below, n := 0, 20000
	for i := range n {
		h := time.Duration(r.ExpFloat64() * float64(time.Millisecond))
		if i > n/10 && float64(h) < p.quick {
			below++
		}
		p.SlotFreed(h, 1)
	}
	if share := float64(below) / float64(n) / 0.9; share < 0.05 || share > 0.15 {
		t.Errorf("share of leases quicker than quick: got %.3f, want about 0.1", share)
	}
}
