package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// chain is a server and its successors, as this process sees them. Its methods are
// for one goroutine.
type chain struct {
	first    *exec.Cmd
	orders   io.WriteCloser
	messages *json.Decoder
	stdout   *os.File
	current  greeting
	// accepted is how many connections those that have left had accepted.
	accepted uint64
}

// startChain runs this program once more, as the first server. The caller must
// call stop.
func startChain(m mode, stderr io.Writer) (*chain, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program to run it as the server: %w", err)
	}
	// A pipe of our own: that of StdoutPipe is closed when the first server is
	// waited for.
	stdout, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer write.Close()
	c := &chain{first: exec.Command(exe), stdout: stdout, messages: json.NewDecoder(stdout)}
	c.first.Env = append(os.Environ(), modeEnv+"="+string(m), addressEnv+"=127.0.0.1:0")
	c.first.Stdout = write
	c.first.Stderr = stderrFile(stderr)
	if c.orders, err = c.first.StdinPipe(); err == nil {
		err = c.first.Start()
	}
	if err != nil {
		stdout.Close()
		return nil, fmt.Errorf("cannot start the server: %w", err)
	}
	write.Close()
	if err := c.awaitReady(); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// stderrFile is where servers write. It must be a file: a copying goroutine would
// end with the first of them.
func stderrFile(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok {
		return f
	}
	return os.Stderr
}

// restart returns when a successor has taken over and the old server has left.
func (c *chain) restart() error {
	if _, err := c.orders.Write([]byte{orderRestart}); err != nil {
		return fmt.Errorf("cannot order a restart: %w", err)
	}
	if err := c.awaitReady(); err != nil {
		return err
	}
	return c.awaitLeft()
}

func (c *chain) awaitReady() error {
	m, err := c.next()
	if err == nil && m.Ready == nil {
		err = fmt.Errorf("got a farewell of %+v", *m.Left)
	}
	if err != nil {
		return fmt.Errorf("waiting for a server to be ready: %w", err)
	}
	c.current = *m.Ready
	return nil
}

func (c *chain) awaitLeft() error {
	m, err := c.next()
	if err == nil && m.Left == nil {
		err = fmt.Errorf("got a greeting of %+v", *m.Ready)
	}
	if err != nil {
		return fmt.Errorf("waiting for a server to leave: %w", err)
	}
	c.accepted += m.Left.Accepted
	return nil
}

// next reads a message. A server that says nothing is given up, and killed by
// stop.
func (c *chain) next() (message, error) {
	var m message
	c.stdout.SetReadDeadline(time.Now().Add(2 * leaving))
	err := c.messages.Decode(&m)
	if err == nil && (m.Ready == nil) == (m.Left == nil) {
		err = errors.New("the server sent an empty message")
	}
	return m, err
}

// stop ends the last server and waits until it has said farewell, which all before
// it have done.
func (c *chain) stop() error {
	defer c.stdout.Close()
	c.orders.Close()
	var err error
	if c.current.PID != 0 {
		err = c.awaitLeft()
	}
	if err != nil && c.current.PID != 0 {
		if p, e := os.FindProcess(c.current.PID); e == nil {
			p.Kill()
		}
	}
	return errors.Join(err, c.first.Wait())
}
