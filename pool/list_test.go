package pool

import (
	"math/rand/v2"
	"slices"
	"testing"
)

type bead struct {
	n  int
	in links[bead]
}

func beadLinks(b *bead) *links[bead] { return &b.in }

func beads(l *list[bead]) []int {
	var all []int
	for b := l.first; b != nil; b = l.after(b) {
		all = append(all, b.n)
	}
	return all
}

func TestAListKeepsTheOrderThatASliceWould(t *testing.T) {
	l := list[bead]{links: beadLinks}
	var want []*bead
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 5000 {
		b := &bead{n: n}
		i := 0
		if len(want) > 0 {
			i = random.IntN(len(want))
		}
		switch op := random.IntN(7); {
		case op == 0:
			l.pushBack(b)
			want = append(want, b)
		case op == 1:
			l.pushFront(b)
			want = slices.Insert(want, 0, b)
		case op == 2 && len(want) > 0:
			l.insertBefore(b, want[i])
			want = slices.Insert(want, i, b)
		case op == 3 && len(want) > 0:
			l.remove(want[i])
			want = slices.Delete(want, i, i+1)
		case op == 4 && len(want) > 0:
			if got := l.popFront(); got != want[0] {
				t.Fatalf("popFront: got %d, want %d", got.n, want[0].n)
			}
			want = want[1:]
		case op == 5 && len(want) > 0:
			gone := want[i]
			l.drop(gone)
			l.drop(gone)
			want = slices.Delete(want, i, i+1)
			if l.has(gone) {
				t.Fatalf("has(%d) after drop: got true", gone.n)
			}
		}
		var numbers []int
		for _, b := range want {
			numbers = append(numbers, b.n)
		}
		if got := beads(&l); !slices.Equal(got, numbers) || l.n != len(want) {
			t.Fatalf("after step %d: got %v (n=%d), want %v", n, got, l.n, numbers)
		}
		if last := l.last(); len(want) > 0 && last != want[len(want)-1] || len(want) == 0 && last != nil {
			t.Fatalf("after step %d: last is %v, want that of %v", n, last, numbers)
		}
	}
	for l.popFront() != nil {
	}
	if l.n != 0 || l.first != nil {
		t.Errorf("emptied: n is %d, first is %v, want 0 and nil", l.n, l.first)
	}
}

func TestAnItemCannotBeAddedTwiceOrRemovedTwice(t *testing.T) {
	mustPanic := func(what string, f func()) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s: no panic, want one", what)
			}
		}()
		f()
	}
	for _, others := range []int{0, 1} {
		l := list[bead]{links: beadLinks}
		for range others {
			l.pushBack(&bead{})
		}
		b := &bead{}
		mustPanic("remove from a list that it is not in", func() { l.remove(b) })
		l.pushBack(b)
		mustPanic("pushBack twice", func() { l.pushBack(b) })
		mustPanic("pushFront twice", func() { l.pushFront(b) })
		another := list[bead]{links: beadLinks}
		mustPanic("pushBack to a second list with the same links", func() { another.pushBack(b) })
	}
}
