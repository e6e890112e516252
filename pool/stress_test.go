package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// used is a connection that counts the leases on it.
type used struct {
	pc     *Conn[int, *used]
	leases atomic.Int32
	closed atomic.Int32
	gone   atomic.Bool
}

// stress drives a pool from many goroutines at once, and counts from outside
// what must never exceed its limit.
type stress struct {
	t     *testing.T
	pool  *Pool[int, *used]
	slots int

	dialing sync.Map // key → *atomic.Int32
	opened  atomic.Int32
	ended   atomic.Int32 // closed, gone or detached
}

var errRefused = errors.New("connection refused")

func newStress(t *testing.T, cfg Config[int, *used], slots int) *stress {
	s := &stress{t: t, slots: slots}
	limit := int32(cfg.MaxDialsPerKey)
	cfg.Dial = func(_ context.Context, key int, pc *Conn[int, *used]) (*used, int, error) {
		v, _ := s.dialing.LoadOrStore(key, new(atomic.Int32))
		n := v.(*atomic.Int32)
		if got := n.Add(1); got > limit {
			t.Errorf("key %d: %d dials at once, want at most %d", key, got, limit)
		}
		defer n.Add(-1)
		switch rand.IntN(8) {
		case 0:
			return nil, 0, errRefused
		case 1:
			pc.SetSlots(s.slots)
		case 2:
			s.opened.Add(1)
			go pc.SetSlots(s.slots) // the peer tells when it likes
			return &used{pc: pc}, 0, nil
		}
		s.opened.Add(1)
		return &used{pc: pc}, s.slots, nil
	}
	cfg.Close = func(u *used, _ Reason) {
		if n := u.closed.Add(1); n != 1 {
			t.Errorf("a connection was closed %d times", n)
		}
		if u.gone.Load() {
			t.Error("a connection was closed that had gone")
		}
		if n := u.leases.Load(); n != 0 {
			t.Errorf("a connection with %d leases was closed", n)
		}
		u.pc.Gone() // as a hook that runs synchronously would
		s.ended.Add(1)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.pool = p
	return s
}

// run lets workers do rounds of exchanges and checks that all of them come to
// an end and nothing is left.
func (s *stress) run(workers, rounds, keys int) {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range rounds {
				s.exchange(rand.IntN(keys))
				s.look()
			}
		})
	}
	wg.Wait()
	if got := s.pool.Stats(); got.Waiting+got.Leases != 0 || got.Open != got.Idle {
		s.t.Errorf("stats when all are done: got %+v, want idle connections only", got)
	}
	if err := s.pool.Shutdown(context.Background()); err != nil {
		s.t.Errorf("Shutdown: %v", err)
	}
	if opened, ended := s.opened.Load(), s.ended.Load(); opened != ended {
		s.t.Errorf("connections: %d opened, %d ended, want the same", opened, ended)
	}
	s.pool.Close()
	s.checkTotals()
}

// checkTotals holds the pool's totals against what was counted from outside.
func (s *stress) checkTotals() {
	totals := s.pool.Totals()
	if got, want := sum(totals.Opened), uint64(s.opened.Load()); got != want {
		s.t.Errorf("Totals.Opened: got %d in all, want the %d that Dial brought", got, want)
	}
	if got, want := sum(totals.Closed), uint64(s.ended.Load()); got != want {
		s.t.Errorf("Totals.Closed: got %d in all, want the %d that were closed, gone or detached", got, want)
	}
	for why, opened := range totals.Opened {
		if lost := totals.Closed[why]; opened > lost && why != First && why != Busy {
			s.t.Errorf("%d connections were opened in place of those lost for %q, of which there were %d", opened, why, lost)
		}
	}
}

// look checks the pool's figures in the midst of it all.
func (s *stress) look() {
	cfg := s.pool.cfg
	if all := s.pool.Stats(); all.Open+all.Dialing > cfg.MaxTotal || all.Idle > cfg.MaxIdle {
		s.t.Errorf("in all: %+v exceeds %d, %d idle", all, cfg.MaxTotal, cfg.MaxIdle)
	}
	s.pool.Each(func(key int, one Stats) {
		if one.Open+one.Dialing > cfg.MaxPerKey || one.Idle > cfg.MaxIdlePerKey {
			s.t.Errorf("key %d: %+v exceeds %d, %d idle", key, one, cfg.MaxPerKey, cfg.MaxIdlePerKey)
		}
	})
}

// exchange gets a lease and ends it in one of all ways.
func (s *stress) exchange(key int) {
	ctx := context.Background()
	if rand.IntN(4) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, rand.N(200*time.Microsecond))
		defer cancel()
	}
	l, err := s.pool.Get(ctx, key)
	if err != nil {
		if !errors.Is(err, errRefused) && !errors.Is(err, context.DeadlineExceeded) {
			s.t.Errorf("Get: %v", err)
		}
		return
	}
	u := l.Value()
	if n := u.leases.Add(1); n > int32(s.slots) {
		s.t.Errorf("%d leases on a connection with %d slots", n, s.slots)
	}
	s.end(l, u)
}

func (s *stress) end(l *Lease[int, *used], u *used) {
	what := rand.IntN(20)
	u.leases.Add(-1)
	switch what {
	case 0:
		l.Retire("test")
	case 1:
		l.Refuse()
		u.pc.SetSlots(s.slots)
	case 2:
		if !u.gone.Swap(true) {
			s.ended.Add(1)
		}
		u.pc.Gone()
		l.Release()
	case 3:
		if !u.gone.Swap(true) {
			s.ended.Add(1)
		}
		l.Detach()
	case 4:
		s.pool.CloseIdle()
		l.Release()
	case 5:
		u.pc.Retire("test")
		l.Release()
	default:
		l.Release()
	}
	l.Release() // no effect
}
