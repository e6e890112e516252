package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

// A server process is told by its environment what to do: how it restarts, and
// where it listens unless it is handed a listener. A successor is told, too, which
// descriptor to say on that it is ready.
const (
	modeEnv    = "STAYOPEN_RESTART_MODE"
	addressEnv = "STAYOPEN_RESTART_ADDRESS"
	readyEnv   = "STAYOPEN_RESTART_READY"
)

// orderRestart is the one order that a server takes, on stdin, which all servers
// of a chain have in common. Its end is the order to leave.
const orderRestart = 'r'

func isServerProcess() bool { return os.Getenv(modeEnv) != "" }

// leaving is the time that a server has to finish what it has accepted.
const leaving = 10 * time.Second

// farewell is what a server says of itself, as the last thing.
type farewell struct {
	Accepted uint64 // connections
	Open     uint64 // of these, left open in the end
}

// greeting is what a server says once it listens.
type greeting struct {
	PID     int
	Address string
}

// message is a line on stdout.
type message struct {
	Ready *greeting `json:",omitempty"`
	Left  *farewell `json:",omitempty"`
}

// server is one process of a chain.
type server struct {
	mode     mode
	listener *dialer.Listener
	http     *http.Server
	served   chan error // Serve's error
	stdout   io.Writer
}

// serverMain runs a server until it has been replaced or stdin ends, and returns
// the exit code.
func serverMain(stdin, stdout, stderr *os.File) int {
	signal.Ignore(os.Interrupt) // meant for the parent, which tells us
	s := &server{mode: mode(os.Getenv(modeEnv)), stdout: stdout}
	if err := s.run(stdin, stderr); err != nil {
		fmt.Fprintf(stderr, "restart: server %d: %v\n", os.Getpid(), err)
		return exitFailed
	}
	return 0
}

func (s *server) run(stdin, stderr *os.File) error {
	if err := s.listen(); err != nil {
		return err
	}
	s.http = &http.Server{Handler: http.HandlerFunc(answer)}
	s.served = make(chan error, 1)
	go func() { s.served <- s.http.Serve(s.listener) }()
	if err := s.ready(); err != nil {
		return err
	}
	var order [1]byte // no more: the next order is the successor's
	if _, err := io.ReadFull(stdin, order[:]); err == nil && order[0] == orderRestart {
		if err := s.startSuccessor(stdin, stderr); err != nil {
			return err
		}
	}
	return s.leave()
}

// listen takes the listener over or opens one.
func (s *server) listen() error {
	lc := dialer.ListenConfig{Name: "http", ReusePort: s.mode != handover}
	inherited, err := lc.Inherited()
	if err != nil {
		return err
	}
	if len(inherited) > 0 {
		s.listener = inherited[0]
		return nil
	}
	if s.mode == handover && os.Getenv(readyEnv) != "" {
		return errors.New("got no listener handed over")
	}
	l, err := lc.Listen(context.Background(), "tcp4", os.Getenv(addressEnv))
	if err != nil {
		return err
	}
	s.listener = l.(*dialer.Listener)
	return nil
}

// body is what every request is answered with.
var body = strings.Repeat("stayopen ", 100)

func answer(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }

// ready tells whoever started this server that it listens.
func (s *server) ready() error {
	to := s.stdout
	if n := os.Getenv(readyEnv); n != "" {
		fd, err := strconv.Atoi(n)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), "ready")
		defer f.Close()
		to = f
	}
	return json.NewEncoder(to).Encode(message{Ready: &greeting{os.Getpid(), s.listener.Addr().String()}})
}

// startSuccessor returns when another process listens, and has said so.
func (s *server) startSuccessor(stdin, stderr *os.File) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	heard, say, err := os.Pipe()
	if err != nil {
		return err
	}
	defer heard.Close()
	cmd := exec.Command(exe)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, s.stdout, stderr
	cmd.ExtraFiles = []*os.File{say}
	err = s.start(cmd)
	say.Close()
	if err != nil {
		return err
	}
	// Nobody waits for the successor: it outlives this process.
	defer cmd.Process.Release()
	line, err := io.ReadAll(heard)
	if err != nil || len(line) == 0 {
		return fmt.Errorf("the successor did not become ready: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	_, err = s.stdout.Write(line)
	return err
}

// start starts the successor, with the listener or with its address.
func (s *server) start(cmd *exec.Cmd) error {
	if s.mode == handover {
		cmd.Env = append(os.Environ(), readyEnv+"=4") // behind the listener
		return dialer.HandOver(cmd, s.listener)
	}
	cmd.Env = append(os.Environ(), readyEnv+"=3", addressEnv+"="+s.listener.Addr().String())
	return cmd.Start()
}

// leave stops listening, finishes what was accepted, and says farewell.
func (s *server) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), leaving)
	defer cancel()
	var err error
	switch s.mode {
	case handover:
		err = s.listener.Close()
	case drain:
		err = s.listener.Drain(ctx)
	}
	if s.mode != justClose {
		s.finish(ctx)
	}
	err = errors.Join(err, s.http.Shutdown(ctx))
	if e := <-s.served; e != http.ErrServerClosed && !errors.Is(e, net.ErrClosed) {
		err = errors.Join(err, e)
	}
	stats := s.listener.Stats()
	say := json.NewEncoder(s.stdout).Encode(message{Left: &farewell{stats.Accepted, stats.Open}})
	return errors.Join(err, say)
}

// finish answers every connection once more and waits for their ends. Shutdown
// alone would close connections that it finds without a request read, though they
// have just been accepted and their requests are on the way.
func (s *server) finish(ctx context.Context) {
	s.http.SetKeepAlivesEnabled(false)
	ask := time.NewTicker(time.Millisecond)
	defer ask.Stop()
	for s.listener.Stats().Open > 0 {
		select {
		case <-ask.C:
		case <-ctx.Done():
			return
		}
	}
}
