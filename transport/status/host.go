package status

import (
	"context"
	"sync"
	"time"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

const (
	// examineEvery is how old findings may be when somebody looks.
	examineEvery = time.Minute
	// examineTime bounds an examination: a census of very many sockets.
	examineTime = 10 * time.Second
	// patience is how long the first to look waits for the findings.
	patience = 200 * time.Millisecond
)

// host is what was found out about the host. It is looked into in the
// background, so that whoever looks at the page does not wait for the kernel.
type host struct {
	ctx  context.Context // ends with close
	stop context.CancelFunc

	mu       sync.Mutex // guards what follows
	findings []hostcheck.Finding
	failure  error
	checked  time.Time
	running  chan struct{} // closed when the examination under way has ended; nil without one
}

func newHost() *host {
	h := new(host)
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

// close ends an examination and waits for that.
func (h *host) close() {
	h.stop()
	h.mu.Lock()
	running := h.running
	h.mu.Unlock()
	if running != nil {
		<-running
	}
}

// look returns what is known, and has it renewed if it is old.
func (h *host) look() *Host {
	if running := h.renew(); running != nil {
		wait := time.NewTimer(patience)
		defer wait.Stop()
		select {
		case <-running:
		case <-wait.C:
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	found := &Host{Checked: h.checked, Findings: append([]hostcheck.Finding{}, h.findings...)}
	if h.failure != nil {
		found.Error = h.failure.Error()
	}
	return found
}

// renew starts an examination if that is due. It returns what is worth waiting
// for, if nothing is known yet.
func (h *host) renew() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	due := h.checked.IsZero() || time.Since(h.checked) >= examineEvery
	if due && h.running == nil && h.ctx.Err() == nil {
		h.running = make(chan struct{}) // closed by examine
		go h.examine(h.running)         // ends after examineTime, or with close
	}
	if !h.checked.IsZero() {
		return nil
	}
	return h.running
}

func (h *host) examine(done chan struct{}) {
	ctx, cancel := context.WithTimeout(h.ctx, examineTime)
	defer cancel()
	findings, err := examine(ctx)
	h.mu.Lock()
	h.findings, h.failure, h.checked, h.running = findings, err, time.Now(), nil
	h.mu.Unlock()
	close(done)
}

// examine judges the host. Without a census, which some systems do not have,
// there are findings all the same.
func examine(ctx context.Context) ([]hostcheck.Finding, error) {
	settings, err := hostcheck.Read()
	if err != nil {
		return nil, err
	}
	census, err := hostcheck.Take(ctx, hostcheck.Filter{})
	if err != nil {
		census = nil
	}
	return hostcheck.Check(settings, census), nil
}

// hostTimeWaits asks the kernel for the number of its sockets in TIME_WAIT. No
// more sockets are listed for it than those that listen.
func hostTimeWaits() (int, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	census, err := hostcheck.Take(ctx, hostcheck.Filter{States: []hostcheck.State{hostcheck.Listen}})
	if err != nil {
		return 0, false
	}
	return census.Stat.TimeWaits, true
}
