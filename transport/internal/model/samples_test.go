package model

import (
	"testing"
	"time"
)

func TestSamplesAreTakenEvenlyFromThoseSeenLast(t *testing.T) {
	var s samples
	if _, ok := s.take(); ok {
		t.Error("something was taken of nothing")
	}
	for i := range 10 * maxSamples {
		s.add(time.Duration(i))
	}
	taken := make(map[time.Duration]int)
	const each = 100
	for range each * maxSamples {
		d, _ := s.take()
		taken[d]++
	}
	for d := time.Duration(9 * maxSamples); d < 10*maxSamples; d++ {
		if n := taken[d]; n < each-2 || n > each+2 {
			t.Errorf("number %d was taken %d times, want about %d", d, n, each)
		}
	}
	if len(taken) != maxSamples {
		t.Errorf("%d different ones were taken, want the last %d", len(taken), maxSamples)
	}
}
