package model_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/transport/internal/model"
)

const ms = time.Millisecond

// rig sends requests that are only claimed to happen, in a bubble's time.
type rig struct {
	*model.Model[string]
	flying sync.WaitGroup
}

func inBubble(t *testing.T, p model.Policy, test func(t *testing.T, g *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, &rig{Model: model.New[string](p, nil)}) })
}

// send has n requests begin, wait for a connection and be served for so long.
func (g *rig) send(n int, key string, wait, service time.Duration, e model.Ending) {
	for range n {
		g.flying.Go(func() {
			r, e := new(model.Request), e
			g.Begin(r, key)
			<-time.After(wait)
			if e.Outcome != model.GaveUp && e.Outcome != model.Refused {
				e.Got = time.Now()
			}
			<-time.After(service)
			g.End(r, time.Now(), e)
		})
	}
	synctest.Wait()
}

// burst is send, and waits for the end.
func (g *rig) burst(n int, key string, wait, service time.Duration, e model.Ending) {
	g.send(n, key, wait, service, e)
	g.flying.Wait()
}

// want holds the counts against what is wanted, some time after the last event.
func (g *rig) want(t *testing.T, opened, closed uint64, why string) {
	t.Helper()
	<-time.After(2 * time.Second)
	if c := g.Counts(time.Now()); c.Opened != opened || c.Closed != closed {
		t.Errorf("%d opened and %d closed, want %d and %d: %s", c.Opened, c.Closed, opened, closed, why)
	}
}

var (
	kept     = model.Ending{Outcome: model.Kept, Major: 1}
	kept2    = model.Ending{Outcome: model.Kept, Major: 2}
	lost     = model.Ending{Outcome: model.Lost, Major: 1}
	gaveUp   = model.Ending{Outcome: model.GaveUp}
	refused  = model.Ending{Outcome: model.Refused}
	policies = map[string]model.Policy{"net/http": model.NetHTTP(), "stayopen": model.StayOpen()}
)

func TestNetHTTPKeepsTwoOfABurst(t *testing.T) {
	inBubble(t, model.NetHTTP(), func(t *testing.T, g *rig) {
		g.Dialed("a", ms)
		g.burst(10, "a", ms, 5*ms, kept)
		g.want(t, 10, 8, "each dials, and two idle ones are kept")
		g.burst(10, "a", ms, 5*ms, kept)
		g.want(t, 18, 16, "two of the second burst find those")
		g.burst(1, "a", 0, 5*ms, kept)
		g.want(t, 18, 16, "one by one needs no more")
		<-time.After(90 * time.Second)
		g.want(t, 18, 18, "idle for 90 s")
	})
}

func TestStayOpenKeepsWhatItDialed(t *testing.T) {
	inBubble(t, model.StayOpen(), func(t *testing.T, g *rig) {
		g.Dialed("a", 10*ms)
		g.burst(80, "a", 10*ms, ms, kept)
		g.want(t, 64, 0, "32 dials at a time; those that come after 10 ms serve all, and the second 32 are surplus")
		g.burst(64, "a", 10*ms, 50*ms, kept)
		g.want(t, 64, 0, "enough are idle")
		g.burst(70, "a", 0, 50*ms, kept)
		g.want(t, 65, 0, "for six more something comes free, as far as is known, until waiting has cost as much as a dial")
		<-time.After(90 * time.Second)
		g.want(t, 65, 65, "idle for 90 s")
	})
}

func TestADialThatHangsHoldsNobodyUp(t *testing.T) {
	inBubble(t, model.StayOpen(), func(t *testing.T, g *rig) {
		g.Dialed("a", time.Minute)
		g.send(33, "a", 2*time.Minute, ms, kept)
		<-time.After(70 * time.Second)
		if c := g.Counts(time.Now()); c.Opened != 33 {
			t.Errorf("%d opened after 70 s, want 33: the last dial begins after 300 ms, not after a minute", c.Opened)
		}
		g.flying.Wait()
	})
}

func TestAWaiterTakesWhatComesFreeAndItsDialGoesOn(t *testing.T) {
	for name, p := range policies {
		inBubble(t, p, func(t *testing.T, g *rig) {
			g.Dialed("a", 20*ms)
			g.send(1, "a", 20*ms, 10*ms, kept) // until 30 ms
			<-time.After(25 * ms)
			g.send(1, "a", 5*ms, 10*ms, kept) // gets that one at 30 ms, and dials until 45
			g.flying.Wait()
			g.want(t, 2, 0, name+": the second dial's connection is kept as idle")
			g.burst(2, "a", 0, 10*ms, kept)
			g.want(t, 2, 0, name+": and serves")
		})
	}
}

