package netconn_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/stayopen-go/stayopen/pool/netconn"
)

// shout answers each line in capitals.
func shout(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() { // ends when the client closes
			defer c.Close()
			for lines := bufio.NewScanner(c); lines.Scan(); {
				fmt.Fprintln(c, strings.ToUpper(lines.Text()))
			}
		}()
	}
}

// ask asks the server one question, on a connection that may have served before.
func ask(ctx context.Context, p *netconn.Pool, addr, question string) (string, error) {
	nc, err := p.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	// Close gives the connection back if question and answer are complete. When
	// ctx ends before, the deadline makes Read fail, and Close closes.
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })()
	if _, err := fmt.Fprintln(nc, question); err != nil {
		return "", err
	}
	return bufio.NewReader(nc).ReadString('\n')
}

// The connections of a program that starts are open before it is asked anything.
func ExamplePool_Warm() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	go shout(l) // ends when l is closed

	p, err := netconn.New(netconn.Config{IdleTimeout: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.Warm(ctx, "tcp", l.Addr().String(), 5); err != nil {
		fmt.Println("not all are open, what is missing is dialed when it is needed:", err)
	}
	answer, err := ask(ctx, p, l.Addr().String(), "is anybody there?")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(answer)
	s := p.Stats()
	fmt.Println(s.Opened, "opened,", s.Waited, "waited for")
	// Output:
	// IS ANYBODY THERE?
	// 5 opened, 0 waited for
}

// A line protocol, over connections that stay open.
func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	go shout(l) // ends when l is closed

	p, err := netconn.New(netconn.Config{
		Dial:        (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		IdleTimeout: time.Minute, // the server's own is longer
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()

	for _, question := range []string{"is anybody there?", "still there?"} {
		answer, err := ask(context.Background(), p, l.Addr().String(), question)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print(answer)
	}
	s := p.Stats()
	fmt.Println(s.Opened, "opened,", s.Reused, "reused")
	// Output:
	// IS ANYBODY THERE?
	// STILL THERE?
	// 1 opened, 1 reused
}
