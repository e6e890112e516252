package transport

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/stayopen-go/stayopen/pool"
)

// OpenReason says why a connection was opened: why none that the transport had
// could be used. It is the attribute stayopen.open.reason of the metric
// stayopen.connections.opened.
//
// A connection stands in for the one that its origin lost last, if that was not
// replaced since: had that one been kept, this one would not have been needed.
// Its reason is then that of the loss, one of the values of
// stayopen.close.reason. A connection is lost when it takes no new request any
// more, which may be before it is closed, in the end for another reason. Only where nothing was lost it is OpenFirst, OpenPartition
// or OpenBusy. A dial whose TLS or proxy fails replaces nothing: the next one has
// the same reason.
//
// It is remembered of an origin as long as it has a connection, and of the 4,096
// after that which were the latest to lose their last one; see
// [github.com/stayopen-go/stayopen/pool.Conn.Cause].
type OpenReason string

// Why a connection was opened. There are others: every close reason is one, and
// "other" counts what this version has no name for.
const (
	OpenFirst     OpenReason = "first"     // the origin had none before
	OpenBusy      OpenReason = "busy"      // all were in use or on their way to others, and none had been lost: the origin never had so many at once
	OpenPartition OpenReason = "partition" // the origin had none before, but its host had: of another partition, pinned source, sticky key or login, or for HTTP/2 where this is for HTTP/1 alone
	OpenWarm      OpenReason = "warm"      // Transport.Warm asked for it
	OpenMinimum   OpenReason = "minimum"   // Config.MinConnsPerHost did, in place of one lost or about to be

	OpenAged            OpenReason = OpenReason(pool.MaxAge)      // the one before was too old (MaxConnAge)
	OpenIdleTimeout     OpenReason = OpenReason(pool.IdleTimeout) // it was idle for too long
	OpenSurplus         OpenReason = OpenReason(pool.Surplus)     // it was not needed of late (IdleWindow)
	OpenIdleLimit       OpenReason = OpenReason(pool.IdleLimit)   // too many were idle (MaxIdleConns, MaxIdleConnsPerHost)
	OpenEvicted         OpenReason = OpenReason(pool.Evicted)     // it made room for another, under MaxConns or for want of ports or descriptors
	OpenPeerClosed      OpenReason = OpenReason(reasonPeer)       // the peer closed it, or the network did
	OpenConnectionClose OpenReason = OpenReason(reasonLast)       // its last exchange was agreed to be the last
	OpenAbandoned       OpenReason = OpenReason(reasonAbandoned)  // a response body was closed with too much left to drain
	OpenCanceled        OpenReason = OpenReason(reasonCanceled)   // an exchange on it was canceled
)

// openOnly are the reasons that are no close reasons.
var openOnly = [...]OpenReason{OpenFirst, OpenBusy, OpenPartition, OpenWarm, OpenMinimum}

// openReasons is how many reasons there are: those and every close reason.
const openReasons = len(openOnly) + len(reasons)

func openReasonAt(i int) OpenReason {
	if i < len(openOnly) {
		return openOnly[i]
	}
	return OpenReason(reasons[i-len(openOnly)])
}

func (r OpenReason) index() int {
	for i, known := range openOnly {
		if r == known {
			return i
		}
	}
	return len(openOnly) + reason(r).index()
}

// openReason translates what the pool says.
func openReason(cause pool.Reason) OpenReason {
	if cause == pool.Detached {
		return OpenReason(reasonUpgrade)
	}
	return OpenReason(cause)
}

// opens counts the connections that were opened, by reason.
type opens [openReasons]atomic.Uint64

// read returns the counts, and their sum.
func (n *opens) read() (c OpenCounts, sum uint64) {
	for i := range n {
		c.by[i] = n[i].Load()
		sum += c.by[i]
	}
	return c, sum
}

// OpenCounts says how many connections were opened for each reason.
type OpenCounts struct{ by [openReasons]uint64 }

// Of returns how many were opened for that reason.
func (c OpenCounts) Of(r OpenReason) uint64 {
	for i, n := range c.by {
		if openReasonAt(i) == r {
			return n
		}
	}
	return 0
}

// All goes through the reasons for which connections were opened.
func (c OpenCounts) All() iter.Seq2[OpenReason, uint64] {
	return func(yield func(OpenReason, uint64) bool) {
		for i, n := range c.by {
			if n > 0 && !yield(openReasonAt(i), n) {
				return
			}
		}
	}
}

// String lists the counts as in "first:2 busy:1".
func (c OpenCounts) String() string {
	var all []string
	for why, n := range c.All() {
		all = append(all, fmt.Sprintf("%s:%d", why, n))
	}
	return strings.Join(all, " ")
}

// MarshalJSON makes an object of the counts, by reason.
func (c OpenCounts) MarshalJSON() ([]byte, error) { return json.Marshal(maps.Collect(c.All())) }

// maxNeighbors is of how many hosts it is remembered that something was opened
// to them.
const maxNeighbors = 4096

// neighbors know which hosts something was opened to. A Transport has one. It may
// be used by many goroutines at once.
type neighbors struct {
	seed   maphash.Seed
	mu     sync.Mutex             // guards recent
	recent recent[uint64, uint64] // the origin that came last, by its host; by their hashes, since that is less
}

func newNeighbors() neighbors {
	return neighbors{seed: maphash.MakeSeed(), recent: recent[uint64, uint64]{max: maxNeighbors}}
}

// opened notes that o had its first connection, and returns why: another origin
// at the same host may have had one, which o's requests may not use.
func (all *neighbors) opened(o origin) OpenReason {
	host := maphash.Comparable(all.seed, origin{scheme: o.scheme, addr: o.addr, proxy: o.proxy})
	hash := maphash.Comparable(all.seed, o)
	all.mu.Lock()
	defer all.mu.Unlock()
	other, known := all.recent.get(host)
	all.recent.put(host, hash)
	if known && other != hash {
		return OpenPartition
	}
	return OpenFirst
}
