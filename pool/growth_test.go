package pool

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// machine is what dials and exchanges run on in these tests: two processors that
// everybody shares, in a bubble's time.
type machine struct {
	cores chan struct{}
}

func newMachine() *machine { return &machine{cores: make(chan struct{}, 2)} }

// compute takes d of a processor's time, a slice at a time.
func (m *machine) compute(d time.Duration) {
	const slice = 100 * time.Microsecond
	for ; d > 0; d -= slice {
		m.cores <- struct{}{}
		pass(min(d, slice))
		<-m.cores
	}
}

// cost is what a dial or an exchange takes: time that goes by, and time of a
// processor.
type cost struct{ latency, cpu time.Duration }

func (m *machine) spend(c cost) {
	if c.latency > 0 {
		pass(c.latency)
	}
	m.compute(c.cpu)
}

// load is one way to use a service.
type load struct {
	name           string
	dial, exchange cost
}

// result is what a pool made of a load.
type result struct {
	opened         int
	p50, p99, last time.Duration // from asking for a connection to the exchange's end
}

func (r result) String() string {
	return fmt.Sprintf("opened %3d, p50 %7v, p99 %7v", r.opened, r.p50.Round(10*time.Microsecond), r.p99.Round(10*time.Microsecond))
}

// run lets drive use a pool with one of l's services.
func (l load) run(t *testing.T, cfg Config[string, *wire], drive func(exchange func())) (r result) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		var mu sync.Mutex
		var took []time.Duration
		cfg.Dial = func(context.Context, string, *Conn[string, *wire]) (*wire, int, error) {
			m.spend(l.dial)
			mu.Lock()
			defer mu.Unlock()
			r.opened++
			return &wire{}, 1, nil
		}
		cfg.Close = func(*wire, Reason) {}
		p, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		drive(func() {
			start := time.Now()
			lease, err := p.Get(context.Background(), "a")
			if err != nil {
				t.Error(err)
				return
			}
			m.spend(l.exchange)
			lease.Release()
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(start))
		})
		slices.Sort(took)
		r.p50, r.p99, r.last = took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
	})
	return r
}

// bursts asks 20 times for 200 exchanges at once.
func bursts(exchange func()) {
	for range 20 {
		var all sync.WaitGroup
		for range 200 {
			all.Go(exchange)
		}
		all.Wait()
		pass(50 * time.Millisecond)
	}
}

// everybody is what net/http does: a dial for each who finds nothing idle.
var everybody = Config[string, *wire]{Eager: true, MaxDialsPerKey: -1, MaxDials: -1}

const us = time.Microsecond

func TestBurstsOpenFewerConnectionsThanDialingForEverybody(t *testing.T) {
	for _, c := range []struct {
		load
		fewer  bool    // fewer connections than there are requests at once
		slower float64 // what p99 may be of what dialing for everybody takes
	}{
		{load{"plain", cost{0, 100 * us}, cost{0, 50 * us}}, true, 1},
		{load{"TLS", cost{0, 1500 * us}, cost{0, 50 * us}}, true, 0.25},
		{load{"TLS, 3 ms exchanges", cost{0, 1500 * us}, cost{3000 * us, 50 * us}}, true, 0.4},
		{load{"5 ms away", cost{5000 * us, 100 * us}, cost{0, 50 * us}}, true, 0.7},
		{load{"TLS 5 ms away", cost{5000 * us, 1500 * us}, cost{0, 50 * us}}, true, 0.25},
		{load{"TLS 5 ms away, 3 ms exchanges", cost{5000 * us, 1500 * us}, cost{3000 * us, 50 * us}}, true, 0.4},
		{load{"plain, 10 ms exchanges", cost{0, 100 * us}, cost{10000 * us, 50 * us}}, false, 1.1},
		// Where a dial costs nothing but time and exchanges take theirs as well,
		// the limit of dials at once is what costs most.
		{load{"5 ms away, 3 ms exchanges", cost{5000 * us, 100 * us}, cost{3000 * us, 50 * us}}, true, 1},
		{load{"50 ms away, 10 ms exchanges", cost{50000 * us, 100 * us}, cost{10000 * us, 50 * us}}, true, 1.8},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := c.run(t, everybody, bursts)
			eager := c.run(t, Config[string, *wire]{Eager: true}, bursts)
			weighed := c.run(t, Config[string, *wire]{}, bursts)
			t.Logf("\n\teverybody: %v\n\teager:     %v\n\tweighed:   %v", all, eager, weighed)
			if weighed.opened > 200 || c.fewer && weighed.opened >= 160 {
				t.Errorf("opened: got %d, want fewer than the 200 that are in use at once", weighed.opened)
			}
			if got, want := weighed.p99, time.Duration(float64(all.p99)*c.slower); got > want {
				t.Errorf("p99: got %v, want at most %v, %v of what a dial for everybody takes", got, want, c.slower)
			}
			if weighed.p99 > eager.p99*11/10 {
				t.Errorf("p99: got %v, want at most a tenth more than %v, without weighing", weighed.p99, eager.p99)
			}
		})
	}
}

