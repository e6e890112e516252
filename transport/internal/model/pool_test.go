package model_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/pool"
	"github.com/stayopen-go/stayopen/transport/internal/model"
)

// twin is a real pool with the settings of a transport.Transport, and the model of
// it, which is told what happens at the pool.
type twin struct {
	*model.Model[string]
	pool   *pool.Pool[string, int]
	dial   time.Duration
	flying sync.WaitGroup
}

var errRefused = errors.New("refused")

// newTwin makes one whose dials take so long. Keys that begin with "?" may turn out
// to multiplex, and dials for those that begin with "!" fail.
func newTwin(t *testing.T, dial time.Duration) *twin {
	t.Helper()
	alone := func(key string) bool { return key[0] == '?' }
	w := &twin{Model: model.New(model.StayOpen(), alone), dial: dial}
	p, err := pool.New(pool.Config[string, int]{
		Dial: func(_ context.Context, key string, _ *pool.Conn[string, int]) (int, int, error) {
			<-time.After(dial)
			w.Dialed(key, dial)
			if key[0] == '!' {
				return 0, 0, errRefused
			}
			return 0, 1, nil
		},
		Close:       func(int, pool.Reason) {},
		SlowDial:    300 * ms,
		IdleTimeout: 90 * time.Second,
		DialAlone:   alone,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	w.pool = p
	return w
}

// send has a request for key begin at a moment, take so long on its connection,
// which does not survive it if it is lost, and give up waiting after patience.
func (w *twin) send(key string, at time.Time, service, patience time.Duration, lost bool) {
	w.flying.Go(func() {
		if d := time.Until(at); d > 0 {
			<-time.After(d)
		}
		r := new(model.Request)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		w.Begin(r, key)
		l, err := w.pool.Get(hideDeadline{ctx}, key)
		switch {
		case err == errRefused:
			w.End(r, time.Now(), refused)
			return
		case err != nil:
			w.End(r, time.Now(), gaveUp)
			return
		}
		got := time.Now()
		if service > 0 {
			<-time.After(service)
		}
		e := model.Ending{Outcome: model.Kept, Major: 1, Got: got}
		if lost {
			e.Outcome = model.Lost
			w.End(r, time.Now(), e)
			l.Retire("lost")
			return
		}
		w.End(r, time.Now(), e)
		l.Release()
	})
}

// hideDeadline is a context that does not say when it ends: a model does not know.
type hideDeadline struct{ context.Context }

func (hideDeadline) Deadline() (time.Time, bool) { return time.Time{}, false }

// totals are the connections that the pool has opened, those on their way included
// as the model counts them, and closed.
func (w *twin) totals() (opened, closed uint64) {
	all := w.pool.Totals()
	for _, n := range all.Opened {
		opened += n
	}
	for _, n := range all.Closed {
		closed += n
	}
	return opened, closed
}

// settled holds the model against the pool when nothing is under way. A connection
// that is idle for too long the pool sees up to 100 ms late.
func (w *twin) settled(t *testing.T, when string, random bool) {
	t.Helper()
	w.flying.Wait()
	<-time.After(3*w.dial + 2*time.Second + 150*ms)
	synctest.Wait()
	opened, closed := w.totals()
	c := w.Counts(time.Now())
	if random && near(c.Opened, opened) && near(c.Closed, closed) {
		return
	}
	if c.Opened != opened || c.Closed != closed {
		t.Errorf("%s: the model has opened %d and closed %d, want %d and %d as the pool", when, c.Opened, c.Closed, opened, closed)
	}
}

func near(got, want uint64) bool {
	return math.Abs(float64(got)-float64(want)) <= 0.25*float64(want)+2
}

// storm is what is sent to a twin.
type storm struct {
	name    string
	dial    time.Duration
	keys    string // what keys begin with
	hosts   int
	n       int           // requests
	late    time.Duration // the mean of when they begin
	service time.Duration // the mean
	lost    int           // one in so many connections does not survive; 0: all do
	hasty   int           // one in so many gives up soon; 0: none does

	// Where a dial begins while another one runs, since that is slow, it is decided
	// at random what happens first of what is due at the same moment, over and over:
	// the end of the second, or that those after the first turn slow.
	random bool
}

var storms = []storm{
	{name: "at once", dial: 5 * ms, keys: "a", hosts: 1, n: 200, late: 100 * time.Microsecond, service: 5 * ms},
	{name: "quick answers", dial: 20 * ms, keys: "a", hosts: 1, n: 200, late: 50 * ms, service: 2 * ms},
	{name: "slow answers", dial: 2 * ms, keys: "a", hosts: 1, n: 200, late: 50 * ms, service: 50 * ms},
	{name: "dials that take no time", dial: 50 * time.Microsecond, keys: "a", hosts: 1, n: 200, late: 5 * ms, service: ms},
	{name: "answers that take no time", dial: 10 * ms, keys: "a", hosts: 1, n: 200, late: 5 * ms},
	{name: "slow dials", dial: 700 * ms, keys: "a", hosts: 2, n: 200, late: 100 * ms, service: 30 * ms},
	{name: "one dial first", dial: 20 * ms, keys: "?a", hosts: 2, n: 200, late: 10 * ms, service: 20 * ms},
	{name: "one slow dial first", dial: 450 * ms, keys: "?a", hosts: 2, n: 200, late: 10 * ms, service: 20 * ms, random: true},
	{name: "connections that are lost", dial: 20 * ms, keys: "a", hosts: 2, n: 300, late: 100 * ms, service: 10 * ms, lost: 3},
	{name: "requests that give up", dial: 20 * ms, keys: "a", hosts: 2, n: 300, late: 30 * ms, service: 10 * ms, hasty: 2},
	{name: "slow dials and all the rest", dial: 350 * ms, keys: "?a", hosts: 3, n: 300, late: 200 * ms, service: 100 * ms, lost: 4, hasty: 4, random: true},
	{name: "more hosts than dials", dial: 20 * ms, keys: "a", hosts: 400, n: 1200, late: 5 * ms, service: 15 * ms, hasty: 5},
	{name: "nobody listens", dial: 20 * ms, keys: "!a", hosts: 3, n: 100, late: 20 * ms, service: ms},
}

// TestTheModelOfStayOpenDoesWhatThePoolDoes sends each storm three times, so far
// apart that what is surplus is closed in between, and what is idle for too long.
func TestTheModelOfStayOpenDoesWhatThePoolDoes(t *testing.T) {
	for _, s := range storms {
		t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) {
			for seed := range uint64(4) {
				synctest.Test(t, func(t *testing.T) {
					w, random := newTwin(t, s.dial), rand.New(rand.NewPCG(seed, 7))
					for round, pause := range []time.Duration{3 * time.Second, 45 * time.Second, 3 * time.Minute} {
						s.send(w, random)
						when := fmt.Sprintf("seed %d, storm %d", seed, round)
						w.settled(t, when, s.random)
						<-time.After(pause)
						w.settled(t, when+", after a pause", s.random)
					}
				})
			}
		})
	}
}

func (s storm) send(w *twin, random *rand.Rand) {
	some := func(mean time.Duration) time.Duration { return time.Duration(random.ExpFloat64() * float64(mean)) }
	begin := time.Now()
	for range s.n {
		patience := time.Hour
		if s.hasty > 0 && random.IntN(s.hasty) == 0 {
			patience = some(s.dial) + 1
		}
		lost := s.lost > 0 && random.IntN(s.lost) == 0
		w.send(fmt.Sprint(s.keys, random.IntN(s.hosts)), begin.Add(some(s.late)), some(s.service), patience, lost)
	}
}
