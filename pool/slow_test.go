package pool

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestSlowDialsThatOvertakeEachOtherAreNotMadeUpFor(t *testing.T) {
	inBubble(t, Config[string, *wire]{SlowDial: time.Second}, func(r *rig) {
		gets := r.gets("a", 3)
		calls := r.dials()
		pass(time.Second)
		synctest.Wait()
		for i, call := range []*call{calls[2], calls[0], calls[1]} {
			call.succeed(1)
			gets[i].leased()
			if got := len(r.dials()); got != 2-i {
				t.Fatalf("dials under way for %d waiters: got %d, want as many", 2-i, got)
			}
		}
	})
}

// What a quick dial says of slow ones is that they may hang.
func TestAWaiterIsNotLeftWithASlowDialWhereOthersAreQuick(t *testing.T) {
	inBubble(t, Config[string, *wire]{SlowDial: time.Second}, func(r *rig) {
		old := r.get("a")
		pass(time.Second)
		synctest.Wait()
		young := r.get("a")
		calls := r.dials()
		if len(calls) != 2 {
			t.Fatalf("dials: got %d, want one that hangs and another", len(calls))
		}
		calls[1].succeed(1)
		old.leased()
		calls = r.dials()
		if len(calls) != 2 {
			t.Fatalf("dials: got %d, want one that hangs and another", len(calls))
		}
		calls[1].succeed(1)
		young.leased()
	})
}
