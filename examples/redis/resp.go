package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// client speaks the Redis protocol (RESP 2), one command on a connection at a
// time. It dials for each command and closes after it: whether that opens and
// closes anything is its dial function's affair.
type client struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	addr string
}

// errorReply is an error that Redis answered with. The connection is fit for more.
type errorReply string

func (e errorReply) Error() string { return "redis: " + string(e) }

// do sends a command and returns the answer: a string, an int64 or nil. Those that
// Redis answers with an array are not for this client. It breaks off when ctx ends.
func (c client) do(ctx context.Context, args ...string) (any, error) {
	conn, err := c.dial(ctx, "tcp", c.addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := conn.Write(command(args)); err != nil {
		return nil, because(ctx, err)
	}
	in := bufio.NewReaderSize(conn, 512)
	reply, err := readReply(in)
	if err == nil && in.Buffered() > 0 {
		err = errors.New("redis: more than one answer came")
	}
	if _, answered := err.(errorReply); err != nil && !answered {
		// A part of the answer may be still to come, which Close cannot know.
		if pooled, ok := conn.(interface{ Discard() error }); ok {
			pooled.Discard()
		}
		return nil, because(ctx, err)
	}
	return reply, err
}

// because is ctx's error, if that was what broke off the command.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// command is how a command travels: an array of strings with their lengths.
func command(args []string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

// maxLength bounds what is read into memory.
const maxLength = 1 << 20

func readReply(in *bufio.Reader) (any, error) {
	line, err := in.ReadString('\n')
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	line, ok := strings.CutSuffix(line, "\r\n")
	if !ok || line == "" {
		return nil, fmt.Errorf("redis: not an answer: %q", line)
	}
	text := line[1:]
	switch line[0] {
	case '+':
		return text, nil
	case '-':
		return nil, errorReply(text)
	case ':':
		return strconv.ParseInt(text, 10, 64)
	case '$':
		n, err := strconv.Atoi(text)
		switch {
		case err != nil || n < -1 || n > maxLength:
			return nil, fmt.Errorf("redis: not a length: %q", line)
		case n == -1:
			return nil, nil
		}
		return readBulk(in, n)
	}
	return nil, fmt.Errorf("redis: not an answer: %q", line)
}

func readBulk(in *bufio.Reader, n int) (any, error) {
	b := make([]byte, n+2)
	if _, err := io.ReadFull(in, b); err != nil {
		return nil, err
	}
	if string(b[n:]) != "\r\n" {
		return nil, fmt.Errorf("redis: %d bytes are not followed by a line's end", n)
	}
	return string(b[:n]), nil
}
