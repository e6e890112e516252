package netconn

import "github.com/stayopen-go/stayopen/pool"

// Why a connection was closed instead of being given back or handed out. Package
// pool has the other reasons.
const (
	Failed     pool.Reason = "failed"      // a call failed, or the end of what the peer sends was read
	Busy       pool.Reason = "busy"        // a call was under way when Close was called
	Unanswered pool.Reason = "unanswered"  // a Write came last, see Config.OneWay
	HalfClosed pool.Reason = "half_closed" // CloseWrite was called
	Unread     pool.Reason = "unread"      // something waited to be read
	PeerClosed pool.Reason = "peer_closed" // the peer had closed it
	Discarded  pool.Reason = "discarded"   // Conn.Discard was called
	Unseen     pool.Reason = "unseen"      // it cannot be looked at, see the package's documentation
)
