package pool

// Why a connection was opened: one of these or, where it stands in for one that
// its key had, the reason for which the key lost that. See [Conn.Cause].
const (
	First   Reason = "first"   // the key had none before
	Busy    Reason = "busy"    // all were in use, or on their way to others, and the key had lost none that was not replaced since
	Warmed  Reason = "warm"    // Pool.Warm asked for it
	Minimum Reason = "minimum" // Config.MinPerKey did, in place of one that the key had lost or is about to lose
)

const (
	// maxLossRuns bounds what is remembered of one key: a run is a row of losses
	// for the same reason. Beyond that the oldest is forgotten.
	maxLossRuns = 8

	// maxFormer is of how many keys with nothing left it is remembered what they
	// have lost.
	maxFormer = 4096
)

// losses are the connections that a key has lost and not replaced, so that the
// next one that is opened can say in place of which: had the last one lost been
// kept, there would have been no need. The pool's mutex guards them.
type losses struct {
	met  bool // the key has had a connection, or has one on its way
	runs []lossRun
}

// lossRun is a row of losses for the same reason.
type lossRun struct {
	why Reason
	n   int
}

// add notes that a connection was lost.
func (l *losses) add(why Reason) {
	if last := len(l.runs) - 1; last >= 0 && l.runs[last].why == why {
		l.runs[last].n++
		return
	}
	if len(l.runs) == maxLossRuns {
		l.runs = append(l.runs[:0], l.runs[1:]...)
	}
	l.runs = append(l.runs, lossRun{why, 1})
}

// take returns why the connection was lost that one which is opened now replaces,
// and takes it out; empty: there is none.
func (l *losses) take() Reason {
	last := len(l.runs) - 1
	if last < 0 {
		return ""
	}
	why := l.runs[last].why
	if l.runs[last].n--; l.runs[last].n == 0 {
		l.runs = l.runs[:last]
	}
	return why
}

// causeLocked decides why a dial of o begins, and what it replaces, if anything.
func (o *origin[K, C]) causeLocked(w *waiter[K, C]) (cause, replaces Reason) {
	met := o.losses.met
	o.losses.met = true
	replaces = o.losses.take()
	switch {
	case w == nil && o.warmers.n > 0:
		return Warmed, replaces
	case w == nil:
		return Minimum, replaces
	case replaces != "":
		return replaces, replaces
	case met:
		return Busy, ""
	}
	return First, ""
}

// uncauseLocked undoes causeLocked for c, whose dial has failed and is counted no
// more.
func (o *origin[K, C]) uncauseLocked(c *Conn[K, C]) {
	if c.replaces != "" {
		o.losses.add(c.replaces)
		return
	}
	o.losses.met = o.open+o.dialing+len(o.losses.runs) > 0
}

// former is what is remembered of a key that has nothing left.
type former[K comparable] struct {
	key      K
	losses   losses
	inFormer links[former[K]]
}

func (f *former[K]) formerLinks() *links[former[K]] { return &f.inFormer }

// rememberLocked keeps what o, which is about to be forgotten, has lost.
func (p *Pool[K, C]) rememberLocked(o *origin[K, C]) {
	if len(o.losses.runs) == 0 {
		return
	}
	f := &former[K]{key: o.key, losses: o.losses}
	p.former[o.key] = f
	p.formers.pushBack(f)
	if p.formers.n > maxFormer {
		delete(p.former, p.formers.popFront().key)
	}
}

// recallLocked is rememberLocked's counterpart for an origin that is new.
func (p *Pool[K, C]) recallLocked(o *origin[K, C]) {
	if f := p.former[o.key]; f != nil {
		o.losses = f.losses
		p.formers.remove(f)
		delete(p.former, o.key)
	}
}
