package transport_test

import (
	"encoding/binary"
	"io"
	"net"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer is a connection to a DNS server in memory, for which every name
// has the address ip. It ends when the client closes it.
func nameServer(ip net.IP) net.Conn {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		for {
			// A connection that is no net.PacketConn is spoken to as over TCP:
			// two bytes of length come first (RFC 1035, section 4.2.2).
			var length [2]byte
			if _, err := io.ReadFull(there, length[:]); err != nil {
				return
			}
			query := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(there, query); err != nil {
				return
			}
			answer := nameAnswer(query, ip)
			there.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
		}
	}()
	return here
}

func nameAnswer(query []byte, ip net.IP) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		panic(err)
	}
	m.Response = true
	m.Additionals = nil
	q := m.Questions[0]
	if q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
			Body:   &dnsmessage.AResource{A: [4]byte(ip.To4())},
		}}
	}
	answer, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return answer
}
