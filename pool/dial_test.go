package pool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestADialCarriesTheValuesOfTheGetThatCausedItButNotItsEnd(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxDialsPerKey: 2}, func(r *rig) {
		var gets []*pending
		for i := range 4 {
			gets = append(gets, r.get("a", i))
		}
		calls := r.dials()
		gets[0].leave(nil)
		gets[0].failed(context.Canceled)
		for i, call := range calls {
			if got := call.ctx.Value(ctxKey{}); got != i {
				t.Errorf("dial %d: its context is that of Get %v, want %d", i, got, i)
			}
			if call.ctx.Err() != nil || call.ctx.Done() == nil {
				t.Errorf("dial %d: its context has ended or cannot", i)
			}
		}
		// The one who lost its dial is older than those who never had one.
		calls[1].succeed(1)
		gets[1].leased()
		synctest.Wait()
		if got := r.dials()[1].ctx.Value(ctxKey{}); got != 2 {
			t.Errorf("third dial: its context is that of Get %v, want 2", got)
		}
		if calls[1].ctx.Err() == nil {
			t.Error("the context of a dial that has returned was not cancelled")
		}
	})
}

func TestAWaiterWhoseDialServedAnOlderOneCausesTheNext(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxDialsPerKey: 3}, func(r *rig) {
		var gets []*pending
		for i := range 5 {
			gets = append(gets, r.get("a", i))
		}
		calls := r.dials()
		calls[2].succeed(1)
		gets[0].leased()
		// Waiters 1 (dial 1), 2 (its dial served waiter 0), 3 and 4 are left.
		if got := r.dials()[2].ctx.Value(ctxKey{}); got != 2 {
			t.Errorf("next dial: caused by Get %v, want 2, the oldest without one", got)
		}
	})
}

func TestAnErrorGoesToTheWaiterThatCausedTheDial(t *testing.T) {
	boom := errors.New("boom")
	inBubble(t, Config[string, *wire]{MaxDialsPerKey: 2}, func(r *rig) {
		gets := r.gets("a", 3)
		r.dials()[1].fail(boom)
		gets[1].failed(boom)
		if gets[1].err != boom {
			t.Errorf("got %#v, want Dial's error itself", gets[1].err)
		}
		if !gets[0].waits() || !gets[2].waits() {
			t.Error("the error reached others than the one who caused the dial")
		}
		if got := len(r.dials()); got != 2 {
			t.Errorf("dials under way: got %d, want 2: the next one starts when one ends", got)
		}
	})
}

func TestAnErrorGoesToTheOldestWhoSawTheWholeDialIfItsCauseHasLeft(t *testing.T) {
	boom := errors.New("boom")
	inBubble(t, Config[string, *wire]{MaxDialsPerKey: 1}, func(r *rig) {
		cause := r.get("a")
		call := r.oneDial()
		late := r.get("a")
		cause.leave(nil)
		cause.failed(context.Canceled)
		call.fail(boom)
		if !late.waits() {
			t.Fatalf("a waiter that came after the dial began got its error: %v", late.err)
		}

		// A second dial began when late and later waited.
		later := r.get("a")
		call = r.oneDial()
		if call.ctx.Err() != nil {
			t.Fatal("the dial for the late waiter has ended")
		}
		call.fail(boom)
		late.failed(boom)
		if !later.waits() {
			t.Error("a waiter that came after the dial began got its error")
		}
	})
	inBubble(t, Config[string, *wire]{MaxDialsPerKey: 2}, func(r *rig) {
		gets := r.gets("a", 2)
		calls := r.dials()
		gets[1].leave(nil)
		gets[1].failed(context.Canceled)
		calls[1].fail(boom)
		gets[0].failed(boom) // it waited when the second dial began
	})
}

type timeoutError struct{ yes bool }

func (timeoutError) Error() string   { return "timed out" }
func (e timeoutError) Timeout() bool { return e.yes }

func TestATimeoutFailsAllWhoSawTheWholeDial(t *testing.T) {
	timeout := fmt.Errorf("dial: %w", timeoutError{true})
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		gets := r.gets("a", 200)
		calls := r.dials()
		late := len(gets)
		gets = append(gets, r.get("a"))
		// The last dial began when eight waited, for the others came later.
		calls[7].fail(timeout)
		for _, g := range gets[:8] {
			g.failed(timeout)
		}
		if !gets[8].waits() || !gets[late].waits() {
			t.Error("a waiter that came after the dial began got its timeout")
		}
	})
	inBubble(t, Config[string, *wire]{MaxDialsPerKey: 1}, func(r *rig) {
		gets := r.gets("a", 200)
		r.oneDial().fail(errors.New("boom")) // the next dial sees all others wait
		r.oneDial().fail(timeout)
		for i, g := range gets[1:] {
			if g.waits() {
				t.Fatalf("waiter %d waits for a second timeout", i+1)
			}
			g.failed(timeout)
		}
		r.wantStats(Stats{})
	})
}

