package netconn_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/internal/netlab"
	"github.com/stayopen-go/stayopen/pool"
	"github.com/stayopen-go/stayopen/pool/netconn"
)

// echo answers each line with the same line until the test ends, and closes its
// end now and then, also after it has said too much.
func echo(t testing.TB, certs *tls.Config, rude bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if certs != nil {
				c = tls.Server(c, certs)
			}
			all.Go(func() {
				defer c.Close()
				answer(c, rude)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait() // the pool was closed before
	})
	return l.Addr().String()
}

func answer(c net.Conn, rude bool) {
	for in := bufio.NewReader(c); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if _, err := io.WriteString(c, line); err != nil {
			return
		}
		if !rude {
			continue
		}
		switch rand.IntN(50) {
		case 0:
			return
		case 1:
			io.WriteString(c, "and another thing\n")
		}
	}
}

// caller asks one question after another, gives up in all ways there are, and
// checks that what it gets is the answer to its own question.
type caller struct {
	t    *testing.T
	pool *netconn.Pool
	addr string
	name string

	answered, unasked, ended int
}

func (a *caller) call(n int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if rand.IntN(20) == 0 {
		go cancel() // ends at once
	}
	nc, err := a.pool.DialContext(ctx, "tcp", a.addr)
	if err != nil {
		if err != context.Canceled {
			a.t.Errorf("DialContext: %v", err)
		}
		return
	}
	c := nc.(*netconn.Conn)
	defer c.Close()
	if rand.IntN(4) == 0 {
		c.SetDeadline(time.Now().Add(time.Minute))
	}
	question := fmt.Sprintf("%s asks %d\n", a.name, n)
	switch rand.IntN(16) {
	case 0: // closed unused
	case 1: // given up before the answer
		io.WriteString(c, question)
	case 2: // given up by a deadline
		io.WriteString(c, question)
		c.SetReadDeadline(time.Now())
		c.Read(make([]byte, len(question)))
	case 3: // closed under a Read
		read := make(chan struct{})
		go func() {
			defer close(read) // ends with Close
			c.Read(make([]byte, 1))
		}()
		c.Close()
		<-read
	case 4: // given up within the answer, as its caller must
		io.WriteString(c, question)
		c.Read(make([]byte, 3))
		c.Discard()
	case 5: // used after Close
		a.ask(c, question)
		c.Close()
		io.WriteString(c, "nobody may get this\n")
		c.SetDeadline(time.Unix(1, 0))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			a.t.Errorf("Read after Close: %v, want net.ErrClosed", err)
		}
	case 6: // taken along
		if own, err := c.Detach(); err != nil {
			a.t.Errorf("Detach: %v", err)
		} else {
			own.Close()
		}
	default:
		a.ask(c, question)
	}
}

// ask asks a question and checks the answer. The server may have closed, or may
// be about to.
func (a *caller) ask(c *netconn.Conn, question string) {
	if _, err := io.WriteString(c, question); err != nil {
		a.ended++
		return
	}
	got := make([]byte, len(question))
	switch n, err := io.ReadFull(c, got); {
	case string(got) == question:
		a.answered++
	case strings.HasPrefix(string(got), "and another"):
		// It was under way when the connection was looked at, which the pool
		// cannot see: what matters is that no caller's answer is anybody else's.
		a.unasked++
		c.Discard()
	case err != nil && strings.HasPrefix(question, string(got[:n])):
		a.ended++
	default:
		a.t.Errorf("got %q, want %q: somebody else's answer", got[:n], question)
	}
}

func TestNobodyGetsWhatIsMeantForOthers(t *testing.T) {
	const callers = 40
	for name, calls := range map[string]int{"tcp": 150, "tls": 50} { // of each caller
		t.Run(name, func(t *testing.T) {
			cfg := netconn.Config{MaxPerKey: 16, IdleTimeout: time.Minute}
			var certs *tls.Config
			if name == "tls" {
				var client *tls.Config
				certs, client = certificate(t)
				cfg.Dial = (&tls.Dialer{Config: client}).DialContext
			}
			addr := echo(t, certs, true)
			p := newPool(t, cfg)
			var all sync.WaitGroup
			done := make([]*caller, callers)
			for i := range callers {
				a := &caller{t: t, pool: p, addr: addr, name: fmt.Sprintf("caller %d", i)}
				done[i] = a
				all.Go(func() {
					for n := range calls {
						a.call(n)
					}
				})
			}
			all.Wait()
			netlab.Await(t, "nothing is in use or on its way", func() bool {
				s := p.Stats()
				return s.InUse+s.Waiting+s.Dialing == 0 && s.Opened == uint64(s.Open)+s.Closed+s.Detached
			})
			s := p.Stats()
			var answered, unasked, ended int
			for _, a := range done {
				answered += a.answered
				unasked += a.unasked
				ended += a.ended
			}
			t.Logf("%d answered, %d unasked, %d ended by the server: %+v", answered, unasked, ended, s)
			if answered < callers*calls/3 || s.Reused < s.HandedOut/4 {
				t.Error("void: too little happened")
			}
			for _, why := range []pool.Reason{netconn.Failed, netconn.Unanswered, netconn.Discarded, netconn.Unread} {
				if s.Reasons[why] == 0 {
					t.Errorf("void: no connection was closed as %s", why)
				}
			}
			if err := p.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			if s := p.Stats(); s.Open != 0 || s.Opened != s.Closed+s.Detached {
				t.Errorf("after Shutdown: got %+v, want all closed", s)
			}
		})
	}
}
