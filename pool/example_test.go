package pool_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/stayopen-go/stayopen/pool"
)

// greet answers each line that it gets with a greeting.
func greet(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() { // ends when the client closes
			defer c.Close()
			for lines := bufio.NewScanner(c); lines.Scan(); {
				fmt.Fprintf(c, "hello, %s\n", lines.Text())
			}
		}()
	}
}

// A pool of TCP connections, with an address as the key.
func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	go greet(l) // ends when l is closed

	p, err := pool.New(pool.Config[string, net.Conn]{
		Dial: func(ctx context.Context, addr string, _ *pool.Conn[string, net.Conn]) (net.Conn, int, error) {
			d := net.Dialer{Timeout: 10 * time.Second}
			c, err := d.DialContext(ctx, "tcp", addr)
			return c, 1, err // one exchange at a time
		},
		Close:       func(c net.Conn, _ pool.Reason) { c.Close() },
		IdleTimeout: 90 * time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()

	for _, name := range []string{"gopher", "again"} {
		lease, err := p.Get(context.Background(), l.Addr().String())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Fprintln(lease.Value(), name)
		answer, err := bufio.NewReader(lease.Value()).ReadString('\n')
		if err != nil {
			lease.Retire("broken") // it must not be used again
			fmt.Println(err)
			return
		}
		lease.Release()
		fmt.Printf("fresh: %v, answer: %s", lease.Fresh(), answer)
	}
	fmt.Printf("open: %d\n", p.Stats().Open)
	// Output:
	// fresh: true, answer: hello, gopher
	// fresh: false, answer: hello, again
	// open: 1
}

// A connection that has become something else, such as a WebSocket, leaves the
// pool.
func ExampleLease_Detach() {
	p, err := pool.New(pool.Config[string, net.Conn]{
		Dial: func(context.Context, string, *pool.Conn[string, net.Conn]) (net.Conn, int, error) {
			ours, _ := net.Pipe()
			return ours, 1, nil
		},
		Close: func(c net.Conn, _ pool.Reason) { c.Close() },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()

	lease, err := p.Get(context.Background(), "peer")
	if err != nil {
		fmt.Println(err)
		return
	}
	lease.Detach()
	upgraded := lease.Value()
	defer upgraded.Close() // it is the caller's now

	fmt.Printf("%+v\n", p.Stats())
	// Output: {Open:0 Idle:0 Leases:0 Dialing:0 Waiting:0}
}
