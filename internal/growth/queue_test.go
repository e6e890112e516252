package growth

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// paced is what is known where a dial takes dial, and a slot is taken for hold.
func paced(dial, hold time.Duration) *Pace {
	p := new(Pace)
	p.Dialed(dial)
	p.turn(10, hold)
	return p
}

func TestWhoeverStandsBehindWhatComesFreeGetsADial(t *testing.T) {
	for _, test := range []struct {
		name string
		pace *Pace
		q    Queue
		want bool
	}{
		{"nobody waits", paced(10*ms, ms), Queue{Open: 1, Leases: 1}, false},
		{"nothing is known", new(Pace), Queue{Waiting: 1}, true},
		{"nothing is known, but one is coming", new(Pace), Queue{Waiting: 1, Coming: 1}, false},
		{"a dial takes next to nothing", paced(LeastDial-1, ms), Queue{Waiting: 1, Leases: 100}, true},
		{"nothing is out", paced(10*ms, ms), Queue{Waiting: 1}, true},
		{"ten come free", paced(10*ms, ms), Queue{Waiting: 9, Open: 1, Leases: 1}, false},
		{"ten come free, and one more waits", paced(10*ms, ms), Queue{Waiting: 11, Open: 1, Leases: 1}, true},
		{"ten come free, one more waits and has a dial", paced(10*ms, ms), Queue{Waiting: 11, Coming: 1, Open: 1, Leases: 1}, false},
		{"ten come free, but there is no patience", paced(10*ms, ms), Queue{Waiting: 9, Open: 1, Leases: 1, Eager: true}, true},
		{"a connection serves many", paced(10*ms, ms), Queue{Waiting: 109, Coming: 1, Open: 1, Leases: 1, Slots: 100}, false},
		{"a connection serves many, and one more waits", paced(10*ms, ms), Queue{Waiting: 112, Coming: 1, Open: 1, Leases: 1, Slots: 100}, true},
	} {
		if got := test.pace.Weigh(test.q); got != test.want {
			t.Errorf("%s: a dial is wanted: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestWaitingRunsUpTheDebtOfADial(t *testing.T) {
	p := paced(10*ms, ms)
	q := Queue{Waiting: 6, Open: 2, Leases: 2} // the debt grows twice as fast as time
	if p.Weigh(q) {
		t.Fatal("a dial is wanted at once, want none: twenty slots come free meanwhile")
	}
	left, at, set := p.Alarm()
	if !set || left != 5*ms || at != p.at+left {
		t.Errorf("alarm: got %v from now, at %v, set %v; want 5 ms from %v", left, at, set, p.at)
	}
	p.Count(p.at+left-ms, q.Leases)
	if p.Weigh(q) {
		t.Error("a dial is wanted before the debt is that of a dial")
	}
	p.Count(p.at+ms, q.Leases)
	if !p.Weigh(q) {
		t.Error("no dial is wanted when the debt is that of a dial")
	}
	if _, _, set := p.Alarm(); set {
		t.Error("an alarm is set although a dial is wanted")
	}
	p.DialBegan(p.at, q.Leases)
	q.Coming, q.Open = 1, 1
	if p.Weigh(q) {
		t.Error("a second dial is wanted, want none: the first has paid the debt")
	}
	p.Rest()
	if _, _, set := p.Alarm(); set {
		t.Error("an alarm is set although no debt is run up")
	}
}
