package hostcheck_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

// How many connections there are to one place, and from where.
func ExampleTake() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	dst := netip.MustParseAddrPort(l.Addr().String())
	census, err := hostcheck.Take(context.Background(), hostcheck.Filter{
		States:      []hostcheck.State{hostcheck.Established}, // nil for all
		Destination: netip.PrefixFrom(dst.Addr(), 32),
		Port:        dst.Port(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	d := census.To(dst)
	fmt.Println(d.Total, d.States)
	fmt.Printf("%+v\n", d.Sources)
	// Output:
	// 1 map[ESTABLISHED:1]
	// map[127.0.0.1:{InUse:1 TimeWaits:0}]
}

// Everything that is worth a look on this host.
func ExampleCheck() {
	s, err := hostcheck.Read()
	if err != nil {
		fmt.Println(err)
		return
	}
	census, err := hostcheck.Take(context.Background(), hostcheck.Filter{})
	if err != nil {
		fmt.Println(err) // on systems other than Linux; Check does without
	}
	for _, f := range hostcheck.Check(s, census) {
		if f.Severity > hostcheck.Good {
			fmt.Printf("%v: %s is %s\n%s\nChange: %s\n", f.Severity, f.Key, f.Set, f.Effect, f.Change)
		}
	}
}
