package pool

import (
	"context"
	"strings"
	"testing"
)

func TestNewNamesTheFieldThatIsMissing(t *testing.T) {
	dial := func(context.Context, string, *Conn[string, int]) (int, int, error) { return 0, 1, nil }
	closeInt := func(int, Reason) {}
	for field, cfg := range map[string]Config[string, int]{
		"Dial":  {Close: closeInt},
		"Close": {Dial: dial},
	} {
		p, err := New(cfg)
		if p != nil || err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("New without %s: got %v, %v, want an error that names it", field, p, err)
		}
	}
	if _, err := New(Config[string, int]{Dial: dial, Close: closeInt}); err != nil {
		t.Errorf("New with both: got error %v", err)
	}
}

func TestDialsPerKeyAreLimitedTo32ByDefault(t *testing.T) {
	for name, c := range map[string]struct{ limit, want int }{
		"zero":     {0, 32},
		"one":      {1, 1},
		"negative": {-1, 40},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config[string, *wire]{MaxDialsPerKey: c.limit}, func(r *rig) {
				r.gets("a", 40)
				if got := len(r.dials()); got != c.want {
					t.Errorf("dials for 40 waiters: got %d, want %d", got, c.want)
				}
			})
		})
	}
}

func TestIdleLimitsCloseTheLeastRecentlyUsed(t *testing.T) {
	t.Run("per key", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{MaxIdlePerKey: 2}, func(r *rig) {
			r.open("b", 2)
			wires := r.open("a", 4) // gives back the last one first
			r.wantClosed(wires[3], IdleLimit)
			r.wantClosed(wires[2], IdleLimit)
			r.wantStats(Stats{Open: 4, Idle: 4})
		})
	})
	t.Run("in all", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{MaxIdle: 3}, func(r *rig) {
			old := r.open("b", 2)
			r.open("a", 2)
			r.wantClosed(old[1], IdleLimit)
			r.wantClosed(old[0])
			r.wantStats(Stats{Open: 3, Idle: 3})
		})
	})
	t.Run("none kept", func(t *testing.T) {
		for name, cfg := range map[string]Config[string, *wire]{
			"per key": {MaxIdlePerKey: -1},
			"in all":  {MaxIdle: -1},
		} {
			t.Run(name, func(t *testing.T) {
				inBubble(t, cfg, func(r *rig) {
					r.wantClosed(r.open("a", 1)[0], IdleLimit)
					r.wantStats(Stats{})
				})
			})
		}
	})
	t.Run("zero keeps all", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{}, func(r *rig) {
			r.open("a", 20)
			r.wantStats(Stats{Open: 20, Idle: 20})
		})
	})
}
