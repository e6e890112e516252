package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
	"github.com/stayopen-go/stayopen/internal/netlab"
	"github.com/stayopen-go/stayopen/pool/netconn"
)

func redis(t *testing.T) *server {
	t.Helper()
	needRedis(t)
	s, err := startServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

func needRedis(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		mustrun.Skipf(t, "needs redis-server (Debian's package redis-server)")
	}
}

func TestThePoolOpensWhatTheBurstsNeedAndDialingOpensOneForEachCommand(t *testing.T) {
	s := redis(t)
	o := options{loop: 300, bursts: 5, burst: 20}
	results, err := o.measure(t.Context(), s.addr)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range o.loads() {
		pooled, dialed := results[i][0], results[i][1]
		for name, out := range map[string]outcome{"pooled": pooled, "dialed": dialed} {
			if out.done != l.ops || out.failed != 0 || out.err != nil {
				t.Errorf("%s, %s: got %d answered, %d failed (%v), want %d", l.name, name, out.done, out.failed, out.err, l.ops)
			}
		}
		if dialed.opened != l.ops {
			t.Errorf("%s: dialed opened %d, want %d", l.name, dialed.opened, l.ops)
		}
		if pooled.opened > o.burst || pooled.reused+pooled.opened < l.ops {
			t.Errorf("%s: pooled opened %d and reused %d, want at most %d opened and the rest reused", l.name, pooled.opened, pooled.reused, o.burst)
		}
		if runtime.GOOS == "linux" && (pooled.timeWaits > 0 || dialed.timeWaits == 0) {
			t.Errorf("%s: got %d TIME_WAITs pooled and %d dialed, want none and many", l.name, pooled.timeWaits, dialed.timeWaits)
		}
	}
	c := client{new(net.Dialer).DialContext, s.addr}
	for _, key := range []string{"stayopen-example:pooled", "stayopen-example:dialed"} {
		want := fmt.Sprint(o.loop + o.bursts*o.burst)
		if got, err := c.do(t.Context(), "GET", key); got != want || err != nil {
			t.Errorf("%s has counted up to %v, %v, want %s: each command once", key, got, err, want)
		}
	}
}

