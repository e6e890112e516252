package status

import (
	"sync"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

// points is how many points a chart has.
const points = 180

// history is what the figures were of late.
type history struct {
	sources []*transport.Transport
	host    func() (timeWaits int, ok bool) // nil: not asked
	every   time.Duration

	mu         sync.Mutex // guards what follows; a sample is read before it is taken
	transports [][]Point  // by source, at most points each, oldest first
	timeWaits  []HostPoint
	timer      *time.Timer // nil without a past
	closed     bool
}

// start takes the first sample, and has one taken every so often until close.
func (h *history) start() {
	h.transports = make([][]Point, len(h.sources))
	h.sample()
	if h.every < 0 {
		return
	}
	h.mu.Lock()
	h.timer = time.AfterFunc(h.every, h.tick)
	h.mu.Unlock()
}

func (h *history) tick() {
	h.sample()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.timer.Reset(h.every)
	}
}

// close ends the sampling. One that is under way ends by itself.
func (h *history) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.timer != nil {
		h.timer.Stop()
	}
}

func (h *history) sample() {
	now := make([]Point, len(h.sources))
	for i, t := range h.sources {
		now[i] = pointOf(t)
	}
	host, ok := h.hostNow()
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, p := range now {
		h.transports[i] = appendPoint(h.transports[i], p)
	}
	if ok {
		h.timeWaits = appendPoint(h.timeWaits, host)
	}
}

func (h *history) hostNow() (HostPoint, bool) {
	if h.host == nil {
		return HostPoint{}, false
	}
	n, ok := h.host()
	return HostPoint{time.Now(), n}, ok
}

// appendPoint makes room for p where it takes the place of the oldest one.
func appendPoint[P any](all []P, p P) []P {
	if len(all) == points {
		copy(all, all[1:])
		all = all[:points-1]
	}
	return append(all, p)
}

func pointOf(t *transport.Transport) Point {
	s := t.Stats()
	return Point{
		At: time.Now(), Exchanges: s.Exchanges, Opened: s.Opened, Closed: s.Closed,
		TimeWaits: s.TimeWaits, Open: s.Open, Idle: s.Idle, Waiting: s.Waiting,
	}
}

// of returns a copy of what is kept of a source, with room for a point of now.
func (h *history) of(source int) []Point {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append(make([]Point, 0, points+1), h.transports[source]...)
}

// ofHost is of for the host, with how it is now.
func (h *history) ofHost() []HostPoint {
	now, ok := h.hostNow()
	h.mu.Lock()
	defer h.mu.Unlock()
	all := append(make([]HostPoint, 0, points+1), h.timeWaits...)
	if ok {
		all = append(all, now)
	}
	return all
}
