package transport

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// seen is a close by the peer, or the news that a connection is still open.
type seen struct {
	at        float64 // seconds
	idle      float64 // seconds
	exchanges int
	open      bool
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// taught is what a lesson makes of what is seen.
func taught(all []seen) (idle time.Duration, exchanges int) {
	epoch := time.Unix(1<<30, 0)
	l := new(lesson)
	for _, s := range all {
		if s.open {
			l.outlived(seconds(s.idle), s.exchanges)
		} else {
			l.closed(epoch.Add(seconds(s.at)), seconds(s.idle), s.exchanges)
		}
	}
	return l.limits()
}

func TestIdleTimeoutsAreLearnedFromClosesThatAgree(t *testing.T) {
	for name, c := range map[string]struct {
		seen []seen
		want float64 // seconds
	}{
		"nothing":                                {nil, 0},
		"two":                                    {[]seen{{at: 0, idle: 5}, {at: 10, idle: 5}}, 0},
		"three":                                  {[]seen{{at: 0, idle: 5}, {at: 10, idle: 5.2}, {at: 20, idle: 5.1}}, 4.5},
		"three within a second":                  {[]seen{{at: 0, idle: 5}, {at: .4, idle: 5}, {at: .9, idle: 5}}, 0},
		"three, one of them many":                {[]seen{{at: 0, idle: 5}, {at: .5, idle: 5.1}, {at: 9, idle: 5}, {at: 20, idle: 5}}, 4.5},
		"three that differ by a tenth":           {[]seen{{at: 0, idle: 54}, {at: 60, idle: 60}, {at: 120, idle: 57}}, 52},
		"three that differ by more":              {[]seen{{at: 0, idle: 53}, {at: 60, idle: 60}, {at: 120, idle: 57}}, 0},
		"three after two others":                 {[]seen{{at: 0, idle: 1.5}, {at: 5, idle: 90}, {at: 10, idle: 5}, {at: 20, idle: 5}, {at: 30, idle: 5}}, 4.5},
		"short ones":                             {[]seen{{at: 0, idle: 2}, {at: 10, idle: 2}, {at: 20, idle: 2}}, 1.75},
		"as short as can be":                     {[]seen{{at: 0, idle: 1}, {at: 10, idle: 1.05}, {at: 20, idle: 1.1}}, 1},
		"too short":                              {[]seen{{at: 0, idle: .99}, {at: 10, idle: .99}, {at: 20, idle: .99}}, 0},
		"long ones":                              {[]seen{{at: 0, idle: 350}, {at: 400, idle: 350}, {at: 800, idle: 350}}, 348},
		"the other way round":                    {[]seen{{at: 20, idle: 5}, {at: 10, idle: 5}, {at: 0, idle: 5}}, 4.5},
		"a restart":                              {restart(100), 0},
		"five restarts":                          {append(append(append(append(restart(100), restart(200)...), restart(300)...), restart(400)...), restart(500)...), 0},
		"restarts at even distances, under load": {append(append(append(evenRestart(0), evenRestart(2)...), evenRestart(4)...), evenRestart(6)...), 0},
		"the same, but busy ones first":          {append(append(reversed(evenRestart(0)), reversed(evenRestart(2))...), reversed(evenRestart(4))...), 0},
		"three among others that end in use":     {[]seen{{at: 0, idle: 5}, {at: 2, idle: .1}, {at: 10, idle: 5}, {at: 12, idle: .1}, {at: 14, idle: .2}, {at: 20, idle: 5}}, 4.5},
		"others that end in use afterwards":      {[]seen{{at: 0, idle: 5}, {at: 10, idle: 5}, {at: 20, idle: 5}, {at: 30, idle: .1}, {at: 40, idle: .1}, {at: 50, idle: .1}, {at: 60, idle: .1}}, 4.5},
		"a restart in between":                   {append(append([]seen{{at: 0, idle: 5}, {at: 10, idle: 5}}, restart(100)...), seen{at: 200, idle: 5}), 4.5},
		"a restart that begins the same":         {append([]seen{{at: 0, idle: 5}, {at: 10, idle: 5}, {at: 99.99, idle: 5}}, restart(100)...), 0},
		"a restart afterwards":                   {append([]seen{{at: 0, idle: 5}, {at: 10, idle: 5}, {at: 20, idle: 5}}, restart(100)...), 4.5},
		"one that differs afterwards":            {[]seen{{at: 0, idle: 5}, {at: 10, idle: 5}, {at: 20, idle: 5}, {at: 30, idle: 2}}, 4.5},
		"three that differ afterwards":           {[]seen{{at: 0, idle: 60}, {at: 70, idle: 60}, {at: 140, idle: 60}, {at: 150, idle: 5}, {at: 160, idle: 5}, {at: 170, idle: 5}}, 4.5},
		"one that outlives it":                   {[]seen{{at: 0, idle: 5}, {at: 10, idle: 5}, {at: 20, idle: 5}, {idle: 5.6, open: true}}, 0},
		"one that does not yet":                  {[]seen{{at: 0, idle: 5}, {at: 10, idle: 5}, {at: 20, idle: 5}, {idle: 5.4, open: true}}, 4.5},
		"begun anew":                             {[]seen{{at: 0, idle: 5}, {at: 10, idle: 5}, {at: 20, idle: 5}, {idle: 9, open: true}, {at: 30, idle: 20}, {at: 60, idle: 20}, {at: 90, idle: 20}}, 18},
	} {
		if idle, exchanges := taught(c.seen); idle != seconds(c.want) || exchanges != 0 {
			t.Errorf("%s: %v and %d exchanges, want %v and none", name, idle, exchanges, seconds(c.want))
		}
	}
}

// restart is a server's end: what is idle ends at once, whatever its age.
func restart(at float64) (all []seen) {
	for i := range 10 {
		all = append(all, seen{at: at + float64(i)/100, idle: 1 + float64(i*i)/3, exchanges: 3 + i})
	}
	return all
}

// evenRestart is a server's end under load, as long after the last one as the idle
// connections have been idle.
func evenRestart(at float64) []seen {
	return []seen{{at: at, idle: 1.9}, {at: at + .01, idle: 1.95}, {at: at + .02, idle: .01, exchanges: 30}, {at: at + .03, idle: .02, exchanges: 20}}
}

func reversed(all []seen) []seen {
	slices.Reverse(all)
	return all
}

func TestRequestLimitsAreLearnedFromClosesThatAgree(t *testing.T) {
	for name, c := range map[string]struct {
		seen []seen
		want int
	}{
		"two":                        {[]seen{{0, 0, 100, false}, {2, 0, 100, false}}, 0},
		"three":                      {[]seen{{0, 0, 100, false}, {2, .02, 100, false}, {4, .01, 100, false}}, 100},
		"three that stayed a moment": {[]seen{{0, .05, 100, false}, {2, .05, 100, false}, {4, .06, 100, false}}, 0},
		"three within a second":      {[]seen{{0, 0, 100, false}, {.3, 0, 100, false}, {.6, 0, 100, false}}, 0},
		"three that differ by one":   {[]seen{{0, 0, 100, false}, {2, 0, 100, false}, {4, 0, 101, false}}, 0},
		"three that differ at once":  {[]seen{{0, 0, 9, false}, {2, 0, 9, false}, {4, 0, 9, false}, {4.1, 0, 8, false}}, 0},
		"two exchanges":              {[]seen{{0, 0, 2, false}, {2, 0, 2, false}, {4, 0, 2, false}}, 2},
		"one exchange":               {[]seen{{0, 0, 1, false}, {2, 0, 1, false}, {4, 0, 1, false}}, 0},
		"the same, but for idleness": {[]seen{{0, 5, 2, false}, {10, 60, 2, false}, {90, 20, 2, false}}, 0},
		"one that serves more":       {[]seen{{0, 0, 9, false}, {2, 0, 9, false}, {4, 0, 9, false}, {0, 0, 10, true}}, 0},
		"one that stays":             {[]seen{{0, 0, 9, false}, {2, 0, 9, false}, {4, 0, 9, false}, {0, 1, 9, true}}, 0},
		"one that may yet go":        {[]seen{{0, 0, 9, false}, {2, 0, 9, false}, {4, 0, 9, false}, {0, .5, 9, true}}, 9},
		"one that is young":          {[]seen{{0, 0, 9, false}, {2, 0, 9, false}, {4, 0, 9, false}, {0, 60, 8, true}}, 9},
	} {
		if idle, exchanges := taught(c.seen); exchanges != c.want || idle != 0 {
			t.Errorf("%s: %v and %d exchanges, want none and %d", name, idle, exchanges, c.want)
		}
	}
}

func TestOneExpiryInTwentyIsATest(t *testing.T) {
	l, tests := new(lesson), 0
	for range 200 {
		if l.test() {
			tests++
		}
	}
	if tests != 10 {
		t.Errorf("%d of 200 were tests, want 10", tests)
	}
}

func TestLessonsOfOriginsThatAreOutOfUseAreForgotten(t *testing.T) {
	var all lessons
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 3 * maxLessons {
				o := origin{scheme: "http", addr: fmt.Sprintf("site%d.example:80", i)}
				for at := range 3 {
					all.of(o).closed(time.Unix(int64(10*at), 0), 5*time.Second, 1)
				}
			}
		})
	}
	wg.Wait()
	if n := all.recent.len(); n != maxLessons {
		t.Errorf("%d origins remembered, want %d", n, maxLessons)
	}
	last := origin{scheme: "http", addr: fmt.Sprintf("site%d.example:80", 3*maxLessons-1)}
	if idle, _ := all.of(last).limits(); idle != 4500*time.Millisecond {
		t.Errorf("the last one has taught %v, want 4.5 s", idle)
	}
	if idle, _ := all.of(origin{scheme: "http", addr: "site0.example:80"}).limits(); idle != 0 {
		t.Errorf("the first one is remembered: %v", idle)
	}
}

