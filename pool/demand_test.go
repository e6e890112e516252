package pool

import (
	"testing"
	"testing/synctest"
	"time"
)

// use has n connections for key in use at once.
func (r *rig) use(key string, n int) {
	gets := r.gets(key, n)
	for {
		calls := r.dials()
		if len(calls) == 0 {
			break
		}
		calls[0].succeed(1)
	}
	for _, g := range gets {
		g.leased().Release()
	}
	synctest.Wait()
}

func TestAKeyKeepsWhatItHadInUseOfLate(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		for range 20 {
			r.use("a", 200)
			pass(19 * time.Second) // longer than a window, shorter than two
		}
		r.wantStats(Stats{Open: 200, Idle: 200})
	})
}

func TestWhatDemandHasLeftBehindGoesBitByBit(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		r.use("a", 5)
		r.use("a", 200)
		start := time.Now()
		last, most := 200, 0
		var open []int
		for time.Since(start) < 3*time.Minute {
			pass(time.Second)
			r.use("a", 5)
			now := r.pool.Stats().Open
			most = max(most, last-now)
			last = now
			if int(time.Since(start)/time.Second)%10 == 0 {
				open = append(open, now)
			}
		}
		t.Logf("open every 10 s: %v, most closed at once: %d", open, most)
		switch {
		case open[1] < 150:
			t.Errorf("open after 20 s: got %d, want what two windows ago was in use, less little", open[1])
		case open[4] < 40 || open[4] > 110:
			t.Errorf("open after 50 s: got %d, want about a quarter to a half of 200", open[4])
		case last != 5:
			t.Errorf("open after 3 minutes: got %d, want 5, what is in use", last)
		case most > 25:
			t.Errorf("closed at once: got %d, want at most an eighth of 195", most)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		seen := make(map[int]bool)
		for _, id := range r.order {
			seen[id] = true
		}
		if len(seen) != 195 || len(r.order) != 195 {
			t.Errorf("closed: %d connections, %d times, want 195 once each", len(seen), len(r.order))
		}
	})
}

func TestSurplusConnectionsAreTheLeastRecentlyUsed(t *testing.T) {
	inBubble(t, Config[string, *wire]{IdleWindow: time.Second}, func(r *rig) {
		wires := r.open("a", 4) // the first was used last
		pass(time.Minute)
		r.wantClosed(wires[0])
		r.wantClosed(wires[1])
		r.wantClosed(wires[2], Surplus)
		r.wantClosed(wires[3], Surplus)
		r.wantStats(Stats{Open: 2, Idle: 2})
		if inside(r, timerRuns) {
			t.Error("the timer runs although nothing can be surplus or expire")
		}
	})
}

func TestANegativeIdleWindowKeepsAll(t *testing.T) {
	inBubble(t, Config[string, *wire]{IdleWindow: -1}, func(r *rig) {
		r.open("a", 50)
		pass(24 * time.Hour)
		r.wantStats(Stats{Open: 50, Idle: 50})
		if inside(r, timerRuns) {
			t.Error("the timer runs although nothing can expire")
		}
	})
}

// Connections in use are no surplus, and neither a window nor a tick passes them
// by while nothing is idle and no timer runs.
func TestWhatIsInUseIsNoSurplus(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		r.open("a", 20)
		leases := make([]*Lease[string, *wire], 20)
		for i := range leases {
			leases[i] = r.get("a").leased()
		}
		if inside(r, timerRuns) {
			t.Error("the timer runs although nothing is idle")
		}
		pass(time.Hour)
		for _, l := range leases {
			l.Release()
		}
		pass(19 * time.Second)
		r.wantStats(Stats{Open: 20, Idle: 20})
		pass(5 * time.Minute)
		r.wantStats(Stats{Open: 2, Idle: 2})
	})
}
