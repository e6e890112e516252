package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/net/websocket"
)

// child is the program in a process of its own.
type child struct {
	*exec.Cmd
	url    string
	stdout strings.Builder
	lines  *bufio.Scanner // of stderr
	said   strings.Builder
}

// startChild runs the program with -json until it ends or the test does.
func startChild(t *testing.T, args ...string) *child {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be sent an interrupt")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{Cmd: exec.Command(exe, append([]string{"-json", "-listen=127.0.0.1:0"}, args...)...)}
	c.Env = append(os.Environ(), childEnv+"=1")
	c.Stdout = &c.stdout
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	c.lines = bufio.NewScanner(stderr)
	line := c.await(t, "listening on ")
	address, _, _ := strings.Cut(line, ",")
	c.url = "http://" + address
	return c
}

// await reads stderr up to a line with the words, and returns what follows them.
func (c *child) await(t *testing.T, words string) string {
	t.Helper()
	for c.lines.Scan() {
		fmt.Fprintln(&c.said, c.lines.Text())
		if _, rest, ok := strings.Cut(c.lines.Text(), words); ok {
			return rest
		}
	}
	t.Fatalf("the program did not write %q, but\n%s", words, &c.said)
	return ""
}

func (c *child) interrupt(t *testing.T) {
	t.Helper()
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
}

// end waits for the program's end and returns its exit code and summary.
func (c *child) end(t *testing.T) (int, outcome) {
	t.Helper()
	for c.lines.Scan() {
		fmt.Fprintln(&c.said, c.lines.Text())
	}
	c.Wait()
	var got struct{ Runs []outcome }
	if err := json.Unmarshal([]byte(c.stdout.String()), &got); err != nil || len(got.Runs) != 1 {
		t.Fatalf("stdout has no summary: %v\n%s\nstderr:\n%s", err, &c.stdout, &c.said)
	}
	return c.ProcessState.ExitCode(), got.Runs[0]
}

func TestAnInterruptUnderLoadLosesNoRequestAndTheFiguresAreTheUpstreams(t *testing.T) {
	u := startBackend(t, said("u"))
	c := startChild(t, "-upstream="+u.url())
	var answered, failed atomic.Int64
	var first sync.Once
	var working sync.WaitGroup
	for i := range 32 {
		// Every second client opens a connection for each request; nothing
		// repeats those, so one that was lost would show.
		rt := &http.Transport{DisableKeepAlives: i%2 == 0}
		working.Go(func() {
			defer rt.CloseIdleConnections()
			client := &http.Client{Transport: rt}
			for {
				got, err := readAll(client.Get(c.url))
				switch {
				case err == nil && got == "u":
					answered.Add(1)
					continue
				case errors.Is(err, syscall.ECONNREFUSED):
					return // nobody listens any more
				}
				failed.Add(1)
				first.Do(func() { t.Errorf("a request failed: got %q, %v", got, err) })
				return
			}
		})
	}
	wait(t, "some requests", func() bool { return answered.Load() > 500 })
	c.interrupt(t)
	working.Wait()
	code, out := c.end(t)
	if code != 0 || failed.Load() > 0 || out.Requests != answered.Load() || out.Failed+out.Gone+out.Cut != 0 {
		t.Errorf("got exit code %d and %+v, want 0 and %d requests, all answered, %d failed at the clients", code, out.counts, answered.Load(), failed.Load())
	}
	st := out.Stats
	if st.Opened != uint64(u.accepted.Load()) || st.Exchanges != uint64(u.answers.Load()) || st.ClosesAvoided != uint64(u.answers.Load()-u.accepted.Load())+st.Wasted {
		t.Errorf("got %d opened, %d exchanges, %d closes avoided (%d wasted), the upstream counted %d connections and %d requests",
			st.Opened, st.Exchanges, st.ClosesAvoided, st.Wasted, u.accepted.Load(), u.answers.Load())
	}
}

func TestAnInterruptLetsARequestEndAndCutsWhatTakesLongerThanTheGrace(t *testing.T) {
	release := make(chan struct{})
	u := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begun, ")
		http.NewResponseController(w).Flush()
		if r.URL.Path == "/forever" {
			<-r.Context().Done()
			return
		}
		<-release
		io.WriteString(w, "done")
	})
	for _, tc := range []struct {
		path, grace string
		code        int
		cut         int64
	}{{"/", "1m", 0, 0}, {"/forever", "100ms", exitFailed, 1}} {
		c := startChild(t, "-upstream="+u.url(), "-grace="+tc.grace)
		resp, err := http.Get(c.url + tc.path)
		if err != nil {
			t.Fatal(err)
		}
		c.interrupt(t)
		c.await(t, "stopping")
		if tc.cut == 0 {
			close(release)
		}
		got, err := readAll(resp, nil)
		if want := map[bool]string{true: "begun, done", false: "begun, "}[tc.cut == 0]; got != want || (err != nil) != (tc.cut > 0) {
			t.Errorf("-grace %s: got %q, %v, want %q", tc.grace, got, err, want)
		}
		if code, out := c.end(t); code != tc.code || out.Requests != 1 || out.Cut != tc.cut || out.Failed+out.Gone != 0 {
			t.Errorf("-grace %s: got exit code %d and %+v, want %d and %d cut", tc.grace, code, out.counts, tc.code, tc.cut)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestAnUpgradedConnectionLivesUntilTheGraceEnds(t *testing.T) {
	u := startBackend(t, echoMessages)
	for _, tc := range []struct {
		grace string
		cut   int64
	}{{"1h", 0}, {"50ms", 1}} {
		c := startChild(t, "-upstream="+u.url(), "-grace="+tc.grace)
		ws, err := websocket.Dial(strings.Replace(c.url, "http", "ws", 1), "", c.url)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		say(t, ws, "before")
		c.interrupt(t)
		c.await(t, "stopping")
		if tc.cut == 0 {
			say(t, ws, "while it stops")
			ws.Close()
		} else if _, err := io.Copy(io.Discard, ws); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("at the end: got %v, want a closed connection", err)
		}
		if code, out := c.end(t); code != 0 || out.Upgraded != 1 || out.UpgradesCut != tc.cut || out.Cut != 0 {
			t.Errorf("-grace %s: got exit code %d and %+v, want 0 and %d upgrades cut off", tc.grace, code, out.counts, tc.cut)
		}
	}
}

func TestASecondInterruptEndsItAtOnce(t *testing.T) {
	u := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	c := startChild(t, "-upstream="+u.url(), "-grace=1h")
	resp, err := http.Get(c.url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	c.interrupt(t)
	c.await(t, "stopping")
	c.interrupt(t)
	io.Copy(io.Discard, resp.Body) // until the process has gone
	for c.lines.Scan() {
	}
	if c.Wait(); c.ProcessState.ExitCode() != exitInterrupted {
		t.Errorf("got %v, want exit status %d", c.ProcessState, exitInterrupted)
	}
	http.DefaultClient.CloseIdleConnections()
}

// An idle client's connection must not hold up the end.
func TestIdleConnectionsDoNotHoldUpTheEnd(t *testing.T) {
	c := startChild(t, "-upstream="+startBackend(t, said("u")).url(), "-grace=1h")
	if got, err := readAll(http.Get(c.url)); err != nil || got != "u" {
		t.Fatalf("got %q, %v, want u", got, err)
	}
	c.interrupt(t)
	if code, out := c.end(t); code != 0 || out.Requests != 1 {
		t.Errorf("got exit code %d and %+v, want 0 and one request", code, out.counts)
	}
	http.DefaultClient.CloseIdleConnections()
}
