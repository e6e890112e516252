// Package dialfail says of a failed dial where and why it failed, in words that
// are few enough to be attributes of a metric.
package dialfail

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"

	"github.com/stayopen-go/stayopen/dialer"
)

// Steps of a dial, those that come first first.
const (
	DNS     = "dns"     // a name was resolved
	Socket  = "socket"  // a socket was made, or bound to its source
	Connect = "connect" // TCP connected
	Proxy   = "proxy"   // a proxy was asked for the target
	TLS     = "tls"     // TLS shook hands, or the certificate was looked at
	Other   = "other"   // none of these is known to have failed
)

// Steps are all there are.
var Steps = []string{DNS, Socket, Connect, Proxy, TLS, Other}

// Kinds of failure beside the errnos, which have their own names.
const (
	Timeout     = "timeout"      // of the dial, its context, TLS or the kernel
	Canceled    = "canceled"     // the context was cancelled
	NoHost      = "no_such_host" // the name does not resolve
	NoSource    = "no_source"    // no source of the destination's family
	Ports       = "ports_exhausted"
	Files       = "files_exhausted"
	Certificate = "certificate" // TLS: the peer's certificate is not good
	Alert       = "tls_alert"   // TLS: the peer refuses
	EOF         = "eof"         // the peer closed
	Unknown     = "_OTHER"      // OpenTelemetry's word for the rest
)

// Of returns the step at which a dial failed, going by its error, and the kind of
// the failure: one of this package's, or the name of an errno.
func Of(err error) (step, kind string) { return stepOf(err), kindOf(err) }

func stepOf(err error) string {
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
		return DNS
	}
	if isTLS(err) {
		return TLS
	}
	if errors.Is(err, dialer.ErrNoSource) || errors.Is(err, dialer.ErrFilesExhausted) {
		return Socket
	}
	if call := (*os.SyscallError)(nil); errors.As(err, &call) {
		switch call.Syscall {
		case "connect", "connectex":
			return Connect
		case "socket", "bind", "setsockopt":
			return Socket
		}
	}
	switch op := (*net.OpError)(nil); {
	case errors.Is(err, dialer.ErrPortsExhausted):
		return Connect
	case errors.As(err, &op) && op.Op == "dial":
		return Connect
	}
	return Other
}

func isTLS(err error) bool {
	var (
		cert   *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  tls.AlertError
	)
	return errors.As(err, &cert) || errors.As(err, &record) || errors.As(err, &alert)
}

func kindOf(err error) string {
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) && dns.IsNotFound {
		return NoHost
	}
	var (
		cert   *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  tls.AlertError
	)
	switch {
	case errors.Is(err, dialer.ErrPortsExhausted):
		return Ports
	case errors.Is(err, dialer.ErrFilesExhausted):
		return Files
	case errors.Is(err, dialer.ErrNoSource):
		return NoSource
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.As(err, &cert):
		return Certificate
	case errors.As(err, &alert), errors.As(err, &record):
		return Alert
	}
	if name := errnoName(err); name != "" {
		return name
	}
	switch {
	case isTimeout(err):
		return Timeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return EOF
	}
	return Unknown
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
