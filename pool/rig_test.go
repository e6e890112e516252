package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wire is the connection that these tests pool. It says how it was closed.
type wire struct {
	id     int
	pc     *Conn[string, *wire]
	closed []Reason // guarded by rig.mu
}

func (w *wire) String() string { return fmt.Sprintf("wire %d", w.id) }

type answer struct {
	wire  *wire
	slots int
	err   error
}

// call is a call of Config.Dial that waits for the test's answer.
type call struct {
	rig    *rig
	ctx    context.Context
	key    string
	pc     *Conn[string, *wire]
	began  time.Time
	answer chan answer
}

// succeed lets the dial return a connection with slots.
func (c *call) succeed(slots int) *wire {
	c.rig.t.Helper()
	c.rig.mu.Lock()
	c.rig.wires++
	w := &wire{id: c.rig.wires, pc: c.pc}
	c.rig.mu.Unlock()
	c.answer <- answer{wire: w, slots: slots}
	synctest.Wait()
	return w
}

// fail lets the dial return err.
func (c *call) fail(err error) {
	c.rig.t.Helper()
	c.answer <- answer{err: err}
	synctest.Wait()
}

// rig is a pool in a synctest bubble whose dials wait for the test.
type rig struct {
	t    *testing.T
	pool *Pool[string, *wire]

	stubborn bool // dials take no notice of their contexts

	mu    sync.Mutex
	calls []*call // not yet answered, oldest first
	wires int
	order []int // the ids of closed wires, in order
}

// inBubble runs f with a pool made from cfg, whose Dial and Close are the rig's
// unless they are set. At the end the pool is closed and must leave nothing.
func inBubble(t *testing.T, cfg Config[string, *wire], f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, cfg)
		defer r.end()
		f(r)
		r.end()
		if got := r.pool.Stats(); got != (Stats{}) {
			t.Errorf("stats after Close: got %+v, want nothing left", got)
		}
	})
}

func newRig(t *testing.T, cfg Config[string, *wire]) *rig {
	t.Helper()
	r := &rig{t: t}
	if cfg.Dial == nil {
		cfg.Dial = r.dial
	}
	if cfg.Close == nil {
		cfg.Close = r.close
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	r.pool = p
	return r
}

func (r *rig) dial(ctx context.Context, key string, pc *Conn[string, *wire]) (*wire, int, error) {
	c := &call{rig: r, ctx: ctx, key: key, pc: pc, began: time.Now(), answer: make(chan answer)}
	r.mu.Lock()
	r.calls = append(r.calls, c)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.calls = slices.DeleteFunc(r.calls, func(other *call) bool { return other == c })
	}()
	done := ctx.Done()
	if r.stubborn {
		done = nil
	}
	select {
	case a := <-c.answer:
		return a.wire, a.slots, a.err
	case <-done:
		return nil, 0, context.Cause(ctx)
	}
}

// end closes the pool and lets all dials return, so that no goroutine is left in
// the bubble whatever the test found.
func (r *rig) end() {
	go r.pool.Close() // ends with the dials
	for _, c := range r.dials() {
		c.fail(ErrClosed)
	}
	synctest.Wait()
}

func (r *rig) close(w *wire, why Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.closed = append(w.closed, why)
	r.order = append(r.order, w.id)
}

// dials returns the calls of Dial that wait for an answer.
func (r *rig) dials() []*call {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// oneDial returns the only call of Dial that waits for an answer.
func (r *rig) oneDial() *call {
	r.t.Helper()
	calls := r.dials()
	if len(calls) != 1 {
		r.t.Fatalf("dials under way: got %d, want 1", len(calls))
	}
	return calls[0]
}

// pending is a Get that may have to wait.
type pending struct {
	rig    *rig
	cancel context.CancelCauseFunc

	done  bool // guarded by rig.mu, as the others until it is true
	lease *Lease[string, *wire]
	err   error
}

type ctxKey struct{}

// get starts a Get whose context carries name and waits until it is served or
// in the queue.
func (r *rig) get(key string, name ...any) *pending {
	ctx := context.Background()
	if len(name) > 0 {
		ctx = context.WithValue(ctx, ctxKey{}, name[0])
	}
	return r.getUntil(ctx, key)
}

// getUntil is get for a context of the test's own.
func (r *rig) getUntil(ctx context.Context, key string) *pending {
	ctx, cancel := context.WithCancelCause(ctx)
	g := &pending{rig: r, cancel: cancel}
	go func() { // ends with the Get
		defer cancel(nil)
		l, err := r.pool.Get(ctx, key)
		r.mu.Lock()
		defer r.mu.Unlock()
		g.lease, g.err, g.done = l, err, true
	}()
	synctest.Wait()
	return g
}

func (r *rig) gets(key string, n int) []*pending {
	all := make([]*pending, n)
	for i := range all {
		all[i] = r.get(key)
	}
	return all
}

func (g *pending) waits() bool {
	synctest.Wait()
	g.rig.mu.Lock()
	defer g.rig.mu.Unlock()
	return !g.done
}

// leave ends g's context with cause and waits until g has seen it.
func (g *pending) leave(cause error) {
	g.cancel(cause)
	synctest.Wait()
}

// leased returns the lease that g got.
func (g *pending) leased() *Lease[string, *wire] {
	g.rig.t.Helper()
	switch {
	case g.waits():
		g.rig.t.Fatal("Get still waits, want a lease")
	case g.err != nil:
		g.rig.t.Fatalf("Get: got error %v, want a lease", g.err)
	}
	return g.lease
}

// failed checks that g failed with want.
func (g *pending) failed(want error) {
	g.rig.t.Helper()
	switch {
	case g.waits():
		g.rig.t.Fatalf("Get still waits, want error %v", want)
	case !errors.Is(g.err, want) || g.lease != nil:
		g.rig.t.Fatalf("Get: got %v, %v, want error %v", g.lease, g.err, want)
	}
}

// open dials n connections for key, and gives them back, the first one last: it
// is the most recently used.
func (r *rig) open(key string, n int) []*wire {
	r.t.Helper()
	gets := r.gets(key, n)
	wires := make([]*wire, n)
	for i := range wires {
		calls := r.dials()
		if len(calls) == 0 {
			r.t.Fatalf("no dial under way for connection %d of %d", i+1, n)
		}
		wires[i] = calls[0].succeed(1)
	}
	for i := n - 1; i >= 0; i-- {
		gets[i].leased().Release()
	}
	synctest.Wait()
	return wires
}

// wantClosed checks how often and why w was closed.
func (r *rig) wantClosed(w *wire, want ...Reason) {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(w.closed, want) {
		r.t.Errorf("%v: closed for %v, want %v", w, w.closed, want)
	}
}

func (r *rig) wantStats(want Stats) {
	r.t.Helper()
	synctest.Wait()
	if got := r.pool.Stats(); got != want {
		r.t.Errorf("stats: got %+v, want %+v", got, want)
	}
}

// inside looks at what only the pool knows.
func inside[T any](r *rig, look func(p *Pool[string, *wire]) T) T {
	synctest.Wait()
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	return look(r.pool)
}

func timerRuns(p *Pool[string, *wire]) bool { return p.armed }

// pass lets the bubble's time go by.
func pass(d time.Duration) { <-time.After(d) }
