package shadow_test

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// gathering is a server's handler that answers a request when as many are there
// as are expected, and some time has gone by: so long, compared with the time in
// which they came, that it does not matter which came first.
type gathering struct {
	mu    sync.Mutex
	left  int           // of those expected, how many are to come
	since time.Time     // when the first was sent
	gate  chan struct{} // closed some time after left is 0
}

// expect is called while nothing is under way.
func (g *gathering) expect(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left, g.since, g.gate = n, time.Now(), make(chan struct{})
}

func (g *gathering) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	<-g.arrive()
	io.WriteString(w, "hello")
}

func (g *gathering) arrive() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left--; g.left == 0 {
		gate := g.gate
		time.AfterFunc(2*time.Since(g.since), func() { close(gate) })
	}
	return g.gate
}

// TestOnSocketsTheModelOpensWhatTheTransportOpensThatItWatches sends nothing
// whose connections would depend on how fast the machine is just now: that is
// for a bubble.
func TestOnSocketsTheModelOpensWhatTheTransportOpensThatItWatches(t *testing.T) {
	const bursts = 4
	for mode, c := range map[string]struct {
		scheme      string
		size, hosts int
		want        int
	}{
		// Two are idle after each burst.
		"h1":     {"http", 60, 1, 60 + (bursts-1)*58},
		"https1": {"https", 15, 1, 15 + (bursts-1)*13},
		"h2":     {"https", 60, 10, 10},
	} {
		t.Run(mode, func(t *testing.T) {
			g := new(gathering)
			s := serve(t, mode, g.ServeHTTP)
			sh := watch(t, s.likeDefault(t))
			url := func(i int) string { return fmt.Sprintf("%s://h%d.example/", c.scheme, i%c.hosts) }
			if mode == "h2" { // how many dial until a first one knows is a matter of luck
				for i := range c.hosts {
					g.expect(1)
					get(t, sh, url(i))
				}
			}
			var longest time.Duration
			for range bursts {
				g.expect(c.size)
				var burst sync.WaitGroup
				for i := range c.size {
					burst.Go(func() { get(t, sh, url(i)) })
				}
				burst.Wait()
				// In the model a dial takes as long as others before, and no
				// dial took longer than a burst: by then all is over there, too,
				// and Stats has it say so before slower dials are known.
				longest = max(longest, time.Since(g.since))
				<-time.After(longest)
				sh.Stats()
			}
			stats := settled(t, s, sh)
			if stats.Opened != uint64(c.want) || stats.Default.Opened != uint64(c.want) {
				t.Errorf("%d connections opened, by the model %d, want %d", stats.Opened, stats.Default.Opened, c.want)
			}
		})
	}
}
