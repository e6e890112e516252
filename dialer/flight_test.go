package dialer

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestFlightsAreThoseOfPendingAttemptsOldestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, random := newLedger(), rand.New(rand.NewPCG(1, 2))
		spare := make([]*flight, 10)
		for i := range spare {
			spare[i] = new(flight)
		}
		var pending []*lease
		for range 500 {
			if len(spare) > 0 && random.IntN(2) == 0 {
				q := ask{dst: destA, from: list("10.0.0.0/28"), size: 1000, flight: spare[0]}
				lease, _, _ := l.choose(t.Context(), &q)
				pending, spare = append(pending, lease), spare[1:]
			} else if len(pending) > 0 {
				i := random.IntN(len(pending))
				spare = append(spare, pending[i].flight)
				switch random.IntN(3) {
				case 0:
					pending[i].opened(uint16(1 + random.IntN(1000)))
				case 1:
					pending[i].refused(noWay, nil)
				case 2:
					pending[i].release(false)
				}
				if pending[i].flight != nil {
					t.Error("got an ended attempt that is still a flight")
				}
				pending = slices.Delete(pending, i, i+1)
			}
			var forth, back []*lease
			for f := l.flights.first; f != nil; f = f.next {
				forth = append(forth, f.lease)
			}
			for f := l.flights.last; f != nil; f = f.prev {
				back = append(back, f.lease)
			}
			if slices.Reverse(back); !slices.Equal(forth, pending) || !slices.Equal(back, pending) {
				t.Fatalf("got %v and from the end %v, want %v", forth, back, pending)
			}
		}
	})
}

func TestFlightsAreLookedAtWhileThereAreAny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		due := func() time.Duration {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.flights.look
		}
		q := ask{dst: destA, from: list("10.0.0.1/32"), size: 10, flight: new(flight)}
		lease, _, _ := l.choose(t.Context(), &q)
		for i := range 5 {
			if got, want := due(), time.Duration(i+1)*lookEvery; got != want {
				t.Errorf("under way: got the next look after %v, want %v", got, want)
			}
			<-time.After(lookEvery)
			synctest.Wait()
		}
		lease.release(false)
		was := due()
		<-time.After(time.Minute)
		if got := due(); got != was {
			t.Errorf("nothing is under way: got a look at %v, want none after %v", got, was)
		}
	})
}
