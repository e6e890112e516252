package dialer_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/stayopen-go/stayopen/dialer"
)

// BenchmarkDial dials and closes by RST, from as many sources. With held=254, so
// many connections are open meanwhile, spread over the sources:
//
//	go test -run '^$' -bench '^Dial$' -cpu 1,2 ./dialer
func BenchmarkDial(b *testing.B) {
	b.Run("by=net", func(b *testing.B) { benchmarkDial(b, new(net.Dialer).Dial, 0) })
	b.Run("by=Dialer", func(b *testing.B) { benchmarkDial(b, new(dialer.Dialer).Dial, 0) })
	for _, from := range []struct {
		n        int
		prefixes []string
	}{
		{1, []string{"127.1.0.1/32"}},
		{3, []string{"127.1.0.1/32", "127.1.0.2/32", "127.1.0.3/32"}},
		{254, []string{"127.1.0.0/24"}},
	} {
		d := &dialer.Dialer{Sources: prefixes(from.prefixes...)}
		for _, held := range []int{0, 254} {
			b.Run(fmt.Sprintf("by=Dialer/sources=%d/held=%d", from.n, held), func(b *testing.B) { benchmarkDial(b, d.Dial, held) })
		}
	}
}

func benchmarkDial(b *testing.B, dial func(network, address string) (net.Conn, error), held int) {
	addr := sink(b, "127.0.0.1:0")
	open := openAll(dial, []string{addr}, held)
	defer func() { release(open) }()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c, err := dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			release([]net.Conn{c})
		}
	})
}
