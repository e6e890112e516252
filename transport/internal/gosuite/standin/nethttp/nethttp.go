// Package nethttp plays, with net/http's public API, the parts of net/http's
// export_test.go that its client tests cannot do without. Each exported name
// stands in for the name of the same spelling there.
package nethttp

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"
)

// Errors that net/http makes and does not export. Nobody outside can tell them
// but by their text, and by their text they are compared.
var (
	ExportErrRequestCanceled     = errors.New("net/http: request canceled")
	ExportErrRequestCanceledConn = errors.New("net/http: request canceled while waiting for connection")
	ExportErrServerClosedIdle    = errors.New("http: server closed idle connection")
)

// CondSkipHTTP2 skips nothing: HTTP/2 is only absent where net/http was built
// without it.
func CondSkipHTTP2(testing.TB) {}

// ExportHttp2ConfigureServer makes s speak HTTP/2 over TLS. Its second argument
// is a type of net/http's own and always nil in the tests.
func ExportHttp2ConfigureServer(s *http.Server, _ any) error {
	if s.TLSConfig == nil {
		s.TLSConfig = new(tls.Config)
	}
	offer(s.TLSConfig)
	return nil
}

// ExportHttp2ConfigureTransport makes t speak HTTP/2 over TLS, whatever dial
// functions it has.
func ExportHttp2ConfigureTransport(t *http.Transport) error {
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = new(tls.Config)
	}
	offer(t.TLSClientConfig)
	t.ForceAttemptHTTP2 = true
	return nil
}

// offer adds to c what HTTP/2's handshake needs: tests hand such a
// configuration to tls.Client themselves.
func offer(c *tls.Config) {
	for _, proto := range []string{"h2", "http/1.1"} {
		if !slices.Contains(c.NextProtos, proto) {
			c.NextProtos = append(c.NextProtos, proto)
		}
	}
}

// SetRSTAvoidanceDelay changes nothing: net/http's servers wait as long as they
// do in production before they close a connection that may hold unread data.
func SetRSTAvoidanceDelay(*testing.T, time.Duration) {}

// MaxWriteWaitBeforeConnReuse points to nothing that anybody reads: the tests
// only raise or lower it to steer their own timing.
var MaxWriteWaitBeforeConnReuse = new(time.Duration)

// ResponseWriterConnForTesting never finds a connection.
func ResponseWriterConnForTesting(http.ResponseWriter) (net.Conn, bool) { return nil, false }

// SetPendingDialHooks sets no hooks. Tests only count with them; one that waits
// for them fails on net/http as well, and is left out for that.
func SetPendingDialHooks(_, _ func()) {}

// SetEnterRoundTripHook sets no hook: the test that does goes on without.
func SetEnterRoundTripHook(func()) {}
