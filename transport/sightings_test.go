package transport

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// addrs are the addresses with these numbers.
func addrs(numbers ...int) (all []netip.Addr) {
	for _, n := range numbers {
		all = append(all, netip.AddrFrom4([4]byte{192, 0, byte(2 + n>>8), byte(n)}))
	}
	return all
}

const step = 30 * time.Second

// watched takes in an answer every step until the addresses are gone that the
// first one had, and returns after how many that was; limit if they are not.
func watched(limit int, answer func(n int) []netip.Addr) int {
	s := sightings{goneAfter: goneAfter, step: step}
	now := time.Unix(0, 0)
	first := answer(0)
	s.answer(now, first)
	for n := 1; n < limit; n++ {
		now = now.Add(step)
		s.answer(now, answer(n))
		for _, a := range first {
			if s.gone(now, a) {
				return n
			}
		}
	}
	return limit
}

func TestAnAddressIsGoneAfterFourAnswersAndTwoMinutesWithoutIt(t *testing.T) {
	const never = 2000
	for name, c := range map[string]struct {
		answer func(n int) []netip.Addr
		want   int
	}{
		"it stays":                    {func(n int) []netip.Addr { return addrs(0) }, never},
		"another one":                 {func(n int) []netip.Addr { return addrs(min(n, 1)) }, 4},
		"one of two":                  {func(n int) []netip.Addr { return addrs(0, 1)[min(n, 1):] }, 4},
		"it was missing three times":  {func(n int) []netip.Addr { return addrs(min(n%4, 1)) }, never},
		"others join it":              {func(n int) []netip.Addr { return addrs(0, n, n+1)[:1+2*min(n, 1)] }, never},
		"sixteen at once after one":   {func(n int) []netip.Addr { return addrs(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)[min(n, 1) : 1+9*min(n, 1)] }, 4},
		"1 of 16 in turn":             {func(n int) []netip.Addr { return addrs(n % 16) }, never},
		"1 of 16 in turn, each twice": {func(n int) []netip.Addr { return addrs(n / 2 % 16) }, never},
		"1 of 16, each for 90 s":      {func(n int) []netip.Addr { return addrs(n / 3 % 16) }, never},
		"4 of 100 in turn": {func(n int) []netip.Addr {
			return addrs(4*n%100, (4*n+1)%100, (4*n+2)%100, (4*n+3)%100)
		}, never},
		"1 of 300 in turn": {func(n int) []netip.Addr { return addrs(n % 300) }, never},
	} {
		t.Run(name, func(t *testing.T) {
			if got := watched(never, c.answer); got != c.want {
				t.Errorf("gone after %d answers, want %d (%d is never)", got, c.want, never)
			}
		})
	}
}

// What was seen in turn ends as well, though later.
func TestAnAddressOfARotationThatEndedIsGone(t *testing.T) {
	got := watched(10000, func(n int) []netip.Addr {
		if n < 160 {
			return addrs(n % 16)
		}
		return addrs(100)
	})
	if got < 144+60 || got > 144+70 {
		t.Errorf("gone after %d answers, want some 60 after the 144th: 15 others were seen in turn", got)
	}
}

// Each address is judged in each of 10 names' histories of 8 hours.
func TestARandomChoiceOfAddressesIsSeldomTakenForAMove(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ shown, of int }{{1, 16}, {8, 100}} {
		t.Run(fmt.Sprint(c.shown, " of ", c.of), func(t *testing.T) {
			gone, judged := 0, 0
			for range 10 {
				s := sightings{goneAfter: goneAfter, step: step}
				now := time.Unix(0, 0)
				was := make(map[netip.Addr]bool)
				for range 8 * 120 {
					now = now.Add(step)
					s.answer(now, addrs(r.Perm(c.of)[:c.shown]...))
					for a, g := range s.all {
						if is := s.gone(now, a); is && !was[a] {
							gone++
						}
						was[a] = s.gone(now, a)
						if g.missed == 1 {
							judged++
						}
					}
				}
			}
			t.Logf("%d of %d absences were taken for the end of an address", gone, judged)
			if gone*1000 > judged*15 {
				t.Errorf("%d of %d absences were taken for the end of an address, want no more than 1.5 %%", gone, judged)
			}
		})
	}
}

func TestAnAddressThatCameBackIsGivenTwiceThatTime(t *testing.T) {
	s := sightings{goneAfter: goneAfter, step: step}
	now := time.Unix(0, 0)
	say := func(times, number int) {
		for range times {
			now = now.Add(step)
			s.answer(now, addrs(number))
		}
	}
	old := addrs(0)[0]
	say(1, 0)
	say(10, 1) // five minutes
	if !s.gone(now, old) {
		t.Fatal("not gone after five minutes")
	}
	say(1, 0)
	say(21, 1)
	if s.gone(now, old) {
		t.Error("gone after 10.5 minutes, want that not before 11: it came back after 5.5")
	}
	say(1, 1)
	if !s.gone(now, old) {
		t.Error("not gone after 11 minutes")
	}
}

// Nobody asked for an hour: that is not an hour without the address.
func TestTimeInWhichNobodyAskedDoesNotCount(t *testing.T) {
	s := sightings{goneAfter: goneAfter, step: step}
	now := time.Unix(0, 0)
	old := addrs(0)[0]
	s.see(now, old)
	now = now.Add(time.Hour)
	for n := 1; n <= 4; n++ {
		s.answer(now, addrs(1))
		now = now.Add(step / 2)
		if s.gone(now, old) {
			t.Errorf("gone after %d answers in %v", n, time.Duration(n)*step/2)
		}
	}
}

func TestAddressesThatAreLongGoneAreForgotten(t *testing.T) {
	s := sightings{goneAfter: goneAfter, step: step}
	now := time.Unix(0, 0)
	for n := range 10000 { // a new address every hour
		now = now.Add(step)
		s.answer(now, addrs(n/120))
		if len(s.all) > 3 {
			t.Fatalf("after %d answers %d addresses are remembered, want 3 at most", n, len(s.all))
		}
	}
}
