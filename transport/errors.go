package transport

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// ErrClosed is returned, wrapped or as it is, by RoundTrip after Close or
// Shutdown, and by exchanges that Close interrupted.
var ErrClosed = errors.New("transport: closed")

// MaybeSentError is returned for a request whose connection ended before a
// response arrived, when the request could neither be proved unsent nor may be
// sent twice (RFC 9110, section 9.2.2): it is not idempotent, or its body
// cannot be replayed. The server may or may not have acted on it.
//
// To have such a request retried, give it an Idempotency-Key header (and a
// GetBody, which http.NewRequest sets for bodies in memory) if sending it twice
// is safe.
type MaybeSentError struct {
	Err error // how the connection ended, as net/http reports it; io.EOF mostly
}

// Error says that the request may have been sent, and how the connection ended.
func (e *MaybeSentError) Error() string {
	return fmt.Sprintf("transport: connection ended before a response; the request may have been sent: %v", e.Err)
}

// Unwrap returns Err.
func (e *MaybeSentError) Unwrap() error { return e.Err }

// Timeout reports whether Err is a timeout, as net.Error defines it.
func (e *MaybeSentError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// Errors that net/http does not export. Their texts are net/http's, since
// programs have come to match on them.
var (
	errRequestCanceled     = errors.New("net/http: request canceled")
	errRequestCanceledConn = errors.New("net/http: request canceled while waiting for connection")
	errCannotRewind        = errors.New("net/http: cannot rewind body after connection loss")
	errReadAfterClose      = errors.New("http: read on closed response body")
)

// handshakeTimeoutError reads like net/http's tlsHandshakeTimeoutError.
type handshakeTimeoutError struct{}

func (handshakeTimeoutError) Timeout() bool   { return true }
func (handshakeTimeoutError) Temporary() bool { return true }
func (handshakeTimeoutError) Error() string   { return "net/http: TLS handshake timeout" }

// plain takes off the two wrappers that http.ClientConn leaves on and
// http.Transport takes off before it returns an error. Their types are not
// exported, so they are known by name.
func plain(err error) error {
	const pkg = "http."
	if err != nil && reflect.TypeOf(err).String() == pkg+"nothingWrittenError" {
		err = unwrap(err)
	}
	if err != nil && reflect.TypeOf(err).String() == pkg+"transportReadFromServerError" {
		err = unwrap(err)
	}
	return err
}

// closedIdle reports whether err says that net/http closed an HTTP/1 connection
// while nothing was asked on it: it ended, or something came unasked, such as
// the 408 with which a server says farewell. Known by their texts alone.
func closedIdle(err error) bool {
	text := plain(err).Error()
	return text == "http: server closed idle connection" || strings.HasPrefix(text, "readLoopPeekFailLocked: ")
}

func unwrap(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// streamError has the shape of http2.StreamError, which net/http's bundled copy
// fills in for errors.As.
type streamError struct {
	StreamID uint32
	Code     errCode
	Cause    error
}

type errCode uint32

// RFC 9113, section 7.
const (
	protocolError errCode = 0x1
	refusedStream errCode = 0x7
)

func (e streamError) Error() string {
	return fmt.Sprintf("stream error: stream ID %d; error code %#x", e.StreamID, uint32(e.Code))
}

// streamCode is the error code that the peer reset the stream with.
func streamCode(err error) (errCode, bool) {
	var se streamError
	if errors.As(err, &se) {
		return se.Code, true
	}
	return 0, false
}

// resetByPeer reports whether it was the peer that reset the stream, and not
// net/http, to which the response was malformed.
func resetByPeer(err error) bool {
	var se streamError
	return errors.As(err, &se) && se.Cause != nil && se.Cause.Error() == "received from peer"
}

// unsentOverHTTP2 reports whether err proves that the peer did not act on the
// request: it refused the stream, its GOAWAY left the stream out (RFC 9113,
// sections 8.7 and 6.8), or no stream was begun.
func unsentOverHTTP2(err error) bool {
	if code, ok := streamCode(err); ok {
		return code == refusedStream
	}
	// These are errors.New in net/http, known by their texts alone.
	switch err.Error() {
	case "http2: client conn not usable",
		"http2: Transport received Server's graceful shutdown GOAWAY":
		return true
	}
	return neverEstablished(err)
}

// lostPing reports whether an HTTP/2 connection was given up since its peer had
// not answered a ping. Known by its text alone.
func lostPing(err error) bool { return err.Error() == "http2: client connection lost" }

// neverEstablished reports whether an HTTP/2 connection was closed before its
// first stream.
func neverEstablished(err error) bool {
	return err.Error() == "http2: client conn could not be established"
}
