package pool

import (
	"context"
	"errors"
	"maps"
	"testing"
)

func sum(counts map[Reason]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

func TestTotalsCountWhatThePoolDid(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxWaiters: 1}, func(r *rig) {
		r.open("a", 1)
		l := r.get("a").leased()
		g := r.get("a")
		if _, err := r.pool.Get(context.Background(), "a"); !errors.As(err, new(*QueueFullError)) {
			t.Errorf("a third Get: got %v, want a *QueueFullError", err)
		}
		pass(1)
		l.Release()
		g.leased().Retire("tired")
		r.oneDial().fail(errors.New("boom"))
		r.wantStats(Stats{})
		got := r.pool.Totals()
		want := Totals{Leases: 3, Reused: 2, Waited: 2, WaitTime: 1, Refused: 1, FailedDials: 1,
			Opened: map[Reason]uint64{First: 1}, Closed: map[Reason]uint64{"tired": 1}}
		if !maps.Equal(got.Opened, want.Opened) || !maps.Equal(got.Closed, want.Closed) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		got.Opened, want.Opened, got.Closed, want.Closed = nil, nil, nil, nil
		if got.Leases != want.Leases || got.Reused != want.Reused || got.Waited != want.Waited || got.WaitTime != want.WaitTime ||
			got.Refused != want.Refused || got.FailedDials != want.FailedDials {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestEachConnectionIsListedWithItsLeases(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		idle := r.open("a", 1)[0]
		g := r.get("b")
		busy := r.oneDial().succeed(3)
		g.leased()
		r.get("b").leased()
		r.get("c") // whose dial has not ended
		got := make(map[*wire]int)
		r.pool.EachConn(func(w *wire, leases int) { got[w] = leases })
		if want := map[*wire]int{idle: 0, busy: 2}; !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
