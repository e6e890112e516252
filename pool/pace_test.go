package pool

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// turn lets n leases of hold begin and end one after the other.
func (e *pace) turn(n int, hold time.Duration) {
	for range n {
		e.count(e.at+hold, 1)
		e.slotFreed(hold, 1)
	}
}

func TestFreesFollowsHowLongSlotsAreTaken(t *testing.T) {
	near := func(e *pace, leases int, want float64) {
		t.Helper()
		if got := e.frees(leases); math.Abs(got-want) > want/10 {
			t.Errorf("slots that come free in a dial's time, of %d: got %.1f, want about %.1f", leases, got, want)
		}
	}
	var e pace
	e.dialed(10 * time.Millisecond)
	e.turn(10, time.Millisecond)
	near(&e, 1, 10)
	near(&e, 8, 80)
	e.turn(500, 20*time.Millisecond) // it has become slow
	near(&e, 1, 0.5)
	e.turn(500, time.Millisecond)
	near(&e, 1, 10)
}

func TestLeasesThatDoNotEndCountWhileTheyDoNot(t *testing.T) {
	var e pace
	e.dialed(10 * time.Millisecond)
	e.turn(30, time.Millisecond)
	e.count(e.at+time.Second, 10)
	if got := e.frees(10); got > 1 {
		t.Errorf("ten leases have been out for a second: got %.1f that come free in 10 ms, want at most 1", got)
	}
}

func TestOneSlowDialDoesNotCountForAllOfIt(t *testing.T) {
	var e pace
	for range 10 {
		e.dialed(time.Millisecond)
	}
	e.dialed(time.Second)
	if got := time.Duration(e.dial); got > 2*time.Millisecond {
		t.Errorf("after one dial of 1 s among many of 1 ms: got %v, want at most 2 ms", got)
	}
	for range 20 {
		e.dialed(time.Second)
	}
	if got := time.Duration(e.dial); got < 800*time.Millisecond {
		t.Errorf("after 20 dials of 1 s: got %v, want about that", got)
	}
}

func TestQuickIsWhatATenthIsBelow(t *testing.T) {
	var e pace
	r := rand.New(rand.NewPCG(1, 2))
	below, n := 0, 20000
	for i := range n {
		h := time.Duration(r.ExpFloat64() * float64(time.Millisecond))
		if i > n/10 && float64(h) < e.quick {
			below++
		}
		e.slotFreed(h, 1)
	}
	if share := float64(below) / float64(n) / 0.9; share < 0.05 || share > 0.15 {
		t.Errorf("share of leases quicker than quick: got %.3f, want about 0.1", share)
	}
}
