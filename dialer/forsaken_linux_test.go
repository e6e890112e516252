package dialer

import (
	"context"
	"net"
	"net/http/httptrace"
	"net/netip"
	"testing"
)

// The answer can come after an attempt was given up and before its socket is hung
// up. Such a connection must not be handed out.
func TestDialThatIsAnsweredAsItIsGivenUpGoesOn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost"} {
		addr := net.JoinHostPort(host, port)
		first, second := netip.MustParsePrefix("127.1.0.1/32"), netip.MustParsePrefix("127.1.0.2/32")
		for _, d := range []*Dialer{{Sources: []netip.Prefix{first, second}}, {Sources: []netip.Prefix{first}}} {
			forsaken := netip.Addr{}
			ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{ConnectDone: func(network, to string, err error) {
				if err != nil || forsaken.IsValid() {
					return
				}
				ports.lock()
				f := ports.flights.last
				lease, socket := f.lease, f.socket
				ports.mu.Unlock()
				if len(d.Sources) == 1 { // a lone one is not given up
					forsaken = lease.src
					if lease.forsake() {
						t.Errorf("%s: gave up the only source", addr)
					}
					return
				}
				if forsaken = lease.src; !lease.forsake() {
					t.Errorf("%s: did not give up %v, though there is another", addr, lease.src)
				}
				socket.Control(func(fd uintptr) { hangUp(int(fd)) })
			}})
			c, err := d.DialContext(ctx, "tcp4", addr)
			if err != nil {
				t.Fatalf("%s from %v: got %v, want a connection", addr, d.Sources, err)
			}
			if src := c.(*Conn).Source(); len(d.Sources) > 1 && src == forsaken {
				t.Errorf("%s: got a connection from %v, which was given up, want one from the other", addr, src)
			}
			if _, err := c.Write([]byte("x")); err != nil {
				t.Errorf("%s from %v: got %v, want a connection that works", addr, d.Sources, err)
			}
			c.Close()
		}
	}
	ports.lock()
	defer ports.mu.Unlock()
	if ports.flights.first != nil {
		t.Error("got a flight left over, want none")
	}
}