func TestWhatPartitionsLearnOfAPeerIsKnownToAll(t *testing.T) {
	var all lessons
	peer := origin{scheme: "http", addr: "example:80"}
	for i := range 3 {
		tenant := peer
		tenant.partition = fmt.Sprint(i)
		all.of(tenant).closed(time.Unix(int64(10*i), 0), 5*time.Second, 1)
	}
	for name, c := range map[string]struct {
		o    origin
		want time.Duration
	}{
		"another partition":  {origin{scheme: "http", addr: "example:80", partition: "x"}, 4500 * time.Millisecond},
		"another source":     {origin{scheme: "http", addr: "example:80", source: netip.MustParseAddr("192.0.2.1")}, 4500 * time.Millisecond},
		"another sticky key": {origin{scheme: "http", addr: "example:80", sticky: "x"}, 4500 * time.Millisecond},
		"another scheme":     {origin{scheme: "https", addr: "example:80"}, 0},
		"another port":       {origin{scheme: "http", addr: "example:81"}, 0},
		"through a proxy":    {origin{scheme: "http", addr: "example:80", proxy: "socks5://proxy"}, 0},
	} {
		if got, _ := all.of(c.o).limits(); got != c.want {
			t.Errorf("%s: learned %v, want %v", name, got, c.want)
		}
	}
}
