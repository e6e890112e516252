//go:build 386 || s390x

package dialer_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer"
)

func TestSocketcallIsAllThatIsNeededWhereOldKernelsHaveNothingElse(t *testing.T) {
	addr := echo(t, "127.0.0.1:0")
	missing := []uint32{unix.SYS_BIND, unix.SYS_CONNECT, unix.SYS_GETSOCKNAME, unix.SYS_GETSOCKOPT, unix.SYS_SETSOCKOPT}
	forbidding(t, unix.ENOSYS, missing, func() {
		c, err := (&dialer.Dialer{Sources: prefixes("127.0.0.2/32")}).Dial("tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		conn := c.(*dialer.Conn)
		if got := getsockopt(t, conn, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); got != 15 {
			t.Errorf("got a TCP_KEEPIDLE of %d s, want 15", got)
		}
		if err := conn.SetLinger(0); err != nil {
			t.Error(err)
		}
		if got := conn.CloseState(); !same(got, weReset) {
			t.Errorf("got %+v, want %+v", got, weReset)
		}
	})
}
