package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// serverProcess is the server as its parent sees it. Its methods are safe
// for concurrent use.
type serverProcess struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	// origins holds the host:port of every origin, by target.
	origins [][]string

	// mu makes a query and its answer one step.
	mu      sync.Mutex
	orders  *json.Encoder
	answers *json.Decoder
}

// startServer runs this program once more as the server. The caller must
// call stop.
func startServer(s setup) (*serverProcess, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program to run it as the server: %w", err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), serverEnv+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the server: %w", err)
	}
	p := &serverProcess{cmd: cmd, stdin: stdin, orders: json.NewEncoder(stdin), answers: json.NewDecoder(stdout)}
	if err := p.setUp(s); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func (p *serverProcess) setUp(s setup) error {
	var g greeting
	if err := p.ask(s, &g); err != nil {
		return fmt.Errorf("cannot set up the server: %w", err)
	}
	if g.Error != "" {
		return fmt.Errorf("the server cannot listen: %s", g.Error)
	}
	if len(g.Origins) != s.Targets {
		return fmt.Errorf("the server serves %d clients, want %d", len(g.Origins), s.Targets)
	}
	p.origins = g.Origins
	return nil
}

// tally asks the server what it counted on one target.
func (p *serverProcess) tally(target int) (tally, error) {
	var t tally
	if err := p.ask(query{Target: target}, &t); err != nil {
		return tally{}, fmt.Errorf("cannot ask the server for its counts: %w", err)
	}
	return t, nil
}

func (p *serverProcess) ask(order, answer any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.orders.Encode(order); err != nil {
		return err
	}
	return p.answers.Decode(answer)
}

// stop ends the server and waits for it. A server that does not leave by
// itself is killed after a few seconds.
func (p *serverProcess) stop() error {
	p.stdin.Close()
	kill := time.AfterFunc(5*time.Second, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("the server ended badly: %w", err)
	}
	return nil
}
