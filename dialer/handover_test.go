//go:build unix

package dialer_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

// roleEnv tells a process that a test of this file has started what to do.
const roleEnv = "STAYOPEN_TEST_ROLE"

// heir is what a process says that takes listeners over.
type heir struct {
	Names     []string
	Addresses []string
	Err       string
	Env       []string // variables of the hand-over that are left
	Again     int      // listeners that a second call returned
	Open      bool     // descriptor 3 is still open
}

// inherit is the process: it says what it got, greets until stdin ends, and exits.
func inherit() {
	all, err := (&dialer.ListenConfig{}).Inherited()
	again, _ := (&dialer.ListenConfig{}).Inherited()
	h := heir{Again: len(again), Open: isOpen(3)}
	if err != nil {
		h.Err = err.Error()
	}
	for _, l := range all {
		h.Names = append(h.Names, l.Name())
		h.Addresses = append(h.Addresses, l.Addr().String())
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				c.Write([]byte("heir"))
				c.Close()
			}
		}()
	}
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "LISTEN_") || strings.HasPrefix(v, "STAYOPEN_LISTEN") {
			h.Env = append(h.Env, v)
		}
	}
	json.NewEncoder(os.Stdout).Encode(h)
	bufio.NewReader(os.Stdin).ReadByte()
	os.Exit(0)
}

func isOpen(fd int) bool {
	_, err := os.Stat("/dev/fd/" + strconv.Itoa(fd))
	return err == nil
}

// played reports whether this process has a role in the test, after playing it.
func played() bool {
	switch os.Getenv(roleEnv) {
	case "heir":
		inherit()
	case "careless": // takes nothing, and passes on what it has
		cmd := itself(os.Getenv("TEST"), "heir")
		for fd := 3; isOpen(fd); fd++ {
			cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(fd), "passed"))
		}
		if os.Getenv("KEEP_FILES") == "" {
			cmd.ExtraFiles = nil
		}
		cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
		if err := cmd.Run(); err != nil {
			fmt.Println(err)
		}
		os.Exit(0)
	default:
		return false
	}
	return true
}

// itself runs the test again, in a role.
func itself(test, role string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), roleEnv+"="+role, "TEST="+test, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// started reads what an heir says, which lives until the test ends.
func started(t *testing.T, cmd *exec.Cmd, start func() error) heir {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the other process: %v", err)
		}
	})
	var h heir
	if err := json.NewDecoder(stdout).Decode(&h); err != nil {
		t.Fatalf("the other process did not say what it got: %v", err)
	}
	return h
}

func TestHandOverPassesListenersWithTheirQueues(t *testing.T) {
	if played() {
		return
	}
	web := open(t, dialer.ListenConfig{Name: "web"}, "tcp4", "127.0.0.1:0")
	admin := open(t, dialer.ListenConfig{}, "tcp6", "[::1]:0")
	var clients []net.Conn
	for range 50 {
		clients = append(clients, connect(t, web), connect(t, admin))
	}
	waiting := make(chan error, 1)
	go func() {
		for {
			c, err := web.Accept()
			if err != nil {
				waiting <- err
				return
			}
			c.Write([]byte("mine"))
			c.Close()
		}
	}()
	t.Setenv("LISTEN_PID", "1") // of an earlier life
	t.Setenv("LISTEN_FDS", "7")
	cmd := itself(t.Name(), "heir")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	cmd.ExtraFiles = []*os.File{w}
	got := started(t, cmd, func() error { return dialer.HandOver(cmd, web, admin) })
	if want := []string{"web", ""}; !slices.Equal(got.Names, want) || got.Err != "" {
		t.Errorf("the heir got %+v, want listeners named %q", got, want)
	}
	if want := []string{web.Addr().String(), admin.Addr().String()}; !slices.Equal(got.Addresses, want) {
		t.Errorf("the heir listens on %q, want %q", got.Addresses, want)
	}
	if len(got.Env) > 0 || got.Again > 0 || got.Open {
		t.Errorf("the heir left %q, descriptor 3 open %v, and got %d listeners again: want nothing for others to take", got.Env, got.Open, got.Again)
	}
	if len(cmd.ExtraFiles) != 1 {
		t.Errorf("got %d extra files after HandOver, want the user's one", len(cmd.ExtraFiles))
	}
	// Passing a descriptor must not have made it a blocking one.
	web.Close()
	admin.Close()
	<-waiting
	clients = append(clients, connect(t, web), connect(t, admin)) // to the heir
	if served := greeted(t, clients); served != len(clients) {
		t.Errorf("%d of %d were served, want all, by one process or the other", served, len(clients))
	}
}

