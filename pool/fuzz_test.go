package pool

import (
	"testing"
	"testing/synctest"
	"time"
)

// script is what a fuzzer's bytes say: first the limits, then what happens.
type script []byte

// next returns the next number below n, 0 when the script has ended.
func (s *script) next(n int) int {
	if len(*s) == 0 {
		return 0
	}
	b := int((*s)[0])
	*s = (*s)[1:]
	return b % n
}

// config takes the limits from the script: small ones, so that they are met.
func (s *script) config() Config[string, *wire] {
	durations := []time.Duration{0, time.Second, 5 * time.Second}
	small := []int{0, 1, 2, 3, 5}
	idle := []int{0, 0, -1, 1, 2}
	leases := []int{0, 0, 0, 2}[s.next(4)]
	alone, perKey, wait := s.next(3), s.next(4), s.next(4)
	failsAll := []func(error) bool{nil, func(error) bool { return true }}
	return Config[string, *wire]{
		MinPerKey:        []int{0, 0, 0, 2}[s.next(4)],
		MaxPerKey:        small[s.next(5)],
		MaxTotal:         small[s.next(5)],
		MaxIdlePerKey:    idle[s.next(5)],
		MaxIdle:          idle[s.next(5)],
		MaxDialsPerKey:   []int{0, 1, 2, -1}[s.next(4)],
		MaxDials:         []int{0, 0, 1, 3}[s.next(4)],
		Eager:            s.next(4) == 0,
		MaxWaitersPerKey: []int{0, 0, 0, 3}[perKey],
		WaitTimeout:      []time.Duration{0, 0, 0, 2 * time.Second}[wait],
		MaxWaiters:       []int{0, 0, 0, 4}[s.next(4)],
		IdleTimeout:      durations[s.next(3)],
		IdleWindow:       []time.Duration{0, -1, time.Second}[s.next(3)],
		MaxLeases:        leases,
		MaxAge:           durations[s.next(3)] * 3,
		FailsAll:         failsAll[s.next(2)],
		DialAlone:        func(key string) bool { return alone == 1 || alone == 2 && key == "a" },
	}
}

// FuzzPool lets anything happen to a pool in any order, and checks after each
// step what the documentation promises.
func FuzzPool(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 600 {
			t.Skip("long scripts find what short ones find, more slowly")
		}
		synctest.Test(t, func(t *testing.T) { play(t, data) })
	})
}

// seeds reach each kind of step, in all sorts of company.
var seeds = func() [][]byte {
	var all [][]byte
	for n := range 400 {
		// A linear congruence: the same scripts each time.
		seed, x := make([]byte, 400), uint32(n*7919+1)
		for i := range seed {
			x = x*1664525 + 1013904223
			seed[i] = byte(x >> 24)
		}
		all = append(all, seed)
	}
	return all
}()

func play(t *testing.T, data []byte) {
	s := script(data)
	cfg := s.config()
	r := &rig{t: t, stubborn: s.next(4) == 1}
	cfg.Dial = r.dial
	cfg.Close = r.close
	if s.next(2) == 1 {
		cfg.Close = func(w *wire, why Reason) {
			r.close(w, why)
			w.pc.Gone() // as a hook does that runs synchronously
		}
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.pool = p
	resolved, _ := cfg.withDefaults()
	m := &model{t: t, r: r, cfg: resolved, slotsSeen: make(map[string]int), dialFailed: make(map[string]bool), failures: make(map[string]int), paces: make(map[string]*mPace), demands: make(map[string]*mDemand), gaveUp: make(map[int]int)}
	defer r.end()
	for len(s) > 0 {
		steps[s.next(len(steps))](m, &s)
	}
	m.finish()
}
