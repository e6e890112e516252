package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
)

// startTestServer runs the server process with one target.
func startTestServer(t *testing.T, origins int) (*serverProcess, *loopback) {
	t.Helper()
	p, err := startServer(setup{Targets: 1, Origins: origins, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	s, err := newLoopback(p, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p, s
}

// exchange sends one request on c, with the extra header line if it is not
// empty, and reads the answer.
func exchange(t *testing.T, c net.Conn, header string) {
	t.Helper()
	if header != "" {
		header += "\r\n"
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: test\r\n"+header+"\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != body {
		t.Errorf("got a body of %d bytes, want the server's %d", len(got), len(body))
	}
}

func TestTheServerCountsWhoEndedEveryConnection(t *testing.T) {
	_, s := startTestServer(t, 1)
	addr := strings.TrimSuffix(strings.TrimPrefix(s.urls[0], "http://"), "/")
	dial := func() *net.TCPConn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c.(*net.TCPConn)
	}
	for _, step := range []struct {
		name string
		do   func()
		want tally
	}{
		{"nothing", func() {}, tally{}},
		{"one that stays, with two answers", func() {
			c := dial()
			exchange(t, c, "")
			exchange(t, c, "")
		}, tally{Accepted: 1, Answers: 2, Served: 1, Open: 1}},
		{"one that the client closes", func() {
			c := dial()
			exchange(t, c, "")
			c.Close()
		}, tally{Accepted: 2, Answers: 3, Served: 2, ClosedByPeer: 1, Open: 1}},
		{"one that the client resets", func() {
			c := dial()
			exchange(t, c, "")
			c.SetLinger(0)
			c.Close()
		}, tally{Accepted: 3, Answers: 4, Served: 3, ClosedByPeer: 2, Open: 1}},
		{"one that was never used", func() {
			dial().Close()
		}, tally{Accepted: 4, Answers: 4, Served: 3, ClosedByPeer: 3, Open: 1}},
		{"one that the server closes", func() {
			c := dial()
			exchange(t, c, "Connection: close")
			if _, err := io.ReadAll(c); err != nil {
				t.Fatal(err)
			}
			c.Close()
		}, tally{Accepted: 5, Answers: 5, Served: 4, ClosedByPeer: 3, Open: 1}},
	} {
		step.do()
		seen, err := look(s, false)
		if err != nil {
			t.Fatal(err)
		}
		if seen.tally != step.want {
			t.Errorf("after %s: got %+v, want %+v", step.name, seen.tally, step.want)
		}
	}
}

func TestEveryOriginAnswersAndOneTargetCountsThem(t *testing.T) {
	_, s := startTestServer(t, 50)
	if len(s.urls) != 50 || len(s.addrs) != 50 {
		t.Fatalf("got %d URLs of %d addresses, want 50 of 50", len(s.urls), len(s.addrs))
	}
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	get := getter(tr, s)
	for _, u := range s.urls {
		if err := get(t.Context(), u); err != nil {
			t.Errorf("%s: %v", u, err)
		}
	}
	counted, err := s.tally()
	if err != nil {
		t.Fatal(err)
	}
	if counted.Accepted != 50 || counted.Answers != 50 {
		t.Errorf("got %d connections and %d answers, want 50 of each", counted.Accepted, counted.Answers)
	}
}

func TestOnLinuxTheOriginsShareAPort(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere 127.0.0.2 need not exist")
	}
	ls, err := listenOrigins(3)
	if err != nil {
		t.Fatal(err)
	}
	defer closeListeners(ls)
	first := ls[0].Addr().(*net.TCPAddr).AddrPort()
	for i, l := range ls {
		want := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)}), first.Port())
		if got := l.Addr().(*net.TCPAddr).AddrPort(); got != want {
			t.Errorf("origin %d listens on %v, want %v", i, got, want)
		}
	}
}

func TestWithOneAddressTheOriginsHavePortsOfTheirOwn(t *testing.T) {
	ls, err := listenOneAddress(3)
	if err != nil {
		t.Fatal(err)
	}
	defer closeListeners(ls)
	seen := map[string]bool{}
	for _, l := range ls {
		seen[l.Addr().String()] = true
	}
	if len(seen) != 3 {
		t.Errorf("got %d different addresses, want 3", len(seen))
	}
}

func TestTheServerEndsWhenItsParentIsGone(t *testing.T) {
	p, err := startServer(setup{Targets: 1, Origins: 1})
	if err != nil {
		t.Fatal(err)
	}
	// All that the end of a process does to a pipe is to close it.
	p.stdin.Close()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v, want a clean exit", err)
	}
}

func TestCtrlCLeavesTheServerToItsParent(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be interrupted by another there")
	}
	p, s := startTestServer(t, 1)
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, err := s.tally(); err != nil {
		t.Errorf("after an interrupt: %v, want the counts that are still to be printed", err)
	}
}

func TestAServerThatDiedIsAnErrorNotAHang(t *testing.T) {
	p, err := startServer(setup{Targets: 1, Origins: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.tally(0); err == nil {
		t.Error("got counts of a dead server, want an error")
	}
	if err := p.stop(); err == nil {
		t.Error("stop of a killed server: got no error, want one")
	}
}

func TestTheServerRefusesOrdersItDoesNotKnow(t *testing.T) {
	for name, orders := range map[string]string{
		"no setup":          "",
		"not JSON":          "hello",
		"a target too many": `{"Targets":1,"Origins":1}{"Target":1}`,
		"a negative target": `{"Targets":1,"Origins":1}{"Target":-1}`,
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			if code := serverMain(strings.NewReader(orders), io.Discard, &log); code != exitFailed {
				t.Errorf("got exit code %d, want %d", code, exitFailed)
			}
			if log.Len() == 0 {
				t.Error("the server did not say why it ended")
			}
		})
	}
}

func TestEveryTargetDelaysAlike(t *testing.T) {
	a, b, other := newTarget(3), newTarget(3), newTarget(4)
	differs := false
	for i, d := range a.delays {
		if d != b.delays[i] {
			t.Fatalf("delay %d is %v for one client and %v for another", i, d, b.delays[i])
		}
		if d < minDelay || d >= maxDelay {
			t.Errorf("delay %d is %v, want at least %v and less than %v", i, d, minDelay, maxDelay)
		}
		differs = differs || d != other.delays[i]
	}
	if !differs {
		t.Error("another seed gives the same delays")
	}
}