// A slot comes back sooner than a dial is done, each time. The debt of waiting is
// what lets the key grow.
func TestWorkersThatWaitForEachOtherGetConnectionsInTheEnd(t *testing.T) {
	for _, workers := range []int{2, 5, 50} {
		l := load{"", cost{50 * time.Millisecond, 0}, cost{10 * time.Millisecond, 0}}
		r := l.run(t, Config[string, *wire]{}, func(exchange func()) {
			var all sync.WaitGroup
			for range workers {
				all.Go(func() {
					for range 500 {
						exchange()
					}
				})
			}
			all.Wait()
		})
		if r.opened < workers*9/10 || r.opened > workers {
			t.Errorf("%d workers: opened %d, want about one each", workers, r.opened)
		}
		if r.p50 > 10*time.Millisecond {
			t.Errorf("%d workers: half of the exchanges took %v or more, want 10 ms: no wait", workers, r.p50)
		}
	}
}

// learned is a rig whose key has n connections, of which the pool knows that they
// are dialed in 10 ms and leased for 1 ms.
func learned(r *rig, n int) {
	gets := r.gets("a", n)
	for range n {
		pass(10 * time.Millisecond / time.Duration(n))
	}
	for _, call := range r.dials() {
		call.succeed(1)
	}
	for _, g := range gets {
		g.leased().Release()
	}
	for range 30 {
		l := r.get("a").leased()
		pass(time.Millisecond)
		l.Release()
	}
}

func TestAWaiterWaitsForWhatComesFreeBeforeADialWouldBeDone(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		learned(r, 1)
		busy := r.get("a").leased()
		waiting := r.gets("a", 3)
		if n := len(r.dials()); n != 0 {
			t.Errorf("dials: got %d, want 0: the slot will be free three times before a dial is done", n)
		}
		for _, g := range waiting {
			pass(time.Millisecond)
			busy.Release()
			busy = g.leased()
		}
	})
}

func TestTheQueueBehindWhatComesFreeDials(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxDialsPerKey: -1}, func(r *rig) {
		learned(r, 2)
		r.gets("a", 2)
		r.gets("a", 30) // some twenty are served while a dial runs
		if n := len(r.dials()); n < 5 || n > 15 {
			t.Errorf("dials: got %d, want about 10, for those who would have to wait for longer than a dial", n)
		}
	})
}

func TestNobodyIsLeftWaitingForWhatDoesNotComeFree(t *testing.T) {
	for _, conns := range []int{1, 8} {
		for _, waiters := range []int{1, 4} {
			inBubble(t, Config[string, *wire]{}, func(r *rig) {
				learned(r, conns)
				r.gets("a", conns)
				start := time.Now()
				for i, g := range r.gets("a", waiters) {
					for len(r.dials()) == 0 {
						pass(time.Millisecond)
						if time.Since(start) > time.Minute {
							t.Fatalf("%d connections are stuck, and no dial is started for waiter %d of %d", conns, i, waiters)
						}
					}
					r.dials()[0].succeed(1)
					g.leased()
				}
				// Four dials' time each, at the very most.
				if got, most := time.Since(start), time.Duration(waiters)*45*time.Millisecond; got > most {
					t.Errorf("%d connections are stuck: %d waiters had dials after %v, want at most %v", conns, waiters, got, most)
				}
			})
		}
	}
}

func TestAKeyWhoseConnectionsServeOnceDialsForEverybody(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		for range 10 {
			gets := r.gets("a", 5)
			if n := len(r.dials()); n != 5 {
				t.Fatalf("dials: got %d, want 5: no slot ever came free", n)
			}
			pass(10 * time.Millisecond)
			for _, call := range r.dials() {
				call.succeed(1)
			}
			pass(time.Millisecond)
			for _, g := range gets {
				g.leased().Retire("served once")
			}
		}
	})
}

func TestTheAlarmIsSetOnlyWhileSomebodyWaits(t *testing.T) {
	set := func(p *Pool[string, *wire]) bool { return p.origins["a"] != nil && p.origins["a"].alarmed }
	for name, end := range map[string]func(g *pending, busy *Lease[string, *wire]){
		"served": func(_ *pending, busy *Lease[string, *wire]) { busy.Release() },
		"left":   func(g *pending, _ *Lease[string, *wire]) { g.leave(nil) },
		"closed": func(g *pending, _ *Lease[string, *wire]) { g.rig.pool.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config[string, *wire]{}, func(r *rig) {
				learned(r, 1)
				busy := r.get("a").leased()
				if inside(r, set) {
					t.Error("nobody waits, and the alarm is set")
				}
				g := r.get("a")
				if !inside(r, set) {
					t.Error("somebody waits without a dial, and no alarm is set")
				}
				end(g, busy)
				if inside(r, set) {
					t.Error("nobody waits any more, and the alarm is set")
				}
			})
		})
	}
}

func TestMaxDialsLimitsTheDialsOfAllKeys(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxDials: 3, SlowDial: time.Second}, func(r *rig) {
		first := r.gets("a", 2)
		r.gets("b", 2)
		r.get("c")
		if n := len(r.dials()); n != 3 {
			t.Fatalf("dials: got %d, want 3", n)
		}
		r.dials()[0].succeed(1)
		first[0].leased()
		if calls := r.dials(); len(calls) != 3 || calls[2].key != "b" && calls[2].key != "c" {
			t.Fatalf("dials after one has ended: got %d, want 3, with that of a key that waited", len(calls))
		}
		pass(time.Second)
		synctest.Wait()
		if n := len(r.dials()); n != 4 {
			t.Errorf("dials beside three slow ones: got %d, want 4: one for each waiter", n)
		}
	})
}
