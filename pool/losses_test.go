package pool

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// cause answers the dial under way and returns why it was begun, and the
// connection's lease.
func (r *rig) cause(g *pending) (Reason, *Lease[string, *wire]) {
	r.t.Helper()
	r.oneDial().succeed(1)
	l := g.leased()
	return l.Conn().Cause(), l
}

func (r *rig) wantCause(got, want Reason, why string) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("cause: got %q, want %q: %s", got, want, why)
	}
}

func TestAKeysFirstConnectionIsTheFirstAndTheOthersAreForWantOfAFreeOne(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		gets := r.gets("a", 3)
		for i, call := range r.dials() {
			want := Busy
			if i == 0 {
				want = First
			}
			r.wantCause(call.pc.Cause(), want, fmt.Sprintf("dial %d of a burst", i+1))
			call.succeed(1)
		}
		for _, g := range gets {
			g.leased()
		}
		got, _ := r.cause(r.get("a"))
		r.wantCause(got, Busy, "three are in use, and none was lost")
		got, _ = r.cause(r.get("b"))
		r.wantCause(got, First, "another key")
	})
}

func TestAConnectionIsOpenedInPlaceOfTheOneLostLast(t *testing.T) {
	inBubble(t, Config[string, *wire]{IdleTimeout: time.Minute, MaxLeases: 2, IdleWindow: -1}, func(r *rig) {
		r.open("a", 3)
		pass(time.Minute) // and nothing is left: what is known of the key is kept all the same
		r.wantStats(Stats{})
		g := r.get("a")
		got, l := r.cause(g)
		r.wantCause(got, IdleTimeout, "all three were idle for too long")
		l.Conn().Lost("peer")
		got, l = r.cause(r.get("a"))
		r.wantCause(got, "peer", "that one was lost last")
		l.Conn().Gone()
		got, l = r.cause(r.get("a"))
		r.wantCause(got, Gone, "nobody said why")
		l.Detach()
		got, l = r.cause(r.get("a"))
		r.wantCause(got, Detached, "it was handed out")
		l.Retire("tired")
		got, l = r.cause(r.get("a"))
		r.wantCause(got, "tired", "that is what its user said")
		l.Release()
		last := r.get("a").leased() // the second of two
		got, _ = r.cause(r.get("a"))
		r.wantCause(got, MaxLeases, "the one that is still in use takes no more")
		last.Release()
		for range 2 {
			got, _ = r.cause(r.get("a"))
			r.wantCause(got, IdleTimeout, "two of the three that were idle for too long are not replaced yet")
		}
		got, _ = r.cause(r.get("a"))
		r.wantCause(got, Busy, "every loss is made up for")
	})
}

func TestADialThatFailsReplacesNothing(t *testing.T) {
	boom := errors.New("boom")
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		g := r.get("a")
		r.oneDial().fail(boom)
		g.failed(boom)
		got, l := r.cause(r.get("a"))
		r.wantCause(got, First, "none has stood before")
		l.Retire("tired")
		g = r.get("a")
		r.oneDial().fail(boom)
		g.failed(boom)
		got, _ = r.cause(r.get("a"))
		r.wantCause(got, "tired", "the failed dial did not replace it")
	})
}

func TestWhatNobodyWaitsForSaysSo(t *testing.T) {
	inBubble(t, Config[string, *wire]{MinPerKey: 1}, func(r *rig) {
		done := r.warm(context.Background(), "a", 1)
		w := r.oneDial().succeed(1)
		r.wantReturned(done, nil)
		r.wantCause(w.pc.Cause(), Warmed, "Warm asked for it")
		r.get("a").leased().Release()
		w.pc.Lost("peer")
		replacement := r.oneDial().succeed(1)
		r.wantCause(replacement.pc.Cause(), Minimum, "one is kept")
		r.get("a").leased()
		got, _ := r.cause(r.get("a"))
		r.wantCause(got, Busy, "the loss has been made up for")
	})
}

func TestWhatAKeyHasLostIsForgottenInTime(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		lose := func(key string) {
			_, l := r.cause(r.get(key))
			l.Retire("tired")
		}
		for i := range maxFormer + 1 {
			lose(fmt.Sprint(i))
		}
		remembered := inside(r, func(p *Pool[string, *wire]) int { return len(p.former) })
		if remembered != maxFormer || inside(r, func(p *Pool[string, *wire]) int { return p.formers.n }) != maxFormer {
			t.Errorf("keys remembered: got %d, want %d", remembered, maxFormer)
		}
		got, l := r.cause(r.get("0"))
		r.wantCause(got, First, "it is too long ago")
		got, _ = r.cause(r.get("1"))
		r.wantCause(got, "tired", "it is remembered")
		l.Release()
		// Of one key no more than so many rows of losses.
		for i := range 2 * maxLossRuns {
			if i%2 == 0 {
				r.get("0").leased().Retire(Reason(fmt.Sprint(i)))
			} else {
				_, l := r.cause(r.get("0"))
				l.Release()
			}
		}
		if n := inside(r, func(p *Pool[string, *wire]) int { return len(p.origins["0"].losses.runs) }); n > maxLossRuns {
			t.Errorf("rows of losses: got %d, want at most %d", n, maxLossRuns)
		}
	})
}

func TestOnlySoManyRowsOfLossesAreKept(t *testing.T) {
	var l losses
	for i := range 3 * maxLossRuns {
		l.add(Reason(fmt.Sprint(i)))
		l.add(Reason(fmt.Sprint(i)))
	}
	for i := 3*maxLossRuns - 1; i >= 2*maxLossRuns; i-- {
		for range 2 {
			if got := l.take(); got != Reason(fmt.Sprint(i)) {
				t.Errorf("got %q, want %d: the last comes first", got, i)
			}
		}
	}
	if got := l.take(); got != "" {
		t.Errorf("got %q, want nothing: the oldest are forgotten", got)
	}
}
