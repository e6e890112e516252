package hostcheck

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"time"
)

// openNet opens a file about the network namespace of the thread, which is the
// one that a socket made here would be in.
func openNet(name string) (*os.File, error) {
	f, err := os.Open("/proc/thread-self/net/" + name)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Open("/proc/net/" + name)
	}
	return f, err
}

// eachProc reads the tables that are there for people.
func eachProc(ctx context.Context, f *Filter, visit func(*Socket) bool) error {
	for _, name := range []string{"tcp", "tcp6"} {
		file, err := openNet(name)
		if errors.Is(err, fs.ErrNotExist) && name == "tcp6" {
			continue // the kernel runs without IPv6
		}
		if err != nil {
			return fmt.Errorf("hostcheck: %w", err)
		}
		more, err := eachRow(ctx, file, f, visit)
		file.Close()
		if err != nil {
			return fmt.Errorf("hostcheck: /proc/net/%s: %w", name, err)
		}
		if !more {
			return nil
		}
	}
	return nil
}

// eachRow reads one table: a heading, then a row for each socket. It reports
// whether visit wants more.
func eachRow(ctx context.Context, table io.Reader, f *Filter, visit func(*Socket) bool) (more bool, err error) {
	rows := bufio.NewScanner(table)
	rows.Scan()
	var s Socket
	for n := 0; rows.Scan(); n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err := s.parseRow(rows.Bytes()); err != nil {
			return false, err
		}
		if f.matches(&s) && !visit(&s) {
			return false, nil
		}
	}
	return true, rows.Err()
}

// parseRow reads a row: its number, both ends, the state, the queues, the timer
// with what is left of it, and more.
func (s *Socket) parseRow(row []byte) error {
	var fields [6][]byte
	rest := row
	for i := range fields {
		rest = bytes.TrimLeft(rest, " ")
		fields[i], rest, _ = bytes.Cut(rest, []byte(" "))
	}
	local, err1 := parseEnd(fields[1])
	remote, err2 := parseEnd(fields[2])
	state, err3 := strconv.ParseUint(string(fields[3]), 16, 8)
	_, queue, err4 := hexPair(fields[4])
	timer, left, err5 := hexPair(fields[5])
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return fmt.Errorf("row %q: %w", row, err)
	}
	*s = Socket{State: State(state), Local: local, Remote: remote}
	if timer == diagTimerTimeWait {
		s.Expires = time.Duration(left) * (time.Second / 100) // USER_HZ
	}
	if s.State == Listen {
		s.Queue = int(queue)
	}
	return nil
}

// parseEnd reads ADDRESS:PORT. The address is written in words of 32 bits, each
// as the number that the machine sees in the memory that holds it.
func parseEnd(field []byte) (netip.AddrPort, error) {
	words, port, _ := bytes.Cut(field, []byte(":"))
	n, err := strconv.ParseUint(string(port), 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	var raw [16]byte
	if len(words) != 8 && len(words) != 32 {
		return netip.AddrPort{}, fmt.Errorf("address %q is of no family", words)
	}
	size, err := hex.Decode(raw[:], words)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for i := 0; i < size; i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	a, _ := netip.AddrFromSlice(raw[:size])
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), nil
}

// hexPair reads A:B.
func hexPair(field []byte) (a, b uint64, err error) {
	first, second, _ := bytes.Cut(field, []byte(":"))
	a, err1 := strconv.ParseUint(string(first), 16, 64)
	b, err2 := strconv.ParseUint(string(second), 16, 64)
	return a, b, errors.Join(err1, err2)
}
