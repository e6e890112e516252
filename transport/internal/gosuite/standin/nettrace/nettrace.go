// Package nettrace stands in for Go's internal/nettrace. Tests use it to make
// up answers of the name system, by a function in a context. Package net asks
// the real nettrace for it; here it is a DNS server in memory that asks.
package nettrace

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// LookupIPAltResolverKey is the context key of a function of type
// func(ctx context.Context, network, host string) ([]net.IPAddr, error).
type LookupIPAltResolverKey struct{}

type lookupFunc = func(ctx context.Context, network, host string) ([]net.IPAddr, error)

// Resolver is for net.DefaultResolver. Where the context holds a lookup
// function its answer is the only one; elsewhere it behaves as Go's resolver
// does.
func Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		lookup, ok := ctx.Value(LookupIPAltResolverKey{}).(lookupFunc)
		if !ok {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		}
		ours, theirs := net.Pipe()
		go func() { // ends with the question answered, or when the resolver closes
			defer ours.Close()
			serve(ctx, ours, lookup)
		}()
		return theirs, nil
	}}
}

// serve answers one question, framed as DNS over TCP is (RFC 1035, section
// 4.2.2). It gives up at the first error: the resolver reports that it got no
// answer.
func serve(ctx context.Context, c net.Conn, lookup lookupFunc) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, query); err != nil {
		return
	}
	reply, err := answer(ctx, query, lookup)
	if err != nil {
		return
	}
	c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
}

func answer(ctx context.Context, query []byte, lookup lookupFunc) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	if len(m.Questions) != 1 {
		return nil, fmt.Errorf("gosuite: %d questions in one DNS query", len(m.Questions))
	}
	q := m.Questions[0]
	m.Response, m.Additionals = true, nil
	addrs, err := lookup(ctx, "ip", strings.TrimSuffix(q.Name.String(), "."))
	if err != nil {
		m.RCode = dnsmessage.RCodeServerFailure
	}
	for _, a := range addrs {
		h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
		switch ip4 := a.IP.To4(); {
		case ip4 != nil && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: [4]byte(ip4)}})
		case ip4 == nil && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: [16]byte(a.IP.To16())}})
		}
	}
	return m.Pack()
}
