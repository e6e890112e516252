package model

import "testing"

func TestWhoWasServedWithoutADialIsForgotten(t *testing.T) {
	o := new(origin)
	last := new(Request)
	o.wait(last)
	for range 1000 {
		next := new(Request)
		o.wait(next)
		if r := o.nextWaiter(); r != last {
			t.Fatal("the next to be served is not the one that waits longest")
		}
		o.waitsNoMore(last)
		last.state, last = running, next
		if n := o.undialed.len(); n > 2 {
			t.Fatalf("%d are remembered as without a dial, want 2 at most: one waits, and one has just been served", n)
		}
	}
	if o.waiting != 1 || o.dialless != 1 {
		t.Errorf("%d wait, %d of them without a dial; want 1 and 1", o.waiting, o.dialless)
	}
}

func TestWhoLosesADialToAnotherIsAmongTheUndialedByAge(t *testing.T) {
	o, all := new(origin), make([]*Request, 200)
	for i := range all {
		all[i] = new(Request)
		o.wait(all[i])
	}
	dial := func() {
		r := o.nextUndialed()
		r.dialed = true
		o.dialless--
	}
	for range 150 {
		dial()
	}
	for i := 149; i >= 50; i-- { // among these are some for whom there is no room in front any more
		o.undial(all[(i*37)%100+50])
	}
	for i := 50; i < 200; i++ {
		if r := o.nextUndialed(); r != all[i] {
			t.Fatalf("the next to be dialed for is number %d, want %d", r.number, all[i].number)
		}
	}
	if o.nextUndialed() != nil {
		t.Error("there are more than those that waited")
	}
}
