package transport

import (
	"maps"
	"sync"

	"github.com/stayopen-go/stayopen/internal/dialfail"
)

// dialFailure is where and why dials failed, in the words of package dialfail.
type dialFailure struct{ step, kind string }

// dialFailures counts the dials that failed. It may be used by many goroutines at
// once.
type dialFailures struct {
	mu sync.Mutex // guards by
	by map[dialFailure]uint64
}

// count counts a dial that failed with err; step is where, if that is known.
func (n *dialFailures) count(step string, err error) {
	var f dialFailure
	f.step, f.kind = dialfail.Of(err)
	if step != "" {
		f.step = step
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.by == nil {
		n.by = make(map[dialFailure]uint64)
	}
	n.by[f]++
}

// read returns the counts, and their sum.
func (n *dialFailures) read() (by map[dialFailure]uint64, sum uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, v := range n.by {
		sum += v
	}
	return maps.Clone(n.by), sum
}