func TestATimeoutFailsOneWaiterWhileTheKeyHasAConnection(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxDialsPerKey: 1}, func(r *rig) {
		r.open("a", 1)
		r.get("a").leased()
		gets := r.gets("a", 3)
		r.oneDial().fail(errors.New("boom"))
		gets[0].failed(gets[0].err)
		r.oneDial().fail(timeoutError{true})
		gets[1].failed(timeoutError{true})
		if !gets[2].waits() {
			t.Error("the timeout failed more than one waiter although a connection is open")
		}
	})
	inBubble(t, Config[string, *wire]{MaxDialsPerKey: 1}, func(r *rig) {
		gets := r.gets("a", 3)
		r.oneDial().fail(errors.New("boom"))
		r.oneDial().fail(timeoutError{false}) // says that it is none
		if !gets[2].waits() {
			t.Error("an error whose Timeout is false was taken for a timeout")
		}
	})
}

func TestTheNextDialsStartAsSlotsBecomeKnown(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxDialsPerKey: 8}, func(r *rig) {
		gets := r.gets("a", 20)
		calls := r.dials()
		if len(calls) != 8 {
			t.Fatalf("dials: got %d, want 8", len(calls))
		}
		// Five slots each: the seven dials left are more than enough for 15.
		calls[0].succeed(5)
		if got := len(r.dials()); got != 7 {
			t.Errorf("dials after the first: got %d, want 7", got)
		}
		for _, g := range gets[:5] {
			g.leased()
		}
		for i, call := range calls[1:4] {
			call.succeed(5)
			for _, g := range gets[5*i+5 : 5*i+10] {
				g.leased()
			}
		}
		r.wantStats(Stats{Open: 4, Leases: 20, Dialing: 4})
	})
}

func TestDialsAreCountedWithTheSlotsLastSeen(t *testing.T) {
	for _, slots := range []int{10, math.MaxInt} {
		inBubble(t, Config[string, *wire]{}, func(r *rig) {
			g := r.get("a")
			w := r.oneDial().succeed(0)
			w.pc.SetSlots(slots)
			w.pc.SetSlots(1)
			w.pc.SetSlots(slots)
			w.pc.Retire("test") // the key still has it, but no slot of it
			g.leased()
			r.gets("a", 11)
			want := 2
			if slots > 11 {
				want = 1
			}
			if got := len(r.dials()); got != want {
				t.Errorf("dials for 11 waiters with %d slots: got %d, want %d", slots, got, want)
			}
		})
	}
}

func TestADialThatEndsItsGoroutineLeavesNoWaiterBehind(t *testing.T) {
	dial := func(context.Context, string, *Conn[string, *wire]) (*wire, int, error) {
		runtime.Goexit()
		return nil, 0, nil
	}
	inBubble(t, Config[string, *wire]{Dial: dial, MaxDialsPerKey: 1}, func(r *rig) {
		for _, g := range r.gets("a", 3) {
			g.failed(errDialAborted)
		}
		r.wantStats(Stats{})
	})
}

