package main

import (
	"math"
	"math/rand/v2"
	"time"
)

// plan is the load, the same for every client.
type plan struct {
	bursts    int
	burstSize int
	pause     time.Duration
	mix       []arrival
}

// arrival is one request of the steady mix: when it is due, counted from the
// start of the mix, and the origin it goes to.
type arrival struct {
	due    time.Duration
	origin int
}

func newPlan(o options) plan {
	return plan{
		bursts:    o.bursts,
		burstSize: o.burstSize,
		pause:     o.pause,
		mix:       newMix(o),
	}
}

// newMix draws the arrivals of a steady mix. They come when they come and do
// not wait for each other's answers (a Poisson process at -rate): workers
// that wait before they ask again would never need one connection more than
// there are workers. Some origins are asked far more often than others, as
// everywhere (Zipf's law).
func newMix(o options) []arrival {
	const skew = 1.1
	rng := rand.New(rand.NewPCG(o.seed, 2))
	origins := rand.NewZipf(rng, skew, 1, uint64(o.origins-1))
	mix := make([]arrival, o.mixRequests())
	due := 0.0
	for i := range mix {
		due += rng.ExpFloat64()
		mix[i] = arrival{time.Duration(due * float64(time.Second) / float64(o.rate)), int(origins.Uint64())}
	}
	return mix
}

func (p plan) burstRequests() int { return p.bursts * p.burstSize }

// percentile returns the smallest of the sorted values that at least the
// given share of them do not exceed, and zero when there are none.
func percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(share * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
