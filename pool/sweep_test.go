package pool

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestIdleConnectionsAreClosedWhenTheirTimeIsUp(t *testing.T) {
	inBubble(t, Config[string, *wire]{IdleTimeout: 10 * time.Second}, func(r *rig) {
		first := r.open("a", 1)[0]
		pass(4 * time.Second)
		second := r.open("b", 1)[0]
		pass(6*time.Second - time.Nanosecond)
		r.wantClosed(first)
		pass(time.Nanosecond)
		r.wantClosed(first, IdleTimeout)
		pass(4*time.Second - time.Nanosecond)
		r.wantClosed(second)
		pass(time.Nanosecond)
		r.wantClosed(second, IdleTimeout)
		r.wantStats(Stats{})
	})
}

func TestUseStartsTheIdleTimeAnew(t *testing.T) {
	inBubble(t, Config[string, *wire]{IdleTimeout: 10 * time.Second}, func(r *rig) {
		w := r.open("a", 1)[0]
		for range 5 {
			pass(9 * time.Second)
			l := r.get("a").leased()
			pass(time.Minute) // not idle
			l.Release()
		}
		r.wantClosed(w)
		pass(10 * time.Second)
		r.wantClosed(w, IdleTimeout)
	})
}

func TestSweepsAreAtLeast100msApart(t *testing.T) {
	inBubble(t, Config[string, *wire]{IdleTimeout: time.Second}, func(r *rig) {
		gets := r.gets("a", 5)
		for _, call := range r.dials() {
			call.succeed(1)
		}
		for _, g := range gets {
			g.leased().Release()
			pass(30 * time.Millisecond)
		}
		// Released at 0, 30, 60, 90 and 120 ms, due a second later: the first
		// sweep is on time, the next 100 ms after it takes the next three.
		start := time.Now().Add(-150 * time.Millisecond)
		open := func(at time.Duration) int {
			pass(time.Until(start.Add(at)))
			synctest.Wait()
			return r.pool.Stats().Open
		}
		for _, c := range []struct {
			at   time.Duration
			want int
		}{{999, 5}, {1000, 4}, {1099, 4}, {1100, 1}, {1199, 1}, {1200, 0}} {
			if got := open(c.at * time.Millisecond); got != c.want {
				t.Errorf("open after %d ms: got %d, want %d", c.at, got, c.want)
			}
		}
	})
}

func TestConnectionsEndBetween90And100PercentOfTheirAge(t *testing.T) {
	const age = 1000 * time.Second
	inBubble(t, Config[string, *wire]{MaxAge: age, MaxDialsPerKey: -1, IdleWindow: -1}, func(r *rig) {
		const n = 200
		wires := r.open("a", n)
		// Closed ones counted at each percent of the age from 90 on.
		var closed []int
		pass(age*9/10 + sweepGap) // the last one may have to wait for its sweep
		for range 11 {
			synctest.Wait()
			closed = append(closed, n-r.pool.Stats().Open)
			pass(age / 100)
		}
		if closed[0] > n/20 || closed[10] != n {
			t.Errorf("closed at 90 %%: %d, at 100 %%: %d, want about 0 and %d", closed[0], closed[10], n)
		}
		// The jitter spreads them: each percent takes its share.
		for i, last := range closed[:10] {
			if closed[i+1] == last {
				t.Errorf("closed between %d %% and %d %%: got none, want some %d (all: %v)", 90+i, 91+i, n/10, closed)
			}
		}
		for _, w := range wires {
			r.wantClosed(w, MaxAge)
		}
	})
}

func TestAnOldConnectionIsRetiredWhenItsLeaseEnds(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxAge: time.Minute, MaxPerKey: 1}, func(r *rig) {
		w := r.open("a", 1)[0]
		l := r.get("a").leased()
		waiting := r.get("a")
		pass(time.Hour)
		r.wantClosed(w)
		l.Release()
		r.wantClosed(w, MaxAge)
		if !waiting.waits() {
			t.Error("a connection past its age was handed on")
		}
		r.oneDial()
	})
}

func TestASharedConnectionPastItsAgeTakesNoNewLease(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxAge: time.Minute}, func(r *rig) {
		g := r.get("a")
		w := r.oneDial().succeed(10)
		pass(time.Hour)
		if next := r.get("a"); !next.waits() {
			t.Error("a connection past its age took a new lease")
		}
		r.wantClosed(w)
		g.leased().Release()
		r.wantClosed(w, MaxAge)
	})
}

func TestASweepPassesOverARetiredConnection(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxAge: time.Minute}, func(r *rig) {
		retired := r.open("a", 1)[0]
		l := r.get("a").leased()
		retired.pc.Retire("test")
		idle := r.open("b", 1)[0]
		pass(time.Hour)
		r.wantClosed(idle, MaxAge)
		r.wantClosed(retired)
		l.Release()
		r.wantClosed(retired, "test")
	})
}

func TestTheTimerRunsOnlyWhileSomethingIdleCanExpire(t *testing.T) {
	for _, c := range []struct {
		cfg  Config[string, *wire]
		want bool
	}{
		{Config[string, *wire]{}, false},
		{Config[string, *wire]{IdleTimeout: -1, MaxAge: -1}, false},
		{Config[string, *wire]{IdleTimeout: time.Hour}, true},
		{Config[string, *wire]{MaxAge: time.Hour}, true},
		{Config[string, *wire]{IdleTimeout: 1<<63 - 1}, false},
	} {
		t.Run(fmt.Sprint(c.cfg.IdleTimeout, c.cfg.MaxAge), func(t *testing.T) {
			inBubble(t, c.cfg, func(r *rig) {
				wants := func(when string, want bool) {
					t.Helper()
					if got := inside(r, timerRuns); got != want {
						t.Errorf("%s: the timer runs is %v, want %v", when, got, want)
					}
				}
				pass(time.Second) // so that the longest duration is past the end of time
				wants("empty", false)
				r.open("a", 2)
				wants("idle", c.want)
				l := r.get("a").leased()
				wants("one idle, one leased", c.want)
				r.get("a").leased()
				wants("none idle", false)
				l.Release()
				wants("idle again", c.want)
				l.Conn().Gone()
				wants("gone", false)
			})
		})
	}
}

// A connection dialed later may reach its age sooner, and the timer was set for
// the others.
func TestTheTimerIsSetForTheEarliestExpiry(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxAge: time.Hour, IdleTimeout: 2 * time.Hour}, func(r *rig) {
		for i := range 50 {
			r.open(fmt.Sprint(i), 1)
		}
		first := inside(r, func(p *Pool[string, *wire]) time.Duration {
			var ends []time.Duration
			for _, c := range p.dues {
				ends = append(ends, c.born.mono+c.maxAge)
			}
			first := slices.Min(ends)
			if p.wake != first {
				t.Errorf("the timer is set for %v, want %v", p.wake, first)
			}
			return first - p.now().mono
		})
		pass(first)
		r.wantStats(Stats{Open: 49, Idle: 49})
	})
}

func TestAnEmptiedPoolHasNoGoroutineAndNoTimer(t *testing.T) {
	// A bubble with a goroutine left is a failure of synctest's; with a timer
	// left, time would go on after the pool was emptied.
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config[string, *wire]{IdleTimeout: time.Minute, MaxAge: time.Hour})
		r.open("a", 3)
		r.open("b", 1)
		pass(time.Minute)
		r.wantStats(Stats{})
		if inside(r, timerRuns) || r.pool.timer.Stop() {
			t.Error("the timer of an empty pool runs")
		}
	})
}
