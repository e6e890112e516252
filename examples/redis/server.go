package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// server is a redis-server of our own, on loopback, with nothing on disk.
type server struct {
	addr  string
	dir   string
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
}

var errNoRedis = errors.New("found no redis-server: install it (Debian: apt-get install redis-server), or give a server's address with -addr")

// startServer starts a redis-server and waits until it answers.
func startServer(ctx context.Context) (*server, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errNoRedis
	}
	// Redis takes port 0 for none at all: so one is sought that is free, which
	// somebody else may take in the meantime.
	for range 5 {
		var s *server
		if s, err = launch(path); err != nil {
			return nil, err
		}
		if err = s.awaitAnswer(ctx); err == nil || ctx.Err() != nil {
			if err != nil {
				s.stop()
			}
			return s, err
		}
		s.stop()
	}
	return nil, err
}

func launch(path string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "stayopen-redis-")
	if err != nil {
		return nil, err
	}
	s := &server{addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), dir: dir, ended: make(chan struct{})}
	s.cmd = exec.Command(path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1",
		"--daemonize", "no", "--save", "", "--appendonly", "no", "--dir", dir, "--logfile", "log", "--tcp-backlog", "511")
	if err := s.cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	go func() { // ends with the process
		s.cmd.Wait()
		close(s.ended)
	}()
	return s, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// awaitAnswer waits until the server answers, or has ended.
func (s *server) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c := client{dial: new(net.Dialer).DialContext, addr: s.addr}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := c.do(ctx, "PING"); err == nil {
			return nil
		}
		select {
		case <-s.ended:
			log, _ := os.ReadFile(s.dir + "/log")
			return fmt.Errorf("redis-server ended at once: %s", log)
		case <-ctx.Done():
			return fmt.Errorf("redis-server does not answer: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// stop ends the server and waits for it. Nothing of it remains.
func (s *server) stop() {
	// There is nothing to save, and not every system can ask politely.
	s.cmd.Process.Kill()
	<-s.ended
	os.RemoveAll(s.dir)
}
