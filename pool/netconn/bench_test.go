package netconn_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"

	"github.com/stayopen-go/stayopen/pool/netconn"
)

// A round trip of 64 bytes on a connection of one's own, which is what the pool
// saves; on the only one there is, which is the least it could cost; and on one
// from the pool.
func BenchmarkRoundTrip(b *testing.B) {
	server, client := certificate(b)
	for _, link := range []struct {
		name  string
		certs *tls.Config
		dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	}{
		{"tcp", nil, new(net.Dialer).DialContext},
		{"tls", server, (&tls.Dialer{Config: client}).DialContext},
	} {
		addr := echo(b, link.certs, false)
		open := func(b *testing.B) net.Conn {
			c, err := link.dial(b.Context(), "tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			return c
		}
		b.Run("link="+link.name+"/conn=dialed", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c := open(b)
				roundTrip(b, c)
				// The benchmark is not to use up the ports.
				if tc, ok := c.(*net.TCPConn); ok {
					tc.SetLinger(0)
				}
				c.Close()
			}
		})
		b.Run("link="+link.name+"/conn=kept", func(b *testing.B) {
			c := open(b)
			defer c.Close()
			b.ReportAllocs()
			for b.Loop() {
				roundTrip(b, c)
			}
		})
		b.Run("link="+link.name+"/conn=pooled", func(b *testing.B) {
			p := newPool(b, netconn.Config{Dial: link.dial})
			b.ReportAllocs()
			for b.Loop() {
				c, err := p.Dial("tcp", addr)
				if err != nil {
					b.Fatal(err)
				}
				roundTrip(b, c)
				c.Close()
			}
			b.StopTimer()
			if s := p.Stats(); s.Opened != 1 {
				b.Errorf("got %d connections opened, want 1: %+v", s.Opened, s)
			}
		})
	}
}

var message = append(make([]byte, 63), '\n')

func roundTrip(b *testing.B, c net.Conn) {
	var answer [64]byte
	if _, err := c.Write(message); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		b.Fatal(err)
	}
}
