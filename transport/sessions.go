package transport

import (
	"crypto/tls"
	"sync"
)

// maxSessions bounds the TLS sessions that are kept for resuming. One takes
// 1.3 KB, and the peer's certificates, which those with one peer share.
const maxSessions = 1024

// sessions are what TLS can resume: a handshake with one costs neither side a
// signature, nor this one the proof of a certificate. A ticket says who it was
// given to, client certificate included, and lets the peer link connections. So
// there is one for each origin and host, with everything that keeps connections
// apart: partition, proxy and credentials.
type sessions struct {
	mu     sync.Mutex // guards recent
	recent recent[sessionKey, *tls.ClientSessionState]
}

type sessionKey struct {
	origin origin
	addr   string // of whom TLS is spoken to: the target or its proxy
}

// newSessions returns nil where sessions would not be resumed, or must not be
// by us.
func newSessions(cfg *tls.Config) *sessions {
	switch {
	case cfg.ClientSessionCache != nil, cfg.SessionTicketsDisabled:
		return nil
	case cfg.VerifyPeerCertificate != nil:
		// It is not called for a resumed session, and may be all the
		// verification that there is.
		return nil
	case cfg.GetClientCertificate != nil:
		// Nor is this, and it may return another identity each time.
		return nil
	}
	return &sessions{recent: recent[sessionKey, *tls.ClientSessionState]{max: maxSessions}}
}

// of returns the cache for one origin's hop to addr.
func (s *sessions) of(o origin, addr string) tls.ClientSessionCache {
	return sessionCache{s, sessionKey{o, addr}}
}

// sessionCache is a tls.ClientSessionCache for one host. The key that it is given,
// a name, says less than its own, and is not looked at.
type sessionCache struct {
	all *sessions
	key sessionKey
}

// Get returns the session to resume.
func (c sessionCache) Get(string) (*tls.ClientSessionState, bool) {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	return c.all.recent.get(c.key)
}

// Put keeps a session; nil forgets the one there is.
func (c sessionCache) Put(_ string, s *tls.ClientSessionState) {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if s == nil {
		c.all.recent.delete(c.key)
		return
	}
	c.all.recent.put(c.key, s)
}
