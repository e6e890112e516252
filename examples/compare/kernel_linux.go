package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// readSockets reads every TCP socket of this network namespace, TIME_WAITs
// included.
func readSockets() ([]socket, error) {
	var all []socket
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) && name == "/proc/net/tcp6" {
			// The kernel runs without IPv6.
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot count TIME_WAITs: %w", err)
		}
		if all, err = appendSockets(all, table); err != nil {
			return nil, fmt.Errorf("cannot count TIME_WAITs: %s: %w", name, err)
		}
	}
	return all, nil
}

// appendSockets parses a table in the form of /proc/net/tcp: a heading, then
// for each socket its number, local end, remote end, state and more.
func appendSockets(all []socket, table []byte) ([]socket, error) {
	_, rows, _ := bytes.Cut(table, []byte("\n"))
	for row := range bytes.Lines(rows) {
		fields := strings.Fields(string(row))
		if len(fields) < 4 {
			return nil, fmt.Errorf("row %q is too short", row)
		}
		local, err := parseEnd(fields[1])
		if err != nil {
			return nil, err
		}
		remote, err := parseEnd(fields[2])
		if err != nil {
			return nil, err
		}
		state, err := strconv.ParseUint(fields[3], 16, 8)
		if err != nil {
			return nil, fmt.Errorf("state %q: %w", fields[3], err)
		}
		all = append(all, socket{tuple{local, remote}, tcpState(state)})
	}
	return all, nil
}

// parseEnd reads ADDRESS:PORT. The address is written as 32-bit words in
// hexadecimal, each as the number that the machine sees in network memory.
func parseEnd(s string) (netip.AddrPort, error) {
	words, port, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(words)
	if !ok || err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("address %q is not one", s)
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q is not one", s)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), nil
}
