package transport_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsServer is a DNS server on loopback.
type dnsServer struct {
	conn  net.PacketConn
	asked atomic.Int64 // questions for IPv4 addresses

	mu     sync.Mutex // guards answer
	answer func(n int) []net.IP
}

// serveDNS starts a server for which every name has the IPv4 addresses that answer
// returns for the n-th question, and no others. It is closed with the test.
func serveDNS(t *testing.T, answer func(n int) []net.IP) *dnsServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dnsServer{conn: conn, answer: answer}
	var serving sync.WaitGroup
	serving.Go(s.serve)
	t.Cleanup(func() {
		conn.Close()
		serving.Wait()
	})
	return s
}

// resolver asks s.
func (s *dnsServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

// says has s answer so from now on.
func (s *dnsServer) says(ips ...net.IP) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = func(int) []net.IP { return ips }
}

func (s *dnsServer) serve() {
	buffer := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(buffer[:n]); err != nil {
			continue
		}
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		q := m.Questions[0]
		if q.Type == dnsmessage.TypeA {
			for _, ip := range s.addresses() {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
					Body:   &dnsmessage.AResource{A: [4]byte(ip.To4())},
				})
			}
		}
		if packed, err := m.Pack(); err == nil {
			s.conn.WriteTo(packed, from)
		}
	}
}

func (s *dnsServer) addresses() []net.IP {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answer(int(s.asked.Add(1)) - 1)
}