func TestTheLimitOfAllClosesTheOneUsedLongestAgo(t *testing.T) {
	inBubble(t, model.NetHTTP(), func(t *testing.T, g *rig) {
		for i := range 101 {
			g.burst(1, fmt.Sprint(i), 0, ms, kept)
		}
		g.want(t, 101, 1, "100 idle in all")
		g.burst(1, "1", 0, ms, kept)
		g.want(t, 101, 1, "the second is there")
		g.burst(1, "0", 0, ms, kept)
		g.want(t, 102, 2, "the first is not, and the third goes for it")
		g.burst(1, "1", 0, ms, kept)
		g.want(t, 102, 2, "not the second, which was used in between")
	})
}

func TestHTTP2SharesOneConnection(t *testing.T) {
	for name, cold := range map[string]uint64{"net/http": 10, "stayopen": 1} {
		inBubble(t, policies[name], func(t *testing.T, g *rig) {
			g.Dialed("a", 5*ms)
			g.send(10, "a", 5*ms, 20*ms, kept2)
			g.SpeaksHTTP2("a")
			g.flying.Wait()
			g.want(t, cold, cold-1, name+": net/http dials for each and keeps one")
			g.burst(200, "a", 5*ms, 20*ms, kept2)
			g.want(t, cold, cold-1, name+": it serves all")
			<-time.After(90 * time.Second)
			g.want(t, cold, cold, name+": idle for 90 s")
		})
	}
}

func TestAnOriginThatTurnsOutToBeHTTP2SharesFromThenOn(t *testing.T) {
	for name, p := range policies {
		inBubble(t, p, func(t *testing.T, g *rig) {
			g.Dialed("a", ms)
			g.send(3, "a", ms, 5*time.Second, kept2) // longer than the simulation waits for word
			<-time.After(2 * time.Second)
			if c := g.Counts(time.Now()); c.Opened != 3 {
				t.Errorf("%s: %d opened as long as it could be HTTP/1, want 3", name, c.Opened)
			}
			g.flying.Wait()
			g.want(t, 3, 2, name+": one is kept")
			g.burst(50, "a", 0, ms, kept2)
			g.want(t, 3, 2, name)
			g.burst(2, "a", 0, ms, kept)
			<-time.After(time.Minute)
			if c := g.Counts(time.Now()); c.Opened-c.Closed > 2 {
				t.Errorf("%s: %d open after it spoke HTTP/1 again, want no more than 2", name, c.Opened-c.Closed)
			}
		})
	}
}

func TestARequestTakesAsLongAsInRealityFromItsConnectionOn(t *testing.T) {
	inBubble(t, model.StayOpen(), func(t *testing.T, g *rig) {
		g.Dialed("a", 100*ms)
		g.burst(1, "a", 100*ms, 10*ms, kept)
		g.want(t, 1, 0, "one idle")
		// In reality both wait 100 ms for a dial. Here the first has the idle one
		// until 10 ms, and the second finds it at 50 ms.
		g.send(1, "a", 100*ms, 10*ms, kept)
		<-time.After(50 * ms)
		g.send(1, "a", 100*ms, 10*ms, kept)
		g.flying.Wait()
		g.want(t, 1, 0, "the second needs no dial")
	})
}

func TestWhatNeverHadAConnection(t *testing.T) {
	for name, p := range policies {
		inBubble(t, p, func(t *testing.T, g *rig) {
			g.Dialed("a", 10*ms)
			g.burst(3, "a", 5*ms, 0, refused)
			g.want(t, 0, 0, name+": a dial that fails opens nothing")
			g.burst(2, "a", 5*ms, 0, gaveUp)
			g.want(t, 2, 0, name+": the dials of those that gave up go on, for others")
			g.burst(2, "a", 0, ms, kept)
			g.want(t, 2, 0, name+": who find them")
			g.send(3, "b", time.Minute, 0, refused)
			<-time.After(30 * time.Second)
			if c := g.Counts(time.Now()); c.Opened != 5 {
				t.Errorf("%s: %d opened while it looks as if the dials succeeded, want 5", name, c.Opened)
			}
			g.flying.Wait()
			g.burst(2, "a", 0, ms, kept)
			g.burst(4, "c", 10*ms, ms, kept)
			surplus := map[string]uint64{"net/http": 2}[name]
			g.want(t, 6, surplus, name+": they did not, which the next openings make good")
			g.burst(1, "a", 5*ms, 0, gaveUp)
			g.want(t, 6, surplus+1, name+": on an idle connection it was canceled half way")
		})
	}
}

