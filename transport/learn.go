package transport

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// closesToLearn is how many closes must agree.
	closesToLearn = 3

	// oneMoment is how close together closes count once: one event, such as a
	// restart, ends many connections. It also parts idle times from the rest:
	// what is closed sooner after a response was not closed for being idle.
	oneMoment = time.Second

	// withLast is how soon after a response a peer closes that counts requests. What
	// it closes later it closes for another reason, such as a very short idle time.
	withLast = 20 * time.Millisecond

	// idleTolerance is by how many percent idle times may differ and agree.
	idleTolerance = 10

	// testEvery is how many times a limit is obeyed until it is put to the test.
	testEvery = 20

	// maxLessons bounds how many peers are remembered.
	maxLessons = 1024
)

// lessons are what the peers have taught. A Transport has one. It may be used by
// many goroutines at once.
type lessons struct {
	mu     sync.Mutex // guards recent
	recent recent[closer, *lesson]
}

// closer is whoever closes an origin's connections. It knows nothing of what
// parts them on our side: partitions, sources, and who has authenticated.
type closer struct{ scheme, addr, proxy string }

// of returns what is known of o's peer, for a connection to keep. A peer that is
// forgotten meanwhile, since many others came, begins anew.
func (all *lessons) of(o origin) *lesson {
	who := closer{o.scheme, o.addr, o.proxy}
	all.mu.Lock()
	defer all.mu.Unlock()
	l, ok := all.recent.get(who)
	if !ok {
		l = new(lesson)
		all.recent.max = maxLessons
		all.recent.put(who, l)
	}
	return l
}

// lesson is what one peer has taught by closing connections that were idle:
// after how much time it does so, and after how many exchanges. The zero value
// is that nothing is known.
type lesson struct {
	mu        sync.Mutex // guards the two; not held while anything is called
	idle      streak     // of nanoseconds
	exchanges streak

	idleLimit, exchangeLimit atomic.Int64 // what limits returns
	expiries, reached        atomic.Uint64
	dare                     atomic.Bool // see brokenOff
}

// closed notes that the peer has closed a connection, without having said so,
// that was idle for so long after so many exchanges.
func (l *lesson) closed(at time.Time, idle time.Duration, exchanges int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if idle >= oneMoment {
		l.idle.add(at, int64(idle), idleTolerance)
		l.outlivedLocked(idle, exchanges)
	} else {
		// What ends together with a connection that was used just now did not end
		// for being idle: restarts at even distances would look like that.
		l.idle.spoil(at, idleTolerance)
		if exchanges >= 2 && idle <= withLast {
			l.exchanges.add(at, int64(exchanges), 0)
		}
	}
	l.publishLocked()
}

// outlived notes that a connection is open although it has been idle for so long
// after so many exchanges. A limit that this refutes is forgotten.
func (l *lesson) outlived(idle time.Duration, exchanges int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := time.Duration(l.idle.agreed); known > 0 && idle > known+known/10 {
		l.idle = streak{}
	}
	l.outlivedLocked(idle, exchanges)
	l.publishLocked()
}

// outlivedLocked forgets a limit of exchanges that this refutes.
func (l *lesson) outlivedLocked(idle time.Duration, exchanges int) {
	if known := int(l.exchanges.agreed); known > 0 && (exchanges > known || exchanges == known && idle >= oneMoment) {
		l.exchanges = streak{}
	}
}

func (l *lesson) publishLocked() {
	l.idleLimit.Store(int64(beforeEnd(time.Duration(l.idle.agreed))))
	l.exchangeLimit.Store(l.exchanges.agreed)
}

// limits returns how long a connection may be idle and still be used, at least
// a second, and how many exchanges it may serve, at least 2. Zero: not known.
func (l *lesson) limits() (idle time.Duration, exchanges int) {
	return time.Duration(l.idleLimit.Load()), int(l.exchangeLimit.Load())
}

// test reports, for a connection that has reached a limit, whether it is to be
// left open, without being used, to see what the peer does: closed then says that
// the limit stands, and outlived that it does not. One connection in 20 is.
func (l *lesson) test() bool { return l.expiries.Add(1)%testEvery == 0 }

// testExchanges is test for the limit of exchanges. It counts apart: one counter
// for both could meet the same of a connection's responses every time.
func (l *lesson) testExchanges() bool { return l.reached.Add(1)%testEvery == 0 }

// brokenOff notes that a test of the limit of exchanges has come to nothing, since
// another connection needed the place. Where no place is ever free (Config.MaxConns,
// MaxConnsPerHost), each test would end so, and a limit that is none would be obeyed
// for ever. So the next test is another one: the connection serves one request more,
// of those that may be sent twice.
func (l *lesson) brokenOff() { l.dare.Store(true) }

// goBeyond reports, for a connection that is a test and has reached the limit of
// exchanges, whether it is that other test.
func (l *lesson) goBeyond() bool { return l.dare.Swap(false) }

// beforeEnd is how long a connection is used that its peer was seen to close
// after age: a tenth less, within which the ages agreed. That is between 250 ms,
// for a request to arrive, and 2 s; but a second is never too long.
func beforeEnd(age time.Duration) time.Duration {
	if age == 0 {
		return 0
	}
	margin := min(max(age/10, 250*time.Millisecond), peerMargin)
	return max(age-margin, time.Second)
}

// streak is a row of closes at different moments, of each of which one figure is
// kept in mind.
type streak struct {
	moments [closesToLearn]moment // the last n, oldest first
	n       int
	agreed  int64 // the lowest figure of the last moments that agreed; 0: none have
	before  int64 // agreed as it was before the last moment
}

// moment is a close, or several that count as one.
type moment struct {
	at        time.Time
	low, high int64
}

// agrees reports whether all figures are within so many percent of the highest.
func (m moment) agrees(percent int64) bool { return m.high-m.low <= m.high/100*percent }

// add takes in a close at a moment, which need not be later than the last one.
func (s *streak) add(at time.Time, figure, percent int64) {
	if s.n > 0 && at.Sub(s.last().at).Abs() < oneMoment {
		last := s.last()
		last.low, last.high = min(last.low, figure), max(last.high, figure)
	} else {
		s.push(moment{at, figure, figure}, percent)
	}
	s.agreed = s.before
	all := s.moments[0]
	for _, m := range s.moments[:s.n] {
		all.low, all.high = min(all.low, m.low), max(all.high, m.high)
	}
	if s.n == closesToLearn && all.agrees(percent) {
		s.agreed = all.low
	}
}

// spoil has the moment teach nothing.
func (s *streak) spoil(at time.Time, percent int64) {
	s.add(at, 0, percent)
	s.last().high = math.MaxInt64
}

func (s *streak) last() *moment { return &s.moments[s.n-1] }

// push begins a new moment.
func (s *streak) push(m moment, percent int64) {
	s.before = s.agreed
	switch {
	case s.n > 0 && !s.last().agrees(percent):
		// Connections of all kinds ended at once: that was the peer's own end,
		// not theirs, and teaches nothing.
	case s.n < closesToLearn:
		s.n++
	default:
		copy(s.moments[:], s.moments[1:])
	}
	*s.last() = m
}
