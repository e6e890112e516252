package pool

import (
	"context"
	"testing"
	"time"
)

func TestAnInstantCountsByTheClockThatCountedMore(t *testing.T) {
	const second = int64(time.Second)
	for name, c := range map[string]struct {
		later instant
		want  time.Duration
	}{
		"both clocks agree":          {instant{10 * time.Second, 110 * second}, 10 * time.Second},
		"the machine slept":          {instant{2 * time.Second, 3700 * second}, time.Hour},
		"the wall clock was set":     {instant{10 * time.Second, -5 * second}, 10 * time.Second},
		"no time went by":            {instant{0, 100 * second}, 0},
		"set back and no time by it": {instant{0, 50 * second}, 0},
	} {
		if got := c.later.since(instant{0, 100 * second}); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// asleep lets the machine sleep for d: the wall clock goes on and the monotonic
// one, which timers follow, stands still.
func asleep(p *Pool[string, *wire], d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.origins {
		for c := o.conns.first; c != nil; c = o.conns.after(c) {
			c.idleSince.wall -= int64(d)
			c.born.wall -= int64(d)
		}
	}
}

func TestAWallClockThatIsSetBackKeepsNothingOpen(t *testing.T) {
	inBubble(t, Config[string, *wire]{IdleTimeout: time.Minute, MaxAge: 10 * time.Minute}, func(r *rig) {
		idle := r.open("idle", 1)[0]
		g := r.get("old")
		old := r.oneDial().succeed(1)
		asleep(r.pool, -24*time.Hour)
		pass(2 * time.Minute)
		r.wantClosed(idle, IdleTimeout)
		r.wantClosed(old)
		pass(10 * time.Minute)
		g.leased().Release()
		r.wantClosed(old, MaxAge)
	})
}

func TestGetRefusesWhatExpiredWhileTheMachineSlept(t *testing.T) {
	cfg := Config[string, *wire]{IdleTimeout: time.Minute, MaxAge: time.Hour}
	t.Run("idle", func(t *testing.T) {
		inBubble(t, cfg, func(r *rig) {
			wires := r.open("a", 2)
			asleep(r.pool, time.Minute)
			if g := r.get("a"); !g.waits() {
				t.Errorf("Get: got %v, want a new connection", g.lease)
			}
			r.wantClosed(wires[0], IdleTimeout)
			r.wantClosed(wires[1], IdleTimeout)
			r.oneDial().fail(context.Canceled)
		})
	})
	t.Run("old", func(t *testing.T) {
		inBubble(t, cfg, func(r *rig) {
			g := r.get("a")
			w := r.oneDial().succeed(2)
			asleep(r.pool, time.Hour)
			if next := r.get("a"); !next.waits() {
				t.Errorf("Get: got %v, want a new connection", next.lease)
			}
			r.wantClosed(w)
			g.leased().Release()
			r.wantClosed(w, MaxAge)
		})
	})
	t.Run("slots came back", func(t *testing.T) {
		inBubble(t, cfg, func(r *rig) {
			w := r.open("a", 1)[0]
			r.get("a").leased().Refuse()
			waiting := r.get("a")
			asleep(r.pool, time.Minute)
			w.pc.SetSlots(1)
			if !waiting.waits() {
				t.Error("a connection that had expired was handed to a waiter")
			}
			r.wantClosed(w, IdleTimeout)
		})
	})
}
