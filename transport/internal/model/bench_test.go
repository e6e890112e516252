package model_test

import (
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/transport/internal/model"
)

// BenchmarkRequest is what a model makes of a request: of one after the other, of
// many at once, and of many of which one in eight takes its connection with it, so
// that others wait. The simulation is a second or 65,536 requests behind: it takes
// many times as many for most of what they cost to be seen.
func BenchmarkRequest(b *testing.B) {
	for _, load := range []struct {
		name           string
		together, lost int
	}{{"one", 1, 0}, {"many", 64, 0}, {"lost", 64, 8}} {
		for name, p := range policies {
			b.Run("load="+load.name+"/policy="+name, func(b *testing.B) {
				m := model.New[string](p, nil)
				m.Dialed("a", 500*time.Microsecond)
				flying := make([]*model.Request, load.together)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					at := i % load.together
					if r := flying[at]; r != nil {
						e := kept
						if load.lost > 0 && i%load.lost == 0 {
							e = lost
						}
						m.End(r, time.Now(), e)
					}
					flying[at] = new(model.Request)
					m.Begin(flying[at], "a")
				}
				b.ReportMetric(float64(m.Counts(time.Now()).Opened)/float64(b.N), "opened/op")
			})
		}
	}
}
