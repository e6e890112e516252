package main

import (
	"slices"
	"testing"
	"time"
)

func mixOptions(seed uint64) options {
	return options{mix: 5 * time.Second, rate: 2000, origins: 50, burstSize: 1, seed: seed}
}

func TestTheSameSeedPlansTheSameLoad(t *testing.T) {
	first, second := newMix(mixOptions(7)), newMix(mixOptions(7))
	if !slices.Equal(first, second) {
		t.Error("two plans of one seed differ, so the clients would not get the same load")
	}
	if slices.Equal(first, newMix(mixOptions(8))) {
		t.Error("another seed plans the same load")
	}
}

func TestTheMixHasItsCountItsRateAndAllItsOrigins(t *testing.T) {
	mix := newMix(mixOptions(1))
	if len(mix) != 10_000 {
		t.Fatalf("got %d requests, want 10000", len(mix))
	}
	// The last arrival of 10,000 at random moments is off by 1 % in one of
	// three plans; this one has a fixed seed.
	last := mix[len(mix)-1].due
	if last < 4800*time.Millisecond || last > 5200*time.Millisecond {
		t.Errorf("the last request is due after %v, want about 5s", last)
	}
	perOrigin := make([]int, 50)
	for i, a := range mix {
		if i > 0 && a.due < mix[i-1].due {
			t.Fatalf("request %d is due before request %d", i, i-1)
		}
		perOrigin[a.origin]++
	}
	for o, n := range perOrigin {
		if n == 0 {
			t.Errorf("origin %d is never asked", o)
		}
	}
	if perOrigin[0] < 3*perOrigin[49] {
		t.Errorf("origin 0 is asked %d times and origin 49 %d times, want some far busier than others", perOrigin[0], perOrigin[49])
	}
}

func TestAMixOverOneOriginAsksThatOne(t *testing.T) {
	o := mixOptions(1)
	o.origins = 1
	for i, a := range newMix(o) {
		if a.origin != 0 {
			t.Fatalf("request %d goes to origin %d of 1", i, a.origin)
		}
	}
}

func TestPercentileIsTheNearestRank(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, tc := range []struct {
		sorted []time.Duration
		share  float64
		want   time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{7}, 0.5, 7},
		{[]time.Duration{7}, 0.99, 7},
		{[]time.Duration{1, 2}, 0.5, 1},
		{[]time.Duration{1, 2, 3}, 0.5, 2},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred, 0, 1},
	} {
		if got := percentile(tc.sorted, tc.share); got != tc.want {
			t.Errorf("percentile %v of %d values: got %v, want %v", tc.share, len(tc.sorted), got, tc.want)
		}
	}
}
