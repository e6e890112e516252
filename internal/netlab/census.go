package netlab

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// State is a state of TCP as the kernel numbers it.
type State uint8

// The states that tests ask for.
const (
	Established State = 1
	FinWait2    State = 5
	TimeWait    State = 6
	CloseWait   State = 8
	LastAck     State = 9
	Listen      State = 10
)

// Socket is a TCP socket of the namespace that this process is in.
type Socket struct {
	Local, Remote netip.AddrPort
	State         State
}

// Sockets lists the TCP sockets of this process's namespace, TIME_WAITs
// included.
func Sockets(tb testing.TB) []Socket {
	tb.Helper()
	var all []Socket
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue // no IPv6
		}
		if err != nil {
			tb.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "local_address") {
				continue
			}
			s, err := parseSocket(line)
			if err != nil {
				tb.Fatalf("netlab: %s: %v", file, err)
			}
			all = append(all, s)
		}
	}
	return all
}

// Count counts the sockets that match.
func Count(tb testing.TB, match func(Socket) bool) int {
	tb.Helper()
	n := 0
	for _, s := range Sockets(tb) {
		if match(s) {
			n++
		}
	}
	return n
}

// Await waits until the condition, asked again and again, holds, and fails the
// test after a minute with what it describes. It is for what the kernel does
// in its own time, such as the last steps of closing a connection. The minute
// bounds nothing but how long a test takes that fails.
func Await(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	ask := time.NewTicker(time.Millisecond)
	defer ask.Stop()
	timeout := time.After(time.Minute)
	for !condition() {
		select {
		case <-ask.C:
		case <-timeout:
			tb.Fatalf("after a minute still not: %s", what)
		}
	}
}

// parseSocket reads a line of /proc/net/tcp or tcp6: its number, both
// addresses, the state, and more.
func parseSocket(line string) (Socket, error) {
	fields := strings.Fields(line)
	if len(fields) < 4 {
		return Socket{}, fmt.Errorf("too short: %q", line)
	}
	local, err1 := ParseAddrPort(fields[1])
	remote, err2 := ParseAddrPort(fields[2])
	state, err3 := strconv.ParseUint(fields[3], 16, 8)
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return Socket{}, fmt.Errorf("%q: %w", line, err)
		}
	}
	return Socket{Local: local, Remote: remote, State: State(state)}, nil
}

// ParseAddrPort reads 0100007F:1F90: the address in words of four bytes, each
// written as the number it is to this machine, then the port.
func ParseAddrPort(s string) (netip.AddrPort, error) {
	addrHex, portHex, _ := strings.Cut(s, ":")
	port, err := strconv.ParseUint(portHex, 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	b, err := hex.DecodeString(addrHex)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if len(b)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("an address of %d bytes", len(b))
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	addr, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("an address of %d bytes", len(b))
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), nil
}
