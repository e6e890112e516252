package dialer_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

// After Close, the record says who closed first and what stays behind.
func ExampleConn_CloseRecord() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()

	var d dialer.Dialer
	for _, end := range []func(*dialer.Conn) error{(*dialer.Conn).Close, (*dialer.Conn).Reset} {
		c, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			fmt.Println(err)
			return
		}
		conn := c.(*dialer.Conn)
		end(conn)
		record, _ := conn.CloseRecord()
		fmt.Printf("by %s, reset: %v, TIME_WAIT: %v\n", record.By, record.Reset, record.TimeWait)
	}
	// Output:
	// by local, reset: false, TIME_WAIT: true
	// by local, reset: true, TIME_WAIT: false
}

// When the server has said that it will close, it may as well do it first: the
// TIME_WAIT is then its own.
func ExampleCloseMode() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
	}))
	defer server.Close()

	ended := make(chan dialer.CloseRecord, 1)
	var d dialer.Dialer
	tr := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		conn := c.(*dialer.Conn)
		conn.SetCloseMode(dialer.CloseMode{PeerFirst: time.Second})
		conn.OnClose(func(r dialer.CloseRecord) { ended <- r })
		return conn, nil
	}}
	resp, err := (&http.Client{Transport: tr}).Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	record := <-ended
	fmt.Printf("by %s, reset: %v, TIME_WAIT: %v\n", record.By, record.Reset, record.TimeWait)
	// Output:
	// by peer, reset: false, TIME_WAIT: false
}

// Control functions of this package and your own, one after the other.
func ExampleControls() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()

	own := func(network, address string, _ syscall.RawConn) error {
		fmt.Println("a socket for", network)
		return nil
	}
	d := &dialer.Dialer{
		Control: dialer.Controls(dialer.UserTimeout(30*time.Second), dialer.BindToDevice("lo"), own),
	}
	c, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Close()

	d = &dialer.Dialer{Control: dialer.BindToDevice("")}
	_, err = d.Dial("tcp", "127.0.0.1:80")
	fmt.Println(err)
	// Output:
	// a socket for tcp4
	// dial tcp 127.0.0.1:80: dialer: BindToDevice(""): must be the name of a device, of 1 to 15 bytes
}