func TestAPanicInDialIsTheProgramsEnd(t *testing.T) {
	const variable = "POOL_TEST_PANIC_IN_DIAL"
	if os.Getenv(variable) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAPanicInDialIsTheProgramsEnd$", "-test.timeout=20s")
		cmd.Env = append(os.Environ(), variable+"=1")
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "panic: from Dial") {
			t.Errorf("got error %v, output %q, want Dial's panic", err, out)
		}
		return
	}
	p, err := New(Config[string, *wire]{
		Dial:  func(context.Context, string, *Conn[string, *wire]) (*wire, int, error) { panic("from Dial") },
		Close: func(*wire, Reason) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Get(context.Background(), "a")
	select {} // the panic ends the program
}

func TestDialAloneHoldsOthersBackUntilTheSlotsAreKnown(t *testing.T) {
	alone := func(key string) bool { return key == "a" }
	inBubble(t, Config[string, *wire]{DialAlone: alone}, func(r *rig) {
		r.gets("b", 3)
		if got := len(r.dials()); got != 3 {
			t.Fatalf("dials for a key that need not dial alone: got %d, want 3", got)
		}
		for _, call := range r.dials() {
			call.succeed(1)
		}

		gets := r.gets("a", 4)
		r.oneDial().succeed(1) // HTTP/1 after all: now all may dial
		gets[0].leased()
		if got := len(r.dials()); got != 3 {
			t.Errorf("dials when slots are known: got %d, want 3", got)
		}
	})
}

func TestDialAloneEndsWithAFailedDial(t *testing.T) {
	alone := func(string) bool { return true }
	inBubble(t, Config[string, *wire]{DialAlone: alone}, func(r *rig) {
		gets := r.gets("a", 5)
		boom := errors.New("boom")
		r.oneDial().fail(boom)
		gets[0].failed(boom)
		if got := len(r.dials()); got != 4 {
			t.Errorf("dials after one that failed: got %d, want 4: the others need not fail one after the other", got)
		}
	})
}

func TestASlowDialHoldsNobodyBack(t *testing.T) {
	cfg := Config[string, *wire]{
		MaxDialsPerKey: 2,
		SlowDial:       time.Second,
		DialAlone:      func(key string) bool { return key == "alone" },
	}
	for key, limit := range map[string]int{"any": 2, "alone": 1} {
		inBubble(t, cfg, func(r *rig) {
			gets := r.gets(key, 5)
			for n := limit; n < 5; n += limit {
				if got := len(r.dials()); got != n {
					t.Fatalf("%s: dials after %d slow ones: got %d, want %d", key, n-limit, got, n)
				}
				pass(time.Second)
				synctest.Wait()
			}
			if got := len(r.dials()); got != 5 {
				t.Fatalf("%s: dials at last: got %d, want one for each waiter, 5", key, got)
			}
			pass(time.Minute)
			if got := len(r.dials()); got != 5 {
				t.Errorf("%s: dials a minute later: got %d, want 5", key, got)
			}
			r.dials()[4].succeed(5) // serves all, the ones of slow dials too
			for _, g := range gets {
				g.leased()
			}
		})
	}
}

func TestASlowDialIsNotCountedOnForMoreThanOneWaiter(t *testing.T) {
	inBubble(t, Config[string, *wire]{SlowDial: time.Second}, func(r *rig) {
		first := r.get("a")
		r.oneDial().succeed(100)
		l := first.leased()
		l.Conn().Retire("test") // closed when l ends
		r.gets("a", 3)
		hangs := r.oneDial() // known to serve a hundred
		pass(time.Second)
		synctest.Wait()
		if got := len(r.dials()); got != 2 {
			t.Fatalf("dials beside one that hangs: got %d, want 2 in all", got)
		}
		r.pool.CloseIdle() // cancels nothing: there are waiters
		if hangs.ctx.Err() != nil {
			t.Error("the slow dial was cancelled")
		}
	})
}

func TestASlowDialWhoseCauseHasGoneHoldsNobodyBack(t *testing.T) {
	cfg := Config[string, *wire]{SlowDial: time.Second, DialAlone: func(string) bool { return true }}
	inBubble(t, cfg, func(r *rig) {
		gone := r.get("a")
		pass(time.Second)
		gone.leave(nil)
		gone.failed(context.Canceled)
		next := r.get("a")
		calls := r.dials()
		if len(calls) != 2 {
			t.Fatalf("dials: got %d, want one that hangs and one for the next waiter", len(calls))
		}
		calls[1].succeed(1)
		next.leased()
		calls[0].succeed(1) // late, but not too late to be of use
		if got := r.pool.Stats().Idle; got != 1 {
			t.Errorf("idle: got %d, want 1", got)
		}
	})
}

func TestSlowSettlingHoldsNobodyBack(t *testing.T) {
	inBubble(t, Config[string, *wire]{SlowDial: time.Second}, func(r *rig) {
		gets := r.gets("a", 3)
		calls := r.dials()
		calls[0].succeed(0)
		gets[0].leased()
		for _, call := range calls[1:] {
			call.fail(errors.New("boom"))
		}
		late := r.get("a")
		if got := len(r.dials()); got != 0 {
			t.Fatalf("dials beside a settling connection: got %d, want 0", got)
		}
		pass(time.Second)
		synctest.Wait()
		r.oneDial().succeed(1)
		late.leased()
	})
}

func TestManyWaitersFailAtOnceWhenDialsFailInARowWithWhatEverybodyWouldMeet(t *testing.T) {
	refused, other := errors.New("refused"), errors.New("other")
	cfg := Config[string, *wire]{MaxDialsPerKey: 2, FailsAll: func(err error) bool { return err == refused }}
	inBubble(t, cfg, func(r *rig) {
		gets := r.gets("a", 9)
		r.dials()[0].fail(refused) // one in a row: could be an accident
		gets[0].failed(refused)
		if !gets[2].waits() {
			t.Fatal("the first error failed others than its cause")
		}
		r.dials()[0].fail(other) // two, but it says nothing about others
		gets[1].failed(other)
		if !gets[2].waits() || !gets[4].waits() {
			t.Fatal("an error that says nothing about others failed them")
		}
		r.dials()[0].fail(refused) // the third; all waited when it began
		gets[2].failed(refused)
		for _, g := range gets[4:] {
			g.failed(refused)
		}
		if !gets[3].waits() {
			t.Error("the error failed one who has a dial of its own")
		}
		r.oneDial().succeed(1)
		gets[3].leased()
	})
}

func TestErrorsFailTheirCausesOnlyWhileTheKeyHasAConnection(t *testing.T) {
	refused := errors.New("refused")
	cfg := Config[string, *wire]{MaxDialsPerKey: 1, FailsAll: func(error) bool { return true }}
	inBubble(t, cfg, func(r *rig) {
		r.open("a", 1)
		busy := r.get("a").leased()
		gets := r.gets("a", 4)
		for i := range 3 {
			r.oneDial().fail(refused)
			gets[i].failed(refused)
		}
		busy.Release()
		gets[3].leased()
	})
}
