//go:build unix

package dialer_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

// A listener tells how many of its connections are open, and who closed the others.
func ExampleListenConfig() {
	lc := dialer.ListenConfig{
		MaxConns: 1000, // the others wait in the kernel's queue
	}
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	c, err := l.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	listener := l.(*dialer.Listener)
	fmt.Println("open:", listener.Stats().Open)
	c.Close()
	fmt.Println("accepted:", listener.Stats().Accepted, "open:", listener.Stats().Open)
	// Output:
	// open: 1
	// accepted: 1 open: 0
}

// A server takes over the listener that it was handed, by systemd or by the process
// that it replaces, and opens one only if there is none.
func ExampleListenConfig_Inherited() {
	lc := dialer.ListenConfig{Name: "web"}
	inherited, err := lc.Inherited()
	if err != nil {
		fmt.Println(err)
		return
	}
	var web net.Listener
	for _, l := range inherited {
		if l.Name() == "web" {
			web = l
		}
	}
	if web == nil {
		if web, err = lc.Listen(context.Background(), "tcp", "127.0.0.1:0"); err != nil {
			fmt.Println(err)
			return
		}
	}
	defer web.Close()
	fmt.Println(web.(*dialer.Listener).Name())
	// Output: web
}

// A server starts its successor with its listener, and leaves. Shutdown alone would
// drop connections that it has just accepted and not read from.
func ExampleHandOver() {
	replace := func(server *http.Server, l *dialer.Listener) error {
		cmd := exec.Command(os.Args[0], os.Args[1:]...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := dialer.HandOver(cmd, l); err != nil {
			return err
		}
		// Here, wait until the successor says that it has called Inherited.
		l.Close()
		return finish(server, l)
	}
	_ = replace
}

// A server whose successor listens on the same port already drains its listener,
// and leaves.
func ExampleListener_Drain() {
	lc := dialer.ListenConfig{ReusePort: true}
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &http.Server{}
	served := make(chan error)
	go func() { served <- server.Serve(l) }()

	if err := l.(*dialer.Listener).Drain(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Println(errors.Is(<-served, net.ErrClosed))
	fmt.Println(finish(server, l.(*dialer.Listener)))
	// Output:
	// true
	// <nil>
}

// finish answers every connection once more, and closes those that are still there
// after ten seconds.
func finish(server *http.Server, l *dialer.Listener) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	server.SetKeepAlivesEnabled(false)
	for ctx.Err() == nil && l.Stats().Open > 0 {
		<-time.After(10 * time.Millisecond)
	}
	return server.Shutdown(ctx)
}
