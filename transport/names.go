package transport

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/stayopen-go/stayopen/pool"
)

const (
	// defaultDNSInterval is what Config.DNSInterval means when it is zero.
	defaultDNSInterval = 30 * time.Second

	// lookupTime bounds a lookup, of one family.
	lookupTime = 10 * time.Second
)

// lookupFunc is net.Resolver's LookupNetIP.
type lookupFunc func(ctx context.Context, network, host string) ([]netip.Addr, error)

// names looks up again what connections were dialed to by its name, while they are
// in use, and has those leave whose address is gone. A nil *names does nothing.
type names struct {
	interval, goneAfter time.Duration
	lookup              lookupFunc

	mu      sync.Mutex // guards what follows; nothing is called under it
	hosts   map[string]*watch
	closed  bool
	lookups sync.WaitGroup // those under way; not added to once closed
}

// newNames returns nil if nothing is to be looked up.
func newNames(interval time.Duration, lookup lookupFunc) *names {
	if interval < 0 {
		return nil
	}
	if interval == 0 {
		interval = defaultDNSInterval
	}
	return &names{interval: interval, goneAfter: goneAfter, lookup: lookup, hosts: make(map[string]*watch)}
}

// namesFor returns the names of a Transport, nil if nothing is to be looked up.
func namesFor(cfg *Config, tmpl *http.Transport) *names {
	own := ownDialer(cfg, tmpl)
	if own == nil || tmpl.DisableKeepAlives {
		return nil
	}
	resolver := own.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	return newNames(cfg.DNSInterval, resolver.LookupNetIP)
}

// watch has the host of o looked up again on behalf of c, which was just dialed, if
// it is to that host's address that it leads.
func (t *Transport) watch(o origin, c *conn) *watch {
	if t.names == nil || o.proxy != "" || c.wire.tcp == nil || o.scheme == "https" && t.dialTLS != nil {
		return nil
	}
	to, ok := c.wire.tcp.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return nil
	}
	host, _ := o.server()
	return t.names.add(host, to.AddrPort().Addr(), c)
}

// takeLeave and leave make conn a resident.
func (c *conn) takeLeave() {
	c.leaving.Store(true)
	c.entry.Load().Replace(pool.Reason(reasonDNS))
}

func (c *conn) leave() { c.entry.Load().Retire(pool.Reason(reasonDNS)) }

// add notes a connection to host, which is at addr, and returns what use and
// remove want; nil if host is no name.
func (n *names) add(host string, addr netip.Addr, r resident) *watch {
	if n == nil || host == "" {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	now := time.Now()
	w := n.hosts[host]
	if w == nil {
		s := sightings{goneAfter: n.goneAfter, step: n.interval}
		w = &watch{names: n, host: host, known: [2]sightings{s, s}, conns: make(map[resident]stay), due: n.nextLookup(now)}
		n.hosts[host] = w
	}
	w.addLocked(now, addr.Unmap().WithZone(""), r)
	return w
}

// nextLookup is the interval from now, give or take a tenth: those who began
// together need not ask together.
func (n *names) nextLookup(now time.Time) time.Time {
	return now.Add(n.interval - n.interval/10 + rand.N(n.interval/5+1))
}

// use notes that a connection of w, which may be nil, is used again.
func (w *watch) use() {
	if w == nil || w.used.Load() {
		return
	}
	w.names.mu.Lock()
	defer w.names.mu.Unlock()
	w.used.Store(true)
	w.setTimerLocked(time.Now())
}

// remove notes that a connection of w, which may be nil, has ended or is somebody
// else's. It may be called under a ClientConn's mutex.
func (w *watch) remove(r resident) {
	if w == nil {
		return
	}
	n := w.names
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(w.conns, r)
	if len(w.conns) == 0 && n.hosts[w.host] == w {
		delete(n.hosts, w.host)
		w.endLocked()
	}
}

// endLocked stops what w has going on.
func (w *watch) endLocked() {
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.stop != nil {
		w.stop()
	}
}

// setTimerLocked sets the timer for what is next, if there is anything.
func (w *watch) setTimerLocked(now time.Time) {
	next := w.nextLocked()
	switch {
	case next.IsZero() || w.names.closed || w.names.hosts[w.host] != w:
	case w.timer == nil:
		w.timer = time.AfterFunc(next.Sub(now), w.tick)
	default:
		w.timer.Reset(next.Sub(now))
	}
}

// tick is the timer's function.
func (w *watch) tick() {
	n := w.names
	n.mu.Lock()
	now := time.Now()
	taking, leaving := w.departuresLocked(now)
	ctx, asks := w.beginLocked(now)
	w.setTimerLocked(now)
	n.mu.Unlock()
	for _, r := range taking {
		r.takeLeave()
	}
	for _, r := range leaving {
		r.leave()
	}
	if ctx != nil {
		defer n.lookups.Done()
		w.learn(n.ask(ctx, w.host, asks))
	}
}

// beginLocked begins a lookup if it is time for one.
func (w *watch) beginLocked(now time.Time) (ctx context.Context, asks families) {
	n := w.names
	if n.closed || n.hosts[w.host] != w || w.stop != nil || !w.used.Load() || now.Before(w.due) {
		return nil, asks
	}
	n.lookups.Add(1)
	ctx, w.stop = context.WithCancel(context.Background())
	return ctx, w.familiesLocked()
}

// learn ends a lookup.
func (w *watch) learn(a answer) {
	w.names.mu.Lock()
	defer w.names.mu.Unlock()
	w.stop()
	w.stop = nil
	w.used.Store(false)
	now := time.Now()
	w.due = w.names.nextLookup(now)
	w.answerLocked(now, a)
	w.setTimerLocked(now)
}

// close ends all lookups, and returns when they have ended.
func (n *names) close() {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.closed = true
	for _, w := range n.hosts {
		w.endLocked()
	}
	n.mu.Unlock()
	n.lookups.Wait() // they obey their contexts
}

// families are IPv4 and IPv6.
type families [2]bool

var familyNetworks = [2]string{"ip4", "ip6"}

// answer is what a lookup has said.
type answer struct {
	addrs [2][]netip.Addr
	said  families // those of which addrs are all addresses, which may be none
}

// ask looks up host's addresses of these families.
//
// They are asked for one by one: of an answer for both, package net does not tell
// whether a family is missing or its part of the lookup failed. That a name has
// none of one family is believed only if it has some of the other: otherwise it
// may be the name server that does not know what it did a moment ago.
func (n *names) ask(ctx context.Context, host string, asks families) (a answer) {
	var none families
	look := func(i int) {
		a.addrs[i], none[i] = n.askFamily(ctx, familyNetworks[i], host)
		a.said[i] = len(a.addrs[i]) > 0
	}
	for i := range asks {
		if asks[i] {
			look(i)
		}
	}
	for i := range asks {
		if other := 1 - i; none[i] {
			if !asks[other] {
				look(other)
			}
			a.said[i] = a.said[other]
		}
	}
	return a
}

// askFamily returns host's addresses of one family. none means that the name
// server has said that there are none.
func (n *names) askFamily(ctx context.Context, network, host string) (addrs []netip.Addr, none bool) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	addrs, err := n.lookup(ctx, network, host)
	if err != nil {
		var e *net.DNSError
		return nil, errors.As(err, &e) && e.IsNotFound && !e.IsTemporary && !e.IsTimeout
	}
	for i, addr := range addrs {
		addrs[i] = addr.Unmap().WithZone("")
	}
	return addrs, false
}
