package transport

import (
	"maps"
	"sync"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

// farewells are the connections that have been closed, or are about to be, and
// whose peers are left to close first.
type farewells struct {
	mu    sync.Mutex                        // guards what follows; nothing is called under it
	conns map[*dialer.Conn]dialer.CloseMode // how to close without waiting
	over  bool
	empty chan struct{} // made by cut, closed by the end that leaves none
}

// begin notes a connection that is going to be closed in mode m. It reports false
// if there is no time any more.
func (f *farewells) begin(c *dialer.Conn, m dialer.CloseMode) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return false
	}
	if f.conns == nil {
		f.conns = make(map[*dialer.Conn]dialer.CloseMode)
	}
	m.PeerFirst = 0
	f.conns[c] = m
	return true
}

// end notes that a connection has ended.
func (f *farewells) end(c *dialer.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
	if len(f.conns) == 0 && f.empty != nil {
		close(f.empty)
		f.empty = nil
	}
}

// cut ends the waiting, now and from now on, and returns when the connections
// have been closed. That takes no time but where TLS has to say goodbye to a peer
// that does not read.
func (f *farewells) cut() {
	waiting, empty := f.stop()
	for c, mode := range waiting {
		c.SetCloseMode(mode)
	}
	if empty == nil {
		return
	}
	timer := time.NewTimer(2 * tlsCloseTimeout)
	defer timer.Stop()
	select {
	case <-empty:
	case <-timer.C:
	}
}

func (f *farewells) stop() (waiting map[*dialer.Conn]dialer.CloseMode, empty chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	waiting = maps.Clone(f.conns)
	if len(waiting) > 0 && f.empty == nil {
		f.empty = make(chan struct{})
	}
	return waiting, f.empty
}
