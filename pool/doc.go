// Package pool decides who gets a connection, who waits, and which connection
// is given up. It knows keys, connections and slots, and nothing of HTTP or
// sockets: [Config] brings the functions that open and close a connection.
//
// # Words
//
// A key names what a connection may be shared within. A slot is the right to run
// one exchange on a connection: an HTTP/1 connection has one, an HTTP/2
// connection as many as its peer allows. A lease is a slot that somebody holds.
// [Pool.Get] gives a lease, and [Lease.Release] ends it.
//
// # Who gets what
//
// Get takes the connection that was used last, so that those which are not
// needed grow old and expire; if all have leases, the one with the fewest. Who
// finds no free slot waits in line, and gets what comes first, a slot that was
// freed or a connection that was dialed. A dial belongs to its key rather than to
// the Get that caused it: when that Get was served otherwise or gave up, the
// connection goes to the next in line, or is kept.
//
// A key dials for those waiters for whom a dial is the sooner way to a
// connection, as far as the limits allow. It has learned how long its slots are
// taken for and how long its dials take: those at the head of the line wait for
// the slots that will come free in the time of one dial, those behind them get
// dials. What waiting costs is added up, and when it comes to the time of a dial,
// one is started all the same: so a key grows as far as it is worth it, and
// nobody waits in vain for what does not come free. A key that nothing is known
// of dials once for each waiter.
//
// Where connections have turned out to offer more slots, fewer dials do. While a
// new connection is settling, which means that its slots are not known yet, its
// key does not dial.
//
// # What is given up
//
// A connection is closed when it was idle for too long, is too old, is one too
// many, was not needed of late, must make room for another key, or was retired by its user. A retired
// connection takes no new lease and is closed when the last one has ended. Each
// close has a [Reason].
//
// A pool runs no goroutine and no timer while it has neither an idle connection
// nor a dial.
package pool
