package dialer_test

import (
	"fmt"
	"net"

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