// The server closes idle connections, and connections by order, under the pool.
func TestConnectionsThatRedisHasClosedAreNotHandedOut(t *testing.T) {
	s := redis(t)
	p, err := netconn.New(netconn.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	own := client{p.DialContext, s.addr}
	other := client{new(net.Dialer).DialContext, s.addr}
	for n := range 20 {
		if _, err := own.do(t.Context(), "SET", "key", fmt.Sprint(n)); err != nil {
			t.Fatal(err)
		}
		if _, err := other.do(t.Context(), "CLIENT", "KILL", "TYPE", "normal"); err != nil {
			t.Fatal(err)
		}
		list := func() bool {
			all, err := other.do(t.Context(), "CLIENT", "LIST")
			return err == nil && strings.Count(all.(string), "\n") == 1
		}
		netlab.Await(t, "only who asks is left", list)
		if got, err := own.do(t.Context(), "GET", "key"); got != fmt.Sprint(n) || err != nil {
			t.Fatalf("after %d: got %v, %v, want %d", n, got, err, n)
		}
	}
	if got := p.Stats(); got.Reasons[netconn.PeerClosed] != 20 || got.Opened != 21 {
		t.Errorf("got %+v, want 20 closed by the peer", got)
	}
}

func TestAnErrorOfRedisLeavesTheConnectionInThePool(t *testing.T) {
	s := redis(t)
	p, err := netconn.New(netconn.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c := client{p.DialContext, s.addr}
	var reply errorReply
	if _, err := c.do(t.Context(), "NO_SUCH_COMMAND"); !errors.As(err, &reply) {
		t.Errorf("got %v, want an answer that is an error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	blocked := make(chan error)
	go func() { // ends with the context
		_, err := c.do(ctx, "BLPOP", "empty", "0")
		blocked <- err
	}()
	netlab.Await(t, "the command to block", func() bool { return p.Stats().InUse == 1 })
	cancel()
	if err := <-blocked; err != context.Canceled {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if got, err := c.do(t.Context(), "ECHO", "ours"); got != "ours" || err != nil {
		t.Errorf("got %v, %v, want the answer to this command", got, err)
	}
	if got := p.Stats(); got.Closed != 1 || got.InUse != 0 {
		t.Errorf("got %+v, want one closed: that of the command which was given up", got)
	}
}

var cells = regexp.MustCompile(`(?m)^commands answered +([\d,]+) +([\d,]+)$`)

func TestTheProgramPrintsBothSidesAndLeavesNoServer(t *testing.T) {
	needRedis(t)
	t.Setenv("TMPDIR", t.TempDir())
	var out, errs strings.Builder
	if code := run(t.Context(), []string{"-loop=50", "-bursts=2", "-burst=5"}, &out, &errs); code != 0 {
		t.Fatalf("got exit code %d, want 0: %s", code, errs.String())
	}
	if got := cells.FindAllString(out.String(), -1); len(got) != 2 || !strings.Contains(got[0], "50          50") {
		t.Errorf("got\n%s\nwant 50 and 50 commands answered, and a second table", out.String())
	}
	if left, err := os.ReadDir(os.TempDir()); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v, want nothing", left, err)
	}
}

func TestAnInterruptedProgramPrintsWhatThereIs(t *testing.T) {
	s := redis(t)
	ctx, cancel := context.WithCancel(t.Context())
	c := client{new(net.Dialer).DialContext, s.addr}
	go func() {
		defer cancel()
		for {
			if n, err := c.do(t.Context(), "GET", "stayopen-example:pooled"); n != nil || err != nil {
				return
			}
		}
	}()
	var out, errs strings.Builder
	if code := run(ctx, []string{"-addr", s.addr, "-loop=1000000"}, &out, &errs); code != exitInterrupted {
		t.Errorf("got exit code %d, want %d: %s", code, exitInterrupted, errs.String())
	}
	if !cells.MatchString(out.String()) || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("got\n%s%s\nwant the tables, and a word about the interruption", out.String(), errs.String())
	}
}

func TestWithoutRedisTheProgramSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var errs strings.Builder
	if code := run(t.Context(), nil, io.Discard, &errs); code != exitFailed || !strings.Contains(errs.String(), "apt-get install redis-server") {
		t.Errorf("got exit code %d and %q, want %d and what to install", code, errs.String(), exitFailed)
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-loop=0"}, {"-burst=-1"}, {"-bursts=1000001"}, {"word"}, {"-x"}} {
		if code := run(t.Context(), args, io.Discard, io.Discard); code != exitUsage {
			t.Errorf("%q: got exit code %d, want %d", args, code, exitUsage)
		}
	}
	if code := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); code != 0 {
		t.Errorf("-h: got exit code %d, want 0", code)
	}
}

// answering is a client whose server answers every command with the text.
func answering(t *testing.T, text string) client {
	return client{dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() { // ends when the client has closed
			defer theirs.Close()
			theirs.SetDeadline(time.Now().Add(time.Minute))
			if _, err := theirs.Read(make([]byte, 512)); err == nil {
				io.WriteString(theirs, text)
			}
		}()
		return ours, nil
	}}
}

func TestAnswersAreRead(t *testing.T) {
	for text, want := range map[string]any{
		"+OK\r\n":              "OK",
		":-7\r\n":              int64(-7),
		"$5\r\na\r\nbc\r\n":    "a\r\nbc",
		"$0\r\n\r\n":           "",
		"$-1\r\n":              nil,
		"-ERR no\r\n":          errorReply("ERR no"),
		"":                     io.ErrUnexpectedEOF,
		"+O":                   io.ErrUnexpectedEOF,
		"$5\r\nabc":            io.ErrUnexpectedEOF,
		"\r\n":                 nil,
		"+OK\n":                nil,
		"?\r\n":                nil,
		"$x\r\n":               nil,
		"$-2\r\n":              nil,
		"$99999999999\r\n":     nil,
		"$3\r\nabcde\r\n":      nil,
		"+OK\r\n+and more\r\n": nil,
	} {
		got, err := answering(t, text).do(t.Context(), "PING")
		switch want := want.(type) {
		case error:
			if !errors.Is(err, want) {
				t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
			}
		case nil:
			if (err == nil) != (text == "$-1\r\n") {
				t.Errorf("%q: got %v, %v, want an error for all but $-1", text, got, err)
			}
		default:
			if got != want || err != nil {
				t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
			}
		}
	}
}

func TestACommandIsAnArrayOfStrings(t *testing.T) {
	if got, want := string(command([]string{"SET", "k", "é\r\n"})), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\né\r\n\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
