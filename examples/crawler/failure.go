package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/stayopen-go/stayopen/dialer"
)

// failure is one kind of it.
type failure struct {
	Count int    `json:"count"`
	First string `json:"first"` // the first of them, in full
}

// kinds are the failures that have a name of their own, the more telling ones
// first.
var kinds = []struct {
	name string
	is   func(error) bool
}{
	{"no local port left", is(dialer.ErrPortsExhausted)},
	{"no file descriptor left", is(dialer.ErrFilesExhausted)},
	{"no usable source address", func(err error) bool { return is(dialer.ErrNoSource)(err) || as[*dialer.SourceError](err) }},
	{"host name not resolved", as[*net.DNSError]},
	{"certificate not trusted", func(err error) bool {
		return as[*tls.CertificateVerificationError](err) || as[x509.UnknownAuthorityError](err) || as[x509.HostnameError](err)
	}},
	{"TLS failed", func(err error) bool { return as[tls.RecordHeaderError](err) || as[tls.AlertError](err) }},
	{"timeout", func(err error) bool {
		var t net.Error
		return is(context.DeadlineExceeded)(err) || errors.As(err, &t) && t.Timeout()
	}},
	{"connection refused", is(syscall.ECONNREFUSED)},
	{"connection reset", is(syscall.ECONNRESET)},
	{"connection closed early", func(err error) bool { return is(io.ErrUnexpectedEOF)(err) || is(io.EOF)(err) }},
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// failureKind names what went wrong, in words that many failures share.
func failureKind(err error) string {
	if s, ok := asStatus(err); ok {
		return s.Error()
	}
	for _, k := range kinds {
		if k.is(err) {
			return k.name
		}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + " failed"
	}
	return "other"
}