func TestWhatBecomesOfAConnectionAfterItsExchange(t *testing.T) {
	abandoned := func(left int64) model.Ending {
		return model.Ending{Outcome: model.Abandoned, Major: 1, Left: left}
	}
	for _, test := range []struct {
		ending             model.Ending
		netHTTP, stayOpens uint64 // closes
	}{
		{kept, 0, 0},
		{lost, 1, 1},
		{abandoned(100), 1, 0}, // net/http reads nothing on
		{abandoned(1 << 20), 1, 1},
		{abandoned(-1), 1, 1},
		{model.Ending{Outcome: model.Abandoned, Major: 2, Left: -1}, 0, 0}, // a stream was reset
	} {
		for name, closed := range map[string]uint64{"net/http": test.netHTTP, "stayopen": test.stayOpens} {
			inBubble(t, policies[name], func(t *testing.T, g *rig) {
				g.burst(1, "a", 0, ms, test.ending)
				g.want(t, 1, closed, fmt.Sprintf("%s after %+v", name, test.ending))
			})
		}
	}
}

func TestCloseIdleClosesWhatIsIdleAndBecomesSo(t *testing.T) {
	for name, p := range policies {
		inBubble(t, p, func(t *testing.T, g *rig) {
			g.burst(2, "a", 0, ms, kept)
			g.burst(1, "b", 0, ms, kept2)
			g.send(1, "c", 0, 10*ms, kept)
			<-time.After(ms)
			g.CloseIdle(time.Now())
			g.flying.Wait()
			g.want(t, 4, 4, name+": also what falls idle before the next request")
			g.burst(1, "a", 0, ms, kept)
			g.want(t, 5, 4, name+": which is kept again")
		})
	}
}

func TestCountsAreCompleteAtRest(t *testing.T) {
	inBubble(t, model.NetHTTP(), func(t *testing.T, g *rig) {
		g.Dialed("a", ms)
		g.burst(3, "a", ms, ms, kept)
		if c := g.Counts(time.Now()); c.Opened != 3 || c.Requests != 3 {
			t.Errorf("right after the last request: %+v, want 3 requests on 3 connections", c)
		}
		g.send(1, "b", 0, time.Hour, kept)
		<-time.After(1001 * ms)
		if c := g.Counts(time.Now()); c.Opened != 4 {
			t.Errorf("%d opened a second after a request that still runs, want 4", c.Opened)
		}
		g.flying.Wait()
	})
}

// TestNothingIsLeftOfManyRequests drives both models from many goroutines at
// once, with everything that can happen.
func TestNothingIsLeftOfManyRequests(t *testing.T) {
	outcomes := []model.Ending{kept, kept, kept, kept, kept2, lost, gaveUp, refused, {Outcome: model.Abandoned, Left: 5}}
	for name, p := range policies {
		inBubble(t, p, func(t *testing.T, g *rig) {
			const workers, each = 50, 200
			for i := range workers {
				g.flying.Go(func() {
					random := rand.New(rand.NewPCG(uint64(i), 1))
					for n := range each {
						key := fmt.Sprint(random.IntN(20))
						if n%50 == 0 {
							key = fmt.Sprint(i, n) // is never seen again
							g.Dialed(key, time.Duration(random.IntN(20))*ms)
							g.CloseIdle(time.Now())
						}
						var all sync.WaitGroup
						r, e := new(model.Request), outcomes[random.IntN(len(outcomes))]
						all.Go(func() {
							g.Begin(r, key)
							<-time.After(time.Duration(random.IntN(30)) * ms)
							if e.Major > 0 {
								e.Got = time.Now()
							}
							<-time.After(time.Duration(random.IntN(30)) * ms)
							g.End(r, time.Now(), e)
						})
						all.Wait()
					}
				})
			}
			g.flying.Wait()
			<-time.After(3 * time.Minute)
			c := g.Counts(time.Now())
			if c.Requests != workers*each || c.Opened != c.Closed || c.Opened == 0 || c.Opened > c.Requests {
				t.Errorf("%s: %+v, want %d requests, and as many connections closed as opened", name, c, workers*each)
			}
		})
	}
}

func TestAModelForgetsRequestsAndKeys(t *testing.T) {
	m := model.New[int](model.StayOpen(), nil)
	begin := time.Now()
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	run := func(n int) {
		for i := range n {
			r := new(model.Request)
			m.Begin(r, i)
			m.End(r, time.Now(), lost)
		}
		m.Counts(time.Now())
	}
	run(1000)
	before := heap()
	run(200_000)
	if after := heap(); after > before+1<<20 {
		t.Errorf("%d bytes more after 200,000 requests for as many keys, want less than 1 MB more", after-before)
	}
	if c := m.Counts(time.Now()); c.Requests != 201_000 {
		t.Errorf("%d requests after %v, want 201000", c.Requests, time.Since(begin))
	}
	runtime.KeepAlive(m)
}