func TestInheritedTakesWhatSystemdPasses(t *testing.T) {
	if played() {
		return
	}
	for _, test := range []struct {
		name, script string
		want         []string
		says         string
	}{
		{"meant", `LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b exec "$0" "$@"`, []string{"a", "b"}, ""},
		{"without names", `LISTEN_PID=$$ LISTEN_FDS=2 exec "$0" "$@"`, []string{"", ""}, ""},
		{"for another process", `LISTEN_PID=1 LISTEN_FDS=2 LISTEN_FDNAMES=a:b exec "$0" "$@"`, nil, ""},
		{"for nobody", `LISTEN_FDS=2 exec "$0" "$@"`, nil, ""},
		{"none", `LISTEN_PID=$$ LISTEN_FDS=0 exec "$0" "$@"`, nil, ""},
		{"no number", `LISTEN_PID=$$ LISTEN_FDS=two exec "$0" "$@"`, nil, "LISTEN_FDS"},
		{"negative", `LISTEN_PID=$$ LISTEN_FDS=-1 exec "$0" "$@"`, nil, "LISTEN_FDS"},
		{"a file among them", `LISTEN_PID=$$ LISTEN_FDS=3 exec "$0" "$@" 5</dev/null`, nil, "descriptor 5"},
		{"too many", `LISTEN_PID=$$ LISTEN_FDS=200 exec "$0" "$@"`, nil, "descriptor 5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := itself("TestInheritedTakesWhatSystemdPasses", "heir")
			cmd.Args = append([]string{"sh", "-c", test.script}, cmd.Args...)
			cmd.Path = "/bin/sh"
			for range 2 {
				f, err := open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0").File()
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				cmd.ExtraFiles = append(cmd.ExtraFiles, f)
			}
			got := started(t, cmd, cmd.Start)
			if !slices.Equal(got.Names, test.want) || !strings.Contains(got.Err, test.says) || (got.Err != "") != (test.says != "") {
				t.Errorf("got %+v, want names %q and an error with %q in it", got, test.want, test.says)
			}
			if test.says != "" && len(got.Env) == 0 {
				t.Error("after an error the variables are gone, want them left for somebody else")
			}
			if test.says == "" && len(got.Env) > 0 {
				t.Errorf("got %q left in the environment, want nothing", got.Env)
			}
		})
	}
}

// A child that knows nothing of the hand-over hands its environment, and perhaps
// its files, to children of its own.
func TestInheritedTakesNothingThatAnotherProcessWasPassed(t *testing.T) {
	if played() {
		return
	}
	for _, keep := range []string{"", "1"} {
		l := open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0")
		cmd := itself(t.Name(), "careless")
		cmd.Env = append(cmd.Env, "KEEP_FILES="+keep)
		got := started(t, cmd, func() error { return dialer.HandOver(cmd, l) })
		if len(got.Names) > 0 || got.Err != "" {
			t.Errorf("files passed on %q: a grandchild got %+v, want nothing", keep, got)
		}
	}
}

func TestInheritedRefusesAnotherSocketThanWasPassed(t *testing.T) {
	if played() {
		return
	}
	passed, other := open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0"), open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0")
	// What HandOver tells a child, told to one that has other descriptors.
	template := itself(t.Name(), "heir")
	started(t, template, func() error { return dialer.HandOver(template, passed) })
	for name, change := range map[string]func(env []string) []string{
		"another socket": func(env []string) []string { return env },
		"too few": func(env []string) []string {
			return append(env, "LISTEN_FDS=2")
		},
		"nonsense": func(env []string) []string {
			return append(env, "STAYOPEN_LISTEN_PARENT="+strconv.Itoa(os.Getpid())+":x")
		},
	} {
		f, err := other.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd := itself(t.Name(), "heir")
		cmd.Env, cmd.ExtraFiles = change(slices.Clone(template.Env)), []*os.File{f}
		if got := started(t, cmd, cmd.Start); len(got.Names) > 0 || got.Err == "" {
			t.Errorf("%s: got %+v, want an error and no listener", name, got)
		}
	}
}

func TestHandOverThatFailsLeavesNothingOpen(t *testing.T) {
	l := open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0")
	cmd := exec.Command("/does/not/exist")
	if err := dialer.HandOver(cmd, l); err == nil {
		t.Error("got nil, want an error: there is no such program")
	}
	address := l.Addr().String()
	l.Close()
	open(t, dialer.ListenConfig{}, "tcp4", address) // a copy would be in the way
	if err := dialer.HandOver(exec.Command(os.Args[0]), l); err == nil {
		t.Error("with a closed listener: got nil, want an error")
	}
}

func TestInheritedListenersHaveTheLimitAndTheKeepAliveOfTheirConfig(t *testing.T) {
	if os.Getenv(roleEnv) == "" {
		l := open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0")
		cmd := itself(t.Name(), "limited")
		var out strings.Builder
		cmd.Stdout = &out
		if err := dialer.HandOver(cmd, l); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the heir: %v\n%s", err, &out)
		}
		return
	}
	lc := dialer.ListenConfig{MaxConns: 1}
	lc.KeepAliveConfig.Enable, lc.KeepAliveConfig.Idle = true, 77*time.Second
	all, err := lc.Inherited()
	if err != nil || len(all) != 1 {
		t.Fatalf("got %d listeners, %v, want 1", len(all), err)
	}
	l := all[0]
	defer l.Close()
	connect(t, l)
	wantKeepAlive(t, accept(t, l), 77)
	connect(t, l)
	l.SetDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := l.Accept(); err == nil {
		t.Error("got a second connection, want at most 1 open")
	}
}
